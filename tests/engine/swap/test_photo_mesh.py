import numpy as np
import pytest
from engine.swap import photo_heads

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import ShapeShift, egg_facing, fit_pose, to_head


def drawn(points, depth=None, size=64):
    depth = np.zeros(len(points), np.float32) if depth is None else depth
    return mesh.triangle_map(points, depth, (size, size), mesh.front_sign())


def test_every_pixel_shows_a_triangle_that_it_lies_in():
    points = mesh.with_rim(photo_heads.posed(yaw=20, roll=15, scale=3, center=(31.3, 32.6)))
    shown = drawn(points[:, :2], points[:, 2])
    y, x = np.nonzero(shown >= 0)
    assert len(x) > 1000
    a, b, c = np.moveaxis(points[mesh.TRIANGLES[shown[y, x]], :2], 1, 0)
    here = np.stack([x, y], axis=1)

    def side(p, q):
        return (q[:, 0] - p[:, 0]) * (here[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (here[:, 0] - p[:, 0])

    sides = np.stack([side(a, b), side(b, c), side(c, a)]) * mesh.front_sign()
    assert sides.min() > -0.05


def test_nothing_is_left_out_inside_the_outline():
    points = mesh.with_rim(photo_heads.posed(scale=3, center=(32, 32)))
    shown = drawn(points[:, :2], points[:, 2])
    assert (shown[20:45, 22:43] >= 0).all()


def test_the_nearer_triangle_is_shown():
    # A face so far turned that the nose stands before the cheek.
    points = mesh.with_rim(photo_heads.posed(yaw=60, scale=3, center=(32, 32)))
    shown = drawn(points[:, :2], points[:, 2])
    tip = np.round(points[4, :2]).astype(int)
    beside = shown[tip[1], tip[0] - 1]
    assert np.linalg.norm(mesh.HEAD[mesh.TRIANGLES[beside] % 468] - mesh.HEAD[4], axis=1).max() < 2.0


def test_a_mesh_outside_the_picture_shows_nothing():
    points = mesh.with_rim(photo_heads.posed(scale=3, center=(-200, 32)))
    assert (drawn(points[:, :2], points[:, 2]) == -1).all()


def test_interpolation_is_exact_for_what_is_linear_in_the_picture():
    points = mesh.with_rim(photo_heads.posed(yaw=10, scale=3, center=(32, 32)))
    values = (points[:, :2] @ np.array([[2.0, -1], [0.5, 3]]) + (5, 7)).astype(np.float32)
    shown = drawn(points[:, :2], points[:, 2])
    field = mesh.interpolated(shown, points[:, :2], values)
    y, x = np.nonzero(shown >= 0)
    expected = np.stack([2.0 * x + 0.5 * y + 5, -1.0 * x + 3 * y + 7], axis=1)
    assert field[y, x] == pytest.approx(expected, abs=0.02)
    assert not field[shown < 0].any()


def test_the_rim_lies_outside_the_outline():
    points = photo_heads.posed()[:, :2]
    rim = mesh.with_rim(points)[468:]
    outline = points[list(mesh.OVAL)]
    center = outline.mean(axis=0)
    assert (np.linalg.norm(rim - center, axis=1) > 1.1 * np.linalg.norm(outline - center, axis=1)).all()


@pytest.mark.parametrize("yaw", [0, 30, -60])
def test_opencv_draws_the_mesh_as_triangle_by_triangle(yaw):
    points = mesh.with_rim(photo_heads.posed(yaw=yaw, scale=3, center=(30.3, 33.8)))
    values = np.random.default_rng(1).uniform(-5, 300, (504, 3)).astype(np.float32)
    shape = (72, 64)
    found, seen = mesh.drawn(points[:, :2], points[:, 2], values, shape)
    shown = mesh.triangle_map(points[:, :2], points[:, 2], shape, mesh.front_sign())
    wanted = mesh.interpolated(shown, points[:, :2], values)
    assert ((seen > 0) != (shown >= 0)).mean() < 0.005
    assert set(np.unique(seen)) == {0, 255}
    assert not found[seen == 0].any()
    both = (seen > 0) & (shown >= 0)
    assert both.sum() > 800
    # Where triangles of different depth meet, single pixels may show another one.
    assert (np.abs(found - wanted)[both].max(axis=1) > 1).mean() < 0.02


def test_a_mesh_outside_the_picture_is_not_drawn():
    points = mesh.with_rim(photo_heads.posed(scale=3, center=(-200, 32)))
    found, seen = mesh.drawn(points[:, :2], points[:, 2], points, (64, 64))
    assert not seen.any()
    assert not found.any()


@pytest.mark.parametrize("ring", [mesh.OVAL, mesh.INNER_LIPS, mesh.OUTER_LIPS, *mesh.EYES])
def test_rings_of_vertices_run_around_once(ring):
    points = mesh.HEAD[list(ring), :2]
    steps = np.roll(points, -1, axis=0) - points
    following = np.roll(steps, -1, axis=0)
    turns = steps[:, 0] * following[:, 1] - steps[:, 1] * following[:, 0]
    angles = np.arctan2(turns, (steps * following).sum(axis=1))
    assert abs(angles.sum()) == pytest.approx(2 * np.pi, abs=0.01)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (35, -10, 20), (-60, 15, -5)])
def test_a_pose_is_found_again(yaw, pitch, roll):
    pose = fit_pose(photo_heads.posed(yaw, pitch, roll, scale=7))
    assert pose.scale == pytest.approx(7, rel=1e-3)
    assert pose.rotation == pytest.approx(photo_heads.rotation(yaw, pitch, roll), abs=1e-3)
    assert to_head(photo_heads.posed(yaw, pitch, roll, scale=7), pose) == pytest.approx(mesh.HEAD, abs=1e-2)


def test_yaw_and_pitch_say_where_the_face_looks():
    assert fit_pose(photo_heads.posed(yaw=30)).yaw_pitch == pytest.approx(np.deg2rad([30, 0]), abs=1e-3)
    assert fit_pose(photo_heads.posed(pitch=20)).yaw_pitch == pytest.approx(np.deg2rad([0, 20]), abs=1e-3)


def test_the_far_cheek_faces_away():
    facing = egg_facing(fit_pose(photo_heads.posed(yaw=50)))
    assert facing[454] < 0 < facing[234]  # outline at the ears; the picture's right and left


def test_a_source_of_the_live_persons_shape_moves_nothing():
    shift = ShapeShift(mesh.HEAD.copy())
    live = photo_heads.posed(yaw=20)
    assert np.abs(shift.step(live, fit_pose(live))).max() < 0.05


def test_features_move_to_where_the_source_has_them():
    source = mesh.HEAD.copy()
    source[:, 0] *= 1.1
    live = photo_heads.posed(scale=10)
    moved = ShapeShift(source).step(live, fit_pose(live))
    assert moved[33, 0] < -2
    assert moved[263, 0] > 2
    assert np.abs(moved[list(mesh.OVAL)]).max() < 1e-6  # the outline stays the live person's


def test_a_wide_open_mouth_is_not_taken_for_a_shape():
    shift = ShapeShift(mesh.HEAD.copy())
    open_mouth = mesh.HEAD.copy()
    open_mouth[mesh.HEAD[:, 1] > 4.0] += (0, 2, 0)
    live = photo_heads.posed(head=open_mouth)
    moved = shift.step(live, fit_pose(live))
    assert np.abs(moved[list(mesh.INNER_LIPS)]).max() < 1.0
