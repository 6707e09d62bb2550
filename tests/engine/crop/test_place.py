"""Where a crop lies: aligner modes, face types, head mode, and crops that stay level."""

import numpy as np
import pytest
from fake_engine import FakeFinder, FakeSwapper, frame_of, networks_of

from obs_faceswap.engine.crop.align import CANONICAL_FACE, to_crop, warp_for
from obs_faceswap.engine.crop.place import behind, place_of, warp_at
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import AlignMode, FaceType, Settings, Switch
from obs_faceswap.engine.types import Face
from obs_faceswap.engine.wear import Worn

FRAME = (640, 480)
SIZE = 224
PER_CM = 15


def face(yaw=0.0, roll=0.0, center=(320, 240)):
    """The canonical head, turned to the picture's right by `yaw` and clockwise by `roll` (radians)."""
    cos, sin = np.cos(-yaw), np.sin(-yaw)
    turned = CANONICAL_FACE * (1, -1, -1) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    cos, sin = np.cos(roll), np.sin(roll)
    flat = turned[:, :2] @ np.array([[cos, -sin], [sin, cos]]).T
    points = (flat * PER_CM + center).astype(np.float32)
    return Face(points, (turned[:, 2] * PER_CM).astype(np.float32), 1.0, 1)


def crop_of(one, **settings):
    return warp_at(one, SIZE, FRAME, place_of(Settings(**settings)))


def side_px(warp):
    return warp.size / float(np.hypot(*warp.matrix[0, :2]))


def middle(warp):
    """What the crop's middle shows of the frame."""
    center = np.full(2, (warp.size - 1) / 2)
    return np.linalg.solve(warp.matrix[:, :2].astype(float), center - warp.matrix[:, 2])


def test_the_defaults_are_deepfacelives_crop():
    one = face(roll=0.2)
    np.testing.assert_allclose(
        crop_of(one).matrix, warp_for(one.landmarks, SIZE).matrix, rtol=1e-5, atol=1e-4
    )


def test_face_types_grow_from_half_to_head_as_deepfacelabs_do():
    sides = {kind: side_px(crop_of(face(), face_type=kind)) for kind in FaceType}
    unit = sides[FaceType.HALF]
    assert sides[FaceType.MID_FULL] / unit == pytest.approx(1.191, rel=1e-4)
    assert sides[FaceType.FULL] / unit == pytest.approx(1.597, rel=1e-4)
    assert sides[FaceType.WHOLE_FACE] / unit == pytest.approx(2.131, rel=1e-4)
    assert sides[FaceType.HEAD] / unit == pytest.approx(2.98, rel=1e-4)
    assert sides[FaceType.CUSTOM] / unit == pytest.approx(2.2, rel=1e-4)


def test_a_half_face_lies_lower_and_a_head_higher_than_a_whole_face():
    height = {kind: middle(crop_of(face(), face_type=kind))[1] for kind in FaceType}
    square = side_px(crop_of(face(), face_type=FaceType.HALF))
    assert height[FaceType.HALF] - height[FaceType.WHOLE_FACE] == pytest.approx(0.08 * square, rel=0.01)
    assert height[FaceType.WHOLE_FACE] - height[FaceType.HEAD] == pytest.approx(0.5 * square, rel=0.01)


def test_head_mode_is_wider_and_higher_and_follows_the_back_of_the_head():
    plain, head = crop_of(face()), crop_of(face(), head_mode=Switch.ON)
    assert side_px(head) / side_px(plain) == pytest.approx(3.2 / 2.2, rel=1e-4)
    turned = face(yaw=0.6)
    moved = middle(crop_of(turned, head_mode=Switch.ON)) - middle(crop_of(turned, coverage=3.2))
    square = side_px(plain) / 2.2
    assert moved[0] == pytest.approx(-square * 0.6 * np.tanh(1.2) / 2, rel=0.1)
    mirrored = face(yaw=-0.6)
    back = middle(crop_of(mirrored, head_mode=Switch.ON)) - middle(crop_of(mirrored, coverage=3.2))
    assert back[0] == pytest.approx(-moved[0], rel=0.05)


def test_a_head_seen_from_the_front_has_nothing_behind_it():
    assert behind(face()) == pytest.approx(0, abs=1e-6)
    assert behind(face(yaw=0.4)) < 0 < behind(face(yaw=-0.4))


