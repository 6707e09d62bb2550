"""The color transfers: each one's figures become the other face's, steadily, and from the face alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.finish.color import ColorMatch
from obs_faceswap.engine.finish.transfer import TRANSFERS, Samples, lab_of
from obs_faceswap.engine.settings import ColorTransfer
from obs_faceswap.engine.types import SwappedFace

SIZE = 108
FRAME_NS = 33_333_333
KINDS = list(TRANSFERS)
LINEAR = (ColorTransfer.LCT, ColorTransfer.MKL)

# Skin by lamp light and by a screen's: means of blue, green and red, and the roots of their covariances.
WARM = np.array([95.0, 125, 190]), np.array([[14.0, 0, 0], [10, 9, 0], [12, 6, 8]])
COLD = np.array([135.0, 120, 140]), np.array([[18.0, 0, 0], [12, 6, 0], [8, 4, 5]])


def samples(mean, roots, count=600, seed=0):
    """Colors of a face (N, 3) in 0..255 with that mean and about that covariance (roots @ roots.T)."""
    values = np.random.default_rng(seed).normal(size=(count, 3)) @ np.transpose(roots)
    return np.clip(values - values.mean(0) + mean, 0, 255)


def moved(kind, own, wanted):
    """Samples as a transfer makes them."""
    transfer, before, after = TRANSFERS[kind], Samples.of(own), Samples.of(wanted)
    change = transfer.change(before, transfer.measure(before), transfer.measure(after))
    toned = np.clip(own @ change.tone[:, :3].T + change.tone[:, 3], 0, 255)
    if change.curves is None:
        return toned
    return np.stack([np.interp(toned[:, c], np.arange(256), change.curves[:, c]) for c in range(3)], axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_transfer_gives_the_other_faces_mean_color(kind):
    wanted = samples(*COLD, seed=1)
    assert moved(kind, samples(*WARM), wanted).mean(0) == pytest.approx(wanted.mean(0), abs=1.5)


@pytest.mark.parametrize("kind", LINEAR)
def test_a_linear_transfer_gives_the_other_faces_covariance(kind):
    wanted = np.cov(samples(*COLD, seed=1).T)
    was = np.cov(samples(*WARM).T)
    shown = np.cov(moved(kind, samples(*WARM), samples(*COLD, seed=1)).T)
    assert np.abs(shown - wanted).max() < 0.1 * np.abs(was - wanted).max()


def test_the_least_change_moves_colors_less_than_the_linear_one():
    own, wanted = samples(*WARM), samples(*COLD, seed=1)
    far, near = (np.square(moved(kind, own, wanted) - own).mean() for kind in LINEAR)
    assert near <= far


def test_reinhards_transfer_gives_the_spread_of_brightness_and_of_both_colors():
    wanted = lab_of(samples(*COLD, seed=1))
    shown = lab_of(moved(ColorTransfer.RCT, samples(*WARM), samples(*COLD, seed=1)))
    assert shown.std(0) == pytest.approx(wanted.std(0), rel=0.25)


@pytest.mark.parametrize("kind", [ColorTransfer.HISTOGRAM, ColorTransfer.SOT])
def test_a_transfer_of_distributions_gives_each_channels_distribution(kind):
    own = samples(*WARM)
    wanted = 255 * (samples(*COLD, seed=1) / 255) ** 1.8  # skewed: no affine change does it
    levels = (0.1, 0.25, 0.5, 0.75, 0.9)
    quantiles = np.quantile(wanted, levels, axis=0)
    assert np.abs(np.quantile(moved(kind, own, wanted), levels, axis=0) - quantiles).max() < 3.5


def test_sliced_transport_also_moves_what_the_channels_have_in_common():
    own, wanted = samples(*WARM), samples(*COLD, seed=1)
    want = np.corrcoef(wanted.T)
    shown, by_channel = (
        np.abs(np.corrcoef(moved(kind, own, wanted).T) - want).max()
        for kind in (ColorTransfer.SOT, ColorTransfer.HISTOGRAM)
    )
    assert shown < 0.5 * by_channel


@pytest.mark.parametrize("kind", KINDS)
def test_equal_colors_stay_as_they_are(kind):
    own = samples(*WARM)
    assert np.abs(moved(kind, own, own) - own).max() < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_of_a_flat_face_is_not_blown_up(kind):
    flat = samples([120, 120, 120], np.eye(3) * 0.8)
    shown = moved(kind, flat, samples(*COLD, seed=1))
    assert shown.std(0).max() < 3.5
    assert np.isfinite(shown).all()


def mask():
    ellipse = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(ellipse, (SIZE // 2, SIZE // 2), (SIZE // 4, SIZE // 3), 0, 0, 360, 255, -1)
    return ellipse.astype(np.float32) / 255


def crop(colors, around=(60, 60, 60), seed=0):
    """A crop (SIZE, SIZE, 3) whose face has colors of samples (mean, roots), smoothly spread."""
    noise = np.random.default_rng(seed).normal(size=(SIZE // 9, SIZE // 9, 3))
    wide = cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    face = colors[0] + (wide @ np.transpose(colors[1]))
    there = mask()[..., None]
    return np.clip(face * there + np.array(around) * (1 - there), 0, 255).astype(np.uint8)


def shown(match, swapped, scene, number, kind):
    """The crop as it is put back, at the frame of that number."""
    result = match.match(SwappedFace(swapped, mask()), scene, number * FRAME_NS, kind)
    return result.crop if result.tone is None else cv2.transform(result.crop, result.tone)


def color_of(picture):
    return picture[mask() > 0.5].mean(0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_mask_leaves_out_never_counts(kind):
    """DeepFaceLive's RCT makes it black and keeps it in the statistics: then a brighter half moves less."""
    far = cv2.dilate(mask(), np.ones((9, 9))) == 0
    own, scene = crop(WARM), crop(COLD, seed=1)
    plain = shown(ColorMatch(), own, scene, 0, kind)
    for around in ((0, 0, 0), (255, 255, 255), (0, 255, 0)):
        own[far], scene[far] = around, around[::-1]
        assert np.array_equal(shown(ColorMatch(), own, scene, 0, kind)[~far], plain[~far])
    assert color_of(plain) == pytest.approx(color_of(crop(COLD, seed=1)), abs=2)


