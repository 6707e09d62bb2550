"""A whole picture that moves as the live face does, through a network of the LIA kind.

LIA (Wang et al., “Latent Image Animator”, ICLR 2022) as DeepFaceLive exports it (modelhub/onnx/LIA/LIA.py,
apps/DeepFaceLive/backend/FaceAnimator.py): the picture fits into the network's square, the first driving
face is the reference, and what differs from it moves the picture.
"""

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.find.recognize import SIGNED, as_input
from obs_faceswap.engine.runtime.session import Array, Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace

_PICTURE, _DRIVING, _START, _POWER = "in_src", "in_drv", "in_drv_start_motion", "in_power"
_OUT, _MOTION = "out", "out_drv_motion"
_ADVICE = "Choose another network."


class Animator:
    """Has a picture look and speak as the live face does; what it gives takes the whole frame's place.

    Contract: inputs `in_src` and `in_drv` (1, 3, R, R), RGB -1..1, `in_drv_start_motion` (1, M), `in_power`
    (1,); outputs `out` like `in_src`, and `out_drv_motion` (1, M).
    """

    fills_frame = True

    def __init__(self, session: Session, picture: ImageBGR) -> None:
        """Takes a loaded network and the picture to move.

        Raises:
            UnsupportedModelError: its inputs or outputs are others.
        """
        self._session = session
        self._inputs = {info.name: info for info in session.inputs}
        self._outputs = [info.name for info in session.outputs]
        self._side, self._motions = _sizes(session)
        square, self._mask = fitted(picture, self._side)
        self._picture = self._as_input(_PICTURE, square)
        self._reference: Array | None = None
        self._track_id = -1
        self.update(Settings())

    @property
    def is_upright(self) -> bool:
        """No: the face's own turning is taken out first, or the whole picture would turn."""
        return False

    def update(self, settings: Settings) -> None:
        """Takes over how strongly the picture moves."""
        self._power = settings.relative_power

    def reset(self) -> None:
        """Takes the next live face as the one that looks like the picture."""
        self._reference = None

    def crop_size(self, face_side_px: float) -> int:
        """The network's own resolution, whatever the face's size."""
        return self._side

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The picture as the live face has it, (R, R, 3), and a mask of where in the square it lies.

        The first face, and the first of another person, is the reference. Raises ModelError if the network
        gives values that are no numbers.
        """
        live = self._as_input(_DRIVING, aligned.crop)
        if aligned.face.track_id != self._track_id:
            self._track_id = aligned.face.track_id
            self.reset()
        reference = self._reference
        if reference is None:
            reference = self._reference = self._motion_of(live)
        moved = self._run(self._picture, live, reference, self._power)[_OUT]
        rgb = moved[0].transpose(1, 2, 0) * 0.5 + 0.5
        return SwappedFace(np.asarray(np.clip(rgb[..., ::-1], 0, 1) * 255 + 0.5, np.uint8), self._mask)

    def _motion_of(self, live: Array) -> Array:
        """The numbers (1, M) of a live face; the picture and the power do not enter them."""
        start = np.zeros((1, self._motions), np.float32)
        motion = self._run(np.zeros_like(self._picture), live, start, 0.0)[_MOTION]
        if motion.shape != start.shape:
            raise UnsupportedModelError(
                f"The network's {_MOTION} should be {start.shape} and is {motion.shape}. {_ADVICE}"
            )
        return motion

    def _run(
        self, picture: Array, live: Array, start: Array, power: float
    ) -> dict[str, npt.NDArray[np.float32]]:
        feeds = {_PICTURE: picture, _DRIVING: live, _START: start, _POWER: np.array([power])}
        typed = {name: value.astype(self._inputs[name].dtype, copy=False) for name, value in feeds.items()}
        found = [np.asarray(output, np.float32) for output in self._session.run(typed)]
        outputs = dict(zip(self._outputs, found, strict=True))
        if outputs[_OUT].shape != picture.shape:
            raise UnsupportedModelError(
                f"The network's {_OUT} should be {picture.shape} and is {outputs[_OUT].shape}. {_ADVICE}"
            )
        if not all(np.isfinite(output.sum(dtype=np.float64)) for output in found):
            self._session.distrust()
            raise ModelError(
                f"The network gave values that are no numbers on {self._session.provider}. "
                "Choose another device, or another network."
            )
        return outputs

    def _as_input(self, name: str, picture: ImageBGR) -> Array:
        return as_input(_sized(picture, self._side), SIGNED, self._inputs[name].dtype)


def fitted(picture: ImageBGR, side: int) -> tuple[ImageBGR, Mask]:
    """A picture in the middle of a black square (side, side, 3), as large as it fits, and where it lies."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    small_wh = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, small_wh, interpolation=how)
    left, top = (side - small_wh[0]) // 2, (side - small_wh[1]) // 2
    square, mask = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.float32)
    here = np.s_[top : top + small_wh[1], left : left + small_wh[0]]
    square[here], mask[here] = small, 1
    return square, mask


def _sizes(session: Session) -> tuple[int, int]:
    """The side of the network's pictures, and how many numbers a motion has."""
    shapes = {info.name: info.shape for info in session.inputs}
    picture, start = shapes.get(_PICTURE, ()), shapes.get(_START, ())
    names = {info.name for info in session.outputs}
    fits = set(shapes) == {_PICTURE, _DRIVING, _START, _POWER} and names >= {_OUT, _MOTION}
    sides = [*picture[2:], *start[1:]]
    if not fits or len(sides) != 3 or sides[0] != sides[1] or not all(isinstance(n, int) for n in sides):
        raise UnsupportedModelError(
            f"An animating network takes {_PICTURE} and {_DRIVING} (1, 3, R, R), {_START} (1, M) and "
            f"{_POWER}, and gives {_OUT} and {_MOTION}; this one takes {shapes} and gives "
            f"{', '.join(sorted(names))}. {_ADVICE}"
        )
    return int(sides[0]), int(sides[2])


def _sized(picture: ImageBGR, side: int) -> ImageBGR:
    if picture.shape[0] == side == picture.shape[1]:
        return picture
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
