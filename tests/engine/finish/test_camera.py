"""A swap becomes as sharp and as grainy as the camera's picture, and nothing else changes."""

import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.finish import blend, pixels
from obs_faceswap.engine.finish.camera import CameraMatch, Correction, middle_of, texture_of
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import Frame

WIDTH, HEIGHT = 240, 200
FACE = np.array([[40, 20], [200, 180]], np.float32)  # the landmarks' box
ROI = (40, 20, 200, 180)
INSIDE = np.s_[60:140, 80:160]
FRAME_NS = 33_333_333


def scene(seed=0, contrast=1.0):
    """Brightness (HEIGHT, WIDTH) with detail of all sizes, as a face in focus has."""
    random, layers = np.random.default_rng(seed), np.zeros((HEIGHT, WIDTH), np.float32)
    for size in (1, 2, 4, 8, 16):
        small = random.normal(size=(HEIGHT // size + 1, WIDTH // size + 1)).astype(np.float32)
        layers += cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 8
    return 125 + contrast * cv2.GaussianBlur(layers, (0, 0), 0.6)


def blurred(luma, sigma):
    return cv2.GaussianBlur(luma, (0, 0), sigma) if sigma else luma


def noisy(luma, deviation, seed=1):
    return luma + np.random.default_rng(seed).normal(0, deviation, luma.shape)


def frame_of(luma, number=0, pixel_format=PixelFormat.I420, flip=False):
    frame = reference.random_frame(pixel_format, WIDTH, HEIGHT, flip=flip)
    frame.timestamp_ns = number * FRAME_NS
    bgr = cv2.cvtColor(np.clip(luma, 0, 255).round().astype(np.uint8), cv2.COLOR_GRAY2BGR)
    blend.blend_bgr(frame, pixels.whole(frame), bgr, np.ones((HEIGHT, WIDTH), np.float32))
    return frame


def full():
    return np.full((ROI[3] - ROI[1], ROI[2] - ROI[0]), 255, np.uint8)


def luma_of(frame: Frame):
    return pixels.to_bgr(frame)[..., 1].astype(np.float32)


def matched(match, live, swapped, number=0, pixel_format=PixelFormat.I420, weights=None, flip=False):
    """The frame's picture after the swap took the live face's place and was matched."""
    match.look(frame_of(live, number, pixel_format, flip), FACE)
    shown = frame_of(swapped, number, pixel_format, flip)
    match.correct(shown, ROI, full() if weights is None else weights)
    return luma_of(shown)


@pytest.mark.parametrize("contrast", [0.5, 1.0])
def test_a_blurred_picture_is_less_sharp_whatever_its_contrast(contrast):
    sharp = texture_of(scene(0))
    parts = [texture_of(blurred(scene(5, contrast), sigma)).over(sharp) for sigma in (0, 0.7, 1.2, 2)]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] == pytest.approx(1, rel=0.1)
    assert parts[-1] < 0.6


@pytest.mark.parametrize("deviation", [2, 4, 7])
def test_grain_is_measured_and_does_not_count_as_detail(deviation):
    calm = blurred(scene(), 1.5)
    found = texture_of(noisy(calm, deviation))
    assert found.grain == pytest.approx(deviation, rel=0.2)
    assert texture_of(calm).grain < 0.2
    assert found.sharpness is None  # such fine detail drowns in it, but not the detail twice as coarse
    if deviation < 5:
        assert found.coarse_sharpness == pytest.approx(texture_of(calm).coarse_sharpness, rel=0.05)


def test_a_flat_picture_says_nothing_about_sharpness():
    assert texture_of(noisy(np.full((64, 64), 120.0), 2)).sharpness is None


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("live", "swapped"), [(0.5, 0.7), (1.5, 0.0), (0.8, 0.0), (0.7, 0.7)])
def test_the_swap_becomes_as_sharp_as_the_live_face(live, swapped, flip):
    wanted = texture_of(blurred(scene(0), live)[INSIDE])
    before = texture_of(blurred(scene(5), swapped)[INSIDE]).over(wanted)
    found = matched(CameraMatch(), blurred(scene(0), live), blurred(scene(5), swapped), flip=flip)
    shown = texture_of(found[INSIDE]).over(wanted)
    assert abs(np.log(shown)) < 0.1 + 0.2 * abs(np.log(before))