def zeroed_statistics(picture):
    """Mean and deviation of brightness as DeepFaceLive takes them: with the rest of the crop as black."""
    seen = picture * (mask() > 0.5)[..., None]
    return seen.mean(), seen.std()


def test_the_defect_of_zeroed_statistics_would_be_seen():
    """The same transfer with them leaves a bright face's contrast wrong, which the test above is about."""
    own, scene = (crop((np.full(3, level), np.eye(3) * spread)) for level, spread in ((90, 9), (200, 14)))
    (own_mean, own_spread), (mean, spread) = zeroed_statistics(own), zeroed_statistics(scene)
    inside = mask() > 0.5
    theirs = ((own[inside] - own_mean) * (spread / own_spread) + mean).std()
    ours = shown(ColorMatch(), own, scene, 0, ColorTransfer.MKL)[inside].std()
    wanted = scene[inside].std()
    assert abs(ours - wanted) < abs(theirs - wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_still_face_does_not_flicker_under_noise(kind):
    match, random, courses = ColorMatch(), np.random.default_rng(3), []
    for number in range(40):
        live, own = (
            np.clip(one + random.normal(0, 6, one.shape) + random.normal(0, 2), 0, 255).astype(np.uint8)
            for one in (crop(COLD, seed=1), crop(WARM))
        )
        result = match.match(SwappedFace(own, mask()), live, number * FRAME_NS, kind)
        still = crop(WARM)  # what the change does to a picture without the noise
        once = ColorMatch().match(SwappedFace(own, mask()), live, 0, kind)
        courses.append([color_of(applied(still, one, own)) for one in (result, once)])
    steady, alone = np.diff(np.array(courses)[10:], axis=0).std(axis=0)
    assert steady.max() < 0.35 * alone.max()


def applied(picture, result, own):
    """What a match did to its crop, done to another picture by an affine fit."""
    inside = mask() > 0.5
    after = result.crop if result.tone is None else cv2.transform(result.crop, result.tone)
    before = np.column_stack([own[inside], np.ones(inside.sum())]).astype(np.float64)
    affine = np.linalg.lstsq(before, after[inside].astype(np.float64), rcond=None)[0]
    return picture @ affine[:3] + affine[3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_or_a_reset_is_followed_at_once(kind):
    own, before, after = crop(WARM), crop((np.full(3, 50.0), np.eye(3) * 5)), crop(COLD, seed=1)
    match = ColorMatch()
    for number in range(5):
        shown(match, own, before, number, kind)
    assert color_of(shown(match, own, after, 5, kind)) == pytest.approx(color_of(after), abs=2)
    near = cv2.add(after, (12, 12, 12, 0))
    slow = color_of(shown(match, own, near, 6, kind))
    match.reset()
    assert color_of(shown(match, own, near, 7, kind)) == pytest.approx(color_of(near), abs=2)
    assert np.abs(slow - color_of(near)).max() > 6


def test_another_transfer_starts_anew():
    match = ColorMatch()
    for number, kind in enumerate((*KINDS, ColorTransfer.NONE, *KINDS)):
        result = match.match(SwappedFace(crop(WARM), mask()), crop(COLD, seed=1), number * FRAME_NS, kind)
        assert (result.crop.shape, result.crop.dtype) == ((SIZE, SIZE, 3), np.uint8)


@given(st.integers(1, 90), st.integers(0, 999), st.sampled_from([0, 1, 40, 255]), st.sampled_from(KINDS))
def test_any_crops_can_be_matched(size, seed, spread, kind):
    rng = np.random.default_rng(seed)
    swapped = rng.integers(0, spread + 1, (size, size, 3), dtype=np.uint8)
    scene = rng.integers(255 - spread, 256, (size, size, 3), dtype=np.uint8)
    face = SwappedFace(swapped, rng.random((size, size), dtype=np.float32))
    result = ColorMatch().match(face, scene, 0, kind)
    assert result.crop.shape == swapped.shape
    assert result.tone is None or np.isfinite(result.tone).all()
