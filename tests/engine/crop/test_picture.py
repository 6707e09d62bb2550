"""Only what is looked at is computed, and it is what the whole frame would have given."""

import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, cut_face, in_frame_pixels, to_frame, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.finish import blend, pixels
from obs_faceswap.engine.formats import PixelFormat

FLIPS = pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
FORMATS = pytest.mark.parametrize("pixel_format", PixelFormat)


def smooth(pixel_format, width=200, height=150, flip=False):
    """A frame without detail that halved chroma would lose."""
    frame = reference.random_frame(pixel_format, width, height, flip=flip)
    ys, xs = np.mgrid[:height, :width]
    waves = [np.sin(xs / 25 + ys / 30), np.sin(xs / 40), np.cos(ys / 20 - xs / 90)]
    image = np.dstack([128 + 60 * wave for wave in waves]).astype(np.uint8)
    blend.blend_bgr(frame, pixels.whole(frame), image, np.ones((height, width), np.float32))
    return frame


def face(scale=10.0, roll=0.0, center=(100.0, 75.0)):
    flat = CANONICAL_FACE[:, :2] * (1, -1) * scale
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return (flat @ turn.T + center).astype(np.float32)


@FLIPS
@FORMATS
def test_parts_are_those_of_the_whole_frame(pixel_format, flip):
    frame = reference.random_frame(pixel_format, 211, 157, flip=flip)
    whole, picture = pixels.to_bgr(frame), Picture(frame)
    for x0, y0, x1, y1 in ((3, 5, 60, 40), (50, 30, 211, 157), (0, 0, 211, 157), (100, 70, 101, 71)):
        assert np.array_equal(picture.bgr((x0, y0, x1, y1)), whole[y0:y1, x0:x1])
    assert np.array_equal(picture.bgr(), whole)


def test_what_was_converted_is_not_converted_again():
    frame = reference.random_frame(PixelFormat.I420, 256, 256)
    picture = Picture(frame)
    before = picture.bgr((0, 0, 64, 64)).copy()
    frame.planes[0][:] = 0
    assert np.array_equal(picture.bgr((0, 0, 64, 64)), before)
    assert not np.array_equal(picture.bgr((64, 64, 128, 128)), pixels.to_bgr(frame)[:64, :64])


def test_the_next_picture_takes_over_the_memory_and_nothing_else():
    first = Picture(reference.random_frame(PixelFormat.I420, 100, 80, seed=1))
    kept = first.bgr()
    frame = reference.random_frame(PixelFormat.I420, 100, 80, seed=2)
    second = Picture(frame, first)
    assert np.shares_memory(second.bgr(), kept)
    assert np.array_equal(second.bgr(), pixels.to_bgr(frame))
    larger = reference.random_frame(PixelFormat.I420, 120, 80, seed=3)
    assert np.array_equal(Picture(larger, second).bgr(), pixels.to_bgr(larger))


def test_a_bgr_picture_is_its_own_frame_and_is_never_written_to():
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    picture = Picture.of(image)
    assert np.shares_memory(picture.bgr(), image)
    before = image.copy()
    following = Picture(reference.random_frame(PixelFormat.I420, 90, 60), picture)
    following.bgr()
    assert np.array_equal(image, before)


@FLIPS
@FORMATS
@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_reducing_averages(pixel_format, flip, factor):
    frame = smooth(pixel_format, 204, 156, flip)
    roi = (12, 24, 12 + 15 * factor, 24 + 10 * factor)
    found, used = Picture(frame).reduced(roi, factor + 0.9)
    assert used == factor
    whole = pixels.to_bgr(frame)[roi[1] : roi[3], roi[0] : roi[2]]
    wanted = cv2.resize(whole, (15, 10), interpolation=cv2.INTER_AREA)
    assert found.shape == (10, 15, 3)
    assert np.abs(found.astype(int) - wanted).max() <= 5
    assert np.abs(found.astype(int) - wanted).mean() < 1


