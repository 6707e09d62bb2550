"""A swap of an earlier frame follows the head, hides the live face, and leaves live what is to stay live."""

import cv2
import numpy as np
import pytest
from fake_engine import TARGET

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.mask import hull
from obs_faceswap.engine.finish.reproject import hidden, reprojected, without_kept
from obs_faceswap.engine.settings import Keep, Settings
from obs_faceswap.engine.types import AlignedFace, SwappedFace, Warp

SIDE = 160
AUTO = Settings()
UPPER_LIP, LOWER_LIP, NOSE = 13, 14, 1


def smooth_noise(seed: int, side: int = SIDE) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def placed(points: np.ndarray, crop: np.ndarray) -> AlignedFace:
    """A crop with landmarks in its own pixels; where it lies in the frame does not matter here."""
    warp = Warp(np.eye(2, 3, dtype=np.float32), crop.shape[0])
    return AlignedFace(crop, warp, points.astype(np.float32), TARGET)


def face_points(
    turn: float = 0.0, scale: float = 1.0, yaw: float = 0.0, open_mouth: float = 0.0
) -> np.ndarray:
    """A face in the middle of a crop: turned in the picture, larger, turned aside, with its jaw dropped."""
    shape = CANONICAL_FACE * (1, -1, 1)
    x = shape[:, 0] * np.cos(yaw) + shape[:, 2] * np.sin(yaw)
    y = shape[:, 1] + open_mouth * np.clip(shape[:, 1] - shape[UPPER_LIP, 1], 0, 2)
    points = np.column_stack([x - x.mean(), y - y.mean()]) * (5.0 * scale)
    cos, sin = np.cos(turn), np.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]]) + (SIDE - 1) / 2


def whole(crop: np.ndarray, alpha: np.ndarray | None = None) -> SwappedFace:
    return SwappedFace(crop, np.ones(crop.shape[:2], np.float32), alpha)


def seen(moved: SwappedFace, live: np.ndarray) -> np.ndarray:
    """The new crop with the swap put back."""
    alpha = moved.alpha[..., None]
    return np.round(moved.crop * alpha + live * (1 - alpha)).astype(np.uint8)


def test_a_face_that_did_not_move_keeps_its_swap():
    crop = smooth_noise(1)
    face = placed(face_points(), crop)
    moved = reprojected(whole(crop), face, placed(face_points(), smooth_noise(2)), AUTO)
    assert np.abs(moved.crop.astype(int) - crop).max() <= 1
    assert moved.mask.min() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("turn", "scale"), [(0.0, 1.2), (0.3, 1.0), (-0.5, 0.8)])
def test_a_head_that_turned_and_came_nearer_in_a_crop_that_did_not(turn, scale):
    crop = smooth_noise(1)
    center = ((SIDE - 1) / 2,) * 2
    matrix = cv2.getRotationMatrix2D(center, -np.degrees(turn), scale)
    expected = cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    new = placed(face_points(turn, scale), expected)
    moved = reprojected(whole(crop), placed(face_points(), crop), new, AUTO)
    inside = hull(new.landmarks, SIDE) > 0.5
    assert np.abs(moved.crop.astype(int) - expected)[inside].max() <= 3


@pytest.mark.parametrize("point", [NOSE, UPPER_LIP, LOWER_LIP, 33, 263, 152, 10])
@pytest.mark.parametrize(
    "change", [{"yaw": 0.35}, {"open_mouth": 0.4}, {"yaw": -0.3, "turn": 0.2, "scale": 1.1}]
)
def test_what_lies_on_a_point_stays_on_it(point, change):
    old, new = face_points(), face_points(**change)
    crop = np.zeros((SIDE, SIDE, 3), np.uint8)
    cv2.circle(
        crop, np.round(old[point] * 16).astype(int).tolist(), 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4
    )
    moved = reprojected(whole(crop), placed(old, crop), placed(new, crop), AUTO)
    spot = moved.crop[..., 0].astype(float)
    y, x = (np.indices(spot.shape) * spot).sum((1, 2)) / spot.sum()
    assert np.hypot(x - new[point, 0], y - new[point, 1]) < max(0.7, np.hypot(*(new - old)[point]) / 3)


