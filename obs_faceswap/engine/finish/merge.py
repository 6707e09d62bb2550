"""Putting a crop back into its frame, and covering other faces."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.blend import (
    blend_bgr,
    blend_half_layer,
    blend_layer,
    blend_samples,
    encoded,
    twice,
)
from obs_faceswap.engine.finish.pixels import Roi, Samples
from obs_faceswap.engine.settings import Interpolation, Settings
from obs_faceswap.engine.types import Frame, ImageBGR, Mask, Points, SwappedFace, Warp

Doubles: TypeAlias = npt.NDArray[np.float64]

_TAKES_NOTHING = 0.02  # of a swap by its mask: no eye sees more
_SMALLEST = 1 / 255  # DeepFaceLive's FaceMerger: less than this of a mask is nothing

_BAND_PIXELS = 1 << 19
_COARSE = (
    0.4  # crop pixels a frame pixel, up to which half of the frame's pixels show all that is in the crop
)
_BORDER = 4  # crop pixels; the widest interpolation reaches as far
_METHODS = {
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.CUBIC: cv2.INTER_CUBIC,
    Interpolation.LANCZOS: cv2.INTER_LANCZOS4,
}

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
        swapped: the crop, how much of it is new, and its tone; its own mask is not used.
        warp: frame to crop, as the crop was cut.
        mask: (M, M), 0..1, the finished mask; it may be coarser than the crop.
        settings: `face_scale` (around the crop's center), `offset_x` and `offset_y` (in parts of the crop's
            side, along the crop's axes, right and down), `opacity` and `interpolation` are used.

    Returns:
        The region that was blended, on the chroma grid; None if the face shows nowhere in the frame (empty
        mask, face outside, a warp that cannot be turned round): then nothing was changed, and the live face,
        if there is one, still shows.

    Raises:
        ValueError: the crop is no square of the warp's size, or the mask none that is not larger.
        FrameFormatError: the frame's color matrix cannot be used.
    """
    size, sides = warp.size, mask.shape
    if swapped.crop.shape != (size, size, 3) or sides != (sides[0], sides[0]) or sides[0] > size:
        raise ValueError(
            f"Expected a crop of {(size, size)} and a mask of this size or smaller, found "
            f"{swapped.crop.shape} and {sides}."
        )
    matrix = placed(warp, settings)
    if _scale(matrix) < _LEAST_SCALE:
        return None
    roi = _shown_region(frame, _seen(mask, swapped.alpha), matrix, size)
    if roi is None:
        return None
    stored = pixels.flipped(frame, roi)
    stored_matrix, method = _from_stored(frame, matrix), _METHODS[settings.interpolation]
    face = _Face(frame, swapped, _weights(mask, swapped), stored_matrix, settings.opacity, method)
    put = _way(face, stored)
    is_shown = [put(face, band) for band in _bands(stored)]
    return roi if any(is_shown) else None


@dataclass(frozen=True, slots=True)
class _Face:
    """What is put where.

    Attributes:
        weights: (S, S), 0..1 or bytes.
        matrix: from the frame's stored pixels to the crop's, (2, 3).
    """

    frame: Frame
    swapped: SwappedFace
    weights: Samples
    matrix: Doubles
    opacity: float
    method: int  # OpenCV's interpolation

    def faded(self, weights: Samples) -> Samples:
        """Weights by the opacity."""
        return weights if self.opacity >= 1 else cv2.convertScaleAbs(weights, alpha=self.opacity)


_Put: TypeAlias = Callable[[_Face, Roi], bool]  # puts the face into a band; whether it shows there


def _way(face: _Face, stored: Roi) -> _Put:
    """How a face is put: as cheaply as its place allows."""
    if _lies_on_pixels(face, stored):
        return _copied
    layer, matrix = _layer(face)
    has_halves = pixels.chroma_step(face.frame.format) == (2, 2)
    if has_halves and _scale(matrix) <= _COARSE and face.method == cv2.INTER_LINEAR:
        return partial(_doubled, layer=layer, matrix=matrix)
    return partial(_resampled, layer=layer, matrix=matrix)


