import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.finish.color import ColorMatch
from obs_faceswap.engine.types import SwappedFace

SIZE = 160
FRAME_NS = 33_333_333


def face_mask(size=SIZE):
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, (size // 2, size // 2), (size // 4, size // 3), 0, 0, 360, 255, -1)
    return mask.astype(np.float32) / 255


def face(skin=(110, 140, 195), background=(90, 80, 70), seed=0):
    """A painted face with shading, brows, eyes, lips and a little grain, (SIZE, SIZE, 3)."""
    picture = np.full((SIZE, SIZE, 3), background, np.float32)
    cv2.ellipse(picture, (80, 80), (45, 60), 0, 0, 360, skin, -1)
    for x in (62, 98):
        cv2.ellipse(picture, (x, 70), (8, 4), 0, 0, 360, (225, 230, 230), -1)
        cv2.circle(picture, (x, 70), 4, (50, 45, 40), -1)
        cv2.line(picture, (x - 10, 60), (x + 10, 59), (50, 60, 80), 3)
    cv2.ellipse(picture, (80, 110), (16, 6), 0, 0, 360, (95, 85, 180), -1)
    at = np.linspace(1.1, 0.75, SIZE)[:, None] * np.linspace(1.05, 0.85, SIZE)
    grain = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return np.clip(cv2.GaussianBlur(picture, (7, 7), 0) * at[..., None] + grain, 0, 255).astype(np.uint8)


SCENES = {
    "same light": face(seed=9),
    "warm": face((80, 125, 200), seed=1),
    "cold and dim": face((105, 100, 115), (30, 20, 20), seed=2),
    "bright": face((165, 190, 235), (200, 200, 200), seed=3),
    "dark skin": face((60, 80, 120), seed=4),
}


def toned(swapped):
    """The crop as it is put back."""
    return swapped.crop if swapped.tone is None else cv2.transform(swapped.crop, swapped.tone)


def matched(swapped, scene, mask=None):
    return toned(ColorMatch().match(SwappedFace(swapped, face_mask() if mask is None else mask), scene, 0))


def mean_lab(picture):
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return lab[face_mask() > 0.5].mean(0)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_matching_agrees_with_the_transfer_of_every_pixel(scene):
    wanted = reference.rct(face(), scene, face_mask()).astype(int)
    difference = np.abs(matched(face(), scene) - wanted)[face_mask() > 0.5]
    # One affine in BGR stands for a conversion to Lab and back: rare colors may be a little off.
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99) <= 8


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_a_matched_face_has_the_scenes_mean_color(scene):
    assert mean_lab(matched(face(), scene)) == pytest.approx(mean_lab(scene), abs=1.0)


def test_what_lies_outside_the_mask_has_no_say():
    plain = matched(face(), SCENES["warm"])
    far = cv2.dilate(face_mask(), np.ones((9, 9))) == 0
    swapped, scene = face(), SCENES["warm"].copy()
    swapped[far], scene[far] = 0, (0, 255, 0)
    assert np.array_equal(matched(swapped, scene)[~far], plain[~far])


def test_the_mask_and_the_inputs_stay_as_they_are():
    swapped = SwappedFace(face(), face_mask())
    scene = SCENES["warm"].copy()
    result = ColorMatch().match(swapped, scene, 0)
    assert result.mask is swapped.mask
    assert np.array_equal(swapped.crop, face())
    assert np.array_equal(scene, SCENES["warm"])


def run(scenes, step_ns=FRAME_NS):
    match = ColorMatch()
    for index, scene in enumerate(scenes):
        yield mean_lab(toned(match.match(SwappedFace(face(), face_mask()), scene, index * step_ns)))[0]


def test_a_flickering_scene_does_not_make_the_face_flicker():
    scenes = [cv2.add(face(), (6.0 * (-1) ** index,) * 3 + (0,)) for index in range(60)]
    lit = [mean_lab(scene)[0] for scene in scenes]
    shown = list(run(scenes))
    assert np.ptp(lit) > 4
    assert np.ptp(shown[20:]) < np.ptp(lit) / 5


def test_a_slow_change_of_light_is_followed():
    scenes = [cv2.subtract(face(), (index * 0.7,) * 3 + (0,)) for index in range(90)]
    behind = np.array([mean_lab(scene)[0] for scene in scenes]) - list(run(scenes))
    assert mean_lab(scenes[0])[0] - mean_lab(scenes[-1])[0] > 20
    # 0.3 s at 8 units a second
    assert np.abs(behind).max() < 4


