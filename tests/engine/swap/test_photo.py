from dataclasses import replace

import cv2
import numpy as np
import pytest
from engine.swap import photo_heads

from obs_faceswap.engine.crop import mask
from obs_faceswap.engine.crop.align import to_crop
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.find.eyes import Eye
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.swap import photo_draw as draw
from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo import PhotoSwapper
from obs_faceswap.engine.swap.photo_shape import fit_pose

FRONT = photo_heads.posed()
PLAIN = Settings(color_transfer="none", keep_eyes="no", keep_mouth="no")


def swapper(texture=None, points=FRONT, settings=PLAIN, **more) -> PhotoSwapper:
    picture = photo_heads.picture_of(photo_heads.skin() if texture is None else texture, points)
    return PhotoSwapper([picture], photo_heads.finder(points), settings, **more)


def live(texture=None, points=FRONT, **more):
    texture = photo_heads.skin((90, 120, 160), seed=2) if texture is None else texture
    return photo_heads.aligned(photo_heads.picture_of(texture, points), points, **more)


def at(aligned, vertex):
    x, y = np.round(to_crop(aligned.warp, aligned.face.landmarks)[vertex]).astype(int)
    return slice(y - 2, y + 3), slice(x - 2, x + 3)


def color_at(picture, aligned, vertex):
    return picture[at(aligned, vertex)].mean(axis=(0, 1))


def test_a_face_put_on_itself_stays_what_it_is():
    aligned = live(photo_heads.skin())
    seen = photo_heads.put(swapper().swap(aligned), aligned)
    difference = np.abs(seen.astype(int) - aligned.crop).mean(axis=2)
    assert np.percentile(difference, 95) < 12


@pytest.mark.parametrize("yaw", [0, 25, -40])
def test_the_live_face_gets_the_sources_colors_where_it_is_seen(yaw):
    points = photo_heads.posed(yaw=yaw)
    aligned = live(photo_heads.skin((60, 60, 60)), points)
    seen = photo_heads.put(swapper(photo_heads.skin((100, 140, 220))).swap(aligned), aligned)
    for vertex in (9, 5, 50 if yaw >= 0 else 280):  # brow, nose, the near cheek
        assert color_at(seen, aligned, vertex) == pytest.approx((100, 140, 220), abs=40)


