"""What is done to a swap once it lies in its frame."""

import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.finishing import finish, finished, is_wanted
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.settings import Settings

SETTINGS = {"sharpen": 2.0, "median_blur": 100, "degrade_bicubic": 80, "color_compression": 100}


def picture(height=60, width=80, seed=0):
    small = np.random.default_rng(seed).integers(40, 215, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def detail(bgr):
    """Mean of how far pixels are from those around them."""
    return float(np.abs(bgr - cv2.GaussianBlur(bgr.astype(np.float32), (0, 0), 3)).mean())


def test_the_defaults_change_nothing():
    assert not is_wanted(Settings())
    assert np.array_equal(finished(picture(), Settings(), 1), picture())


@pytest.mark.parametrize("key", SETTINGS)
def test_each_setting_is_wanted_and_acts(key):
    settings = Settings(**{key: SETTINGS[key]})
    assert is_wanted(settings)
    assert not np.array_equal(finished(picture(), settings, 1), picture())


def test_sharpening_brings_out_detail_and_follows_the_crops_pixels():
    plain, fine, coarse = (
        finished(picture(), Settings(sharpen=amount), enlarged)
        for amount, enlarged in ((0, 1), (1, 1), (1, 3))
    )
    assert detail(fine) > 1.2 * detail(plain)
    assert np.abs(coarse.astype(int) - plain).mean() > np.abs(fine.astype(int) - plain).mean()


def test_the_median_takes_single_dots_by_as_much_as_it_says():
    dotted = np.full((40, 40, 3), 100, np.uint8)
    dotted[20, 20] = 200
    assert finished(dotted, Settings(median_blur=100), 1)[20, 20].tolist() == [100] * 3
    assert finished(dotted, Settings(median_blur=40), 1)[20, 20].tolist() == [160] * 3


def test_a_degraded_picture_loses_the_more_detail_the_more_it_is():
    details = [detail(finished(picture(), Settings(degrade_bicubic=part), 1)) for part in (0, 80, 90, 97)]
    assert details == sorted(details, reverse=True)
    assert details[-1] < 0.25 * details[0]


@pytest.mark.parametrize("compression", [1, 64, 120, 127])
def test_colors_are_compressed_by_deepfacelives_rule(compression):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    levels = max(4, 127 - compression)
    wanted = np.clip(np.floor(values / 255 * levels) / levels + 2 / levels, 0, 1) * 255
    assert np.abs(finished(values, Settings(color_compression=compression), 1) - wanted).max() <= 1
    assert len(np.unique(finished(values, Settings(color_compression=compression), 1))) <= levels + 1


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pixel_format", [PixelFormat.I420, PixelFormat.YUY2, PixelFormat.BGRA])
def test_only_the_swaps_region_changes_and_by_its_weight(pixel_format, flip):
    frame = reference.random_frame(pixel_format, 96, 64, flip=flip)
    before = pixels.to_bgr(frame)
    roi, weights = (16, 16, 80, 48), np.zeros((32, 64), np.uint8)
    weights[:, 32:] = 255
    finish(frame, roi, weights, Settings(degrade_bicubic=90), 1)
    changed = (pixels.to_bgr(frame) != before).any(axis=2)
    assert changed[20:44, 52:76].mean() > 0.7
    changed[16:48, 46:80] = False
    assert not changed.any()


@given(
    st.integers(1, 50), st.integers(1, 50), st.floats(0, 10), st.floats(0, 100), st.floats(0, 100),
    st.floats(0, 127), st.floats(0.05, 50),
)  # fmt: skip
def test_any_picture_can_be_finished(height, width, sharpen, median, degrade, compression, enlarged):
    settings = Settings(
        sharpen=sharpen, median_blur=median, degrade_bicubic=degrade, color_compression=compression
    )
    bgr = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shown = finished(bgr, settings, enlarged)
    assert (shown.shape, shown.dtype) == (bgr.shape, np.uint8)
