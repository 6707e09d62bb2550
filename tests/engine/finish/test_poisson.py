"""Seamless blending: what it changes, what it leaves, and odd masks."""

import cv2
import numpy as np
import pytest
from fake_engine import TARGET
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.crop.align import to_crop, warp_for
from obs_faceswap.engine.finish.poisson import seamless
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, SwappedFace

POISSON = Settings(blending="poisson")
SIZE = 200


def aligned(crop):
    warp = warp_for(TARGET.landmarks, len(crop))
    return AlignedFace(crop, warp, to_crop(warp, TARGET.landmarks), TARGET)


def disc(size=SIZE, radius=0.35):
    at = np.arange(size) - (size - 1) / 2
    return (np.hypot(at, at[:, None]) < radius * size).astype(np.float32)


def gray(value, size=SIZE):
    return np.full((size, size, 3), value, np.uint8)


def pattern():
    """Waves around a mean of 120."""
    ys, xs = np.mgrid[:SIZE, :SIZE]
    return np.repeat((120 + 25 * np.sin(xs / 6) * np.cos(ys / 7))[..., None], 3, 2).astype(np.uint8)


def test_it_is_off_unless_asked_for():
    face = SwappedFace(pattern(), disc())
    assert seamless(face, aligned(gray(60)), disc(), Settings()) is face


@pytest.mark.parametrize("light", [60, 180])
def test_a_face_takes_the_light_around_it_and_keeps_its_pattern(light):
    found = seamless(SwappedFace(pattern(), disc()), aligned(gray(light)), disc(), POISSON).crop.astype(float)
    inner = disc(radius=0.25) > 0
    assert found[inner].mean() == pytest.approx(light, abs=8)
    assert np.corrcoef(found[inner][:, 0], pattern()[inner][:, 0])[0, 1] > 0.9
    rim = (disc(radius=0.34) - disc(radius=0.32)) > 0
    assert np.abs(found[rim] - light).mean() < 20  # what is left is the pattern's own


def test_a_side_light_is_spread_over_the_face():
    live = np.repeat(np.tile(np.linspace(40, 200, SIZE), (SIZE, 1))[..., None], 3, 2).astype(np.uint8)
    found = seamless(SwappedFace(gray(120), disc()), aligned(live), disc(), POISSON).crop.astype(float)
    left, right = found[100, 45:60].mean(), found[100, 140:155].mean()
    assert left == pytest.approx(live[100, 45:60].mean(), abs=10)
    assert right == pytest.approx(live[100, 140:155].mean(), abs=10)


def test_the_live_face_itself_is_left_as_it_is():
    found = seamless(SwappedFace(pattern(), disc()), aligned(pattern()), disc(), POISSON).crop
    assert np.abs(found.astype(int) - pattern()).max() <= 3


def test_a_tone_is_put_in_and_alpha_counts_as_mask():
    tone = np.array([[0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.5, 0]])
    face = SwappedFace(pattern(), np.ones((SIZE, SIZE), np.float32), disc(), tone)
    found = seamless(face, aligned(gray(90)), np.ones((100, 100), np.float32), POISSON)
    assert found.tone is None
    inner = disc(radius=0.25) > 0
    assert found.crop[inner].mean() == pytest.approx(90, abs=8)
    assert found.crop[inner].std() == pytest.approx(pattern()[inner].std() / 2, rel=0.25)


def test_a_moved_face_takes_the_light_of_where_it_goes():
    live = gray(50)
    live[:, 100:] = 200
    moved = Settings(blending="poisson", offset_x=0.5)  # its middle goes to the edge of the crop
    found = seamless(SwappedFace(gray(120), disc()), aligned(live), disc(), moved).crop
    assert found[disc(radius=0.25) > 0].mean() == pytest.approx(200, abs=10)
    small = Settings(blending="poisson", face_scale=0.5)
    ring = gray(30)
    cv2.circle(ring, (100, 100), 45, (170, 170, 170), -1)  # a disc of a radius of 70 ends at 35 now
    found = seamless(SwappedFace(gray(120), disc()), aligned(ring), disc(), small).crop
    assert found[disc(radius=0.25) > 0].mean() == pytest.approx(170, abs=10)


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 260), st.integers(1, 64), st.integers(0, 99), st.floats(0, 1), st.booleans())
def test_any_mask_gives_a_crop(size, side, seed, share, has_alpha):
    random = np.random.default_rng(seed)
    crop, live = (random.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(2))
    mask = (random.random((min(side, size),) * 2) < share).astype(np.float32)
    alpha = random.random((size, size), dtype=np.float32) if has_alpha else None
    found = seamless(SwappedFace(crop, mask, alpha), aligned(live), mask, POISSON)
    assert found.crop.shape == crop.shape
    assert found.crop.dtype == np.uint8
