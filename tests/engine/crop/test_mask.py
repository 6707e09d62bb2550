import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.crop.mask import finish, hull
from obs_faceswap.engine.settings import Settings

SIZE = 224  # DeepFaceLive's default resolution
DEFAULTS = Settings()


def face_mask(size=SIZE):
    """A soft face-like blob with a notch, that reaches the lower border."""
    mask = np.zeros((size, size), np.float32)
    center, axes = (size // 2, int(size * 0.6)), (int(size * 0.3), int(size * 0.42))
    cv2.ellipse(mask, center, axes, 10, 0, 360, 1.0, -1)
    cv2.rectangle(mask, (0, size // 2), (int(size * 0.3), int(size * 0.55)), 0.0, -1)
    return cv2.GaussianBlur(mask, (5, 5), 0)


def test_the_defaults_are_deepfacelives_five_and_twenty_five_pixels():
    finished = finish(face_mask(), DEFAULTS.mask_erode, DEFAULTS.mask_blur)
    assert np.abs(finished - reference.erode_blur(face_mask(), 5, 25)).max() < 1e-5


@pytest.mark.parametrize("erode", [0, 1, 2, 5, 24, 60, -1, -5, -40])
@pytest.mark.parametrize("blur", [0, 3, 25, 32])
def test_masks_agree_with_deepfacelives_rule(erode, blur):
    finished = finish(face_mask(), erode * 100 / SIZE, blur * 100 / SIZE)
    assert np.abs(finished - reference.erode_blur(face_mask(), erode, blur)).max() < 1e-5


@pytest.mark.parametrize("blur", [40, 80, 200])
def test_wide_blurs_agree_with_deepfacelives_rule_to_a_shade(blur):
    finished = finish(face_mask(), 2.2, blur * 100 / SIZE)
    assert np.abs(finished - reference.erode_blur(face_mask(), 5, blur)).max() < 0.012


@pytest.mark.parametrize("size", [128, 320, 512])
def test_percentages_look_alike_at_every_resolution(size):
    at_224 = finish(face_mask(), DEFAULTS.mask_erode, DEFAULTS.mask_blur)
    other = finish(face_mask(size), DEFAULTS.mask_erode, DEFAULTS.mask_blur)
    other = cv2.resize(other, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(other - at_224).mean() < 0.01


def test_eroding_shrinks_and_a_negative_value_grows_the_mask():
    area = face_mask().sum()
    assert finish(face_mask(), 5, 0).sum() < area * 0.95
    assert finish(face_mask(), -5, 0).sum() > area * 1.05


def test_nothing_is_left_near_the_border_of_a_blurred_mask():
    finished = finish(np.ones((SIZE, SIZE), np.float32), 0, 50)
    edge = max(finished[0].max(), finished[-1].max(), finished[:, 0].max(), finished[:, -1].max())
    assert edge < 0.05
    assert finished[SIZE // 2, SIZE // 2] > 0.9


def test_zero_percent_leaves_the_mask_as_it_is():
    mask = face_mask()
    finished = finish(mask, 0, 0)
    assert np.array_equal(finished, mask)
    assert finished is not mask


@given(st.integers(1, 40), st.floats(-50, 50), st.floats(0, 100), st.integers(0, 99))
def test_a_finished_mask_stays_between_zero_and_one_and_its_input_unchanged(size, erode, blur, seed):
    mask = np.random.default_rng(seed).random((size, size), dtype=np.float32)
    before = mask.copy()
    finished = finish(mask, erode, blur)
    assert finished.shape == mask.shape
    assert finished.dtype == np.float32
    assert finished.min() >= 0
    assert finished.max() <= 1 + 1e-6
    assert np.array_equal(mask, before)


def test_a_hull_covers_its_points_and_nothing_far_from_them():
    points = np.array([[20, 20], [60, 25], [40, 70], [40, 40], [25, 60]], np.float32)
    mask = hull(points, 96)
    inside = cv2.pointPolygonTest
    corners = cv2.convexHull(points)
    for y in range(0, 96, 3):
        for x in range(0, 96, 3):
            distance = inside(corners, (float(x), float(y)), measureDist=True)
            if abs(distance) > 1.5:
                assert mask[y, x] == (distance > 0)


def test_a_hull_moves_with_fractions_of_a_pixel():
    square = np.array([[10, 10], [40, 10], [40, 40], [10, 40]], np.float32)
    masks = [hull(square + np.float32([shift, 0]), 64) for shift in (0, 0.25, 0.5)]
    centers = [(mask * np.arange(64)).sum() / masks[0].sum() for mask in masks]
    assert np.diff(centers) == pytest.approx([0.25, 0.25], abs=0.12)


@pytest.mark.parametrize(
    "points",
    [np.empty((0, 2)), [[1, 1], [5, 5]], [[1, 1], [np.nan, 5], [9, 1]], [[1, np.inf], [2, 2], [3, 9]]],
)
def test_too_few_points_or_no_numbers_give_an_empty_hull(points):
    assert not hull(np.array(points, np.float32), 16).any()


@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9, width=32)] * 2), min_size=3, max_size=8))
def test_a_hull_is_a_mask_wherever_its_points_lie(points):
    mask = hull(np.array(points, np.float32), 24)
    assert mask.shape == (24, 24)
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() <= 1


def test_a_hull_far_around_the_crop_fills_it():
    assert hull(np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]], np.float32), 16).all()
