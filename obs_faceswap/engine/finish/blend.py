"""Writing a picture into a region of a frame, in the frame's own samples.

What is not written keeps its bytes. A swap comes as 8-bit samples and 8-bit weights: most of it lies where
the weight is full and is copied, and only its edge is computed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import cv2
import numpy as np

from obs_faceswap.engine.finish import native_blend, pixels
from obs_faceswap.engine.finish.pixels import COMPONENTS, Component, Roi, Samples
from obs_faceswap.engine.types import Frame, ImageBGR, Mask, Tone

_Span: TypeAlias = tuple[
    tuple[slice, slice], bool
]  # rows and columns, and whether all their weights are full

_CHUNK_ROWS = 128  # looked at together: a face's edge is curved
_WORTH_A_COPY = 0.25  # of a part's columns; fewer of full weight are blended like the others


def encoded(frame: Frame, bgr: ImageBGR, tone: Tone | None = None) -> Samples:
    """A picture (H, W, 3) as the frame has its samples, (H, W, 3): Y, Cb, Cr, or B, G, R.

    Args:
        frame: whose samples.
        bgr: the picture.
        tone: a change of its colors that is made on the way.

    Raises:
        FrameFormatError: the frame's color matrix cannot be used.
    """
    matrix = tone
    if frame.format in COMPONENTS:
        matrix = pixels.conversion_of(frame).from_bgr
        if tone is not None:
            matrix = np.hstack([matrix[:, :3] @ tone[:, :3], matrix[:, :3] @ tone[:, 3:] + matrix[:, 3:]])
    return bgr if matrix is None else cv2.transform(bgr, matrix)


def blend_samples(frame: Frame, stored: Roi, new: Samples, weights: Samples) -> None:
    """Blends encoded samples into a region, in place; chroma takes the means of its blocks.

    Args:
        frame: any of the twelve formats; its planes are changed.
        stored: region on the chroma grid, in stored rows.
        new: (h, w, 3 or 4), what `encoded` gave; a fourth channel is not used.
        weights: (h, w) uint8, 0 keeps a sample's byte and 255 replaces it.

    Raises:
        FrameFormatError: the frame's color matrix cannot be used.
    """
    components = COMPONENTS.get(frame.format)
    if components is None:
        bgr = new if new.shape[2] == 3 else cv2.cvtColor(new, cv2.COLOR_BGRA2BGR)
        _blend_pixels(frame, stored, bgr, weights * np.float32(1 / 255))
        return
    _put(frame, components[0], stored, cv2.extractChannel(new, 0), weights, _spans(weights))
    if len(components) > 1:
        chroma = cv2.split(_block_means(new, components[1]))[1:3]
        _blend_chroma(frame, stored, chroma, _block_means(weights, components[1]))


def blend_layer(frame: Frame, stored: Roi, layer: Samples) -> bool:
    """Blends a picture with weights into a region, in place; chroma takes the means of its blocks.

    Args:
        frame: any of the twelve formats; its planes are changed.
        stored: region on the chroma grid, in stored rows.
        layer: (h, w, 4) bytes: what `encoded` gave and, as fourth channel, the weights.

    Returns:
        Whether any of the weights is more than 0.

    Raises:
        ValueError: the layer is not of the region's size.
    """
    is_shown = native_blend.blend(frame, stored, layer)
    if is_shown is not None:
        return is_shown
    weights = cv2.extractChannel(layer, 3)
    if not weights.any():
        return False
    blend_samples(frame, stored, layer, weights)
    return True


def blend_half_layer(frame: Frame, stored: Roi, layer: Samples) -> bool:
    """As `blend_layer`, in a format with chroma of half the size, with a layer as fine as that.

    Without native code, luma may differ by a level or two: OpenCV rounds what it enlarges in its own way.

    Args:
        frame: its planes are changed.
        stored: region on the chroma grid, in stored rows.
        layer: (h / 2 + 2, w / 2 + 2, 4) bytes, with one more on each side for the luma between them.
    """
    is_shown = native_blend.blend(frame, stored, layer, is_half=True)
    if is_shown is not None:
        return is_shown
    x0, y0, x1, y1 = stored
    small, *chroma, weights = cv2.split(layer)
    if not weights.any():
        return False
    luma, wide = (twice(channel)[: y1 - y0, : x1 - x0] for channel in (small, weights))
    blend_luma(frame, stored, luma, wide)
    _blend_chroma(frame, stored, [channel[1:-1, 1:-1] for channel in chroma], weights[1:-1, 1:-1])
    return True


def blend_luma(frame: Frame, stored: Roi, luma: Samples, weights: Samples) -> None:
    """Blends luma (h, w) by weights (h, w), 0..255, into a region in stored rows; of no RGB format."""
    _put(frame, COMPONENTS[frame.format][0], stored, luma, weights, _spans(weights))


def twice(samples: Samples) -> Samples:
    """Samples at twice the size, without the ones that the outermost gave."""
    size_wh = (2 * samples.shape[1], 2 * samples.shape[0])
    return cv2.resize(samples, size_wh, interpolation=cv2.INTER_LINEAR)[2:-2, 2:-2]


def _blend_chroma(frame: Frame, stored: Roi, new: Sequence[Samples], weights: Samples) -> None:
    """Blends Cb and Cr by weights into a region, all of them as fine as the frame's chroma."""
    spans = list(_spans(weights))
    for where, samples in zip(COMPONENTS[frame.format][1:], new, strict=True):
        _put(frame, where, stored, samples, weights, spans)


