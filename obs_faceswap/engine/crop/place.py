"""Which part of the frame a face's crop shows: DeepFaceLive's aligner modes and DeepFaceLab's face types.

Lengths are in *template squares*: the side of the square around the face from the brows to the chin, which is
what coverage counts in (DeepFaceLive, FLandmarks2D.get_cut).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import warp_for
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.settings import AlignMode, FaceType, Settings, Switch
from obs_faceswap.engine.types import Face, Matrix, Warp

# DeepFaceLab, facelib/FaceType and LandmarksProcessor: side 1 + 2 * sqrt(2) * padding, and how far up.
# DeepFaceLive's own default, coverage 2.2 and 0.08 up, is a whole face but for a hundredth.
_SIDES = {
    FaceType.HALF: 1.0,
    FaceType.MID_FULL: 1.191,
    FaceType.FULL: 1.597,
    FaceType.WHOLE_FACE: 2.131,
    FaceType.HEAD: 2.980,
}
_UP = {FaceType.HALF: 0.0, FaceType.MID_FULL: 0.0, FaceType.FULL: 0.0}  # else as the template: 0.08

_TEMPLATE_UP = 0.08  # what `align.warp_for` has inside
_HEAD_SIDE, _HEAD_UP = (
    1.0,
    0.50,
)  # DeepFaceLive's FaceAligner in head mode: added to coverage and to what is up

# The mesh's box in template squares: DeepFaceLive cuts a detector's rectangle as one square.
_BOX_SIDE = 1.4

_EARS = (234, 454)  # left and right in the picture


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crop lies around a face.

    Attributes:
        mode: what it follows.
        coverage: its side in template squares.
        right, down: how far it is moved, in parts of its side.
        head_mode: whether it follows the back of a head that turns.
        is_level: whether it stays upright when the head tilts.
        is_still: whether only points that no expression moves count.
    """

    mode: AlignMode = AlignMode.POINTS
    coverage: float = 2.2
    right: float = 0.0
    down: float = 0.0
    head_mode: bool = False
    is_level: bool = False
    is_still: bool = True


def place_of(settings: Settings) -> Place:
    """The place that the settings ask for."""
    kind, coverage, up = settings.face_type, settings.coverage, _TEMPLATE_UP
    if kind is not FaceType.CUSTOM:
        coverage, up = _SIDES[kind], _UP.get(kind, _TEMPLATE_UP)
    head_mode = settings.head_mode is Switch.ON or kind is FaceType.HEAD
    if head_mode:
        up += _HEAD_UP
        coverage += _HEAD_SIDE if kind is FaceType.CUSTOM else 0.0
    return Place(
        mode=settings.align_mode,
        coverage=coverage,
        right=settings.align_x,
        down=settings.align_y - (up - _TEMPLATE_UP) / coverage,
        head_mode=head_mode,
        is_level=settings.freeze_rotation is Switch.ON,
        is_still=settings.exclude_moving_parts is Switch.ON,
    )


def warp_at(face: Face, size: int, frame_wh: tuple[int, int], place: Place) -> Warp:
    """The crop of a face at a place.

    Args:
        face: landmarks in frame pixels.
        size: the crop's side in pixels.
        frame_wh: the frame's size.
        place: see `place_of`.

    Raises:
        FaceError: the points are not finite or all in one place.
    """
    if place.mode is AlignMode.STATIC:
        return _square(_middle(frame_wh), min(frame_wh) * place.coverage / 2.2, 0.0, size, place)
    if place.mode is AlignMode.BOX:
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        side = float((high - low).max()) / _BOX_SIDE * place.coverage
        return _square((low + high).astype(np.float64) / 2, side, 0.0, size, place)
    right = place.right + (behind(face) / place.coverage if place.head_mode else 0.0)
    warp = warp_for(face.landmarks, size, place.coverage, right, place.down, place.is_still)
    return _levelled(warp) if place.is_level else warp


def behind(face: Face) -> float:
    """How far the back of a turned head lies to the right of its face, in template squares.

    DeepFaceLive's rule for head mode: -(yaw * |tanh(2 * yaw)|) / 2, with yaw in radians and positive where
    the face looks to the picture's right. It moves nothing unless head mode is on.
    """
    left, right = (np.array([*face.landmarks[ear], face.depth[ear]], np.float64) for ear in _EARS)
    across, away = float(np.hypot(*(right - left)[:2])), float(right[2] - left[2])
    yaw = math.atan2(away, max(across, 1e-6))
    return -(yaw * abs(math.tanh(2 * yaw))) / 2


def _levelled(warp: Warp) -> Warp:
    """A crop of the same middle and size that is not turned, nor moved by that."""
    linear = warp.matrix[:, :2].astype(np.float64)
    scale = math.sqrt(abs(float(np.linalg.det(linear))))
    shift = warp.matrix[:, 2].astype(np.float64)
    center = np.asarray(np.linalg.solve(linear, _middle((warp.size, warp.size)) - shift), np.float64)
    return Warp(_matrix(center, scale, warp.size), warp.size)


def _square(center: npt.NDArray[np.float64], side: float, roll: float, size: int, place: Place) -> Warp:
    if not (np.isfinite(center).all() and math.isfinite(side) and side > 1e-6):
        raise FaceError("A face's points are no numbers or lie all in one place. Expected a face.")
    moved = center + np.array((place.right, place.down)) * side
    return Warp(_matrix(moved, size / side, size), size)


def _matrix(center: npt.NDArray[np.float64], scale: float, size: int) -> Matrix:
    """Frame -> crop: `center` goes to the crop's middle."""
    shift = _middle((size, size)) - scale * center
    return np.column_stack([np.eye(2) * scale, shift]).astype(np.float32)


def _middle(size_wh: tuple[int, int]) -> npt.NDArray[np.float64]:
    return (np.array(size_wh, np.float64) - 1) / 2
