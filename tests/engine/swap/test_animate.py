"""A picture that moves with the live face: the contract of LIA, with a small network of the same kind."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_networks

from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.swap.animate import Animator, fitted
from obs_faceswap.engine.types import AlignedFace, Face, Warp

SIDE = 64


def session() -> Session:
    return Session(tiny_networks.animator(SIDE), "cpu")


def live(level, track_id=1, side=SIDE) -> AlignedFace:
    """A face as bright as told: what the small network takes for motion."""
    points = np.zeros((468, 2), np.float32)
    crop = np.full((side, side, 3), level, np.uint8)
    warp = Warp(np.eye(2, 3, dtype=np.float32), side)
    return AlignedFace(crop, warp, points, Face(points, points[:, 0], 1.0, track_id))


PICTURE = np.random.default_rng(3).integers(60, 120, (SIDE, SIDE, 3), np.uint8)


def moved_by(animator, level, track_id=1) -> float:
    crop = animator.swap(live(level, track_id)).crop.astype(float)
    return float((crop - PICTURE).mean())


def test_the_first_face_is_the_reference():
    """Its picture is the picture itself, in its own colors."""
    found = Animator(session(), PICTURE).swap(live(90))
    assert np.abs(found.crop.astype(int) - PICTURE).max() <= 1
    assert found.mask.min() == 1


def test_what_differs_from_the_reference_moves_the_picture():
    animator = Animator(session(), PICTURE)
    moved_by(animator, 90)
    assert moved_by(animator, 100) == pytest.approx(10, abs=0.6)
    assert moved_by(animator, 90) == pytest.approx(0, abs=0.6)


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_the_power_is_the_settings(power):
    animator = Animator(session(), PICTURE)
    animator.update(Settings(relative_power=power))
    moved_by(animator, 90)
    assert moved_by(animator, 110) == pytest.approx(20 * power, abs=0.6)


def test_a_reset_and_another_person_give_another_reference():
    animator = Animator(session(), PICTURE)
    moved_by(animator, 90)
    animator.reset()
    assert moved_by(animator, 110) == pytest.approx(0, abs=0.6)
    assert moved_by(animator, 130, track_id=2) == pytest.approx(0, abs=0.6)
    assert moved_by(animator, 140, track_id=2) == pytest.approx(10, abs=0.6)


def test_colors_are_not_exchanged():
    picture = np.full((SIDE, SIDE, 3), (10, 100, 220), np.uint8)
    assert np.abs(Animator(session(), picture).swap(live(90)).crop.astype(int) - picture).max() <= 1


def test_a_crop_of_another_size_is_taken():
    animator = Animator(session(), PICTURE)
    assert animator.crop_size(500) == SIDE
    assert animator.swap(live(90, side=200)).crop.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("shape", [(30, 60), (60, 30), (500, 20), (1, 1), (64, 64)])
def test_a_picture_of_any_shape_fits_whole_into_the_square(shape):
    square, mask = fitted(np.full((*shape, 3), 200, np.uint8), SIDE)
    rows, columns = int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())
    assert max(rows, columns) == SIDE
    assert abs(rows - SIDE * shape[0] / max(shape)) <= 0.5
    assert abs(columns - SIDE * shape[1] / max(shape)) <= 0.5
    assert (square[mask > 0] == 200).all()
    assert not square[mask == 0].any()


def test_a_network_of_another_kind_is_refused():
    with pytest.raises(UnsupportedModelError, match="An animating network takes in_src"):
        Animator(Session(tiny_networks.one_photo(128), "cpu"), PICTURE)


@pytest.mark.parametrize("place", [0, 1])
def test_values_that_are_no_numbers_are_an_error(place, monkeypatch):
    used = session()
    animator, good = Animator(used, PICTURE), used.run

    def bad(feeds):
        outputs = good(feeds)
        outputs[place] = outputs[place] * np.nan
        return outputs

    monkeypatch.setattr(used, "run", bad)
    with pytest.raises(ModelError, match="no numbers"):
        animator.swap(live(90))


def test_a_face_without_an_identity_of_its_own_keeps_the_reference():
    """A frame that shows the same track again goes on from where it was."""
    animator = Animator(session(), PICTURE)
    face = live(90)
    animator.swap(face)
    again = replace(live(120), face=replace(face.face, presence=0.4))
    assert (animator.swap(again).crop.astype(int) - PICTURE).mean() == pytest.approx(30, abs=0.6)
