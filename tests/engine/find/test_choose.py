"""Who of several people is swapped, in painted scenes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from painted import ANNE, BEN, Person, Recognizer, Stream, is_on, numbers_of

from obs_faceswap.engine.find import people
from obs_faceswap.engine.find.choose import Scene
from obs_faceswap.engine.settings import Settings, SortBy, Who

CARL = Person(120, 160, 50, 40)
EVERYBODY = (ANNE, BEN, CARL)  # at x 80, 230, 160, y 120, 120, 50, sizes 70, 50, 40
ALL = Settings(smoothing=0, who=Who.ALL)
ORDERS = {
    SortBy.LARGEST: [ANNE, BEN, CARL],
    SortBy.CENTER: [CARL, BEN, ANNE],  # the middle is at 160, 120: 70, 70 and 80 px away
    SortBy.LEFT_RIGHT: [ANNE, CARL, BEN],
    SortBy.RIGHT_LEFT: [BEN, CARL, ANNE],
    SortBy.TOP_BOTTOM: [CARL, ANNE, BEN],
    SortBy.BOTTOM_TOP: [BEN, ANNE, CARL],
}


@pytest.fixture(autouse=True)
def own_home(home):
    """Nobody is enrolled."""
    return home


def people_on(faces, *expected):
    """Whether the faces are those people, in this order."""
    return len(faces) == len(expected) and all(map(is_on, faces, expected))


def settings(**more):
    return Settings(smoothing=0, **more)


# --- one face ---


@pytest.mark.parametrize(("order", "expected"), ORDERS.items())
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_face_of_that_number_in_that_order_is_swapped(order, expected, number):
    # Nobody is level with anybody: y and the distance to the middle would be a draw.
    shown = [replace(BEN, y=125) if person is BEN else person for person in EVERYBODY]
    if order is SortBy.CENTER:
        shown = [replace(ANNE, x=60), replace(BEN, y=125, x=220), CARL]
        expected = [shown[1], CARL, shown[0]]
    else:
        expected = [shown[1] if person is BEN else person for person in expected]
    found = Stream().see(*shown, settings=settings(sort_by=order, face_number=number))
    assert people_on(found.targets, expected[number - 1])
    assert len(found.others) == 2


def test_nobody_is_swapped_while_the_number_is_not_there():
    stream, second = Stream(), settings(face_number=2)
    found = stream.see(ANNE, frames=3, settings=second)
    assert found.targets == ()
    assert people_on(found.others, ANNE)
    assert people_on(stream.see(ANNE, BEN, frames=6, settings=second).targets, BEN)


def test_a_choice_stays_when_the_order_changes_and_ends_with_another_wish():
    stream, leftmost = Stream(), settings(sort_by=SortBy.LEFT_RIGHT)
    first = stream.see(ANNE, BEN, settings=leftmost).target
    for step in range(20):
        found = stream.see(replace(ANNE, x=80 + 7 * step, y=170), replace(BEN, x=230 - 7 * step, y=60),
                           settings=leftmost)  # fmt: skip
    assert found.target.track_id == first.track_id  # Anne is on the right now
    here = replace(ANNE, x=213, y=170), replace(BEN, x=97, y=60)
    assert is_on(stream.see(*here, settings=settings(sort_by=SortBy.RIGHT_LEFT)).target, here[0])
    assert is_on(stream.see(*here, settings=leftmost).target, here[1])


def test_another_setting_chooses_nobody_anew():
    stream = Stream()
    first = stream.see(ANNE, BEN).target
    stream.see(ANNE, replace(BEN, side=100), frames=3)
    found = stream.see(ANNE, replace(BEN, side=100), settings=settings(opacity=0.5))
    assert found.target.track_id == first.track_id


# --- all faces ---


def test_all_faces_are_swapped():
    found = Stream().see(*EVERYBODY, settings=ALL)
    assert people_on(found.targets, *ORDERS[SortBy.LARGEST])
    assert found.others == []
    assert len({face.track_id for face in found.targets}) == 3


def test_a_new_face_is_swapped_as_soon_as_it_is_found():
    stream = Stream()
    stream.see(ANNE, frames=5, settings=ALL)
    assert people_on(stream.see(ANNE, BEN, frames=4, settings=ALL).targets, ANNE, BEN)


@pytest.mark.parametrize(("order", "first"), [(SortBy.RIGHT_LEFT, BEN), (SortBy.TOP_BOTTOM, CARL)])
def test_no_more_than_so_many_faces_are_swapped(order, first):
    found = Stream().see(*EVERYBODY, settings=replace(ALL, max_faces=1, sort_by=order))
    assert people_on(found.targets, first)
    assert len(found.others) == 2


def test_who_is_swapped_already_is_not_pushed_out_by_a_larger_face():
    stream, two = Stream(), replace(ALL, max_faces=2)
    stream.see(ANNE, CARL, settings=two)
    found = stream.see(ANNE, CARL, BEN, frames=12, settings=two)
    assert people_on(found.targets, ANNE, CARL)
    assert people_on(found.others, BEN)


def test_a_puppet_is_covered_among_people_who_are_swapped():
    stream = Stream()
    stream.mesh.puppets.add(BEN.grey)
    found = stream.see(ANNE, BEN, frames=20, settings=ALL)
    assert people_on(found.targets, ANNE)
    assert len(found.others) == 1


def test_one_who_is_lost_is_told_where_they_were_and_the_others_go_on():
    stream = Stream()
    stream.see(ANNE, BEN, settings=ALL)
    found = stream.see(ANNE, settings=ALL)
    assert people_on(found.targets, ANNE)
    assert people_on(found.lost, BEN)
    assert people_on(found.others, BEN)
    assert stream.see(ANNE, frames=32, settings=ALL).lost == ()


# --- small faces ---


def test_a_small_face_is_not_swapped():
    large = replace(ALL, min_face=25)  # of 240 px: 60 px
    found = Stream().see(*EVERYBODY, settings=large)
    assert people_on(found.targets, ANNE)
    assert len(found.others) == 2


@pytest.mark.parametrize("scale", [1, 3])
def test_how_small_a_face_may_be_is_a_part_of_the_pictures_height(scale):
    size_wh = (320 * scale, 240 * scale)
    track = SimpleNamespace(size_px=60.0 * scale)
    for percent, is_large in ((24.5, True), (25.5, False)):
        scene = Scene([track], size_wh, 0.0, replace(ALL, min_face=percent), lambda track: None)
        assert scene.is_large(track) is is_large


def test_somebody_who_is_swapped_may_become_a_little_smaller():
    stream, large = Stream(), settings(min_face=25)
    stream.see(ANNE, settings=large)
    assert stream.see(replace(ANNE, side=54), settings=large).target is not None
    assert stream.see(replace(ANNE, side=44), settings=large).target is None


# --- each person their own face ---

ROWS = settings(who=Who.KNOWN, person_1="*", person_2="*", face_2="other", sort_by=SortBy.LEFT_RIGHT)


def slots(found):
    return [(face.slot, face.person) for face in found.targets]


@pytest.mark.parametrize("recognizes", [False, True])
def test_without_names_the_rows_go_to_people_in_order(recognizes):
    stream = Stream(recognizes=recognizes)
    found = stream.see(*EVERYBODY, settings=ROWS)
    assert people_on(found.targets, ANNE, CARL)
    assert slots(found) == [(1, ""), (2, "")]
    assert people_on(found.others, BEN)


def test_a_row_stays_with_its_person_when_they_change_sides():
    stream = Stream()
    stream.see(replace(ANNE, y=170), replace(BEN, y=60), settings=ROWS)
    for step in range(20):
        here = replace(ANNE, x=80 + 7 * step, y=170), replace(BEN, x=230 - 7 * step, y=60)
        found = stream.see(*here, settings=ROWS)
    assert people_on(found.targets, *here)
    assert slots(found) == [(1, ""), (2, "")]


def test_nobody_is_swapped_without_a_row():
    found = Stream().see(ANNE, BEN, frames=2, settings=settings(who=Who.KNOWN))
    assert found.targets == ()
    assert len(found.others) == 2


@pytest.fixture
def enrolled():
    for name, person in (("Anne", ANNE), ("Ben", BEN)):
        people.enroll(name, Recognizer.label, numbers_of(person.grey).tolist())


NAMED = settings(who=Who.KNOWN, person_1="Ben", person_2="Anne")


def test_everybody_wears_their_own_face(enrolled):
    found = Stream(recognizes=True).see(*EVERYBODY, settings=NAMED)
    assert {face.slot: face.person for face in found.targets} == {1: "Ben", 2: "Anne"}
    assert all(is_on(face, {1: BEN, 2: ANNE}[face.slot]) for face in found.targets)
    assert people_on(found.others, CARL)


def test_a_stranger_takes_only_a_row_for_whoever_is_next(enrolled):
    stream = Stream(recognizes=True)
    found = stream.see(CARL, ANNE, settings=replace(NAMED, person_2="*"))
    assert slots(found) == [(2, "Anne")]  # the first in order of those who have no row of their own
    found = stream.see(CARL, BEN, ANNE, frames=30, settings=replace(NAMED, person_2="*"))
    assert {face.slot: face.person for face in found.targets} == {1: "Ben", 2: "Anne"}


def test_a_person_is_known_again_anywhere(enrolled):
    stream = Stream(recognizes=True)
    stream.see(ANNE, BEN, settings=NAMED)
    stream.see(frames=60, settings=NAMED)
    found = stream.see(replace(ANNE, x=250), replace(BEN, x=60), frames=8, settings=NAMED)
    assert {face.slot for face in found.targets} == {1, 2}
    assert all((face.landmarks[:, 0].mean() < 160) == (face.slot == 1) for face in found.targets)


def test_another_assignment_acts_at_once(enrolled):
    stream = Stream(recognizes=True)
    stream.see(ANNE, BEN, settings=NAMED)
    found = stream.see(ANNE, BEN, settings=replace(NAMED, person_1="Anne", person_2=""))
    assert slots(found) == [(1, "Anne")]


def test_somebody_enrolled_while_the_stream_runs_is_known_soon(enrolled):
    stream, rows = Stream(recognizes=True), settings(who=Who.KNOWN, person_1="Carl")
    assert stream.see(ANNE, CARL, frames=20, settings=rows).targets == ()
    people.enroll("Carl", Recognizer.label, numbers_of(CARL.grey).tolist())
    assert slots(stream.see(ANNE, CARL, frames=100, settings=rows)) == [(1, "Carl")]


def test_names_of_another_network_mean_nothing(enrolled):
    people.enroll("Carl", "another network", numbers_of(CARL.grey).tolist())
    found = Stream(recognizes=True).see(CARL, frames=3, settings=settings(who=Who.KNOWN, person_1="Carl"))
    assert found.targets == ()


def test_without_a_network_named_rows_go_by_order(enrolled):
    found = Stream().see(ANNE, BEN, settings=NAMED)
    assert slots(found) == [(1, ""), (2, "")]
    assert people_on(found.targets, ANNE, BEN)


def test_a_swap_is_taken_over_by_a_finder_with_other_networks(enrolled):
    from obs_faceswap.engine.find.finder import FaceFinder

    stream = Stream(recognizes=True)
    before = stream.see(ANNE, BEN, settings=NAMED)
    fresh = FaceFinder(stream.detector, stream.mesh, stream.finder._identities)
    fresh.adopt(stream.finder)
    stream.finder = fresh
    after = stream.see(ANNE, BEN, settings=NAMED)
    assert [face.track_id for face in after.targets] == [face.track_id for face in before.targets]
    assert np.allclose(after.target.landmarks, before.target.landmarks, atol=1)


def test_while_one_is_looked_for_the_others_are_not_checked_in_each_frame(monkeypatch):
    stream, checks = Stream(), []
    stream.see(ANNE, BEN, CARL, frames=10, settings=ALL)
    real = stream.finder._doubt
    monkeypatch.setattr(stream.finder, "_doubt", lambda *given: checks.append(1) or real(*given))
    stream.see(ANNE, BEN, frames=15, settings=ALL)
    assert 2 * 3 <= len(checks) <= 2 * 5
