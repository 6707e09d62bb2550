"""Reading and writing a region of a frame in the frame's own pixel format.

Everything above this module sees upright BGR pictures; everything below stays in the camera's samples, so
what is not written keeps its bytes. Arithmetic runs on the region only, in OpenCV's 8-bit kernels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import FrameFormatError
from obs_faceswap.engine.formats import LAYOUTS, PixelFormat
from obs_faceswap.engine.types import ColorSpace, Frame, ImageBGR

Roi: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1 in frame pixels, upright, x1 and y1 excluded
Samples: TypeAlias = npt.NDArray[Any]  # what OpenCV takes and gives

_BAND_ROWS = 128  # even, so that bands begin on the chroma grid
_HD_ROWS = 720  # from here up a picture that does not say is taken as BT.709


@dataclass(frozen=True, slots=True)
class Component:
    """Where one of Y, Cb, Cr lies: a plane, every `pitch`-th byte of a row from `channel` on."""

    plane: int
    x_step: int = 1
    y_step: int = 1
    pitch: int = 1
    channel: int = 0


def _packed(luma: int, cb: int, cr: int) -> tuple[Component, ...]:
    """4:2:2 in macro-pixels of four bytes; the positions of the first luma, of Cb and of Cr in it."""
    return Component(0, 1, 1, 2, luma), Component(0, 2, 1, 4, cb), Component(0, 2, 1, 4, cr)


def _planar(x_step: int, y_step: int) -> tuple[Component, ...]:
    return Component(0), Component(1, x_step, y_step), Component(2, x_step, y_step)


COMPONENTS: dict[PixelFormat, tuple[Component, ...]] = {
    PixelFormat.I420: _planar(2, 2),
    PixelFormat.I422: _planar(2, 1),
    PixelFormat.I444: _planar(1, 1),
    PixelFormat.NV12: (Component(0), Component(1, 2, 2, 2, 0), Component(1, 2, 2, 2, 1)),
    PixelFormat.YUY2: _packed(0, 1, 3),
    PixelFormat.YVYU: _packed(0, 3, 1),
    PixelFormat.UYVY: _packed(1, 0, 2),
    PixelFormat.Y800: (Component(0),),
}
# What turns a pixel of an RGB format into BGR and back.
_TO_BGR = {
    PixelFormat.BGRA: cv2.COLOR_BGRA2BGR,
    PixelFormat.BGRX: cv2.COLOR_BGRA2BGR,
    PixelFormat.RGBA: cv2.COLOR_RGBA2BGR,
}
FROM_BGR = {
    PixelFormat.BGRA: cv2.COLOR_BGR2BGRA,
    PixelFormat.BGRX: cv2.COLOR_BGR2BGRA,
    PixelFormat.RGBA: cv2.COLOR_BGR2RGBA,
}


def partial_range(red: float, blue: float) -> ColorSpace:
    """A YCbCr space of partial range (luma 16 to 235, chroma 16 to 240).

    Args:
        red: weight of red in luma (0.299 in BT.601, 0.2126 in BT.709).
        blue: weight of blue in luma (0.114 in BT.601, 0.0722 in BT.709).
    """
    green = 1 - red - blue
    y, c = 255 / 219, 255 / 224
    cr_red, cb_blue = 2 * (1 - red) * c, 2 * (1 - blue) * c
    rows = (
        (0.0, cr_red),
        (-cb_blue * blue / green, -cr_red * red / green),
        (cb_blue, 0.0),
    )
    matrix = [v for cb, cr in rows for v in (y, cb, cr, -(16 * y + 128 * (cb + cr)) / 255)]
    low, high = 16 / 255, (235 / 255, 240 / 255, 240 / 255)
    return ColorSpace(tuple(matrix), (low, low, low), high)


BT601_PARTIAL = partial_range(0.299, 0.114)
BT709_PARTIAL = partial_range(0.2126, 0.0722)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A colour space as 8-bit OpenCV kernels want it. Matrices act on 0..255 and end in an offset."""

    to_bgr: npt.NDArray[np.float32]  # (3, 4), rows B, G, R
    from_bgr: npt.NDArray[np.float32]  # (3, 4), rows Y, Cb, Cr
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    gray: npt.NDArray[np.uint8]  # (256,), the gray of each luma sample beside neutral chroma


