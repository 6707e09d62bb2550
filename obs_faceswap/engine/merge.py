"""Putting a crop back into its frame, and covering other faces."""

import math
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import pixels
from obs_faceswap.engine.pixels import Roi, Samples
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, ImageBGR, Mask, Points, SwappedFace, Warp

Doubles: TypeAlias = npt.NDArray[np.float64]

_SMALLEST = 1 / 255  # DeepFaceLive's FaceMerger: less than this of a mask is nothing

_LEAST_SCALE = 1e-6  # crop pixels a frame pixel: a crop larger than any frame

# A covered face is the means of at most this many cells a side, its surroundings included.
_CELLS = 4
# An ellipse round a rectangle has root 2 times its sides; a tenth more is safely round it.
_OPAQUE = 2**0.5 * 1.1
_FADED = _OPAQUE * 1.2
_DISC_SIZE = 128


def merge(frame: Frame, swapped: SwappedFace, warp: Warp, mask: Mask, settings: Settings) -> Roi | None:
    """Puts a swapped crop back into its frame, in place, touching the mask's region only.

    Args:
        frame: the frame that the crop was cut from.
        swapped: the crop; its own mask is not used.
        warp: frame to crop, as the crop was cut.
        mask: (S, S), 0..1, the finished mask.
        settings: `face_scale` (around the crop's center), `offset_x` and `offset_y` (in parts of the crop's
            side, along the crop's axes, right and down) and `opacity` are used.

    Returns:
        The region that was blended, on the chroma grid; None if the face shows nowhere in the frame (empty
        mask, face outside, a warp that cannot be turned round): then nothing was changed, and the live face,
        if there is one, still shows.

    Raises:
        ValueError: crop and mask are not squares of the warp's size.
        FrameFormatError: the frame's color matrix cannot be used.
    """
    shape = (warp.size, warp.size)
    if swapped.crop.shape != (*shape, 3) or mask.shape != shape:
        raise ValueError(f"Expected crop and mask of {shape}, found {swapped.crop.shape} and {mask.shape}.")
    matrix = _placed(warp, settings)
    if _scale(matrix) < _LEAST_SCALE:
        return None
    roi = _shown_region(frame, mask, matrix)
    if roi is None:
        return None
    layer, matrix = _layer(swapped.crop, mask, matrix)
    part, is_shown = np.float32(settings.opacity / 255), False
    for band in pixels.bands(frame, roi):
        warped = _warped(layer, matrix, band)
        bgr: Samples = cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR)
        weights = cv2.extractChannel(warped, 3)
        if weights.any():
            pixels.blend_bgr(frame, band, bgr, weights * part)
            is_shown = True
    return roi if is_shown else None


def _placed(warp: Warp, settings: Settings) -> Doubles:
    """Frame to crop (2, 3) with the settings' shift and scale put in between."""
    center = (warp.size - 1) / 2
    matrix = warp.matrix.astype(np.float64)
    shift = np.array([settings.offset_x, settings.offset_y]) * warp.size
    matrix[:, 2] -= shift + center
    matrix /= settings.face_scale
    matrix[:, 2] += center
    return matrix


def _scale(matrix: Doubles) -> float:
    """Crop pixels a frame pixel; 0 if the affine cannot be turned round."""
    if not np.isfinite(matrix).all():
        return 0.0
    return math.sqrt(abs(np.linalg.det(matrix[:, :2])))


def _shown_region(frame: Frame, mask: Mask, matrix: Doubles) -> Roi | None:
    x, y, width, height = cv2.boundingRect((mask >= _SMALLEST).astype(np.uint8))
    if not width:
        return None
    # Bilinear interpolation reaches one crop pixel beyond the last one that is not 0.
    xs, ys = (x - 1, x + width), (y - 1, y + height)
    corners = np.array([(cx, cy) for cx in xs for cy in ys], np.float64)
    in_frame = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    return pixels.region(frame, in_frame.min(0).tolist(), in_frame.max(0).tolist())


