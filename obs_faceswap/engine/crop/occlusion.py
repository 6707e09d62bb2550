"""What lies before a face, so that it stays in front of the swap.

A swap is painted on the frame; without this a hand, a cup or a microphone before the face would be painted
over. What says where nothing lies before the face is an occluder: the hands that two networks find, or a
network of the user's that knows faces (see `occluders`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import similarity
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Face, Mask, Points, Warp


@dataclass(frozen=True, slots=True)
class Visible:
    """Where a face is seen.

    Attributes:
        mask: (M, M), 0..1, 0 where something lies before the face; beyond it its border goes on.
        warp: frame to mask.
    """

    mask: Mask
    warp: Warp

    def moved(self, before: Points, now: Points) -> "Visible":
        """The same on a face that has moved; points (N, 2) of it, then and now. Raises FaceError."""
        back = np.vstack([similarity(now, before), (0, 0, 1)])
        return Visible(self.mask, replace(self.warp, matrix=np.asarray(self.warp.matrix @ back, np.float32)))

    def at(self, warp: Warp, size: int) -> Mask:
        """The mask (size, size) as it lies in a crop, which may be finer."""
        there, here = _square(self.warp, len(self.mask)), _square(warp, size)
        matrix = (there @ np.linalg.inv(here))[:2]
        seen = cv2.warpAffine(
            self.mask, matrix, (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(seen, np.float32)


class Occluder(Protocol):
    """Knows what lies before a face. Belongs to one stream, and to the thread that finds its faces.

    Attributes:
        moves_with_face: whether what it said of a face rather moves as the face does than stays where it is.
    """

    moves_with_face: bool

    def visible(
        self, picture: Picture, faces: Sequence[Face], timestamp_ns: int, settings: Settings
    ) -> list[Visible | None]:
        """Where each of a picture's faces is seen; None: everywhere.

        Raises:
            ModelError: a network gave no numbers.
        """
        ...


def _square(warp: Warp, size: int) -> npt.NDArray[np.float64]:
    """A warp (3, 3) to the pixels of its crop at another side."""
    scale = size / warp.size
    # Pixel u has its center at (u + 0.5) * scale - 0.5 at the other side.
    to_size = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    return np.asarray(to_size @ np.vstack([warp.matrix, (0, 0, 1)]), np.float64)