def _bands(stored: Roi) -> Iterator[Roi]:
    """A region in pieces that stay in the processor's cache; each begins on the chroma grid."""
    x0, y0, x1, y1 = stored
    rows = max(2, _BAND_PIXELS // (x1 - x0) // 2 * 2)
    for top in range(y0, y1, rows):
        yield x0, top, x1, min(top + rows, y1)


def _lies_on_pixels(face: _Face, stored: Roi) -> bool:
    """Whether the crop's pixels are frame pixels, in all of a region."""
    shift = face.matrix[:, 2]
    down = -1.0 if face.frame.flip else 1.0
    if not np.array_equal(face.matrix[:, :2], np.diag((1.0, down))) or (shift != np.round(shift)).any():
        return False
    corners = _through(face.matrix, [stored[:2], (stored[2] - 1, stored[3] - 1)])
    return bool((corners >= 0).all() and (corners < len(face.swapped.crop)).all())


def _copied(face: _Face, band: Roi) -> bool:
    """Puts a band of a crop that lies on frame pixels."""
    corners = _through(face.matrix, [band[:2], (band[2] - 1, band[3] - 1)])
    (x0, y0), (x1, y1) = corners.min(0).astype(int), corners.max(0).astype(int) + 1
    there = np.s_[y0:y1, x0:x1]
    weights = _bytes(face.weights[there])
    if not weights.any():
        return False
    if face.frame.flip:
        weights = weights[::-1]
    new = encoded(face.frame, face.swapped.crop[there], face.swapped.tone)
    new = new[::-1] if face.frame.flip else new
    blend_samples(face.frame, band, np.ascontiguousarray(new), face.faded(np.ascontiguousarray(weights)))
    return True


def _resampled(face: _Face, band: Roi, layer: Samples, matrix: Doubles) -> bool:
    """Puts a band of a crop that lies anyhow."""
    warped = _warped(layer, matrix, band)
    if face.method != cv2.INTER_LINEAR:
        weights = cv2.extractChannel(warped, 3)  # always linear: other methods ring
        warped = cv2.insertChannel(weights, _warped(layer, matrix, band, face.method), 3)
    return _blended(face, band, warped, blend_layer)


def _doubled(face: _Face, band: Roi, layer: Samples, matrix: Doubles) -> bool:
    """Puts a band of a crop much coarser than the frame: resampled as fine as chroma, and luma enlarged."""
    x0, y0, x1, y1 = band
    # One more on each side, for luma between them.
    small = _warped(layer, _halved(matrix), (x0 // 2 - 1, y0 // 2 - 1, (x1 + 1) // 2 + 1, (y1 + 1) // 2 + 1))
    return _blended(face, band, small, blend_half_layer)


def _blended(face: _Face, band: Roi, layer: Samples, blend: Callable[[Frame, Roi, Samples], bool]) -> bool:
    """Blends a layer by the opacity; whether any of its weights is more than 0, whatever the opacity."""
    if face.opacity >= 1:
        return blend(face.frame, band, layer)
    weights = cv2.extractChannel(layer, 3)
    blend(face.frame, band, cv2.insertChannel(face.faded(weights), layer, 3))
    return bool(weights.any())


def _halved(matrix: Doubles) -> Doubles:
    """An affine from pixels as one from half-size pixels: pixel i of those has its center at 2 i + 0.5."""
    return np.column_stack([matrix[:, :2] * 2, matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5)])


def weights_in(roi: Roi, swapped: SwappedFace, warp: Warp, mask: Mask, settings: Settings) -> Samples:
    """How much of each pixel `merge` replaces, as bytes; fine parts of a mask are seen roughly.

    Args:
        roi: upright region of the frame.
        swapped: as `merge` gets it,
        warp: and these as well.
        mask: (M, M).
        settings: as for `merge`.

    Returns:
        (h, w) of the region, uint8, 255 where all is replaced.
    """
    side = min(len(mask), _ROUGH_SIDE)
    parts = (mask,) if swapped.alpha is None else (mask, swapped.alpha)
    rough = [_bytes(cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)) for part in parts]
    weights = rough[0] if len(rough) == 1 else cv2.multiply(rough[0], rough[1], scale=1 / 255)
    if settings.opacity < 1:
        weights = cv2.convertScaleAbs(weights, alpha=settings.opacity)
    # The crop's pixel at u has its center at (u + 0.5) * side / size - 0.5 in the rough mask.
    matrix = placed(warp, settings) * (side / warp.size)
    matrix[:, 2] += (side / warp.size - 1) / 2
    x0, y0, x1, y1 = roi
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    small = _warped(weights, _halved(matrix), (-1, -1, (x1 - x0 + 1) // 2 + 1, (y1 - y0 + 1) // 2 + 1))
    return np.ascontiguousarray(twice(small)[: y1 - y0, : x1 - x0])


_ROUGH_SIDE = 160


def _weights(mask: Mask, swapped: SwappedFace) -> Samples:
    """How much of each pixel of the crop is put back, (S, S): the mask times the swap's own alpha."""
    size, alpha = len(swapped.crop), swapped.alpha
    rough = None if alpha is None else _rough(alpha, mask)
    if alpha is not None and rough is not None and float((rough * (1 - mask)).max()) < _TAKES_NOTHING:
        return alpha
    weights = _bytes(mask)
    if len(mask) != size:
        weights = cv2.resize(weights, (size, size), interpolation=cv2.INTER_LINEAR)
    return weights if alpha is None else cv2.multiply(weights, alpha, dtype=cv2.CV_8U)


def _bytes(weights: Samples) -> Samples:
    """Weights as bytes, full at 255."""
    return weights if weights.dtype == np.uint8 else cv2.convertScaleAbs(weights, alpha=255)


def _from_stored(frame: Frame, matrix: Doubles) -> Doubles:
    """An affine from upright pixels as one from stored pixels."""
    if not frame.flip:
        return matrix
    return matrix @ np.array([[1, 0, 0], [0, -1, frame.height - 1], [0, 0, 1]], np.float64)


def _through(matrix: Doubles, points: npt.ArrayLike) -> Doubles:
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2], np.float64)


def placed(warp: Warp, settings: Settings) -> Doubles:
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


def _seen(mask: Mask, alpha: Mask | None) -> Samples:
    """Not 0 where something of a face is seen, (M, M) uint8; alpha is looked at about that finely."""
    seen: Samples = (mask >= _SMALLEST).astype(np.uint8)
    if alpha is None:
        return seen
    rough = _rough(alpha, mask)
    if rough is None:
        return seen
    return np.asarray(seen & cv2.dilate((rough > 0).view(np.uint8), _NEIGHBORS), np.uint8)


def _rough(alpha: Mask, mask: Mask) -> Mask | None:
    """An alpha, looked at as finely as a mask is; None if one's side is no multiple of the other's."""
    step = max(1, len(alpha) // len(mask))
    return alpha[step // 2 :: step, step // 2 :: step] if len(alpha) == step * len(mask) else None


_NEIGHBORS = np.ones((3, 3), np.uint8)


def _shown_region(frame: Frame, seen: Samples, matrix: Doubles, size: int) -> Roi | None:
    x, y, width, height = cv2.boundingRect(seen)
    if not width:
        return None
    # Bilinear interpolation reaches one mask pixel beyond the last one that is not 0.
    step = size / len(seen)
    xs, ys = (
        ((low + 0.5) * step - 0.5, (high + 0.5) * step - 0.5)
        for low, high in ((x - 1, x + width), (y - 1, y + height))
    )
    corners = np.array([(cx, cy) for cx in xs for cy in ys], np.float64)
    in_frame = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    return pixels.region(frame, in_frame.min(0).tolist(), in_frame.max(0).tolist())


def _layer(face: _Face) -> tuple[Samples, Doubles]:
    """The crop in the frame's own samples with the weights as fourth channel, and the affine to it.

    OpenCV warps four channels without a border rule several times as fast as three with one; a border of
    the crop's own colors, with a weight of 0, does what the rule would.
    """
    weights = _bytes(face.weights)
    crop, weights, matrix = _coarse_enough(face.swapped.crop, weights, face.matrix)
    new = encoded(face.frame, crop, face.swapped.tone)
    sides = (_BORDER,) * 4
    new = cv2.copyMakeBorder(new, *sides, cv2.BORDER_REPLICATE)
    weights = cv2.copyMakeBorder(weights, *sides, cv2.BORDER_CONSTANT, value=0.0)
    layer = np.empty((*weights.shape, 4), np.uint8)
    cv2.mixChannels([new, weights], [layer], (0, 0, 1, 1, 2, 2, 3, 3))
    return layer, matrix + np.array([[0, 0, _BORDER], [0, 0, _BORDER]])


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


def _warped(picture: Samples, matrix: Doubles, roi: Roi, method: int = cv2.INTER_LINEAR) -> Samples:
    """A picture as it lies in a region of the frame, 0 beyond its border; `matrix` is frame to picture."""
    at_roi = matrix.copy()
    at_roi[:, 2] += matrix[:, :2] @ roi[:2]
    size_wh = (roi[2] - roi[0], roi[3] - roi[1])
    return cv2.warpAffine(picture, at_roi, size_wh, flags=method | cv2.WARP_INVERSE_MAP)


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
    blend_bgr(frame, roi, _coarse(pixels.to_bgr(frame, roi), float(half.max()) * 2 / _CELLS), weights)
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
