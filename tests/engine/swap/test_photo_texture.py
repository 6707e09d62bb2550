import cv2
import numpy as np
import pytest
from engine.swap import photo_heads

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import fit_pose
from obs_faceswap.engine.swap.photo_texture import SIDE, complete, view_of
from obs_faceswap.engine.swap.photo_textures import Textures

FRONT = photo_heads.posed()


def texel(vertex):
    x, y = np.round(mesh.texture_points(SIDE)[vertex]).astype(int)
    return slice(y - 4, y + 5), slice(x - 4, x + 5)


def color_at(texture, vertex):
    return texture[texel(vertex)].mean(axis=(0, 1))


def view(texture, points=FRONT):
    return view_of(photo_heads.picture_of(texture, points), points)


def unread(_texture):
    """Where irises are that cannot be seen."""
    return None, None


def test_a_frontal_picture_becomes_its_texture():
    painted = photo_heads.skin()
    seen = view(painted)
    inner = seen.known > 0.9
    assert inner.mean() > 0.15
    difference = np.abs(seen.texture - cv2.GaussianBlur(painted, (0, 0), 1).astype(np.float32)).mean(axis=2)
    assert np.percentile(difference[inner], 90) < 12


def test_the_outline_and_what_lies_beyond_is_not_trusted():
    seen = view(photo_heads.skin())
    for vertex in mesh.OVAL:
        assert seen.known[texel(vertex)].max() < 0.5


@pytest.mark.parametrize("yaw", [40, -40])
def test_the_far_cheek_of_a_turned_picture_comes_from_the_near_one(yaw):
    painted = photo_heads.skin()
    for vertex in (50, 280):  # a red mark in the middle of each cheek
        painted[texel(vertex)] = (60, 60, 220)
    points = photo_heads.posed(yaw=yaw)
    filled = complete(view(painted, points), [])
    for vertex in (50, 280):
        assert color_at(filled, vertex) == pytest.approx((60, 60, 220), abs=45)
    assert color_at(filled, 187) == pytest.approx(color_at(filled, 411), abs=25)  # the cheeks beside them


def test_the_background_behind_a_far_cheek_is_never_painted_on_it():
    points = photo_heads.posed(yaw=40)
    green = photo_heads.picture_of(photo_heads.skin(), points, background=(0, 255, 0))
    filled = complete(view_of(green, points), []).astype(int)
    assert (filled[..., 1] - filled[..., 2]).max() < 30


def test_hair_on_the_forehead_becomes_skin():
    painted = photo_heads.skin()
    for vertex in (10, 109, 67, 103, 54, 108, 69, 104, 68):
        x, y = np.round(mesh.texture_points(SIDE)[vertex]).astype(int).tolist()
        cv2.circle(painted, (x, y), 40, (15, 20, 25), -1)
    filled = complete(view(painted), [])
    for vertex in (67, 69, 104):
        assert color_at(filled, vertex) == pytest.approx((120, 150, 200), abs=35)


def test_a_dark_beard_is_kept():
    painted = photo_heads.skin()
    for vertex in (152, 199, 175, 200, 18):
        x, y = np.round(mesh.texture_points(SIDE)[vertex]).astype(int).tolist()
        cv2.circle(painted, (x, y), 25, (30, 35, 40), -1)
    assert color_at(complete(view(painted), []), 200).max() < 80


def test_what_one_picture_hides_comes_from_another():
    painted = photo_heads.skin()
    painted[texel(280)] = (60, 60, 220)  # on one cheek only, so that the mirror does not have it
    far, near = photo_heads.posed(yaw=45), photo_heads.posed(yaw=-45)
    alone = complete(view(painted, far), [])
    both = complete(view(painted, far), [view(painted, near)])
    assert color_at(alone, 280)[1] > 110
    assert color_at(both, 280)[1] < 100


def test_brows_eyes_and_lips_are_not_spread_over_skin():
    painted = photo_heads.skin()
    filled = complete(view(painted), [])
    for vertex in (151, 50, 280, 199):
        assert color_at(filled, vertex) == pytest.approx((120, 150, 200), abs=25)


def test_the_picture_nearest_to_the_live_pose_is_shown_after_a_fade():
    left, right = photo_heads.posed(yaw=-30), photo_heads.posed(yaw=30)
    blue, red = photo_heads.skin((200, 120, 120)), photo_heads.skin((120, 120, 200))
    textures = Textures([view(blue, left), view(red, right)], unread)
    shown = [textures.for_pose(fit_pose(left))[0] for _ in range(12)][-1]
    assert color_at(shown, 151)[0] > color_at(shown, 151)[2]
    first = textures.for_pose(fit_pose(right))[0]
    assert color_at(first, 151)[0] > color_at(first, 151)[2]  # not at once
    for _ in range(12):
        last = textures.for_pose(fit_pose(right))[0]
    assert color_at(last, 151)[2] > color_at(last, 151)[0]


def test_a_pose_between_two_pictures_does_not_flicker():
    left, right = photo_heads.posed(yaw=-30), photo_heads.posed(yaw=30)
    blue, red = photo_heads.skin((200, 120, 120)), photo_heads.skin((120, 120, 200))
    textures = Textures([view(blue, left), view(red, right)], unread)
    for _ in range(12):
        textures.for_pose(fit_pose(left))
    colors = [
        color_at(textures.for_pose(fit_pose(photo_heads.posed(yaw=yaw)))[0], 151)[0]
        for yaw in (1, -1, 1, -1, 1, -1)
    ]
    assert np.ptp(colors) < 2


def test_a_small_live_face_gets_no_detail_that_would_flicker():
    fine = photo_heads.skin()
    fine[::2] = 255 - fine[::2]
    points = photo_heads.posed(scale=28, center=(300, 300))
    seen = view_of(photo_heads.picture_of(fine, points, 600), points)
    textures = Textures([seen], unread)
    large = textures.for_pose(fit_pose(photo_heads.posed(scale=40)))[0][..., :3]
    small = textures.for_pose(fit_pose(photo_heads.posed(scale=5)))[0][..., :3]
    assert large[texel(50)].std() > 5 * small[texel(50)].std()
