import math

import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.errors import FrameFormatError
from obs_faceswap.engine.finish import blend, pixels
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import ColorSpace

COLORS = {
    "not stated": None,
    "601 partial": reference.BT601_PARTIAL,
    "709 partial": reference.BT709_PARTIAL,
    "709 full": reference.BT709_FULL,
}
WITH_ALPHA = (PixelFormat.BGRA, PixelFormat.RGBA, PixelFormat.BGRX)
FORMATS = st.sampled_from(list(PixelFormat))
SIDES = st.integers(1, 9)


@st.composite
def frames_and_regions(draw):
    width, height = draw(SIDES), draw(SIDES)
    frame = reference.random_frame(
        draw(FORMATS), width, height, draw(st.integers(0, 99)), flip=draw(st.booleans()), padding=draw(SIDES)
    )
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return frame, (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


def noise(roi, seed=5):
    rng = np.random.default_rng(seed)
    shape = (roi[3] - roi[1], roi[2] - roi[0])
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8), rng.random(shape, dtype=np.float32)


def same_planes(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("color", COLORS.values(), ids=COLORS.keys())
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_reading_agrees_with_the_reference_conversion(pixel_format, color, flip):
    for width, height in ((16, 12), (17, 11), (1, 1)):
        frame = reference.random_frame(pixel_format, width, height, 1, color, flip, padding=5)
        assert np.abs(pixels.to_bgr(frame) - reference.to_bgr(frame)).max() <= 1


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("color", COLORS.values(), ids=COLORS.keys())
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_blending_agrees_with_the_reference_blend(pixel_format, color, flip):
    for width, height in ((16, 12), (17, 11), (1, 1)):
        frame = reference.random_frame(pixel_format, width, height, 2, color, flip, padding=5)
        before = reference.copied(frame)
        roi = pixels.whole(frame)
        bgr, mask = noise(roi)
        blend.blend_bgr(frame, roi, bgr, mask)
        for (plane, row, byte), wanted in reference.blend(before, roi, bgr, mask).items():
            # Rounded three times at most: the new sample, its block's mean, the mix.
            assert abs(frame.planes[plane][row, byte] - np.clip(wanted, 0, 255)) <= 1.5


@pytest.mark.parametrize("rows", [719, 720])
def test_a_frame_that_states_no_matrix_is_hd_from_720_rows(rows):
    frame = reference.random_frame(PixelFormat.I444, 3, rows)
    stated = reference.random_frame(PixelFormat.I444, 3, rows)
    stated.color = reference.BT709_PARTIAL if rows >= 720 else reference.BT601_PARTIAL
    assert np.abs(pixels.to_bgr(frame).astype(int) - pixels.to_bgr(stated)).max() <= 1


@pytest.mark.parametrize("space", ["BT601_PARTIAL", "BT709_PARTIAL"])
def test_the_default_matrices_are_those_of_libobs(space):
    ours, libobs = getattr(pixels, space), getattr(reference, space)
    assert ours.matrix == pytest.approx(libobs.matrix, abs=2e-6)
    assert (ours.range_min, ours.range_max) == (libobs.range_min, libobs.range_max)


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_color_written_everywhere_is_read_again(pixel_format):
    frame = reference.random_frame(pixel_format, 6, 4)
    gray = pixel_format is PixelFormat.Y800
    color = np.array([90, 90, 90] if gray else [60, 110, 200], np.uint8)
    blend.blend_bgr(frame, (0, 0, 6, 4), np.tile(color, (4, 6, 1)), np.ones((4, 6), np.float32))
    # One step of luma or chroma is up to 2.1 steps of blue.
    assert np.abs(pixels.to_bgr(frame).astype(int) - color).max() <= 2


@given(frames_and_regions())
def test_a_region_reads_as_that_part_of_the_whole(case):
    frame, (x0, y0, x1, y1) = case
    part = pixels.to_bgr(frame, (x0, y0, x1, y1))
    assert part.flags.c_contiguous
    assert part.flags.writeable
    assert np.array_equal(part, pixels.to_bgr(frame)[y0:y1, x0:x1])


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_picture_read_shares_no_memory_with_the_frame(pixel_format):
    frame = reference.random_frame(pixel_format, 4, 4)
    before = reference.copied(frame)
    pixels.to_bgr(frame)[:] = 77
    assert same_planes(frame, before)


@given(frames_and_regions())
def test_a_mask_of_zero_changes_no_byte(case):
    frame, roi = case
    before = reference.copied(frame)
    bgr, mask = noise(roi)
    blend.blend_bgr(frame, roi, bgr, mask * 0)
    assert same_planes(frame, before)


@given(frames_and_regions())
def test_pixels_whose_block_the_mask_spares_keep_their_bytes(case):
    frame, roi = case
    before = reference.copied(frame)
    bgr, mask = noise(roi)
    mask[mask < 0.7] = 0
    blend.blend_bgr(frame, roi, bgr, mask)
    x0, y0, x1, y1 = roi
    full = np.zeros((frame.height, frame.width), np.float32)
    full[y0:y1, x0:x1] = mask
    touched = {
        reference.locate(frame, index, x, y)
        for y, x in zip(*np.nonzero(full), strict=True)
        for index in range(1 if frame.format is PixelFormat.Y800 else 3)
    }
    changed = {
        (plane, int(row), int(byte))
        for plane, (now, then) in enumerate(zip(frame.planes, before.planes, strict=True))
        for row, byte in zip(*np.nonzero(now != then), strict=True)
    }
    assert {tuple(map(int, place)) for place in touched} >= changed


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_bytes_between_the_rows_are_not_touched(pixel_format):
    frame = reference.random_frame(pixel_format, 5, 3, padding=7)
    memories = [plane.base for plane in frame.planes]
    before = [memory.copy() for memory in memories]
    roi = pixels.whole(frame)
    bgr, _ = noise(roi)
    blend.blend_bgr(frame, roi, bgr, np.ones((3, 5), np.float32))
    for plane, memory, then in zip(frame.planes, memories, before, strict=True):
        used = plane.shape[1]
        assert np.array_equal(memory[:, used:], then[:, used:])
        assert not np.array_equal(memory[:, :used], then[:, :used])


@pytest.mark.parametrize("pixel_format", WITH_ALPHA)
def test_alpha_is_never_changed(pixel_format):
    frame = reference.random_frame(pixel_format, 16, 16)
    before = reference.copied(frame)
    roi = pixels.whole(frame)
    blend.blend_bgr(frame, roi, *noise(roi))
    assert np.array_equal(frame.planes[0][:, 3::4], before.planes[0][:, 3::4])
    assert not same_planes(frame, before)


@given(frames_and_regions())
def test_a_region_off_the_grid_blends_as_one_on_the_grid_with_a_mask_of_zero_round_it(case):
    frame, (x0, y0, x1, y1) = case
    other = reference.copied(frame)
    bgr, mask = noise((x0, y0, x1, y1))
    full_bgr, full_mask = pixels.to_bgr(frame), np.zeros((frame.height, frame.width), np.float32)
    # The rest of a shared chroma block repeats the region's border, as its mask says nothing about it.
    full_bgr = cv2.copyMakeBorder(bgr, y0, frame.height - y1, x0, frame.width - x1, cv2.BORDER_REPLICATE)
    full_mask[y0:y1, x0:x1] = mask
    blend.blend_bgr(frame, (x0, y0, x1, y1), bgr, mask)
    blend.blend_bgr(other, pixels.whole(other), full_bgr, full_mask)
    assert same_planes(frame, other)


COORDINATES = st.floats(-30, 30) | st.sampled_from([-1e30, 1e30])


@given(frames_and_regions(), COORDINATES, COORDINATES, COORDINATES, COORDINATES)
def test_a_region_holds_all_pixels_between_its_corners_and_only_whole_blocks(case, x0, y0, x1, y1):
    frame, _ = case
    low, high = (min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))
    columns = [x for x in range(frame.width) if low[0] <= x <= high[0]]
    rows = [y for y in range(frame.height) if low[1] <= y <= high[1]]
    roi = pixels.region(frame, low, high)
    if not columns or not rows:
        assert roi is None
        return
    assert roi is not None
    left, top, right, bottom = roi
    assert 0 <= left <= columns[0] <= columns[-1] < right <= frame.width
    assert 0 <= top <= rows[0] <= rows[-1] < bottom <= frame.height
    x_step, y_step = pixels.chroma_step(frame.format)
    first, last = (frame.height - bottom, frame.height - top) if frame.flip else (top, bottom)
    assert left % x_step == 0
    assert first % y_step == 0
    assert right % x_step == 0 or right == frame.width
    assert last % y_step == 0 or last == frame.height
    assert right - left < len(columns) + 2 * x_step
    assert bottom - top < len(rows) + 2 * y_step