@pytest.mark.parametrize("yaw", [0.0, 0.5])
@pytest.mark.parametrize("roll", [0.0, 0.5, -1.2])
def test_a_level_crop_is_not_turned_and_shows_the_same_middle(yaw, roll):
    """DeepFaceLive's freeze_z_rotation also moved the crop sideways when the head turned."""
    one = face(yaw, roll)
    plain, level = crop_of(one), crop_of(one, freeze_rotation=Switch.ON)
    assert level.matrix[0, 1] == level.matrix[1, 0] == 0
    assert side_px(level) == pytest.approx(side_px(plain), rel=1e-4)
    np.testing.assert_allclose(middle(level), middle(plain), atol=0.01)


def test_a_box_follows_the_face_but_not_its_roll():
    box = crop_of(face(roll=0.4, center=(200, 150)), align_mode=AlignMode.BOX)
    assert box.matrix[0, 1] == 0
    low, high = (
        getattr(face(roll=0.4, center=(200, 150)).landmarks, which)(axis=0) for which in ("min", "max")
    )
    np.testing.assert_allclose(middle(box), (low + high) / 2, atol=0.01)
    upright = crop_of(face(center=(200, 150)), align_mode=AlignMode.BOX)
    assert side_px(upright) == pytest.approx(side_px(crop_of(face())), rel=0.06)


def test_a_static_crop_stays_where_it_is():
    here, there = (
        crop_of(face(center=center), align_mode=AlignMode.STATIC) for center in ((320, 240), (90, 90))
    )
    np.testing.assert_array_equal(here.matrix, there.matrix)
    np.testing.assert_allclose(middle(here), (319.5, 239.5), atol=0.01)
    assert side_px(here) == pytest.approx(480)


@pytest.mark.parametrize("mode", list(AlignMode))
def test_offsets_move_a_crop_in_parts_of_its_side(mode):
    plain = crop_of(face(), align_mode=mode)
    moved = crop_of(face(), align_mode=mode, align_x=0.1, align_y=-0.2)
    expected = middle(plain) + np.array((0.1, -0.2)) * side_px(plain)
    np.testing.assert_allclose(middle(moved), expected, atol=0.05)


def test_an_expression_moves_a_crop_only_where_moving_parts_count():
    open_mouth = face()
    low = CANONICAL_FACE[:, 1] < -4.2
    open_mouth.landmarks[low, 1] += 25
    still, moved = (
        middle(crop_of(open_mouth, exclude_moving_parts=switch)) for switch in (Switch.ON, Switch.OFF)
    )
    np.testing.assert_allclose(still, middle(crop_of(face())), atol=0.01)
    assert moved[1] - still[1] > 3


def test_a_crop_shows_the_face_in_every_mode():
    one = face(yaw=0.3, roll=0.3)
    for mode in AlignMode:
        points = to_crop(crop_of(one, align_mode=mode), one.landmarks)
        assert points.min() > 0
        assert points.max() < SIZE


def test_points_that_are_no_numbers_are_an_error():
    broken = face()
    broken.landmarks[:] = np.nan
    for mode in (AlignMode.POINTS, AlignMode.BOX):
        with pytest.raises(FaceError):
            crop_of(broken, align_mode=mode)


@pytest.mark.parametrize(
    "changed",
    [
        {"face_type": FaceType.HALF},
        {"align_mode": AlignMode.STATIC},
        {"align_mode": AlignMode.BOX},
        {"head_mode": Switch.ON},
        {"freeze_rotation": Switch.ON},
        {"exclude_moving_parts": Switch.OFF},
    ],
    ids=str,
)
def test_each_setting_changes_what_a_model_gets_to_see(changed):
    one = face(yaw=0.2, roll=0.3)
    one.landmarks[CANONICAL_FACE[:, 1] < -4.2, 1] += 25
    found = Found(one, [])
    worn = Worn(FakeSwapper(), FaceKind.DFM)
    crops = []
    for settings in (Settings(), Settings(**changed)):
        begun = Pipeline(networks_of(FakeFinder(found)), worn).begin(frame_of(size=FRAME), settings)
        crops.append(begun.aligned.crop)
    assert not np.array_equal(*crops)