def test_around_the_face_the_crop_is_the_live_picture():
    aligned = live()
    swapped = swapper().swap(aligned)
    beyond = mask.hull(aligned.landmarks, aligned.warp.size) == 0
    seen = photo_heads.put(swapped, aligned)
    assert np.abs(seen.astype(int) - aligned.crop)[beyond].max() <= 2
    far = cv2.erode(beyond.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.array_equal(swapped.crop[far], aligned.crop[far])
    assert not swapped.alpha[far].any()


def test_the_mask_outlasts_default_erosion_and_blur_over_the_face():
    aligned = live()
    finished = mask.finish(swapper().swap(aligned).mask, Settings().mask_erode, Settings().mask_blur)
    finished = mask.enlarged(finished, aligned.warp.size)
    inner = mask.hull(aligned.landmarks[list(mesh.OVAL)], aligned.warp.size) > 0.5
    center = aligned.landmarks.mean(axis=0)
    shrunk = mask.hull(center + (aligned.landmarks - center) * 0.9, aligned.warp.size) > 0.5
    assert finished[inner & shrunk].min() > 0.9


def test_the_mask_leaves_most_of_the_crop_alone():
    assert 0.1 < swapper().swap(live()).mask.mean() < 0.6


@pytest.mark.parametrize("yaw", [35, 60])
def test_the_swap_fades_where_a_turned_head_is_seen_edge_on(yaw):
    points = photo_heads.posed(yaw=yaw)
    aligned = live(photo_heads.skin((60, 60, 60)), points)
    swapped = swapper(photo_heads.skin((200, 200, 200))).swap(aligned)
    row = round(float(aligned.landmarks[425, 1]))  # across the far cheek
    taken = (photo_heads.put(swapped, aligned)[row].mean(axis=1) - 60.0) / 140
    last = int(aligned.landmarks[:, 0].max())
    assert taken[last - 1] < 0.3
    assert taken[last - 40 : last].max() > 0.9


@pytest.mark.parametrize(("yaw", "has_edge"), [(0, False), (45, True)])
@pytest.mark.parametrize("coarser", [2, 4])
def test_the_edge_of_a_nose_before_a_cheek_is_found(yaw, has_edge, coarser):
    points = photo_heads.posed(yaw=yaw, scale=27, center=(350, 350))
    torn = draw.fields(points, fit_pose(points), (700, 700), coarser)[3]
    assert (torn is not None) == has_edge
    if torn is not None:
        y, x = np.nonzero(torn)
        beside = np.hypot(*(points[[1, 4, 197], :2].mean(axis=0) / coarser - (x.mean(), y.mean())))
        assert beside < 80 / coarser


def test_steps_along_such_an_edge_are_smoothed_and_nothing_else():
    steps = np.zeros((80, 80, 3), np.uint8)
    for row in range(80):
        steps[row, 30 + row // 4 * 2 :] = 200
    torn = np.zeros((40, 40), np.uint8)
    torn[5:35, 14:36] = 255
    mended = steps.copy()
    draw.mended(mended, torn)
    assert np.abs(np.diff(mended[20:60].astype(int), axis=1)).max() < 80
    assert np.array_equal(mended[:6], steps[:6])
    assert np.array_equal(mended[:, :24], steps[:, :24])
    draw.mended(steps, None)


def test_colors_are_matched_to_the_scene_unless_switched_off():
    aligned = live(photo_heads.skin((50, 60, 80)))
    worn = swapper(photo_heads.skin((140, 170, 210)))
    assert color_at(photo_heads.put(worn.swap(aligned), aligned), aligned, 9)[2] > 150
    worn.update(replace(PLAIN, color_transfer="rct"))
    assert color_at(photo_heads.put(worn.swap(aligned), aligned), aligned, 9) == pytest.approx(
        (50, 60, 80), abs=25
    )


@pytest.mark.parametrize("light", [0.75, 1.3])
def test_light_and_shadow_change_brightness_more_than_color(light):
    skin = np.full((8, 8, 3), (90, 120, 170), np.uint8)
    lit = draw.shaded(skin, draw.colored(np.full((4, 4), light, np.float32), skin[:4, :4]))
    gray, wanted = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY).mean() for one in (lit, skin))
    assert gray == pytest.approx(wanted * light, rel=0.05)
    spread = float(np.ptp(lit, axis=2).mean()) / float(np.ptp(skin, axis=2).mean())
    assert abs(spread - 1) < abs(light - 1) / 2


def test_live_eyes_are_kept_when_asked_for():
    scene = photo_heads.skin()
    for ring in mesh.EYES:
        photo_heads.paint(scene, ring, (0, 255, 0))
    aligned = live(scene)
    middle = aligned.landmarks[list(mesh.EYES[0])].mean(axis=0).round().astype(int)
    worn = swapper()
    x, y = middle
    assert photo_heads.put(worn.swap(aligned), aligned)[y, x, 1] < 120
    worn.update(replace(PLAIN, keep_eyes="yes"))
    assert photo_heads.put(worn.swap(aligned), aligned)[y, x, 1] > 220


def test_the_inside_of_an_open_live_mouth_is_kept_unless_switched_off():
    head = mesh.HEAD.copy()
    head[[14, 17, 87, 88, 95, 178, 317, 318, 324, 402]] += (0, 2.0, 0)
    aligned = live(points=photo_heads.posed(head=head))
    lips = aligned.landmarks[list(mesh.INNER_LIPS)]
    cv2.fillPoly(aligned.crop, [np.round(lips).astype(np.int32)], (0, 255, 0))
    x, y = ((aligned.landmarks[13] + aligned.landmarks[14]) / 2).round().astype(int)
    worn = swapper()
    assert photo_heads.put(worn.swap(aligned), aligned)[y, x, 1] < 150
    worn.update(replace(PLAIN, keep_mouth="auto"))
    assert photo_heads.put(worn.swap(aligned), aligned)[y, x, 1] > 230


def test_another_live_person_starts_afresh():
    worn, fresh = swapper(settings=Settings()), swapper(settings=Settings())
    for _ in range(5):
        worn.swap(live(photo_heads.skin((30, 30, 30)), track_id=1))
    second = live(track_id=2)
    assert np.array_equal(*(photo_heads.put(each.swap(second), second) for each in (worn, fresh)))


