"""Copies between a libobs frame and a slot, on the graphics thread: no allocation, no lock given away."""

from ctypes import addressof, c_uint32

from obs_faceswap.engine.formats import LAYOUTS, PixelFormat
from obs_faceswap.engine.live.exchange import Meta, Slots
from obs_faceswap.libobs.abi import COLOR_BYTES, COLOR_OFFSET, MAX_PLANES, VIDEO_FORMATS, SourceFrame
from obs_faceswap.libobs.api import fill, move

COLOR_IN_META = Meta.color.offset

# Formats whose second and third plane have half the rows; of an unknown one no more is assumed.
_FULL_HEIGHT = frozenset((14, 15, 19, 20, 21, 23))  # I42A, YUVA, I210, I412, YA2L, P416 (enum video_format)


def copy_in(frame: SourceFrame, slots: Slots, index: int) -> None:
    """Copies the planes and what is known of the picture into a slot."""
    address = slots.addresses[index]
    for plane, (offset, stride, rows) in enumerate(slots.planes):
        copy_rows(address + offset, stride, frame.data[plane], frame.linesize[plane], stride, rows)
    meta = slots.metas[index]
    meta.timestamp_ns = frame.timestamp
    # Both structs hold the same fields in the same order there.
    move(addressof(meta) + COLOR_IN_META, addressof(frame) + COLOR_OFFSET, COLOR_BYTES)


def copy_out(slots: Slots, index: int, frame: SourceFrame) -> None:
    """Replaces the frame's planes by a slot's."""
    address = slots.addresses[index]
    for plane, (offset, stride, rows) in enumerate(slots.planes):
        copy_rows(frame.data[plane], frame.linesize[plane], address + offset, stride, stride, rows)


def copy_rows(to: int, to_stride: int, source: int, source_stride: int, row_bytes: int, rows: int) -> None:
    """Copies rows between two layouts; at once where both are packed alike."""
    if to_stride == source_stride:
        move(to, source, to_stride * rows)
        return
    row_bytes = min(row_bytes, to_stride, source_stride)
    for row in range(rows):
        move(to + row * to_stride, source + row * source_stride, row_bytes)


def hide(address: int) -> None:
    """Makes the frame at an address black, whatever its format."""
    frame = SourceFrame.from_address(address)
    blank(frame, VIDEO_FORMATS.get(frame.format))


def blank(frame: SourceFrame, pixel_format: PixelFormat | None) -> None:
    """Makes a frame black. None: a format that is not swapped; then every sample becomes 0."""
    if pixel_format is None:
        _zero(frame)
        return
    for plane, layout in enumerate(LAYOUTS[pixel_format]):
        rows = -(-frame.height // layout.y_step)
        _fill_pattern(frame.data[plane], frame.linesize[plane] * rows, layout.blank)


def _zero(frame: SourceFrame) -> None:
    for plane in range(MAX_PLANES):
        if frame.data[plane]:
            is_half = plane in (1, 2) and frame.format not in _FULL_HEIGHT
            rows = (frame.height + 1) // 2 if is_half else frame.height
            fill(frame.data[plane], 0, frame.linesize[plane] * rows)


def _fill_pattern(address: int, length: int, pattern: tuple[int, ...]) -> None:
    if len(set(pattern)) == 1:
        fill(address, pattern[0], length)
        return
    unit = bytes(pattern) * (4 // len(pattern))  # patterns of mixed bytes have two or four of them
    if length < len(unit):
        fill(address, pattern[0], length)
        return
    c_uint32.from_address(address).value = int.from_bytes(unit, "little")
    done = len(unit)
    while done < length:
        step = min(done, length - done)
        move(address + done, address, step)
        done += step