@lru_cache(maxsize=16)
def _conversion(color: ColorSpace) -> Conversion:
    try:
        matrix = np.array(color.matrix, np.float64).reshape(3, 4)
        turn = matrix[::-1, :3]
        back = np.linalg.inv(turn)
        usable = bool(np.isfinite(matrix).all())
    except (ValueError, np.linalg.LinAlgError):
        usable = False
    if not usable:
        raise FrameFormatError(
            "The source states a colour matrix that cannot be used: expected an invertible 3x4 matrix, "
            f"found {color.matrix}. Choose another colour space in the source's properties."
        )
    offset = matrix[::-1, 3:] * 255
    low, high = (tuple(round(v * 255) for v in bound) for bound in (color.range_min, color.range_max))
    luma = np.clip(np.arange(256), low[0], high[0])
    gray = luma * turn[:, :1] + turn[:, 1:].sum(1, keepdims=True) * 128 + offset
    return Conversion(
        to_bgr=np.hstack([turn, offset]).astype(np.float32),
        from_bgr=np.hstack([back, -back @ offset]).astype(np.float32),
        low=(low[0], low[1], low[2]),
        high=(high[0], high[1], high[2]),
        gray=np.clip(gray.mean(0).round(), 0, 255).astype(np.uint8),
    )


def conversion_of(frame: Frame) -> Conversion:
    stated = frame.color
    if stated is None or not any(stated.matrix):  # sources of gray and RGB may leave it at zeros
        stated = BT709_PARTIAL if frame.height >= _HD_ROWS else BT601_PARTIAL
    return _conversion(stated)


def whole(frame: Frame) -> Roi:
    """The region that is the whole frame."""
    return 0, 0, frame.width, frame.height


def chroma_step(pixel_format: PixelFormat) -> tuple[int, int]:
    """Frame pixels per chroma sample, horizontally and vertically."""
    layout = LAYOUTS[pixel_format][-1]
    return layout.x_step, layout.y_step


def region(frame: Frame, low_xy: Sequence[float], high_xy: Sequence[float]) -> Roi | None:
    """The region of all pixels whose centres lie between two points, on the chroma grid, inside the frame.

    Args:
        frame: the frame; a flipped one with an odd number of rows has its grid counted from the bottom.
        low_xy: left and top, frame pixels; pixel centres lie at whole numbers.
        high_xy: right and bottom, included.

    Returns:
        The region rounded outward, or None if it lies outside the frame.
    """
    limits = (frame.width, frame.height) * 2
    # Far outside is as good as just outside, and fits an int.
    x0, y0, x1, y1 = (
        min(max(v, -1.0), limit + 1.0) for v, limit in zip((*low_xy, *high_xy), limits, strict=True)
    )
    inside = _inside((math.ceil(x0), math.ceil(y0), math.floor(x1) + 1, math.floor(y1) + 1), frame)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return None
    return flipped(frame, on_grid(frame, flipped(frame, inside)))


def _inside(roi: Roi, frame: Frame) -> Roi:
    x0, y0, x1, y1 = roi
    return max(x0, 0), max(y0, 0), min(x1, frame.width), min(y1, frame.height)


def flipped(frame: Frame, roi: Roi) -> Roi:
    """From upright rows to stored rows or back."""
    x0, y0, x1, y1 = roi
    return (x0, frame.height - y1, x1, frame.height - y0) if frame.flip else roi


