"""Light, shading, gaze and lids: what a photo face takes from the live one."""

import cv2
import numpy as np
import pytest
from engine.swap import photo_heads

from obs_faceswap.engine.find.eyes import Eye
from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_gaze import Gaze
from obs_faceswap.engine.swap.photo_lids import Lids
from obs_faceswap.engine.swap.photo_light import LightMatch
from obs_faceswap.engine.swap.photo_shading import Shading, side_slope
from obs_faceswap.engine.swap.photo_shape import egg_facing, fit_pose
from obs_faceswap.engine.swap.photo_texture import SIDE

POINTS = photo_heads.posed()
FACING = egg_facing(fit_pose(POINTS))
SCALE = 12.0  # of POINTS, px per cm
UPPER, LOWER = (160, 159, 158, 385, 386, 387), (144, 145, 153, 380, 374, 373)


def full_mask():
    return np.ones((64, 64), np.float32)


def plain(color):
    return np.full((64, 64, 3), color, np.uint8)


def matched(light, swapped, live, mask):
    return cv2.transform(swapped, light.step(swapped, live, mask))


def test_brightness_and_tint_become_the_scenes():
    live, swapped = plain((60, 70, 120)), plain((150, 170, 180))
    found = matched(LightMatch(), swapped, live, full_mask())
    assert found.mean((0, 1)) == pytest.approx((60, 70, 120), abs=2)


def test_only_the_face_is_measured():
    live, swapped = plain((60, 70, 120)), plain((150, 170, 180))
    mask = full_mask()
    mask[:, 32:] = 0
    live[:, 32:] = 255
    found = matched(LightMatch(), swapped, live, mask)
    assert found[:, :24].mean((0, 1)) == pytest.approx((60, 70, 120), abs=6)


def test_light_follows_over_some_frames_and_starts_over_when_told():
    light = LightMatch()
    matched(light, plain((100, 100, 100)), plain((100, 100, 100)), full_mask())
    first = matched(light, plain((100, 100, 100)), plain((200, 200, 200)), full_mask()).mean()
    assert 110 < first < 190
    light.reset()
    afresh = matched(light, plain((100, 100, 100)), plain((200, 200, 200)), full_mask())
    assert afresh.mean() == pytest.approx(200, abs=2)


def ratio_at(ratio, vertex):
    x, y = np.round(mesh.texture_points(len(ratio))[vertex]).astype(int)
    return ratio[y, x]


def settled(shading, picture, frames=30):
    for _ in range(frames):
        shading.step(picture, POINTS, FACING, 0.0)


def test_a_face_that_looks_as_usual_changes_nothing():
    shading = Shading()
    picture = photo_heads.picture_of(photo_heads.skin(), POINTS)
    settled(shading, picture)
    assert shading.step(picture, POINTS, FACING, 0.0) == pytest.approx(1.0, abs=0.02)


def test_whose_face_it_is_does_not_show():
    """A beard is no shadow: it is in the mean as well."""
    shading = Shading()
    painted = photo_heads.skin()
    photo_heads.paint(painted, (150, 176, 148, 152, 377, 400, 379, 200), (20, 20, 20))
    settled(shading, photo_heads.picture_of(painted, POINTS))
    ratio = shading.step(photo_heads.picture_of(painted, POINTS), POINTS, FACING, 0.0)
    assert ratio_at(ratio, 199) == pytest.approx(1.0, abs=0.03)


def test_a_new_fold_is_carried_over():
    shading = Shading()
    settled(shading, photo_heads.picture_of(photo_heads.skin(), POINTS))
    frowning = photo_heads.skin()
    photo_heads.paint(frowning, (9, 107, 108, 151, 337, 336), (80, 100, 140))
    ratio = shading.step(photo_heads.picture_of(frowning, POINTS), POINTS, FACING, 0.0)
    assert ratio_at(ratio, 9) < 0.93
    assert ratio_at(ratio, 50) == pytest.approx(1.0, abs=0.03)


def test_light_from_one_side_is_carried_over():
    shading = Shading()
    across = np.linspace(1.3, 0.4, 300)[None, :, None]
    lit = (photo_heads.picture_of(photo_heads.skin(), POINTS) * across).clip(0, 255).astype(np.uint8)
    settled(shading, lit)
    ratio = shading.step(lit, POINTS, FACING, 0.0)
    assert ratio_at(ratio, 50) > 1.1 * ratio_at(ratio, 280)  # the cheeks: left and right in the picture


def test_a_slope_is_measured_against_the_mirror_image():
    known = np.ones((SIDE, SIDE), bool)
    rising = np.tile(np.exp(0.5 * np.linspace(-1, 1, SIDE)), (SIDE, 1)).astype(np.float32) * 100
    assert side_slope(rising, known) == pytest.approx(0.5, abs=0.06)
    dark_brows = np.full((SIDE, SIDE), 120, np.float32)
    dark_brows[150:200] = 20
    assert side_slope(dark_brows, known) == pytest.approx(0, abs=0.01)


def looking(aside_px):
    """A picture of a face whose irises lie to the side of the middle, in texels."""
    painted = photo_heads.skin()
    for ring in mesh.EYES:
        photo_heads.paint(painted, ring, (230, 230, 230))
        middle = mesh.texture_points(SIDE)[list(ring)].mean(axis=0) + np.array([aside_px, 0])
        cv2.circle(painted, np.round(middle).astype(int).tolist(), 10, (40, 40, 40), -1)
    return painted


def iris_of(texture):
    """Where the dark texels of the eye left in the picture lie, relative to its middle."""
    x, y = np.round(mesh.texture_points(SIDE)[list(mesh.EYES[0])].mean(axis=0)).astype(int)
    return float(np.flatnonzero(texture[y, x - 30 : x + 31, 1] < 130).mean() - 30)


