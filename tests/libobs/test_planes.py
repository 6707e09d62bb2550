"""Planes get into a slot and out of it again, whatever the rows' distance, and can be made black."""

import ctypes

import numpy as np
import pytest

from obs_faceswap.engine.formats import LAYOUTS, PixelFormat, plane_sizes
from obs_faceswap.engine.live.exchange import Color, allocate, key_of
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.planes import blank, copy_in, copy_out, hide

NUMBERS = {pixel_format: number for number, pixel_format in abi.VIDEO_FORMATS.items()}
SIZES = [(64, 36), (63, 35), (1, 1)]


def obs_frame(planes, number, width, height):
    """A libobs frame over arrays of (rows, bytes between rows)."""
    frame = abi.SourceFrame(width=width, height=height, format=number)
    for index, plane in enumerate(planes):
        frame.data[index] = plane.ctypes.data
        frame.linesize[index] = plane.shape[1]
    return frame


def random_planes(pixel_format, width, height, padding, seed=1):
    random = np.random.default_rng(seed)
    sizes = plane_sizes(pixel_format, width, height)
    return [random.integers(0, 256, (rows, stride + padding), np.uint8) for stride, rows in sizes]


@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_there_and_back(pixel_format, size, padding):
    planes = random_planes(pixel_format, *size, padding)
    before = [plane.copy() for plane in planes]
    frame = obs_frame(planes, NUMBERS[pixel_format], *size)
    slots = allocate(key_of(pixel_format, *size))
    copy_in(frame, slots, 2)
    sizes = plane_sizes(pixel_format, *size)
    for view, plane, (stride, _) in zip(slots.plane_views(2), before, sizes, strict=True):
        assert bytes(view) == plane[:, :stride].tobytes()
    others = random_planes(pixel_format, *size, padding, seed=2)
    kept = [plane[:, stride:].copy() for plane, (stride, _) in zip(others, sizes, strict=True)]
    copy_out(slots, 2, obs_frame(others, NUMBERS[pixel_format], *size))
    for plane, old, rest, (stride, _) in zip(others, before, kept, sizes, strict=True):
        np.testing.assert_array_equal(plane[:, :stride], old[:, :stride])
        np.testing.assert_array_equal(plane[:, stride:], rest)


def test_what_is_known_of_the_picture_comes_along():
    frame = obs_frame(random_planes(PixelFormat.Y800, 8, 8, 0), 9, 8, 8)
    frame.timestamp, frame.flip, frame.full_range, frame.trc = 123456789, True, True, 2
    frame.color_matrix[:] = [n / 16 for n in range(16)]
    frame.color_range_min[:] = (0.0625, 0.125, 0.25)
    frame.color_range_max[:] = (0.5, 0.75, 1.0)
    slots = allocate(key_of(PixelFormat.Y800, 8, 8))
    copy_in(frame, slots, 1)
    meta = slots.metas[1]
    assert meta.timestamp_ns == 123456789
    assert list(meta.color.matrix) == list(frame.color_matrix)
    assert list(meta.color.range_min) == [0.0625, 0.125, 0.25]
    assert list(meta.color.range_max) == [0.5, 0.75, 1.0]
    assert (meta.color.flip, meta.color.full_range, meta.color.transfer) == (True, True, 2)
    assert slots.metas[2].timestamp_ns == 0


def test_the_exchange_lays_colors_out_as_libobs_does():
    pairs = zip(Color._fields_, abi.SourceFrame._fields_[6:], strict=False)
    for (ours, kind), (theirs, their_kind) in pairs:
        offset = getattr(abi.SourceFrame, theirs).offset - abi.COLOR_OFFSET
        assert (getattr(Color, ours).offset, ctypes.sizeof(kind)) == (offset, ctypes.sizeof(their_kind))
    assert ctypes.sizeof(Color) >= abi.COLOR_BYTES


@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_black(pixel_format, size, padding):
    planes = random_planes(pixel_format, *size, padding)
    frame = obs_frame(planes, NUMBERS[pixel_format], *size)
    hide(ctypes.addressof(frame))
    sizes = plane_sizes(pixel_format, *size)
    for plane, layout, (stride, _) in zip(planes, LAYOUTS[pixel_format], sizes, strict=True):
        samples = plane[:, :stride].reshape(-1, layout.sample_bytes)
        assert (samples == np.array(layout.blank, np.uint8)).all()


def test_a_format_that_is_not_swapped_becomes_zero_and_nothing_beyond_it():
    """P010: 16 bits a sample, chroma of half the rows."""
    height, stride = 36, 128
    memory = np.full(stride * (height + height // 2) + 64, 200, np.uint8)
    frame = abi.SourceFrame(width=64, height=height, format=18)
    frame.data[0], frame.data[1] = memory.ctypes.data, memory.ctypes.data + stride * height
    frame.linesize[0] = frame.linesize[1] = stride
    blank(frame, None)
    assert not memory[:-64].any()
    assert (memory[-64:] == 200).all()