def test_crops_may_differ_in_size():
    old, new = smooth_noise(1), smooth_noise(2, SIDE * 2)
    double = placed(face_points() * 2 + 0.5, new)
    moved = reprojected(whole(old), placed(face_points(), old), double, AUTO)
    assert moved.crop.shape == new.shape
    expected = cv2.resize(old, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    inside = hull(double.landmarks, SIDE * 2) > 0.5
    assert np.abs(moved.crop.astype(int) - expected)[inside].max() <= 3


def test_a_face_that_was_cut_off_is_not_shown_bare_when_all_of_it_is_there():
    crop = smooth_noise(1)
    outside = face_points() - (SIDE * 0.5, 0)
    assert reprojected(whole(crop), placed(outside, crop), placed(face_points(), crop), AUTO) is None


def test_a_mask_goes_where_the_face_goes():
    crop = smooth_noise(1)
    old, new = placed(face_points(), crop), placed(face_points(yaw=0.4, scale=1.1), crop)
    swap = SwappedFace(crop, hull(old.landmarks, SIDE))
    moved = reprojected(swap, old, new, AUTO)
    assert hidden(moved.mask, new.landmarks, SIDE) > 0.95
    assert hidden(moved.mask, new.landmarks, SIDE) > hidden(swap.mask, new.landmarks, SIDE) + 0.05


def test_around_the_face_the_picture_is_live():
    old, live = smooth_noise(1), smooth_noise(2)
    face = placed(face_points(), old)
    new = placed(face_points(scale=1.1), live)
    alpha = hull(face.landmarks, SIDE)
    moved = reprojected(whole(old, alpha), face, new, AUTO)
    far = cv2.dilate(hull(new.landmarks, SIDE), np.ones((13, 13))) == 0
    assert far.mean() > 0.2
    assert np.array_equal(seen(moved, live)[far], live[far])
    inside = cv2.erode(hull(new.landmarks, SIDE), np.ones((9, 9))) == 1
    assert np.abs(seen(moved, live).astype(int) - live)[inside].mean() > 20


def test_an_open_mouth_is_the_new_frames_own():
    old, live = np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 255, np.uint8)
    face, new = placed(face_points(), old), placed(face_points(open_mouth=0.8), live)
    swap = whole(old, hull(face.landmarks, SIDE))
    middle = tuple(np.round(new.landmarks[[UPPER_LIP, LOWER_LIP]].mean(0)).astype(int)[::-1])
    kept = reprojected(swap, face, new, Settings(keep_mouth=Keep.AUTO))
    swapped = reprojected(swap, face, new, Settings(keep_mouth=Keep.NO))
    assert seen(kept, live)[middle].min() > 150
    assert seen(swapped, live)[middle].max() < 40


def test_a_coarse_mask_and_the_tone_come_along():
    crop, tone = smooth_noise(1), np.eye(3, 4)
    swap = SwappedFace(crop, np.ones((SIDE // 4, SIDE // 4), np.float32), tone=tone)
    moved = reprojected(swap, placed(face_points(), crop), placed(face_points(), crop), AUTO)
    assert moved.tone is tone
    assert moved.mask[SIDE // 2, SIDE // 2] == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "mouth", "eye"),
    [
        (Settings(), 1, 1),
        (Settings(keep_mouth=Keep.YES), 0, 1),
        (Settings(keep_eyes=Keep.YES), 1, 0),
        (Settings(keep_mouth=Keep.NO, keep_eyes=Keep.NO), 1, 1),
    ],
)
def test_a_models_mask_has_holes_where_the_user_asks_for_them(settings, mouth, eye):
    points = face_points(open_mouth=0.8)
    mask = without_kept(np.ones((SIDE, SIDE), np.float32), points, settings)
    at_mouth = mask[tuple(np.round(points[[UPPER_LIP, LOWER_LIP]].mean(0)).astype(int)[::-1])]
    at_eye = mask[tuple(np.round(points[[159, 145]].mean(0)).astype(int)[::-1])]
    assert (at_mouth, at_eye) == (pytest.approx(mouth, abs=0.35), pytest.approx(eye, abs=0.35))