@FORMATS
def test_a_frame_too_small_to_be_reduced_is_taken_as_it_is(pixel_format):
    frame = reference.random_frame(pixel_format, 3, 1)
    found, factor = Picture(frame).reduced((0, 0, 3, 1), 40.0)
    assert factor == 1
    assert np.array_equal(found, pixels.to_bgr(frame))


@given(st.integers(-60, 120), st.integers(-60, 120), st.integers(1, 90), st.integers(1, 90))
def test_beyond_the_picture_its_border_is_repeated(x0, y0, width, height):
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = Picture.of(image).rectangle(x0, y0, width, height)
    rows = np.clip(np.arange(y0, y0 + height), 0, 39)
    columns = np.clip(np.arange(x0, x0 + width), 0, 49)
    assert np.array_equal(found, image[rows[:, None], columns])


@FLIPS
@FORMATS
def test_a_thumbnail_is_the_picture_upright(pixel_format, flip):
    frame = smooth(pixel_format, 400, 300, flip)
    found = Picture(frame).thumbnail((8, 6)).astype(float)
    gray = cv2.cvtColor(pixels.to_bgr(frame), cv2.COLOR_BGR2GRAY)
    wanted = cv2.resize(gray, (8, 6), interpolation=cv2.INTER_AREA).astype(float)
    if pixel_format in reference.RGB_ORDER:
        wanted = cv2.resize(pixels.to_bgr(frame)[..., 1], (8, 6), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.95


@FLIPS
@FORMATS
@given(
    st.tuples(st.floats(0, 210), st.floats(0, 160)),
    st.tuples(st.floats(0, 210), st.floats(0, 160)),
    st.sampled_from([0.2, 0.26, 0.4, 0.5]),
)
def test_a_crop_is_the_same_whatever_was_asked_before(pixel_format, flip, first, second, scale):
    frame = reference.random_frame(pixel_format, 211, 164)
    frame.flip = flip
    matrices = [
        np.array([[scale, 0, 16 - x * scale], [0, scale, 16 - y * scale]]) for x, y in (first, second)
    ]
    used = Picture(frame)
    used.sample(matrices[0].astype(np.float32), 32)
    again = used.sample(matrices[1].astype(np.float32), 32)
    assert np.array_equal(again, Picture(frame).sample(matrices[1].astype(np.float32), 32))


# --- crops in frame pixels ---


@pytest.mark.parametrize("roll", [0.0, 0.6, -2.0])
def test_a_crop_in_frame_pixels_has_the_same_middle(roll):
    points = face(scale=6, roll=roll)
    side = 26 * 6
    warp = warp_for(points, side)
    moved = in_frame_pixels(warp)
    middle = np.array([[(side - 1) / 2] * 2], np.float32)
    assert to_frame(moved, middle) == pytest.approx(to_frame(warp, middle), abs=1.1)
    assert np.array_equal(moved.matrix[:, :2], np.eye(2))
    assert not (moved.matrix[:, 2] % 2).any()


@pytest.mark.parametrize("size", [60, 400])
def test_a_crop_of_quite_another_scale_stays_what_it_is(size):
    warp = warp_for(face(scale=6), size)
    assert in_frame_pixels(warp) is warp


@pytest.mark.parametrize("center", [(100.0, 75.0), (4.0, 150.0), (260.0, -40.0)])
def test_a_face_is_cut_as_the_whole_crop_is(center):
    picture, points = Picture(smooth(PixelFormat.I420)), face(scale=5, center=center)
    warp = in_frame_pixels(warp_for(points, 128))
    found, whole = cut_face(picture, warp, points), cut(picture, warp)
    low, high = np.clip((points.min(0), points.max(0)) + warp.matrix[:, 2], 0, 128).astype(int)
    there = np.s_[low[1] : high[1], low[0] : high[0]]
    assert found.shape == whole.shape
    assert np.array_equal(found[there], whole[there])
    found[:] = 7  # its own memory
    assert np.array_equal(cut(picture, warp), whole)
