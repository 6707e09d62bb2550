"""Who is who after a crossing, an absence and a cut, in painted scenes with a recognition network."""

from dataclasses import replace

import numpy as np
import pytest
from painted import ANNE, BEN, Person, Stream, is_on

from obs_faceswap.engine.errors import ModelError
from obs_faceswap.engine.find import people
from obs_faceswap.engine.settings import Settings, Who

SETTINGS = Settings(smoothing=0)
LOW = 20  # frames in which the network has looked at everybody often enough


@pytest.fixture(autouse=True)
def own_home(home):
    """Nobody is enrolled."""
    return home


LEFT, RIGHT = replace(ANNE, x=125, side=60), replace(BEN, x=195, side=60)


def changed_places(stream, settings=SETTINGS, frames=2):
    """Anne and Ben go behind something together and come out with their places changed."""
    before = stream.see(LEFT, RIGHT, frames=LOW, settings=settings)
    stream.see(frames=5, settings=settings)
    here = replace(LEFT, x=RIGHT.x), replace(RIGHT, x=LEFT.x)
    return before, here, stream.see(*here, frames=frames, settings=settings)


def test_who_changed_places_unseen_is_known_again():
    before, (anne, _), found = changed_places(Stream(recognizes=True))
    assert is_on(before.target, LEFT)
    assert is_on(found.target, anne)
    assert found.target.track_id == before.target.track_id
    _, (anne, _), found = changed_places(Stream())
    assert not is_on(found.target, anne)  # by places alone they are mixed up


def test_everybody_who_changed_places_has_their_own_track_and_face_again():
    each_their_own = replace(SETTINGS, who=Who.KNOWN, person_1="*", person_2="*", face_2="another")
    stream = Stream(recognizes=True)
    before, (anne, ben), found = changed_places(stream, each_their_own, frames=4)
    was = {face.track_id: (is_on(face, LEFT), face.slot) for face in before.targets}
    now = {face.track_id: (is_on(face, anne), face.slot) for face in found.targets}
    assert len(now) == 2
    assert now == was
    assert all(is_on(face, anne) or is_on(face, ben) for face in found.targets)


def test_after_passing_before_each_other_the_swap_is_on_the_same_person():
    stream = Stream(recognizes=True)
    first = stream.see(ANNE, BEN, frames=LOW).target
    for x in range(230, 84, -10):
        stream.see(ANNE, replace(BEN, x=x))
    stream.see(replace(BEN, x=84), frames=2)
    for step in range(1, 9):
        anne = replace(ANNE, x=84 + 16 * step)
        found = stream.see(anne, replace(BEN, x=84 - 3 * step))
    assert is_on(found.target, anne)
    assert found.target.track_id == first.track_id


def test_who_comes_back_elsewhere_is_the_target_again():
    stream = Stream(recognizes=True)
    first = stream.see(ANNE, BEN, frames=LOW).target
    stream.see(BEN, frames=10)
    there = replace(ANNE, x=60, y=190, side=40)
    found = stream.see(there, BEN, frames=6)
    assert is_on(found.target, there)
    assert found.target.track_id == first.track_id


def test_who_comes_back_after_long_is_chosen_before_others():
    stream = Stream(recognizes=True)
    stream.see(ANNE, frames=LOW)
    stream.see(frames=60)
    larger = replace(BEN, side=90)
    assert is_on(stream.see(larger, ANNE, frames=6).target, ANNE)


def test_after_a_cut_the_same_person_is_swapped():
    stream = Stream(recognizes=True)
    stream.see(ANNE, frames=LOW)
    elsewhere, larger = replace(ANNE, x=250, side=40), replace(BEN, x=90, side=90)
    assert is_on(stream.see(elsewhere, larger, seed=1).target, elsewhere)
    plain = Stream()
    plain.see(ANNE, frames=LOW)
    assert is_on(plain.see(elsewhere, larger, seed=1).target, larger)  # the network makes the difference


def test_somebody_else_in_the_same_place_does_not_take_the_swap():
    stream = Stream(recognizes=True)
    stream.see(ANNE, frames=LOW)
    stream.see(frames=5)
    found = stream.see(replace(BEN, x=ANNE.x, y=ANNE.y, side=ANNE.side))
    assert found.target is None
    assert len(found.others) >= 1
    assert stream.see(replace(BEN, x=ANNE.x, y=ANNE.y, side=ANNE.side), frames=40).target is not None


def test_one_face_is_looked_at_in_a_frame_and_none_for_long_when_nothing_happens():
    stream = Stream(recognizes=True)
    stream.see(ANNE, BEN, frames=2)
    for _ in range(40):
        before = len(stream.recognizer.looks)
        stream.see(ANNE, BEN)
        assert len(stream.recognizer.looks) - before <= 1
    settled = len(stream.recognizer.looks)
    assert settled <= 2 * 3
    stream.see(ANNE, BEN, frames=90)
    assert len(stream.recognizer.looks) == settled


def test_on_a_slow_camera_nobody_is_looked_at_more_often(monkeypatch):
    import painted

    monkeypatch.setattr(painted, "FRAME_NS", 125_000_000)
    stream = Stream(recognizes=True)
    stream.see(ANNE, BEN, frames=20)
    settled = len(stream.recognizer.looks)
    stream.see(ANNE, BEN, frames=20)
    assert len(stream.recognizer.looks) == settled


def test_after_a_change_of_networks_old_numbers_are_not_compared():
    stream, other = Stream(recognizes=True), Stream(recognizes=True)
    first = stream.see(ANNE, BEN, frames=LOW).target
    other.finder._identities._roster.network = "another"
    other.recognizer.embedding = lambda picture, kps: np.ones(512, np.float32)
    other.finder.adopt(stream.finder)
    other.now_ns = stream.now_ns
    assert other.see(ANNE, BEN, frames=LOW).target.track_id == first.track_id
    assert is_on(other.see(replace(ANNE, x=250), frames=6, seed=1).target, replace(ANNE, x=250))


def test_numbers_of_another_length_are_nobodys(home):
    people.enroll("Anne", "painted", [1.0, 0.0])
    found = Stream(recognizes=True).see(
        ANNE, frames=3, settings=Settings(smoothing=0, who=Who.KNOWN, person_1="*")
    )
    assert found.target.person == ""


def test_a_look_that_fails_changes_nothing(monkeypatch):
    stream = Stream(recognizes=True)

    def fail(picture, kps):
        raise ModelError("no numbers")

    monkeypatch.setattr(stream.recognizer, "embedding", fail)
    found = stream.see(ANNE, BEN, frames=5)
    assert is_on(found.target, ANNE)


def test_tiny_faces_are_not_looked_at():
    stream = Stream(640, 240, recognizes=True)
    stream.see(Person(40, 550, 170, 20), frames=5)
    assert stream.recognizer.looks == []


def test_a_face_turned_away_is_not_looked_at():
    from obs_faceswap.engine.crop.align import CANONICAL_FACE
    from obs_faceswap.engine.find.identity import is_turned

    for degrees, turned in ((0, False), (20, False), (50, True), (-50, True), (90, True)):
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        x = CANONICAL_FACE[:, 0] * cos + CANONICAL_FACE[:, 2] * sin
        points = np.column_stack([x, -CANONICAL_FACE[:, 1]]).astype(np.float32) * 10
        assert is_turned(points) is turned