def _layer(crop: Samples, mask: Samples, matrix: Doubles) -> tuple[Samples, Doubles]:
    """The crop with the mask as its alpha, (S + 2, S + 2, 4) uint8, and the affine from the frame to it.

    OpenCV warps four channels without a border rule several times as fast as three with one; a border of one
    pixel of the crop's own colors, with a mask of 0, does what the rule would.
    """
    crop, mask, matrix = _coarse_enough(crop, mask, matrix)
    layer = cv2.cvtColor(crop, cv2.COLOR_BGR2BGRA)
    layer = cv2.copyMakeBorder(layer, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    layer[..., 3] = 0
    layer[1:-1, 1:-1, 3] = np.round(mask * 255)
    return layer, matrix + np.array([[0, 0, 1], [0, 0, 1]])


def _coarse_enough(crop: Samples, mask: Samples, matrix: Doubles) -> tuple[Samples, Samples, Doubles]:
    """Crop, mask and frame-to-crop affine; what is twice as fine as the frame or more is averaged down."""
    size, finer = crop.shape[0], int(_scale(matrix))
    if finer < 2:
        return crop, mask, matrix
    small = max(1, size // finer)
    # The pixel at u has its center at (u + 0.5) * small / size - 0.5 in the smaller crop.
    matrix = matrix * (small / size)
    matrix[:, 2] += (small / size - 1) / 2
    crop, mask = (cv2.resize(p, (small, small), interpolation=cv2.INTER_AREA) for p in (crop, mask))
    return crop, mask, matrix


def _warped(picture: Samples, matrix: Doubles, roi: Roi) -> Samples:
    """A picture as it lies in a region of the frame, 0 beyond its border; `matrix` is frame to picture."""
    at_roi = matrix.copy()
    at_roi[:, 2] += matrix[:, :2] @ roi[:2]
    size_wh = (roi[2] - roi[0], roi[3] - roi[1])
    return cv2.warpAffine(picture, at_roi, size_wh, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def cover_region(frame: Frame, points: Points) -> Roi | None:
    """Makes a face that is not swapped unrecognizable, in place.

    An ellipse round all points, larger than the box they lie in and opaque up to that box's corners, is
    replaced by the means of a few large cells. If the points are no numbers a face is somewhere unknown, and
    the whole frame is covered.

    Args:
        frame: the frame; its planes are changed.
        points: (N, 2) landmarks, or two opposite corners of the face's box, frame pixels.

    Returns:
        The region that was covered, or None if the face lies outside the frame.

    Raises:
        FrameFormatError: the frame's color matrix cannot be used.
    """
    known = len(points) > 0 and bool(np.isfinite(points).all())
    corners = np.asarray(points if known else [(0, 0), (frame.width, frame.height)], np.float64)
    low, high = corners.min(0), corners.max(0)
    center = (low + high) / 2
    half = np.maximum((high - low + 1) / 2, 1.0)
    roi = pixels.region(frame, (center - half * _FADED).tolist(), (center + half * _FADED).tolist())
    if roi is None:
        return None
    weights = _soft_ellipse(roi, center, half) if known else _all_of(roi)
    pixels.blend_bgr(frame, roi, _coarse(pixels.to_bgr(frame, roi), float(half.max()) * 2 / _CELLS), weights)
    return roi


def _all_of(roi: Roi) -> Mask:
    return np.ones((roi[3] - roi[1], roi[2] - roi[0]), np.float32)


def _coarse(bgr: ImageBGR, cell: float) -> ImageBGR:
    """The means of cells of about `cell` pixels, enlarged smoothly."""
    height, width = bgr.shape[:2]
    cells_wh = (max(1, round(width / cell)), max(1, round(height / cell)))
    means = cv2.resize(bgr, cells_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _soft_ellipse(roi: Roi, center: Doubles, half: Doubles) -> Mask:
    """Weights of the region's pixels: 1 inside `_OPAQUE` times the half sides, 0 outside `_FADED` times."""
    scale = _DISC_SIZE / (2 * _FADED * half)
    matrix = np.column_stack([np.diag(scale), (_DISC_SIZE - 1) / 2 - center * scale])
    return np.asarray(_warped(_SOFT_DISC, matrix, roi), np.float32)


def _soft_disc() -> Mask:
    at = (np.arange(_DISC_SIZE) + 0.5) / _DISC_SIZE * 2 - 1
    radius = np.hypot(at, at[:, None]) * _FADED
    return np.clip((_FADED - radius) / (_FADED - _OPAQUE), 0, 1).astype(np.float32)


_SOFT_DISC = _soft_disc()
