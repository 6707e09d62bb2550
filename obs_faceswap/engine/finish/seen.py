"""What is known of a finished frame, for whoever looks at how it was made."""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.masking import FaceMasks
from obs_faceswap.engine.settings import Cover
from obs_faceswap.engine.steps import Begun, Swap
from obs_faceswap.engine.types import AlignedFace, Face, Mask, Result, Shown, SwappedFace


@dataclass(frozen=True, slots=True)
class Steps:
    """What was made of one face on its way into the frame.

    Attributes:
        swapped: as it came from the swapper, moved to where the face is now.
        colored: the same after its colors were matched.
        masks: where it is shown.
    """

    swapped: SwappedFace
    colored: SwappedFace
    masks: FaceMasks


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a finished frame.

    Attributes:
        begun: what was found in it.
        swap: what it was finished with.
        done: the tracks of the faces that are hidden by a swap.
        result: what is shown, and each step's time.
        steps: what was made of faces, by track.
    """

    begun: Begun
    swap: Swap | None
    done: set[int]
    result: Result
    steps: dict[int, Steps] = field(default_factory=dict)

    @property
    def targets(self) -> set[int]:
        """The tracks of those who are swapped."""
        return {face.track_id for face in self.begun.found.targets}

    def is_lost(self, face: Face) -> bool:
        """Whether a face is only where it was seen last."""
        return any(face is lost for lost in self.begun.found.lost)

    def cut_of(self, face: Face) -> AlignedFace | None:
        """What was cut out of a face, if it was."""
        return next((cut for cut in self.begun.cuts if cut.face.track_id == face.track_id), None)

    @property
    def shows_live(self) -> bool:
        """Whether the user lets the live face be seen."""
        return self.begun.settings.cover is Cover.ORIGINAL

    @property
    def is_filled(self) -> bool:
        """Whether a picture took the frame's place: then nothing lies where the camera saw it."""
        return bool(self.done - self.steps.keys())

    def shows_swap_of(self, face: Face) -> bool:
        """Whether the frame shows a face's swap."""
        return self.shows_live or (self.result.shown is Shown.SWAPPED and face.track_id in self.done)


def weights_of(swapped: SwappedFace, mask: Mask, side: int) -> Mask:
    """A mask times the swap's own alpha, (side, side), 0..1."""
    weights = resized(mask, side)
    if swapped.alpha is not None:
        weights = weights * resized(swapped.alpha, side)
    return np.asarray(np.clip(weights, 0, 1), np.float32)


def resized(picture: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """A square picture at another side; halving it first is several times as fast as averaging at once."""
    while len(picture) >= 2 * side:
        half_wh = len(picture) // 2, len(picture) // 2
        picture = cv2.resize(picture, half_wh, interpolation=cv2.INTER_LINEAR)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
