"""The cover: a picture reduced to so few columns that nobody is known, and enlarged again. Standard library.

This is the project's one blur. It works where nothing is installed, on every pixel format, and in short
steps, so that the interpreter lock is never held for long. The mean of a cell is taken from a few of its
samples. Enlarging is linear both ways; down the picture a row is one big integer of 16-bit lanes, so that two
rows are mixed by two multiplications.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from obs_faceswap.engine.formats import LAYOUTS, PixelFormat, plane_sizes

Buffer: TypeAlias = Any  # whatever memoryview() takes: bytearray, memoryview, a contiguous array of bytes

COLUMNS = 24  # 32 at most; with so many, a face that fills the picture could still be known
_MOST_CELL_ROWS = 128  # of a picture much higher than wide
_ROWS_READ = 6  # rows looked at in each row of cells
_SAMPLES_READ = 8  # samples looked at in each cell of such a row
_BANDS = 180  # different rows in an enlarged plane at most; in so soft a picture no eye sees their edges

# Bytes of one sample that are pixels of the same plane: they share one mean.
_TWINS = {PixelFormat.YUY2: (0, 2), PixelFormat.YVYU: (0, 2), PixelFormat.UYVY: (1, 3)}

_Cells: TypeAlias = list[list[int]]  # for each byte of a sample, the means of one row of cells, 0..255


def cover_into(
    planes: Sequence[Buffer],
    pixel_format: PixelFormat,
    width: int,
    height: int,
    source: Sequence[Buffer] | None = None,
    columns: int = COLUMNS,
) -> None:
    """Writes the cover of a picture.

    Args:
        planes: where it goes; rows tightly packed, as `formats.plane_sizes` says.
        pixel_format: of both pictures.
        width: in pixels.
        height: in pixels.
        source: the picture, packed alike; None covers `planes` in place.
        columns: cells across the picture, at most; fewer blur more.
    """
    cell_rows = min(max(1, round(columns * height / width)), _MOST_CELL_ROWS)
    sizes = plane_sizes(pixel_format, width, height)
    for number, (layout, (stride, rows)) in enumerate(zip(LAYOUTS[pixel_format], sizes, strict=True)):
        target = memoryview(planes[number]).cast("B")
        picture = target if source is None else memoryview(source[number]).cast("B")
        cells = _reduced(picture, stride, rows, layout.sample_bytes, columns, cell_rows)
        if pixel_format in _TWINS:
            _share(cells, *_TWINS[pixel_format])
        _enlarge(target, stride, rows, cells)


def _reduced(
    picture: memoryview, stride: int, rows: int, sample_bytes: int, columns: int, cell_rows: int
) -> list[_Cells]:
    """The means of all cells, row of cells by row of cells."""
    cell_rows = min(cell_rows, rows)
    samples = stride // sample_bytes
    step = max(1, samples // (columns * _SAMPLES_READ))
    span = samples // step * step * sample_bytes
    reduced = []
    for number in range(cell_rows):
        top, bottom = number * rows // cell_rows, (number + 1) * rows // cell_rows
        lines = range(top, bottom, -(-(bottom - top) // _ROWS_READ))
        # Each line starts a little further on: the samples must not fall in step with a grating.
        starts = [
            line * stride + place * step // len(lines) * sample_bytes for place, line in enumerate(lines)
        ]
        cuts = [
            [slice(start + byte, start + span, sample_bytes * step) for start in starts]
            for byte in range(sample_bytes)
        ]
        reduced.append([_means([bytes(picture[cut]) for cut in cut_lines], columns) for cut_lines in cuts])
    return reduced


def _means(strips: list[bytes], columns: int) -> list[int]:
    """The mean of each column over strips of equal length; at most 256 strips, for the lanes' sake."""
    length = len(strips[0])
    total = sum(_lanes(strip) for strip in strips)
    sums = list(memoryview(total.to_bytes(2 * length, "little"))[:])
    columns = min(columns, length)
    means = []
    for column in range(columns):
        start, end = column * length // columns, (column + 1) * length // columns
        low, high = sums[2 * start : 2 * end : 2], sums[2 * start + 1 : 2 * end : 2]
        means.append((sum(low) + 256 * sum(high)) // (len(low) * len(strips)))
    return means


def _lanes(line: bytes | bytearray) -> int:
    """A row of bytes as one integer, 16 bits for each byte."""
    spread = bytearray(2 * len(line))
    spread[::2] = line
    return int.from_bytes(spread, "little")


def _share(cells: list[_Cells], first: int, second: int) -> None:
    """Gives two bytes of a sample one mean."""
    for row in cells:
        row[first] = row[second] = [(a + b) // 2 for a, b in zip(row[first], row[second], strict=True)]


def _enlarge(target: memoryview, stride: int, rows: int, cells: list[_Cells]) -> None:
    lines = [_lanes(_wide_row(row, stride)) for row in cells]
    band = -(-rows // _BANDS)
    for top in range(0, rows, band):
        height = min(band, rows - top)
        upper, part = _between(top + height / 2, rows, len(lines))
        lower = min(upper + 1, len(lines) - 1)
        # 255 * 256 fits the lane, whose high byte is the result.
        mixed = lines[upper] * (256 - part) + lines[lower] * part
        row = mixed.to_bytes(2 * stride, "little")[1::2]
        target[top * stride : (top + height) * stride] = row * height


def _between(position: float, length: int, count: int) -> tuple[int, int]:
    """Which of `count` cells' centres lies before a position, and how far the next one is on, 0..255."""
    place = min(max(position * count / length - 0.5, 0.0), count - 1.0)
    return int(place), int((place - int(place)) * 256)


def _wide_row(cells: _Cells, stride: int) -> bytearray:
    row = bytearray(stride)
    for byte, means in enumerate(cells):
        row[byte :: len(cells)] = _wide(means, stride // len(cells))
    return row


def _wide(means: list[int], length: int) -> bytes:
    """A row of cells enlarged to `length` bytes, linear between the cells' centres."""
    centres = [(2 * number + 1) * length // (2 * len(means)) for number in range(len(means))]
    parts = [bytes((means[0],)) * centres[0]]
    for number in range(len(means) - 1):
        parts.append(_ramp(means[number], means[number + 1], centres[number + 1] - centres[number]))
    parts.append(bytes((means[-1],)) * (length - centres[-1]))
    return b"".join(parts)


@lru_cache(maxsize=16384)
def _ramp(start: int, end: int, length: int) -> bytes:
    return bytes(start + (end - start) * step // length for step in range(length))
