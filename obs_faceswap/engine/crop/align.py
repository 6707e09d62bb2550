"""Where a face's square crop lies in the frame, and cutting it out.

Convention: pixel centers lie at whole numbers in frame and crop, so a crop of side S covers -0.5..S-0.5 and
cutting a face and warping it back moves nothing.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture, inverted
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.types import ImageBGR, Matrix, Points, Warp

Doubles = npt.NDArray[np.float64]

# The 468 vertices of MediaPipe's canonical face model (x right, y up, z to the viewer, centimeters), from
# google-ai-edge/mediapipe, mediapipe/modules/face_geometry/data/canonical_face_model.obj, Apache-2.0.
CANONICAL_FACE = np.load(Path(__file__).with_name("canonical_face.npy"))

# Crop sides per centimeter of the canonical face at coverage 2.2, and where its origin lies. Found by least
# squares: DeepFaceLive's aligner at its defaults (its inner vertical shift of -0.08 included) puts eyes, nose
# tip and mouth corners at (.3742, .4152) (.6166, .4147) (.4956, .5487) (.4008, .6675) (.5909, .6672).
# Wider than high, as the mesh network draws live faces; these five points are met to 0.44 px of 224.
_PER_CM = np.array([0.038483, -0.036120])
_ORIGIN = np.array([0.49562, 0.50997])
_COVERAGE = 2.2

_AROUND_FACE = 0.07  # of a crop's side, on each side of the face: what masks and colors are made of
_NEARLY_ONE = 0.12  # crop pixels a frame pixel away from one that a swapper may choose its crop's side by

# The nose and the cheeks beside it: below the lower lids and above the lips, without the outline, which
# slides over the cheek when the head turns. Brows, lids, lips and jaw move with the expression.
_STILL = np.flatnonzero(
    (CANONICAL_FACE[:, 1] > -3.3) & (CANONICAL_FACE[:, 1] < 2.0) & (np.abs(CANONICAL_FACE[:, 0]) < 6.5)
)
_WHOLE_TEMPLATE = CANONICAL_FACE[:, :2] * _PER_CM + _ORIGIN
_TEMPLATE = _WHOLE_TEMPLATE[_STILL]


def warp_for(
    landmarks: Points,
    size: int,
    coverage: float = 2.2,
    offset_x: float = 0,
    offset_y: float = 0,
    is_still: bool = True,
) -> Warp:
    """The crop of a face, as DeepFaceLive's aligner cuts it from the face mesh.

    Args:
        landmarks: (468, 2) in frame pixels.
        size: the crop's side in pixels.
        coverage: how much is around the face; 2.2 gives what is called a whole face.
        offset_x: moves the cut-out to the right (then the face moves left in it), in parts of its side.
        offset_y: the same, down.
        is_still: whether brows, lids, lips and jaw are left out, so that no expression moves the crop.

    Raises:
        FaceError: the points are not finite or all in one place.
    """
    points, places = (landmarks[_STILL], _TEMPLATE) if is_still else (landmarks, _WHOLE_TEMPLATE)
    factor, shift = _fitted(points, places)
    # The places in the crop are those of the template scaled and moved, and so is what fits them.
    zoom = _COVERAGE / coverage
    moved = zoom * shift + complex(0.5 - 0.5 * zoom - offset_x, 0.5 - 0.5 * zoom - offset_y)
    return Warp(_matrix(factor * zoom * size, moved * size - complex(0.5, 0.5)), size)


def in_frame_pixels(warp: Warp) -> Warp:
    """About the same crop without turning or scaling, its corner on a pixel that chroma begins at.

    A crop much finer or coarser than the frame stays what it is: it has to be resampled anyway.
    """
    linear = warp.matrix[:, :2].astype(np.float64)
    if abs(float(np.sqrt(abs(np.linalg.det(linear)))) - 1) > _NEARLY_ONE:
        return warp
    middle = (warp.size - 1) / 2
    center = np.linalg.solve(linear, (middle, middle) - warp.matrix[:, 2].astype(np.float64))
    corner = np.round((center - middle) / 2) * 2
    return Warp(np.column_stack([np.eye(2), -corner]).astype(np.float32), warp.size)


def resized(warp: Warp, size: int) -> Warp:
    """The same crop with another side, px."""
    # Pixel u of a crop has its center at (u + 0.5) / side of it.
    matrix = warp.matrix.astype(np.float64)
    matrix[:, 2] += 0.5
    matrix *= size / warp.size
    matrix[:, 2] -= 0.5
    return Warp(matrix.astype(np.float32), size)


def scale_of(warp: Warp) -> float:
    """Crop pixels a frame pixel."""
    return float(np.hypot(warp.matrix[0, 0], warp.matrix[1, 0]))


def similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> Matrix:
    """The rotation, scale and shift (2, 3) that takes points (N, 2) closest to others (least squares)."""
    return _matrix(*_fitted(np.asarray(source), np.asarray(target)))


def _fitted(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> tuple[complex, complex]:
    """That as a factor, which turns and scales, and a shift, of points as complex numbers."""
    both = np.empty((4, len(source)))
    both[:2], both[2:] = source.T, target.T
    means = cv2.reduce(both, 1, cv2.REDUCE_AVG)
    x, y, u, v = means.ravel().tolist()
    if not math.isfinite(x + y + u + v):  # one that is no number makes its mean none
        raise FaceError("A face's points are no numbers. Expected finite positions in the picture.")
    both -= means
    (xx, _, xu, xv), (_, yy, yu, yv) = (both[:2] @ both.T).tolist()
    if xx + yy < 1e-9:
        raise FaceError("A face's points lie all in one place. Expected points that span a face.")
    factor = complex(xu + yv, xv - yu) / (xx + yy)
    return factor, complex(u, v) - factor * complex(x, y)


def _matrix(factor: complex, shift: complex) -> Matrix:
    rows = (factor.real, -factor.imag, shift.real), (factor.imag, factor.real, shift.imag)
    return np.array(rows, np.float32)


def cut(picture: Picture, warp: Warp) -> ImageBGR:
    """The crop (S, S, 3) of a picture, of its own memory; beyond the picture its border is repeated."""
    return picture.sample(warp.matrix, warp.size, cv2.INTER_CUBIC)


def cut_face(picture: Picture, warp: Warp, landmarks: Points) -> ImageBGR:
    """As `cut`, for swappers that look at nothing but the face: what lies far from it may stay black.

    Args:
        picture: the picture.
        warp: of the face; only one in frame pixels is worth the difference.
        landmarks: (468, 2) in frame pixels.
    """
    shift = warp.matrix[:, 2]
    if not (warp.matrix[:, :2] == np.eye(2)).all():
        return cut(picture, warp)
    margin = _AROUND_FACE * warp.size
    low = np.clip(landmarks.min(axis=0) - margin + shift, 0, warp.size)
    high = np.clip(landmarks.max(axis=0) + margin + shift + 1, 0, warp.size)
    (x0, y0), (x1, y1) = (low // 2 * 2).astype(int).tolist(), high.astype(int).tolist()
    crop = np.zeros((warp.size, warp.size, 3), np.uint8)
    if x1 > x0 and y1 > y0:
        picture.write(x0 - int(shift[0]), y0 - int(shift[1]), crop[y0:y1, x0:x1])
    return crop


def to_crop(warp: Warp, points: Points) -> Points:
    """Frame points (N, 2) in crop pixels."""
    return np.asarray(points @ warp.matrix[:, :2].T + warp.matrix[:, 2], np.float32)


def to_frame(warp: Warp, points: Points) -> Points:
    """Crop points (N, 2) in frame pixels."""
    return inverted(points, warp.matrix)