@given(FORMATS, SIDES, st.integers(1, 300), st.booleans(), st.data())
def test_bands_cut_a_region_into_whole_blocks(pixel_format, width, height, flip, data):
    frame = reference.random_frame(pixel_format, width, height, flip=flip)
    top = data.draw(st.integers(0, height - 1))
    roi = pixels.region(frame, (0, top), (width, data.draw(st.integers(top, height))))
    pieces = sorted(pixels.bands(frame, roi))
    assert [roi[1], *[piece[3] for piece in pieces]] == [*[piece[1] for piece in pieces], roi[3]]
    for piece in pieces:
        assert (piece[0], piece[2]) == (roi[0], roi[2])
        assert pixels.region(frame, piece[:2], (piece[2] - 1, piece[3] - 1)) == piece


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_frames_of_several_bands_agree_with_the_reference(pixel_format, flip):
    frame = reference.random_frame(pixel_format, 5, 137, flip=flip)
    assert np.abs(pixels.to_bgr(frame) - reference.to_bgr(frame)).max() <= 1
    assert np.array_equal(pixels.to_bgr(frame, (1, 61, 4, 131)), pixels.to_bgr(frame)[61:131, 1:4])


def test_a_picture_can_be_written_to_the_callers_own_memory():
    frame = reference.random_frame(PixelFormat.I420, 8, 6)
    own = np.zeros((4, 6, 3), np.uint8)
    assert pixels.to_bgr(frame, (1, 1, 7, 5), own) is own
    assert np.array_equal(own, pixels.to_bgr(frame, (1, 1, 7, 5)))
    with pytest.raises(ValueError, match=r"\(6, 8, 3\)"):
        pixels.to_bgr(frame, out=own)