def test_a_face_outside_the_crop_changes_nothing():
    aligned = live()
    away = replace(aligned, landmarks=aligned.landmarks + 1000)
    swapped = swapper().swap(away)
    assert np.array_equal(swapped.crop, away.crop)
    assert not swapped.mask.any()


def test_the_given_crop_is_not_written_to():
    aligned = live()
    before = aligned.crop.copy()
    swapper().swap(aligned)
    assert np.array_equal(aligned.crop, before)


@pytest.mark.parametrize(("side", "expected"), [(20, 160), (300, 288), (310, 320), (1500, 736), (5000, 1024)])
def test_the_crop_is_as_fine_as_the_frame_within_limits(side, expected):
    assert swapper().crop_size(side) == expected


def test_a_picture_without_a_face_is_refused():
    with pytest.raises(FaceError, match=r"mug\.png: no face was found"):
        PhotoSwapper([np.zeros((50, 50, 3), np.uint8)], photo_heads.finder(), names=["mug.png"])


def test_a_picture_of_two_people_is_refused():
    left, right = photo_heads.posed(scale=8), photo_heads.posed(scale=9, center=(400, 150))
    with pytest.raises(FaceError, match="2 faces of about the same size"):
        PhotoSwapper([np.zeros((300, 600, 3), np.uint8)], photo_heads.finder(left, right))


def test_a_far_smaller_face_in_the_background_does_not_matter():
    small = photo_heads.posed(scale=3, center=(400, 150))
    picture = photo_heads.picture_of(photo_heads.skin(), FRONT)
    worn = PhotoSwapper([picture], photo_heads.finder(small, FRONT), PLAIN)
    aligned = live(photo_heads.skin((60, 60, 60)))
    assert color_at(photo_heads.put(worn.swap(aligned), aligned), aligned, 9) == pytest.approx(
        (120, 150, 200), abs=25
    )


def test_a_tiny_face_is_refused():
    tiny = photo_heads.posed(scale=2)
    with pytest.raises(FaceError, match="at least 48"):
        PhotoSwapper([np.zeros((300, 300, 3), np.uint8)], photo_heads.finder(tiny))


@pytest.mark.parametrize("pose", [{"yaw": 60}, {"yaw": -60}, {"pitch": 50}])
def test_a_profile_is_refused(pose):
    with pytest.raises(FaceError, match="turned by"):
        swapper(points=photo_heads.posed(**pose))


def test_no_picture_is_refused():
    with pytest.raises(FaceError, match="No picture"):
        PhotoSwapper([], photo_heads.finder())


def test_of_several_pictures_the_bad_ones_are_named():
    good = photo_heads.picture_of(photo_heads.skin(), FRONT)
    bad = np.zeros((50, 50, 3), np.uint8)
    found = photo_heads.finder(FRONT)
    worn = PhotoSwapper(
        [good, bad], lambda picture: found(picture) if len(picture) > 50 else [], PLAIN, ["a.png", "b.png"]
    )
    assert "b.png" in worn.notice
    assert "a.png" not in worn.notice


class Watcher:
    """A network of eyes that sees them all open, looking ahead, and notes which it was shown."""

    def __init__(self):
        self.asked, self.opening = [], 9.0

    def look(self, _picture, _mesh, eye):
        self.asked.append(eye)
        return Eye(self.opening, 0.0)


def test_open_eyes_are_looked_at_in_turn_and_others_together():
    watcher = Watcher()
    worn = swapper(eyes=watcher, settings=Settings())
    aligned = live()
    watcher.asked.clear()  # those of the picture
    for _ in range(3):
        worn.swap(aligned)
    assert watcher.asked[:2] == [0, 1]  # nothing was known
    assert sorted(watcher.asked[2:]) == [0, 1]
    watcher.opening = 1.0
    watcher.asked.clear()
    for _ in range(4):
        worn.swap(aligned)
    assert watcher.asked[-4:] == [0, 1, 0, 1]


def test_kept_eyes_are_not_looked_at():
    watcher = Watcher()
    worn = swapper(eyes=watcher, settings=Settings(keep_eyes="yes"))
    watcher.asked.clear()
    worn.swap(live())
    assert watcher.asked == []