def test_a_cut_is_followed_at_once():
    before, after = SCENES["cold and dim"], SCENES["bright"]
    shown = list(run([before] * 5 + [after]))
    assert shown[-1] == pytest.approx(mean_lab(after)[0], abs=1.0)


def dimmed(by):
    return cv2.subtract(face(), (by, by, by, 0))


def test_a_small_change_is_not_followed_at_once_but_after_a_gap_and_after_a_reset_it_is():
    light = mean_lab(dimmed(30.0))[0]
    assert mean_lab(face())[0] - light > 8
    assert list(run([face(), dimmed(30.0)]))[-1] > light + 6
    assert list(run([face(), dimmed(30.0)], step_ns=2_000_000_000))[-1] == pytest.approx(light, abs=1)
    assert list(run([face(), dimmed(30.0)], step_ns=-FRAME_NS))[-1] == pytest.approx(light, abs=1)
    match = ColorMatch()
    match.match(SwappedFace(face(), face_mask()), face(), 0)
    match.reset()
    again = toned(match.match(SwappedFace(face(), face_mask()), dimmed(30.0), FRAME_NS))
    assert mean_lab(again)[0] == pytest.approx(light, abs=1)


def test_an_empty_mask_leaves_the_face_as_it_is():
    swapped = SwappedFace(face(), face_mask() * 0)
    assert ColorMatch().match(swapped, SCENES["warm"], 0) is swapped


def test_the_noise_of_a_flat_face_is_not_blown_up():
    flat = np.full((SIZE, SIZE, 3), 120, np.uint8) + np.random.default_rng(0).integers(0, 3, (SIZE, SIZE, 1))
    shown = matched(flat.astype(np.uint8), SCENES["bright"])[face_mask() > 0.5]
    assert shown.std(0).max() < 3.5
    assert mean_lab(SCENES["bright"])[0] == pytest.approx(
        mean_lab(matched(flat.astype(np.uint8), SCENES["bright"]))[0], abs=2
    )


@given(st.integers(1, 200), st.integers(0, 999), st.sampled_from([0, 1, 40, 255]))
def test_any_crops_can_be_matched(size, seed, spread):
    rng = np.random.default_rng(seed)
    swapped = rng.integers(0, spread + 1, (size, size, 3), dtype=np.uint8)
    scene = rng.integers(255 - spread, 256, (size, size, 3), dtype=np.uint8)
    result = ColorMatch().match(SwappedFace(swapped, rng.random((size, size), dtype=np.float32)), scene, 0)
    assert result.crop is swapped
    assert result.tone is None or np.isfinite(result.tone).all()


@pytest.mark.parametrize("high", range(1, 9))
def test_a_face_of_few_rows_or_columns_is_matched(high):
    """A face seen at the frame's border, or behind a hand."""
    wide = np.zeros((3 * SIZE, 3 * SIZE), np.float32)
    wide[SIZE : SIZE + high, 10:-10] = 1
    swapped, scene = (cv2.resize(picture, wide.shape) for picture in (face(), SCENES["warm"]))
    for mask in (wide, np.ascontiguousarray(wide.T)):
        result = ColorMatch().match(SwappedFace(swapped, mask), scene, 0)
        assert result.tone is None or np.isfinite(result.tone).all()


def test_a_swap_that_brings_its_own_tone_is_matched_by_what_it_looks_like():
    tone = np.array([[0.7, 0, 0, 10], [0, 0.8, 0, 5], [0, 0, 0.9, 0.0]])
    looks = cv2.transform(face(), tone)
    first = toned(ColorMatch().match(SwappedFace(face(), face_mask(), tone=tone), SCENES["warm"], 0))
    second = matched(looks, SCENES["warm"])
    assert np.abs(first.astype(int) - second)[face_mask() > 0.5].max() <= 3


def test_what_is_live_in_a_crop_counts_as_live():
    alpha = face_mask()
    alpha[:, SIZE // 2 :] = 0
    garbage = face()
    garbage[:, SIZE // 2 :] = (0, 255, 0)
    scene = SCENES["cold and dim"]
    composed = np.where(alpha[..., None] > 0.5, garbage, scene)
    first = ColorMatch().match(SwappedFace(garbage, face_mask(), alpha), scene, 0)
    second = ColorMatch().match(SwappedFace(composed, face_mask()), scene, 0)
    assert first.tone == pytest.approx(second.tone, abs=5)


def test_a_coarser_mask_says_the_same():
    coarse = cv2.resize(face_mask(), (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
    fine, rough = (
        ColorMatch().match(SwappedFace(face(), mask), SCENES["warm"], 0) for mask in (face_mask(), coarse)
    )
    assert np.abs(toned(fine).astype(int) - toned(rough)).max() <= 2