def on_grid(frame: Frame, stored: Roi) -> Roi:
    """Rounded outward to whole chroma samples, in stored rows."""
    x_step, y_step = chroma_step(frame.format)
    x0, y0, x1, y1 = stored
    x0, y0 = x0 // x_step * x_step, y0 // y_step * y_step
    x1, y1 = -(-x1 // x_step) * x_step, -(-y1 // y_step) * y_step
    return _inside((x0, y0, x1, y1), frame)


def checked(frame: Frame, roi: Roi | None) -> Roi:
    x0, y0, x1, y1 = roi = roi or whole(frame)
    if not (0 <= x0 < x1 <= frame.width and 0 <= y0 < y1 <= frame.height):
        raise ValueError(f"The region {roi} is empty or leaves the frame of {frame.width}x{frame.height}.")
    return roi


def part_of(frame: Frame, where: Component, roi: Roi) -> Samples:
    """A view (rows, samples, pitch) of one component's bytes; `roi` is in stored rows, on the grid."""
    x0, y0, x1, y1 = roi
    x0, x1 = x0 // where.x_step, -(-x1 // where.x_step)
    y0, y1 = y0 // where.y_step, -(-y1 // where.y_step)
    rows = frame.planes[where.plane][y0:y1, x0 * where.pitch : x1 * where.pitch]
    return rows.reshape(y1 - y0, x1 - x0, where.pitch)


def load(frame: Frame, where: Component, roi: Roi) -> Samples:
    """One component's samples, (rows, samples)."""
    part = part_of(frame, where, roi)
    return part[..., 0] if where.pitch == 1 else cv2.extractChannel(part, where.channel)


def _clamped(samples: Samples, low: int, high: int) -> Samples:
    if samples.size == 1:  # OpenCV would take the picture for a number
        return samples.clip(low, high)
    # OpenCV's stubs do not know that a number may stand for a picture.
    if low > 0:
        samples = cv2.max(samples, low)  # type: ignore[call-overload]
    return cv2.min(samples, high) if high < 255 else samples  # type: ignore[call-overload]


def pixels_of(frame: Frame, roi: Roi) -> Samples:
    """A view (h, w, bytes per pixel) of an RGB frame; `roi` is in stored rows."""
    pitch = LAYOUTS[frame.format][0].sample_bytes
    return part_of(frame, Component(0, pitch=pitch), roi)


def to_bgr(frame: Frame, roi: Roi | None = None, out: ImageBGR | None = None) -> ImageBGR:
    """A region of a frame as an upright BGR picture of its own memory.

    Samples are clamped to the frame's range and turned by its matrix; chroma is repeated over its block, as
    OBS draws it. RGB formats are taken as they are and alpha is dropped; Y800 is gray.

    Args:
        frame: any of the twelve formats, any size from 1x1, planes with any row length.
        roi: upright region; the whole frame if None. It need not lie on the chroma grid.
        out: a picture of the region's size to write to and return; a new one if None. Large new pictures
            cost more than the conversion, so callers with many frames keep one.

    Raises:
        ValueError: the region is empty or leaves the frame, or `out` is of another size.
        FrameFormatError: the frame's color matrix cannot be used.
    """
    x0, y0, x1, y1 = upright = checked(frame, roi)
    shape = (y1 - y0, x1 - x0, 3)
    picture = np.empty(shape, np.uint8) if out is None else out
    if picture.shape != shape:
        raise ValueError(f"Expected a picture of {shape} to write to, found {picture.shape}.")
    for band in bands(frame, upright):
        _, top, _, bottom = band
        rows = picture[top - y0 : bottom - y0]
        grid = on_grid(frame, flipped(frame, band))
        if grid == band and not frame.flip:
            _read(frame, grid, rows)
        else:
            left, above = _lead(frame, band)
            part = _read(frame, grid, np.empty((grid[3] - grid[1], grid[2] - grid[0], 3), np.uint8))
            upward = part[::-1] if frame.flip else part
            rows[:] = upward[above : above + bottom - top, left : left + shape[1]]
    return picture


def bands(frame: Frame, roi: Roi) -> Iterator[Roi]:
    """A region in pieces of few rows, each on the chroma grid where the region is.

    What is computed from one band stays in the processor's cache and in memory that is at hand; a whole
    region's intermediate pictures would be asked of the system anew for each frame, at several times the
    cost.
    """
    x0, first, x1, last = flipped(frame, roi)
    while first < last:
        step = min(_BAND_ROWS - first % _BAND_ROWS, last - first)
        yield flipped(frame, (x0, first, x1, first + step))
        first += step


def _lead(frame: Frame, roi: Roi) -> tuple[int, int]:
    """Columns and upright rows that the region's chroma grid has before the region."""
    grid = flipped(frame, on_grid(frame, flipped(frame, roi)))
    return roi[0] - grid[0], roi[1] - grid[1]


def _read(frame: Frame, roi: Roi, out: Samples) -> Samples:
    """Writes a region in stored rows, on the chroma grid, as BGR to `out`, and gives it back."""
    if frame.format not in COMPONENTS:
        out[:] = _plain_bgr(frame, pixels_of(frame, roi))
        return out
    components, conversion = COMPONENTS[frame.format], conversion_of(frame)
    samples = [load(frame, where, roi) for where in components]
    if len(samples) == 1:
        out[:] = _gray(samples[0], conversion)
        return out
    luma, *chroma = _clamped_all(samples, conversion)
    wide = [_widened(part, components[1])[:, : luma.shape[1]] for part in chroma]
    # Rows that share their chroma are converted one after the other: it needs no copies then.
    for first in range(components[1].y_step):
        part = luma[first :: components[1].y_step]
        own = [part, *(plane[: len(part)] for plane in wide)]
        target = out[first :: components[1].y_step]
        if len(part):
            cv2.transform(cv2.merge(own), conversion.to_bgr, dst=target)
    return out


def _plain_bgr(frame: Frame, samples: Samples) -> Samples:
    return cv2.cvtColor(samples, _TO_BGR[frame.format]) if frame.format in _TO_BGR else samples


def _gray(luma: Samples, conversion: Conversion) -> Samples:
    return cv2.cvtColor(cv2.LUT(luma, conversion.gray), cv2.COLOR_GRAY2BGR)


def _clamped_all(samples: Sequence[Samples], conversion: Conversion) -> list[Samples]:
    limits = zip(samples, conversion.low, conversion.high, strict=True)
    return [_clamped(part, low, high) for part, low, high in limits]


def reduced(frame: Frame, roi: Roi, factor: int) -> ImageBGR:
    """A region of a frame as an upright BGR picture that is a whole number of times smaller.

    Samples are averaged before they are converted. Chroma may lie up to a pixel of the frame off.

    Args:
        frame: any of the twelve formats.
        roi: upright region, at least `factor` pixels wide and high; what is left over at its right and bottom
            is not shown.
        factor: how many times smaller.

    Raises:
        ValueError: the region is empty, too small, or leaves the frame.
        FrameFormatError: the frame's color matrix cannot be used.
    """
    x0, y0, x1, y1 = checked(frame, roi)
    size_wh = (x1 - x0) // factor, (y1 - y0) // factor
    if 0 in size_wh:
        raise ValueError(f"The region {roi} is smaller than one pixel of a picture {factor} times smaller.")
    stored = flipped(frame, (x0, y0, x0 + size_wh[0] * factor, y0 + size_wh[1] * factor))
    if frame.format in COMPONENTS:
        components = COMPONENTS[frame.format]
        samples = [averaged(load(frame, where, stored), size_wh) for where in components]
        small = _of_samples(samples, conversion_of(frame))
    else:
        small = _plain_bgr(frame, averaged(pixels_of(frame, stored), size_wh))
    return np.asarray(cv2.flip(small, 0) if frame.flip else small, np.uint8)


def _of_samples(samples: Sequence[Samples], conversion: Conversion) -> Samples:
    """BGR of luma alone, or of luma and chroma of one size."""
    if len(samples) == 1:
        return _gray(samples[0], conversion)
    return cv2.transform(cv2.merge(_clamped_all(samples, conversion)), conversion.to_bgr)


def averaged(samples: npt.NDArray[Any], size_wh: tuple[int, int]) -> npt.NDArray[Any]:
    """A picture or field averaged down; by halves first where that is exact, which is many times as fast.

    Args:
        samples: (H, W) or (H, W, C), of bytes or floats.
        size_wh: the size it gets.
    """
    width, height = size_wh
    while samples.shape[0] % (2 * height) == 0 and samples.shape[1] % (2 * width) == 0:
        half_wh = samples.shape[1] // 2, samples.shape[0] // 2
        samples = cv2.resize(samples, half_wh, interpolation=cv2.INTER_AREA)
    if samples.shape[:2] == (height, width):
        return samples
    is_near = samples.shape[0] < 2 * height and samples.shape[1] < 2 * width
    return cv2.resize(samples, size_wh, interpolation=cv2.INTER_LINEAR if is_near else cv2.INTER_AREA)


def brightness(frame: Frame) -> Samples:
    """What is nearest to brightness among a frame's own samples, upright: luma or green, a view (H, W)."""
    components = COMPONENTS.get(frame.format)
    stored = (0, 0, frame.width, frame.height)
    if components is None:
        samples = pixels_of(frame, stored)[..., 1]
    else:
        samples = part_of(frame, components[0], stored)[..., components[0].channel]
    return samples[::-1] if frame.flip else samples


def _widened(samples: Samples, where: Component) -> Samples:
    """Samples repeated over the columns of their blocks; may be a column longer than the picture."""
    if where.x_step == 1:
        return samples
    return cv2.merge([samples, samples]).reshape(len(samples), -1)  # several times as fast as a resize