def _put(
    frame: Frame, where: Component, stored: Roi, new: Samples, weights: Samples, spans: Iterable[_Span]
) -> None:
    part = pixels.part_of(frame, where, stored)[..., where.channel]
    for there, is_full in spans:
        part[there] = new[there] if is_full else _mixed_bytes(part[there], new[there], weights[there])


def _spans(weights: Samples) -> Iterator[_Span]:
    """The parts of a region whose weights are not all 0, and whether all of them are full."""
    for top in range(0, len(weights), _CHUNK_ROWS):
        rows = slice(top, top + _CHUNK_ROWS)
        for columns, is_full in _columns(weights[rows]):
            yield (rows, columns), is_full


def _columns(weights: Samples) -> Iterator[tuple[slice, bool]]:
    """Neighboring columns whose weights are not all 0, and whether all of them are full."""
    used, full = np.flatnonzero(weights.max(axis=0)), np.flatnonzero(weights.min(axis=0) == 255)
    if not len(used):
        return
    first, last = int(used[0]), int(used[-1]) + 1
    left, right = (int(full[0]), int(full[-1]) + 1) if len(full) else (last, last)
    if right - left != len(full) or len(full) < _WORTH_A_COPY * weights.shape[1]:
        left = right = last
    for start, stop, is_full in ((first, left, False), (left, right, True), (right, last, False)):
        if stop > start:
            yield slice(start, stop), is_full


def _mixed_bytes(old: Samples, new: Samples, weights: Samples) -> Samples:
    """`old + weights / 255 * (new - old)`, rounded once."""
    step = cv2.multiply(cv2.absdiff(new, old), weights, scale=1 / 255)
    # Where the new sample is higher this is the sum, else the difference: a step never goes beyond it.
    return np.asarray(cv2.max(cv2.min(cv2.add(old, step), new), cv2.subtract(old, step)), np.uint8)


