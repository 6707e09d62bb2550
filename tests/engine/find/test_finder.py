"""Who is followed, who is swapped, and for how long, in painted scenes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from painted import (
    ANNE,
    BEN,
    FRAME_NS,
    KPS,
    Detector,
    Mesh,
    Person,
    Stream,
    detection_of,
    is_on,
    paint,
    read,
    turned,
)

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.choose import DOUBT_TO_START
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.landmarks import FaceMesh
from obs_faceswap.engine.find.views import View, detected, views_of
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings


def test_the_largest_face_is_the_target_and_all_others_are_reported():
    carl = Person(120, 160, 40, 40)
    found = Stream().see(ANNE, BEN, carl)
    assert is_on(found.target, ANNE)
    assert len(found.others) == 2
    assert {is_on(other, BEN) or is_on(other, carl) for other in found.others} == {True}


def test_an_empty_picture_has_no_face():
    found = Stream().see(frames=3)
    assert found.target is None
    assert found.others == []


def test_the_swap_stays_on_its_face_when_another_becomes_larger():
    stream = Stream()
    first = stream.see(ANNE, BEN).target
    for side in range(50, 110, 4):
        found = stream.see(ANNE, replace(BEN, side=side))
    assert is_on(found.target, ANNE)
    assert found.target.track_id == first.track_id


def test_a_face_is_followed_while_the_detector_misses_it():
    stream = Stream()
    stream.see(ANNE)
    stream.detector.blind = True
    for step in range(40):
        moved = replace(ANNE, x=ANNE.x + 3 * step)
        assert is_on(stream.see(moved).target, moved)


def test_presence_decides_what_is_a_face():
    stream = Stream()
    stream.mesh.presence[ANNE.grey] = 0.4
    assert stream.see(ANNE, BEN).others == []  # too low to begin
    stream.mesh.presence[ANNE.grey] = 0.6
    assert len(stream.see(ANNE, BEN, frames=6).others) == 1
    stream.mesh.presence[ANNE.grey] = 0.4
    assert len(stream.see(ANNE, BEN, frames=30).others) == 1  # enough to go on
    stream.mesh.presence[ANNE.grey] = 0.1
    assert stream.see(ANNE, BEN, frames=30).others == []


def is_around(box, person):
    return np.allclose(box.mean(axis=0), (person.x, person.y), atol=3)


def test_what_the_mesh_refuses_is_unclear_while_the_detector_is_sure():
    stream = Stream()
    stream.mesh.presence[BEN.grey] = 0.0  # a profile
    found = stream.see(ANNE, BEN)
    assert is_on(found.target, ANNE)
    assert [is_around(box, BEN) for box in found.unclear] == [True]
    moved = replace(BEN, x=BEN.x + 20)
    assert [is_around(box, moved) for box in stream.see(ANNE, moved, frames=6).unclear] == [True]
    assert stream.see(ANNE, frames=10).unclear != ()  # it may still be there
    assert stream.see(ANNE, frames=10).unclear == ()


@pytest.mark.parametrize(("score", "at_once", "after_two_looks"), [(0.7, 0, 1), (0.5, 0, 0)])
def test_a_less_sure_detector_has_to_look_twice(score, at_once, after_two_looks):
    stream = Stream()
    stream.see(ANNE)
    stream.mesh.presence[BEN.grey], stream.detector.scores[BEN.grey] = 0.0, score
    seen = [len(stream.see(ANNE, BEN).unclear) for _ in range(8)]
    assert seen[0] == at_once
    assert seen[-1] == after_two_looks


def test_a_face_that_turns_towards_the_camera_is_no_longer_unclear():
    stream = Stream()
    stream.mesh.presence[BEN.grey] = 0.0
    assert len(stream.see(ANNE, BEN).unclear) == 1
    stream.mesh.presence[BEN.grey] = 1.0
    found = stream.see(ANNE, BEN, frames=6)
    assert found.unclear == ()
    assert len(found.others) == 1


def test_unclear_faces_keep_no_place_from_new_ones():
    stream = Stream()
    crowd = [Person(100 + 4 * number, 30 + 52 * number, 40, 30) for number in range(5)]
    for person in crowd:
        stream.mesh.presence[person.grey] = 0.0
    assert len(stream.see(ANNE, *crowd, frames=8).unclear) == len(crowd)
    assert len(stream.see(ANNE, BEN, *crowd, frames=8).others) == 1


def test_a_target_that_loses_presence_is_not_shown_for_that_frame():
    stream = Stream()
    first = stream.see(ANNE).target
    stream.mesh.presence[ANNE.grey] = 0.0
    assert stream.see(ANNE).target is None
    stream.mesh.presence[ANNE.grey] = 1.0
    assert stream.see(ANNE).target.track_id == first.track_id


def test_another_face_takes_over_only_after_a_second():
    stream = Stream()
    first = stream.see(ANNE, BEN).target
    assert stream.see(BEN, frames=28).target is None
    second = stream.see(BEN, frames=10).target
    assert is_on(second, BEN)
    assert second.track_id != first.track_id


def test_a_new_face_far_away_does_not_inherit():
    stream = Stream()
    stream.see(ANNE)
    assert stream.see(BEN, frames=20).target is None
    assert len(stream.see(BEN).others) >= 1


def test_a_face_that_comes_back_near_by_is_the_target_again():
    stream = Stream()
    first = stream.see(ANNE).target
    stream.see(frames=15)
    back = replace(ANNE, x=ANNE.x + 40)
    found = stream.see(back)
    assert is_on(found.target, back)
    assert found.target.track_id == first.track_id


def test_a_face_near_by_of_quite_another_size_is_not_the_target():
    stream = Stream()
    stream.see(ANNE)
    stream.see(frames=5)
    assert stream.see(replace(ANNE, side=25), frames=2).target is None


def test_a_fast_move_is_caught_up_in_the_same_frame():
    stream = Stream()
    stream.see(ANNE)
    moved = replace(ANNE, x=ANNE.x + 60)
    assert is_on(stream.see(moved).target, moved)


def test_a_face_passing_before_the_target_does_not_take_the_swap_along():
    stream = Stream()
    first = stream.see(ANNE, BEN).target
    for x in range(230, 84, -10):
        stream.see(ANNE, replace(BEN, x=x))
    hidden = stream.see(replace(BEN, x=84))  # only Ben is to be seen where Anne was
    assert hidden.target is None or hidden.target.track_id == first.track_id
    for x in range(80, 30, -10):
        found = stream.see(replace(ANNE, x=160), replace(BEN, x=x, y=120))
    assert not is_on(found.target, replace(BEN, x=40))


def test_two_tracks_never_stay_on_one_face():
    stream = Stream()
    stream.see(ANNE, BEN)
    found = stream.see(ANNE, frames=20)
    assert is_on(found.target, ANNE)
    assert found.others == []


def test_others_are_followed_in_every_frame():
    stream = Stream()
    stream.see(ANNE, BEN)
    stream.detector.blind = True
    for y in range(120, 180, 6):
        moved = replace(BEN, y=y)
        (other,) = stream.see(ANNE, moved).others
        assert is_on(other, moved)


def test_an_other_face_is_reported_for_half_a_second_after_it_is_lost():
    stream = Stream()
    stream.see(ANNE, BEN)
    assert len(stream.see(ANNE, frames=13).others) == 1
    assert stream.see(ANNE, frames=5).others == []


def test_a_new_face_is_found_within_four_frames():
    stream = Stream()
    stream.see(ANNE, frames=7)
    assert len(stream.see(ANNE, BEN, frames=4).others) == 1


def test_many_faces_are_followed_in_turns():
    people = [Person(20 + 12 * i, 30 + 60 * (i % 5), 60 + 100 * (i // 5), 40) for i in range(10)]
    stream = Stream()
    stream.see(*people, frames=20)
    moved = [replace(person, x=person.x + 8) for person in people]
    found = stream.see(*moved, frames=3)
    assert len(found.others) == 9
    assert all(any(is_on(face, person) for person in moved) for face in [found.target, *found.others])


def test_a_puppet_is_no_target_but_is_reported():
    stream = Stream()
    stream.mesh.puppets.add(ANNE.grey)
    found = stream.see(ANNE, BEN, frames=3)
    assert is_on(found.target, BEN)
    assert len(found.others) == 1
    assert found.others[0].doubt > DOUBT_TO_START


def test_a_cut_starts_over_at_once():
    stream = Stream()
    old = stream.see(ANNE, frames=3).target
    new = stream.see(BEN, seed=1).target
    assert is_on(new, BEN)
    assert new.track_id != old.track_id


def test_small_faces_are_found_in_parts_of_the_picture():
    stream = Stream(640, 240)
    small = Person(40, 550, 170, 22)  # 3.4 percent of the width: too small for the whole picture
    assert is_on(stream.see(small).target, small)


def test_a_small_face_that_comes_later_is_found_soon():
    stream = Stream(640, 240)
    stream.see(ANNE, frames=2)
    found = stream.see(ANNE, Person(80, 550, 170, 22), frames=30)
    assert len(found.others) == 1


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_head_that_lies_on_its_side_is_found(quarters):
    stream = Stream()
    found = stream.see(replace(ANNE, quarters=quarters), frames=1)
    assert found.target is not None
    later = Stream()
    later.see(frames=2)
    assert later.see(replace(ANNE, quarters=quarters), frames=30).target is not None


@pytest.mark.parametrize("view", [*views_of(1280, 720), *views_of(300, 900), *views_of(64, 64)])
def test_every_view_gives_picture_pixels(view):
    person = Person(40, (view.x0 + view.x1) / 2 + 3, (view.y0 + view.y1) / 2 - 5, (view.y1 - view.y0) // 4)
    shown = replace(person, quarters=-view.quarters % 4)
    image = paint([shown], view.x1 + 10, view.y1 + 10)
    (found,) = detected(Picture.of(image), view, Detector(), 0.5)
    expected = detection_of(next(read(image)))
    assert found.bbox_xyxy == pytest.approx(expected.bbox_xyxy, abs=3)
    assert found.kps == pytest.approx(turned_kps(shown), abs=3)


def turned_kps(person):
    return turned(KPS * person.side, person.quarters) + np.array([person.x, person.y])


@pytest.mark.parametrize(
    "size", [(1920, 1080), (1080, 1920), (640, 480), (3840, 2160), (100, 2000), (8, 8), (1, 1)]
)
def test_views_lie_in_the_picture_and_cover_it(size):
    width, height = size
    views = views_of(width, height)
    assert views[0] == View(0, 0, width, height)
    assert all(0 <= v.x0 < v.x1 <= width and 0 <= v.y0 < v.y1 <= height for v in views)
    tiles = [v for v in views if (v.x1 - v.x0, v.y1 - v.y0) != size]
    if tiles:
        assert max(v.x1 for v in tiles) == width
        assert max(v.y1 for v in tiles) == height
    assert len(views) < 40


@pytest.mark.parametrize("stamps", [[0, 0, 0, 0], [9 * FRAME_NS, 5 * FRAME_NS, FRAME_NS, 0]])
def test_timestamps_that_stand_still_or_run_backwards_are_survived(stamps):
    finder = FaceFinder(Detector(), Mesh())
    for stamp in stamps:
        found = finder.find(Picture.of(paint([ANNE])), stamp, Settings(smoothing=100))
    assert is_on(found.target, ANNE)


def test_a_new_size_of_the_picture_starts_over_at_once():
    stream = Stream()
    stream.see(ANNE, BEN)
    stream.size = (640, 480)
    larger = replace(ANNE, x=400, y=200, side=140)
    found = stream.see(larger)
    assert is_on(found.target, larger)
    assert found.others == []


def test_smoothing_changes_the_points_and_nothing_else():
    plain, smooth = Stream(), Stream()
    for step in range(10):
        moved = replace(ANNE, x=ANNE.x + 2 * (step % 2))
        raw, steady = plain.see(moved), smooth.see(moved, settings=Settings(smoothing=100))
    assert not np.allclose(raw.target.landmarks, steady.target.landmarks, atol=0.3)
    assert np.allclose(raw.target.landmarks, steady.target.landmarks, atol=2)
    assert raw.target.track_id == steady.target.track_id


def test_an_adopted_stream_keeps_its_target():
    stream = Stream()
    first = stream.see(ANNE, BEN).target
    fresh = FaceFinder(stream.detector, stream.mesh)
    fresh.adopt(stream.finder)
    stream.finder = fresh
    assert stream.see(ANNE, replace(BEN, side=90)).target.track_id == first.track_id


def real_finder(shared):
    detector = detector_for(Session(shared / "models" / "mp_face_detector_short_128.onnx", "cpu", 1))
    return FaceFinder(detector, FaceMesh(Session(shared / "models" / "mp_face_mesh_468_192.onnx", "cpu", 1)))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "faces"),
    [
        ("astronaut.png", 1),
        ("grace_hopper.jpg", 1),
        ("two_people.jpg", 2),
        ("tfjs_three_people.jpg", 3),
        ("animal_lp_s33.jpg", 0),
    ],
)
def test_real_pictures_have_their_faces(shared, name, faces):
    picture = Picture.of(cv2.imread(str(shared / "image" / name)))
    found = real_finder(shared).find(picture, 0, Settings())
    assert (found.target is not None) + len(found.others) == faces


@pytest.mark.shared
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_real_head_is_found_however_it_lies(shared, quarters):
    image = np.rot90(cv2.imread(str(shared / "image" / "astronaut.png")), quarters)
    found = real_finder(shared).find(Picture.of(image), 0, Settings())
    assert found.target is not None
    across = found.target.landmarks[263] - found.target.landmarks[33]
    upright = turned(across[None], (-quarters) % 4)[0]
    assert abs(np.arctan2(upright[1], upright[0])) < 0.5


# --- when to search ---


def searches(stream, every, frames=60, settings=None):
    """How many frames of a still scene the detector looks at."""
    settings = settings or Settings(smoothing=0, search_every=every)
    stream.see(ANNE, settings=settings)
    count = 0
    for _ in range(frames):
        before = stream.detector.looks
        stream.see(ANNE, settings=settings)
        count += stream.detector.looks > before
    return count


@pytest.mark.parametrize(("every", "expected"), [(1, 60), (2, 30), (10, 6), (60, 1)])
def test_new_faces_are_looked_for_every_so_many_frames(every, expected):
    assert searches(Stream(), every) == expected


def test_by_itself_about_ten_times_a_second():
    assert 15 <= searches(Stream(), 0) <= 20  # of 60 frames at 30 a second


def test_whoever_is_sparing_may_only_look_more_seldom():
    seldom, often = Stream(), Stream()
    seldom.finder.search_every_s = often.finder.search_every_s = 1.0
    assert searches(seldom, 2, frames=100) == 3
    assert searches(often, 60) == 1
    assert Plan().search_every_s == Stream().finder.search_every_s


def test_a_lost_face_is_looked_for_in_each_frame_whatever_the_pace():
    stream, seldom = Stream(), Settings(smoothing=0, search_every=300)
    stream.see(ANNE, settings=seldom)
    for _ in range(5):
        before = stream.detector.looks
        stream.see(settings=seldom)
        assert stream.detector.looks > before


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_lying_head_that_was_lost_is_found_in_the_next_frame(quarters):
    stream, lying = Stream(), replace(ANNE, quarters=quarters)
    while stream.see(lying).target is None:
        pass
    first = stream.see(lying, frames=20).target
    stream.see(frames=3)
    there = replace(lying, x=ANNE.x + 50)
    found = stream.see(there).target
    assert found is not None
    assert found.track_id == first.track_id


def test_a_face_tells_how_sure_the_detector_was_and_how_doubtful_it_is():
    stream = Stream()
    found = stream.see(ANNE)
    assert found.target.score == pytest.approx(0.9)
    assert found.target.doubt <= DOUBT_TO_START
    followed = stream.see(replace(ANNE, x=ANNE.x + 4), frames=10).target
    assert followed.score == pytest.approx(0.9)
