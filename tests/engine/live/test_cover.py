"""The cover keeps the picture's colours and nothing one could know somebody by."""

import cv2
import numpy as np
import pytest

from obs_faceswap.engine.formats import LAYOUTS, PixelFormat, plane_sizes
from obs_faceswap.engine.live.cover import COLUMNS, cover_into

SIZES = [(640, 360), (1279, 719), (360, 640), (33, 17), (2, 2), (1, 1)]


def planes_of(pixel_format, width, height, value=None):
    random = np.random.default_rng(1)
    sizes = plane_sizes(pixel_format, width, height)
    if value is None:
        return [random.integers(0, 256, (rows, stride), np.uint8) for stride, rows in sizes]
    return [np.full((rows, stride), value, np.uint8) for stride, rows in sizes]


def channels(plane, layout):
    return plane.reshape(plane.shape[0], -1, layout.sample_bytes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_one_color_stays_that_color(pixel_format, size):
    planes = planes_of(pixel_format, *size)
    for plane, layout in zip(planes, LAYOUTS[pixel_format], strict=True):
        channels(plane, layout)[:] = layout.blank
    before = [plane.copy() for plane in planes]
    cover_into(planes, pixel_format, *size)
    for plane, expected in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_left_and_right_keep_their_means_in_every_plane(pixel_format):
    """Covers the picture's place, and that no byte of a sample gets into another one's."""
    planes = planes_of(pixel_format, 640, 360, 20)
    for plane, layout in zip(planes, LAYOUTS[pixel_format], strict=True):
        view = channels(plane, layout)
        view[:, view.shape[1] // 2 :] = 60 + 40 * np.array(layout.blank) // 16
    before = [plane.copy() for plane in planes]
    cover_into(planes, pixel_format, 640, 360)
    for plane, old, layout in zip(planes, before, LAYOUTS[pixel_format], strict=True):
        edge = channels(plane, layout).shape[1] // 8
        for side in (slice(None, edge), slice(-edge, None)):
            np.testing.assert_allclose(
                channels(plane, layout)[:, side], channels(old, layout)[:, side], atol=1
            )


def test_detail_is_gone():
    """A picture of fine lines holds nothing but its mean."""
    image = np.zeros((720, 1280), np.uint8)
    image[:, ::2] = 200
    image[::3] = 90
    cover_into([image], PixelFormat.Y800, 1280, 720)
    assert np.ptp(image.astype(int)) < 90
    assert np.abs(np.diff(image.astype(int), axis=1)).max() <= 3


def test_it_is_the_picture_reduced_to_few_columns_and_enlarged():
    random = np.random.default_rng(3)
    soft = cv2.resize(random.integers(0, 256, (5, 8), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    rows = round(COLUMNS * 720 / 1280)
    small = cv2.resize(soft, (COLUMNS, rows), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (1280, 720), interpolation=cv2.INTER_LINEAR)
    cover_into([soft], PixelFormat.Y800, 1280, 720)
    assert np.abs(soft.astype(int) - expected).mean() < 3


def test_at_most_32_columns():
    assert COLUMNS <= 32


def test_fewer_columns_blur_more():
    random = np.random.default_rng(4)
    image = cv2.resize(random.integers(0, 256, (18, 32), np.uint8), (640, 360))
    fine, coarse = image.copy(), image.copy()
    cover_into([fine], PixelFormat.Y800, 640, 360)
    cover_into([coarse], PixelFormat.Y800, 640, 360, columns=6)
    assert coarse.std() < fine.std() < image.std()


def test_both_pixels_of_a_sample_are_alike():
    """Else a camera's even and odd columns would show as a grating."""
    planes = planes_of(PixelFormat.YUY2, 640, 360)
    cover_into(planes, PixelFormat.YUY2, 640, 360)
    np.testing.assert_array_equal(planes[0][:, ::4], planes[0][:, 2::4])


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_source_is_read_and_left_as_it_is(pixel_format):
    source = planes_of(pixel_format, 320, 180)
    kept = [plane.copy() for plane in source]
    target = planes_of(pixel_format, 320, 180, 7)
    cover_into(target, pixel_format, 320, 180, source=source)
    cover_into(source, pixel_format, 320, 180)
    for covered, in_place in zip(target, source, strict=True):
        np.testing.assert_array_equal(covered, in_place)
    assert any((now != then).any() for now, then in zip(source, kept, strict=True))


def test_plain_memory_will_do():
    planes = [bytearray(range(100)) * 64 for _ in range(1)]
    cover_into(planes, PixelFormat.Y800, 100, 64)
    assert len(planes[0]) == 6400
    assert planes[0] != bytearray(range(100)) * 64