def blend_bgr(frame: Frame, roi: Roi, bgr: ImageBGR, mask: Mask) -> None:
    """Blends a BGR picture into a region of a frame, in place, in the frame's own samples.

    Each sample moves to the picture's by the mask: `sample + mask * (new - sample)`, rounded. Chroma takes
    the mean of picture and mask over its block. Where the mask is 0 over a whole block no byte changes; alpha
    never changes.

    Args:
        frame: any of the twelve formats; its planes are changed.
        roi: upright region.
        bgr: (h, w, 3), of the region's size.
        mask: (h, w), 0..1, of the region's size.

    Raises:
        ValueError: sizes do not agree, or the region leaves the frame.
        FrameFormatError: the frame's colour matrix cannot be used.
    """
    upright = pixels.checked(frame, roi)
    shape = (upright[3] - upright[1], upright[2] - upright[0])
    if bgr.shape != (*shape, 3) or mask.shape != shape:
        raise ValueError(f"Expected a picture and a mask of {shape}, found {bgr.shape} and {mask.shape}.")
    stored = pixels.flipped(frame, upright)
    grid = pixels.on_grid(frame, stored)
    new, weights = _turned(bgr, frame), _turned(mask, frame)
    if grid != stored:
        new, weights = _grown(new, weights, stored, grid)
    if frame.format in COMPONENTS:
        _blend_samples(frame, grid, new, weights)
    else:
        _blend_pixels(frame, grid, new, weights)


def _turned(picture: Samples, frame: Frame) -> Samples:
    """From upright rows to stored rows or back, without gaps between the rows."""
    return cv2.flip(picture, 0) if frame.flip else np.ascontiguousarray(picture)


def _grown(bgr: Samples, mask: Samples, roi: Roi, grid: Roi) -> tuple[Samples, Samples]:
    """Picture and mask of `roi` as picture and mask of the larger `grid`."""
    sides = (roi[1] - grid[1], grid[3] - roi[3], roi[0] - grid[0], grid[2] - roi[2])
    return (
        cv2.copyMakeBorder(bgr, *sides, cv2.BORDER_REPLICATE),
        cv2.copyMakeBorder(mask, *sides, cv2.BORDER_CONSTANT, value=0.0),
    )


def _blend_pixels(frame: Frame, roi: Roi, bgr: Samples, mask: Samples) -> None:
    old = pixels.pixels_of(frame, roi)
    new = bgr
    if frame.format in pixels.FROM_BGR:
        new = cv2.cvtColor(bgr, pixels.FROM_BGR[frame.format])
        new[..., 3] = old[..., 3]
    old[...] = _mixed(old, new, mask)


def _blend_samples(frame: Frame, roi: Roi, bgr: Samples, mask: Samples) -> None:
    new = cv2.split(cv2.transform(bgr, pixels.conversion_of(frame).from_bgr))
    means: dict[tuple[int, int], Samples] = {}
    for samples, where in zip(new, COMPONENTS[frame.format], strict=False):  # Y800 has luma alone
        step = (where.x_step, where.y_step)
        if step not in means:
            means[step] = _block_means(mask, where)
        old = pixels.load(frame, where, roi)
        part = pixels.part_of(frame, where, roi)
        part[..., where.channel] = _mixed(old, _block_means(samples, where), means[step])


def _block_means(samples: Samples, where: Component) -> Samples:
    """Samples averaged over a component's blocks; an odd last row or column counts as its own neighbor."""
    if where.x_step == where.y_step == 1:
        return samples
    rows, columns = samples.shape[:2]
    missing = (-rows % where.y_step, -columns % where.x_step)
    if any(missing):
        samples = cv2.copyMakeBorder(samples, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    size_wh = (samples.shape[1] // where.x_step, samples.shape[0] // where.y_step)
    # At exactly half the size, bilinear interpolation is the mean of the block, and faster than INTER_AREA.
    return cv2.resize(samples, size_wh, interpolation=cv2.INTER_LINEAR)


def _mixed(old: Samples, new: Samples, mask: Samples) -> Samples:
    # blendLinear divides by the sum of the weights, which is 1 here; weight 0 gives `old` exactly.
    return cv2.blendLinear(np.ascontiguousarray(old), new, 1 - mask, mask)
