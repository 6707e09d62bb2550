"""Conversions between landmark schemes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.find.schemes import (
    IBUG_68_IN_MESH,
    five_of_68,
    insight_106_to_68,
    mesh_of_5,
    mesh_of_68,
    mesh_to_68,
)

PER_CM = 20


def turned_head(yaw=0.0, pitch=0.0, roll=0.0):
    """(468, 3) pixels of the canonical head, turned; depth grows away from the viewer."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    turn = (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )
    return (CANONICAL_FACE * (1, -1, -1) @ turn.T * PER_CM + (300, 250, 0)).astype(np.float32)


@pytest.mark.parametrize(
    ("few", "mesh_of"), [(mesh_to_68, mesh_of_68), (five_points, mesh_of_5)], ids=["68", "5"]
)
@given(st.floats(-0.6, 0.6), st.floats(-0.4, 0.4), st.floats(-3, 3))
def test_a_turned_head_is_found_again_from_few_points(few, mesh_of, yaw, pitch, roll):
    head = turned_head(yaw, pitch, roll)
    landmarks, depth, unlike = mesh_of(few(head[:, :2]))
    np.testing.assert_allclose(landmarks, head[:, :2], atol=0.1)
    np.testing.assert_allclose(depth, head[:, 2] - head[:, 2].mean(), atol=0.5)
    assert unlike < 1e-3


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.full((5, 2), np.inf)])
def test_five_points_that_are_none_are_no_face(points):
    landmarks, depth, unlike = mesh_of_5(points.astype(np.float32))
    assert np.isfinite(landmarks).all()
    assert np.isfinite(depth).all()
    assert unlike == 1


def test_an_open_mouth_is_carried_over_to_the_lips_between_the_points():
    head = turned_head()[:, :2]
    opened = head.copy()
    low = CANONICAL_FACE[:, 1] < -4.2
    opened[low, 1] += 15
    found, _, unlike = mesh_of_68(mesh_to_68(opened))
    between = [index for index in (314, 84, 17, 85, 16, 315) if low[index]]
    assert len(between) >= 4
    assert np.abs(found[between] - opened[between]).max() < 6
    assert 0.02 < unlike < 0.1


def test_points_that_are_no_head_are_told():
    scattered = np.random.default_rng(4).uniform(0, 300, (68, 2)).astype(np.float32)
    assert mesh_of_68(scattered)[2] > 0.5
    assert mesh_of_68(np.zeros((68, 2), np.float32))[2] == 1


def test_five_points_of_68_are_those_of_the_mesh():
    points = np.array([(index, 2 * index) for index in range(68)], np.float32)
    found = five_of_68(points)
    np.testing.assert_allclose(found[:, 0], [38.5, 44.5, 30, 48, 54])


def test_68_of_106_are_means_of_pairs():
    points = np.array([(index, 0) for index in range(106)], np.float32)
    found = insight_106_to_68(points)
    assert found.shape == (68, 2)
    assert found[0, 0] == 5  # of 1 and 9
    assert found[8, 0] == 0  # the chin
    assert found[30, 0] == 86  # the nose's tip


def test_the_68_points_are_68_different_ones():
    assert len(set(IBUG_68_IN_MESH)) == 68


@pytest.mark.parametrize("side", [slice(0, 17), slice(17, 27), slice(36, 48)])
def test_left_and_right_mirror_each_other(side):
    points = CANONICAL_FACE[list(IBUG_68_IN_MESH)][side][:, 0]
    assert np.sort(points) == pytest.approx(-np.sort(points)[::-1], abs=0.6)