@pytest.mark.parametrize("roi", [(0, 0, 9, 4), (-1, 0, 2, 2), (2, 2, 2, 4), (0, 3, 4, 2)])
def test_an_empty_region_or_one_outside_is_refused(roi):
    frame = reference.random_frame(PixelFormat.I420, 8, 4)
    with pytest.raises(ValueError, match="8x4"):
        pixels.to_bgr(frame, roi)


def test_a_picture_or_mask_of_another_size_is_refused():
    frame = reference.random_frame(PixelFormat.I420, 8, 4)
    bgr, mask = noise((0, 0, 8, 4))
    with pytest.raises(ValueError, match=r"\(4, 8\)"):
        blend.blend_bgr(frame, (0, 0, 8, 4), bgr, mask[:, 1:])
    with pytest.raises(ValueError, match=r"\(4, 8\)"):
        blend.blend_bgr(frame, (0, 0, 8, 4), bgr[1:], mask)


@pytest.mark.parametrize("matrix", [(1.0,) * 12, (1.0, 2.0), (math.nan,) * 12])
def test_a_matrix_that_cannot_be_turned_round_is_a_clear_error(matrix):
    frame = reference.random_frame(PixelFormat.I420, 2, 2, color=ColorSpace(matrix))
    with pytest.raises(FrameFormatError, match="invertible 3x4 matrix"):
        pixels.to_bgr(frame)


@pytest.mark.parametrize("pixel_format", [PixelFormat.Y800, PixelFormat.I444])
def test_a_matrix_of_zeros_counts_as_not_stated(pixel_format):
    frame = reference.random_frame(pixel_format, 4, 4)
    not_stated = pixels.to_bgr(frame)
    frame.color = ColorSpace((0.0,) * 12)
    assert np.array_equal(pixels.to_bgr(frame), not_stated)


@settings(max_examples=30)
@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1))
def test_a_mix_lies_between_old_and_new(old, new, weight):
    frame = reference.random_frame(PixelFormat.BGR3, 1, 1)
    frame.planes[0][:] = old
    picture = np.full((1, 1, 3), new, np.uint8)
    blend.blend_bgr(frame, (0, 0, 1, 1), picture, np.full((1, 1), weight, np.float32))
    assert min(old, new) <= frame.planes[0].min() <= frame.planes[0].max() <= max(old, new)
    assert abs(frame.planes[0][0, 0] - (old + weight * (new - old))) <= 0.51