LEFT, MIDDLE, RIGHT = (-0.3, -0.3), (0.0, 0.0), (0.3, 0.3)
UNSEEN = None, None


def turned(*steps, source=MIDDLE, opened=(1.0, 1.0)):
    gaze = Gaze(SIDE)
    for live in steps:
        texture = gaze.step(looking(0), source, live, opened)
    return texture


@pytest.mark.parametrize(("live", "aside"), [(LEFT, -1), (RIGHT, 1)])
def test_the_eyes_follow_the_live_gaze(live, aside):
    assert iris_of(turned(*[live] * 20)) * aside > 5
    assert iris_of(turned(*[live] * 20, source=live)) == pytest.approx(0, abs=1)
    painted, gaze = looking(0), Gaze(SIDE)
    gaze.step(painted, MIDDLE, live)
    assert np.array_equal(painted, looking(0))  # the source's own texture stays


def test_one_eye_tells_for_both():
    both = iris_of(turned(*[RIGHT] * 20))
    assert iris_of(turned(*[(None, RIGHT[1])] * 20)) == pytest.approx(both, abs=1)
    assert iris_of(turned(*[(RIGHT[0], LEFT[1])] * 20, opened=(1.0, 0.1))) == pytest.approx(both, abs=2)


@pytest.mark.parametrize(("live", "source"), [(UNSEEN, MIDDLE), (RIGHT, UNSEEN)])
def test_eyes_that_cannot_be_read_stay_as_in_the_picture(live, source):
    assert np.abs(turned(live, live, source=source).astype(int) - looking(0)).max() <= 12


def test_from_a_gaze_that_is_not_seen_any_more_the_eyes_come_back():
    aside, back = iris_of(turned(*[RIGHT] * 20)), iris_of(turned(*[RIGHT] * 20, *[UNSEEN] * 200))
    assert abs(back) < 0.2 * aside


def opened(part):
    points = POINTS.copy()
    middle = (POINTS[list(UPPER)] + POINTS[list(LOWER)]) / 2
    points[list(UPPER)] = middle + (POINTS[list(UPPER)] - middle) * part
    points[list(LOWER)] = middle + (POINTS[list(LOWER)] - middle) * part
    return points


def gap(points):
    return np.linalg.norm(points[list(UPPER), :2] - points[list(LOWER), :2], axis=1).mean()


def after(*steps):
    """How far `Lids` left the eyes open last; a step is how far they are in the mesh and for the network."""
    lids = Lids()
    for in_mesh, seen in steps:
        live = opened(in_mesh)
        target = live.copy()
        eyes = [None if seen is None else Eye(seen * gap(POINTS), 0.0)] * 2
        left = lids.step(eyes, live, target, SCALE)
        assert gap(target) == pytest.approx(gap(live) * np.mean(left), rel=1e-3, abs=1e-3)
    return gap(target) / gap(opened(1))


OPEN, UNWATCHED = (1.3, 1.3), (1.3, None)


def test_lids_that_nearly_meet_close():
    assert after(UNWATCHED, UNWATCHED, UNWATCHED, (0.5, None)) < 0.13


@pytest.mark.parametrize("wide", [OPEN, UNWATCHED])
def test_open_eyes_stay_as_they_are(wide):
    assert after(wide) == pytest.approx(1.3)


@pytest.mark.parametrize(("seen", "expected"), [(0.4, 0.0), (0.52, 0.0), (0.845, 0.65), (1.2, 0.91)])
def test_a_network_tells_closed_eyes_from_lowered_ones(seen, expected):
    """The mesh sees the same of both: seven tenths of how wide the eyes were."""
    assert after(*[OPEN] * 16, (0.91, seen)) == pytest.approx(expected, abs=0.02)


def test_the_networks_noise_hardly_moves_a_lid_and_a_blink_does_at_once():
    lids, live, left = Lids(), opened(1.3), []
    for number in range(40):
        seen = (0.6 + 0.03 * (-1) ** number) * gap(live) if number else gap(live)
        left.append(lids.step([Eye(seen, 0.0)] * 2, live, live.copy(), SCALE)[0])
    assert np.abs(np.diff(left[10:])).max() < 0.02  # of 0.12
    assert lids.step([Eye(0.2 * gap(live), 0.0)] * 2, live, live.copy(), SCALE) == (0, 0)


def test_eyes_that_stay_closed_do_not_open_in_time():
    steps = [(0.7, 0.3)] * 3000
    assert after(OPEN, *steps) == 0


def test_eyes_close_one_by_one():
    lids, live = Lids(), opened(1.3)
    lids.step([Eye(gap(live), 0.0)] * 2, live, live.copy(), SCALE)
    left = lids.step([Eye(0.2 * gap(live), 0.0), Eye(gap(live), 0.0)], live, live.copy(), SCALE)
    assert left == pytest.approx((0, 1), abs=0.05)


def test_where_the_network_sees_nothing_the_mesh_counts():
    assert after(*[OPEN] * 16, (0.5, None)) < 0.13


def test_nothing_of_a_closed_eye_shines_through():
    gaze, source = Gaze(SIDE), looking(0)
    x, y = np.round(mesh.texture_points(SIDE)[list(mesh.EYES[0])].mean(axis=0)).astype(int)
    turned = gaze.step(source, MIDDLE, UNSEEN, (0.0, 1.0))
    lid = source[y - 40, x]
    assert np.abs(turned[y - 2 : y + 3, x - 20 : x + 21].astype(int) - lid).max() <= 20
    other = np.round(mesh.texture_points(SIDE)[list(mesh.EYES[1])].mean(axis=0)).astype(int)
    assert np.abs(turned[other[1], other[0] - 20 : other[0] + 21].astype(int) - lid).max() > 60
