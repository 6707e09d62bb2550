"""Smoothing steadies what is still and lets go what moves; cuts are told from movement and light."""

import cv2
import numpy as np
import pytest

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.track import CutWatch, OneEuro, Track

SIZE = 200.0
DT = 1 / 30


def run(frames, strength, dt=DT):
    smoother = OneEuro()
    return np.stack([smoother.step(frame.astype(np.float32), dt, SIZE, strength) for frame in frames])


def still(count=150, noise=0.002):
    """A face at rest with the mesh network's tremble, (count, 468, 3) pixels."""
    rng = np.random.default_rng(4)
    return rng.uniform(0, SIZE, (468, 3)) + rng.normal(0, noise * SIZE, (count, 468, 3))


def moving(speed=1.0, count=90, start=30):
    """At rest, then moving to the right by `speed` face sizes a second."""
    frames = np.repeat(np.random.default_rng(5).uniform(0, SIZE, (1, 468, 3)), count, axis=0)
    frames[:, :, 0] += (np.maximum(0, np.arange(count) - start) * DT * speed * SIZE)[:, None]
    return frames


def tremble(frames):
    return float(np.diff(frames[60:], axis=0).std())


def test_off_changes_nothing():
    assert (run(still(20), 0) == still(20).astype(np.float32)).all()


def test_a_still_face_trembles_less_the_stronger_the_smoothing():
    shares = [tremble(run(still(), strength)) / tremble(still()) for strength in (0.1, 0.5, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[1] < 1 / 3


def test_depth_is_smoothed_too():
    assert tremble(run(still(), 0.5)[:, :, 2:]) < tremble(still()[:, :, 2:]) / 3


@pytest.mark.parametrize("speed", [0.3, 1.0, 3.0])
def test_a_moving_face_is_less_than_one_percent_of_its_size_behind(speed):
    behind = moving(speed)[:, :, 0] - run(moving(speed), 0.5)[:, :, 0]
    assert behind[60:].max() < 0.01 * SIZE


def test_a_start_is_followed_within_two_percent():
    behind = moving()[:, :, 0] - run(moving(), 0.5)[:, :, 0]
    assert behind.max() < 0.02 * SIZE


def test_near_and_far_faces_are_treated_alike():
    smoother = OneEuro()
    large = np.stack([smoother.step((f * 4).astype(np.float32), DT, SIZE * 4, 0.5) for f in moving()])
    assert np.allclose(large / 4, run(moving(), 0.5), atol=0.01)


def test_smoothing_does_not_depend_on_the_frame_rate():
    fast = moving()
    assert np.allclose(run(fast, 0.5)[::2][20:], run(fast[::2], 0.5, 2 * DT)[20:], atol=0.006 * SIZE)


def test_reset_takes_the_next_values_as_they_are():
    smoother = OneEuro()
    smoother.step(np.zeros((468, 3), np.float32), DT, SIZE, 1.0)
    smoother.reset()
    there = np.full((468, 3), 500, np.float32)
    assert (smoother.step(there, DT, SIZE, 1.0) == there).all()


def points_at(x):
    return (np.random.default_rng(6).uniform(0, 100, (468, 2)) + np.array([x, 0])).astype(np.float32)


def a_track():
    return Track(1, points_at(0), np.zeros(468, np.float32), 1.0, 0.0)


def test_a_face_read_twice_in_one_frame_is_smoothed_once():
    track = a_track()
    track.face(0.9)
    track.update(points_at(10), np.zeros(468, np.float32), 1.0, DT)
    assert (track.face(0.9).landmarks == track.face(0.9).landmarks).all()


def test_a_cut_does_not_drag_the_points_over():
    track = a_track()
    track.face(1.0)
    track.update(points_at(300), np.zeros(468, np.float32), 1.0, DT)
    track.cut()
    assert (track.face(1.0).landmarks == points_at(300)).all()


def test_undo_takes_the_last_sighting_back():
    track = a_track()
    track.update(points_at(40), np.ones(468, np.float32), 0.5, DT)
    assert track.shift > 0.4
    track.undo()
    assert (track.points == points_at(0)).all()
    assert (track.seen_s, track.presence) == (0.0, 1.0)


def test_undo_of_the_only_sighting_leaves_it_unseen():
    track = a_track()
    track.undo()
    assert track.seen_s < 0


def watched(watch, image):
    return watch.step(Picture.of(image))


def scene(seed):
    grid = np.random.default_rng(seed).uniform(0, 255, (9, 16, 3)).astype(np.uint8)
    return cv2.resize(grid, (640, 360), interpolation=cv2.INTER_CUBIC)


def test_another_scene_is_a_cut():
    watch = CutWatch()
    assert [watched(watch, scene(seed)) for seed in (1, 1, 2, 2)] == [False, False, True, False]


def test_light_noise_and_movement_are_no_cuts():
    watch = CutWatch()
    rng = np.random.default_rng(7)
    picture = scene(1)
    watched(watch, picture)
    assert not watched(watch, (picture * 0.4).astype(np.uint8))
    assert not watched(watch, cv2.convertScaleAbs(picture, alpha=1.3, beta=40))
    assert not watched(watch, np.roll(picture, 12, axis=1))
    assert not watched(watch, np.clip(picture + rng.normal(0, 20, picture.shape), 0, 255).astype(np.uint8))


def test_a_blank_picture_is_no_cut():
    watch = CutWatch()
    rng = np.random.default_rng(8)
    for _ in range(5):
        assert not watched(watch, (rng.normal(20, 2, (360, 640, 3))).astype(np.uint8))


def test_pictures_of_any_size_are_compared():
    watch = CutWatch()
    for size in ((1, 1), (17, 900), (900, 17), (2000, 3000)):
        watched(watch, np.zeros((*size, 3), np.uint8))