def test_a_smooth_swap_gets_the_cameras_grain():
    live, swapped = noisy(blurred(scene(0), 1), 5), blurred(scene(5), 1)
    assert texture_of(matched(CameraMatch(), live, swapped)[INSIDE]).grain == pytest.approx(5, rel=0.25)


def test_a_clean_camera_adds_no_grain():
    live = swapped = blurred(scene(0), 1.2)
    assert np.abs(matched(CameraMatch(), live, swapped) - swapped).max() <= 2


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_only_what_shows_the_swap_changes(pixel_format):
    weights = full()
    weights[:, :60] = 0
    live, swapped = noisy(scene(0), 6), blurred(scene(5), 1.5)
    match = CameraMatch()
    match.look(frame_of(live, 0, pixel_format), FACE)
    frame = frame_of(swapped, 0, pixel_format)
    before = pixels.to_bgr(frame)
    match.correct(frame, ROI, weights)
    changed = (pixels.to_bgr(frame) != before).any(axis=2)
    assert changed[60:140, 110:190].mean() > 0.5
    changed[20:180, 100:200] = False
    assert not changed.any()


def test_the_grain_moves_as_the_cameras_does():
    clean = blurred(scene(5), 1)
    moving, still = CameraMatch(), CameraMatch()
    lives = [noisy(blurred(scene(0), 1), 5, seed) for seed in range(3)]
    first, second = (matched(moving, lives[number], clean, number) for number in range(2))
    assert np.abs(second - first)[INSIDE].mean() > 2
    first, second = (matched(still, lives[0], clean, number) for number in range(2))
    assert np.abs(second - first)[INSIDE].mean() < 0.5


def test_the_correction_is_steady_and_starts_anew_after_a_gap():
    match, courses = CameraMatch(), []
    for number in range(60):
        live = noisy(blurred(scene(0), 1.2), 3, seed=number)
        shown = matched(match, live, noisy(scene(5), 0.5, seed=100 + number), number)
        courses.append(texture_of(shown[INSIDE]).coarse_sharpness)
    later = np.array(courses[10:])
    assert np.abs(np.diff(later)).max() < 0.1 * later.mean()
    wanted = texture_of(blurred(scene(0), 1.2)[INSIDE]).coarse_sharpness
    assert later.mean() == pytest.approx(wanted, rel=0.1)
    again = matched(match, scene(0), scene(5), 200)  # seconds later another scene, as sharp as the swap
    assert texture_of(again[INSIDE]).sharpness == pytest.approx(
        texture_of(scene(5)[INSIDE]).sharpness, rel=0.1
    )


@pytest.mark.parametrize(
    "landmarks", [FACE * 0.1, FACE + 1000, np.full((2, 2), np.nan, np.float32), FACE[:1]], ids=str
)
def test_a_face_that_cannot_be_measured_is_left_as_it_is(landmarks):
    match, frame = CameraMatch(), frame_of(scene(5))
    before = pixels.to_bgr(frame)
    match.look(frame_of(noisy(scene(0), 9)), landmarks)
    match.correct(frame, ROI, full())
    assert np.array_equal(pixels.to_bgr(frame), before)


def test_a_correction_of_nothing_gives_the_picture_itself():
    luma = scene().astype(np.uint8)
    assert Correction().is_nothing
    assert np.array_equal(Correction().of(luma, (0, 0)), luma)


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(-90, 300), st.integers(-90, 300), st.booleans(),
    st.sampled_from(list(PixelFormat)),
)  # fmt: skip
def test_any_place_of_a_face_is_taken(width, height, x, y, flip, pixel_format):
    frame = reference.random_frame(pixel_format, 120, 90, flip=flip)
    landmarks = np.array([[x, y], [x + width, y + height]], np.float32)
    roi = middle_of(frame, landmarks)
    assert roi is None or (0 <= roi[0] < roi[2] <= 120 and 0 <= roi[1] < roi[3] <= 90)
    match = CameraMatch()
    match.look(frame, landmarks)
    match.correct(frame, (0, 0, 120, 90), np.full((90, 120), 255, np.uint8))
