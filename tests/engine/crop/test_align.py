"""Where a crop lies, and that nothing moves between frame and crop; beside DeepFaceLive's: see
test_beside_deepfacelive.py.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, similarity, to_crop, to_frame, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.types import Warp


def face(scale=30.0, roll=0.0, center=(300.0, 200.0)):
    """The canonical face seen from the front, as (468, 2) frame pixels."""
    flat = CANONICAL_FACE[:, :2] * (1, -1) * scale
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return (flat @ turn.T + center).astype(np.float32)


def picture(height=400, width=600, seed=0):
    """Smooth, so that interpolation is nearly exact, and different everywhere."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@given(
    roll=st.floats(-3.1, 3.1),
    scale=st.floats(5, 80),
    x=st.floats(-500, 2000),
    size=st.sampled_from([64, 224, 448]),
)
def test_the_crop_of_a_face_does_not_depend_on_where_it_is(roll, scale, x, size):
    here, there = face(), face(scale=scale, roll=roll, center=(x, 100))
    first = to_crop(warp_for(here, size), here)
    second = to_crop(warp_for(there, size), there)
    assert np.abs(first - second).max() < size * 1e-3


def test_expression_does_not_move_the_crop():
    spoken = face()
    spoken[[13, 14, 17, 152, 61, 291, 70, 300, 159, 386]] += (0, 15)  # lips, chin, corners, brows, lids
    assert np.allclose(warp_for(spoken, 224).matrix, warp_for(face(), 224).matrix)


def test_coverage_scales_about_the_crops_center():
    center = np.array([[111.5, 111.5]], np.float32)
    near, far = warp_for(face(), 224, coverage=2.2), warp_for(face(), 224, coverage=4.4)
    assert np.allclose(to_frame(near, center), to_frame(far, center), atol=1e-2)
    assert np.linalg.norm(near.matrix[0, :2]) == pytest.approx(
        2 * np.linalg.norm(far.matrix[0, :2]), rel=1e-4
    )


def test_offsets_move_the_cut_out_by_parts_of_its_side():
    points = face()
    plain, moved = (
        to_crop(warp_for(points, 200, offset_x=x, offset_y=y), points) for x, y in ((0, 0), (0.1, -0.2))
    )
    assert np.allclose(moved - plain, (-20, 40), atol=1e-2)


def test_to_frame_undoes_to_crop():
    warp = warp_for(face(roll=0.4), 224)
    assert np.allclose(to_frame(warp, to_crop(warp, face())), face(), atol=1e-2)


def test_cutting_and_warping_back_moves_nothing():
    frame, points = picture(), face(scale=10, roll=0.2)
    warp = warp_for(points, 400)
    back = cv2.warpAffine(
        cut(Picture.of(frame), warp), warp.matrix, (600, 400), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    inner = np.s_[150:250, 250:350]
    assert np.abs(back[inner].astype(int) - frame[inner]).max() <= 4
    shift, _ = cv2.phaseCorrelate(*(p[inner][..., 1].astype(np.float32) for p in (frame, back)))
    assert np.abs(shift).max() < 0.02


@pytest.mark.parametrize("shrink", [1.0, 1.7, 2.0, 3.3, 8.0])
def test_a_crop_shows_the_frame_at_its_pixel_centers(shrink):
    x, y = np.meshgrid(np.arange(250), np.arange(200))
    frame = np.stack([x, y, x], axis=2).astype(np.uint8)  # every pixel says where it is
    warp = Warp(np.array([[1 / shrink, 0, -40 / shrink], [0, 1 / shrink, -50 / shrink]], np.float32), 16)
    crop = cut(Picture.of(frame), warp).astype(float)
    seen = 40 + shrink * np.arange(16)
    for off in (crop[:, :, 0] - seen, crop[:, :, 1].T - seen - 10):
        assert np.abs(off).max() < 1.5  # two roundings to whole greys
        assert abs(off.mean()) < 0.6  # each halving rounds half a grey up


def test_a_small_crop_of_a_fine_pattern_is_grey():
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[::2, ::2] = frame[1::2, 1::2] = 255
    crop = Picture.of(frame).sample(np.array([[0.25, 0, 0], [0, 0.25, 0]], np.float32), 64)
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_beyond_the_frame_its_border_is_repeated():
    frame = np.full((40, 40, 3), 10, np.uint8)
    frame[:, -1] = 200
    for scale in (1.0, 0.2):
        crop = Picture.of(frame).sample(np.array([[scale, 0, -45 * scale], [0, scale, 0]], np.float32), 8)
        assert (crop > 150).all() if scale == 1.0 else crop.min() > 10


@pytest.mark.parametrize("points", [np.zeros((468, 2)), np.full((468, 2), np.nan), np.full((468, 2), np.inf)])
def test_points_that_span_nothing_are_refused(points):
    with pytest.raises(FaceError, match="points"):
        warp_for(points.astype(np.float32), 224)


def test_similarity_is_the_best_one():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    matrix = similarity(source, target)

    def error(m):
        return ((source @ m[:, :2].T + m[:, 2] - target) ** 2).sum()

    for i in range(2):
        nudged = matrix.copy()
        nudged[i, 2] += 0.01
        assert error(nudged) > error(matrix)
    for turn in (np.array([[1, -0.01], [0.01, 1]]), np.eye(2) * 1.01):
        assert error(np.column_stack([turn @ matrix[:, :2], matrix[:, 2]])) > error(matrix)
