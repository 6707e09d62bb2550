"""Enrolled people, several swaps in one frame, and who gets which swapper."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_engine import FakeFinder, FakeSwapper, face_at, frame_of, networks_of, painted
from stream_engine import StreamEngine

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import FaceError, ModelError, PeopleError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find import assignment, people
from obs_faceswap.engine.find.enroll import Enroller
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.worker import Worker
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import CameraFit, ColorTransfer, Cover, OtherFaces, Settings, Who
from obs_faceswap.engine.types import Shown
from obs_faceswap.engine.wardrobe import Wardrobe
from obs_faceswap.engine.wear import Worn

PLAIN = Settings(color_transfer=ColorTransfer.NONE, camera_match=CameraFit.OFF)
LEFT, RIGHT = face_at(80, 120), face_at(230, 120, track_id=2)
BOTH = Found(LEFT, [], (RIGHT,))
ANNE, BEN = (3.0, 4.0, 0.0), (0.0, 0.0, 2.0)


# --- the store ---


def test_an_enrolled_person_is_there_again(home):
    people.enroll("Anne", "net", ANNE)
    people.enroll("ben", "net", BEN)
    assert people.names() == ["Anne", "ben"]
    anne, ben = people.enrolled()
    assert anne.embedding == pytest.approx((0.6, 0.8, 0.0))
    assert (ben.name, ben.network, ben.looks) == ("ben", "net", 1)


def test_nothing_but_the_numbers_is_kept_and_only_the_user_may_read_them(home):
    people.enroll("Anne", "net", ANNE)
    (file,) = (home / "data" / "people").iterdir()
    held = json.loads(file.read_text())
    assert set(held) == {"name", "network", "embedding", "looks"}
    assert len(held["embedding"]) == 3
    if file.stat().st_mode & 0o400:
        assert file.stat().st_mode & 0o077 == 0


def test_another_look_makes_the_mean(home):
    people.enroll("Anne", "net", (1.0, 0.0))
    person = people.enroll("Anne", "net", (0.0, 5.0))
    assert person.looks == 2
    assert person.embedding == pytest.approx((0.5**0.5, 0.5**0.5))
    assert len(people.names()) == 1


def test_people_of_two_networks_are_not_mixed(home):
    people.enroll("Anne", "net", ANNE)
    with pytest.raises(PeopleError, match="another recognition network"):
        people.enroll("Anne", "other", ANNE)


@pytest.mark.parametrize("name", ["", " ", ".hidden", "a/b", "a\\b", " Anne", "a\nb", "a:b"])
def test_a_name_that_is_no_file_name_is_refused(home, name):
    with pytest.raises(PeopleError, match="cannot be a person"):
        people.enroll(name, "net", ANNE)
    assert people.names() == []


def test_rename_and_remove(home):
    people.enroll("Anne", "net", ANNE)
    people.enroll("Ben", "net", BEN)
    people.rename("Anne", "Änne")
    assert people.names() == ["Ben", "Änne"]
    with pytest.raises(PeopleError, match="already"):
        people.rename("Ben", "Änne")
    people.remove("Ben")
    assert [person.name for person in people.enrolled()] == ["Änne"]
    for act in (lambda: people.remove("Ben"), lambda: people.rename("Ben", "B")):
        with pytest.raises(PeopleError, match=r"Nobody is enrolled as “Ben”\. Known are: Änne"):
            act()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"network": "net", "looks": 1, "embedding": ["x"]}',
                '{"network": "net", "looks": 1, "embedding": [0, 0]}',
                '{"network": "net", "looks": 1, "embedding": [NaN, 1]}'],
)  # fmt: skip
def test_a_broken_file_is_nobody(home, content):
    people.enroll("Anne", "net", ANNE)
    (home / "data" / "people" / "Ben.json").write_text(content)
    assert [person.name for person in people.enrolled()] == ["Anne"]


def test_a_new_person_gets_a_free_name(home):
    assert people.free_name() == "Person 1"
    people.enroll("person 1", "net", ANNE)
    assert people.free_name() == "Person 2"


# --- enrolling from the live picture ---


class Network:
    def __init__(self, answer=ANNE):
        self.answer = answer

    def embedding(self, picture, kps):
        if isinstance(self.answer, Exception):
            raise self.answer
        return np.array(self.answer, np.float32)


def asked(network, face, name=""):
    enroller = Enroller(network, "net")
    picture = Picture.of(np.zeros((240, 320, 3), np.uint8))
    enroller.step(picture, face, name, 0)
    assert people.names() == []  # nobody asked yet
    enroller.ask()
    enroller.step(picture, face, name, 10)
    return enroller


def test_who_is_swapped_is_enrolled_once_by_the_given_name(home):
    enroller = asked(Network(), LEFT, " Anne ")
    assert people.enrolled()[0].embedding == pytest.approx((0.6, 0.8, 0.0))
    assert "Enrolled “Anne”" in enroller.news(10)
    assert enroller.news(60_000_000_000) == ""
    enroller.step(Picture.of(np.zeros((240, 320, 3), np.uint8)), RIGHT, "Ben", 20)
    assert people.names() == ["Anne"]


@pytest.mark.parametrize(
    ("network", "face", "said"),
    [
        (None, LEFT, "No recognition network is installed"),
        (Network(), None, "Nobody is swapped"),
        (Network(ModelError("no numbers")), LEFT, "no numbers"),
        (Network(), replace(LEFT, landmarks=LEFT.landmarks * (0.01, 1) + (50, 0)), None),
    ],
)
def test_what_cannot_be_enrolled_is_said(home, network, face, said):
    if said is None:  # the nose's tip lies beside the eyes, as in a profile
        points = LEFT.landmarks.copy()
        points[1] += (40, 0)
        face, said = replace(LEFT, landmarks=points), "turned too far away"
    assert said in asked(network, face).news(10)
    assert people.names() == []


def test_the_button_enrolls_the_first_face_of_the_next_frame(home):
    networks = networks_of(FakeFinder(BOTH))
    networks.enroller = Enroller(Network(), "net")
    engine = Pipeline(networks, Worn(FakeSwapper(), FaceKind.PHOTO))
    engine.process(frame_of(0), PLAIN)
    engine.enroll()
    result = engine.process(frame_of(1), replace(PLAIN, person_name="Anne"))
    assert people.names() == ["Anne"]
    assert "Enrolled “Anne”" in result.notice


def test_a_filter_without_an_engine_enrolls_nobody_and_one_with_it_tells_it(home):
    worker = Worker(Exchange(), PLAIN, load=lambda settings, running: StreamEngine())
    worker.enroll()
    while worker._engine is None:
        worker.step()
    assert not hasattr(worker._engine, "enrolled")
    worker.enroll()
    assert worker._engine.enrolled


# --- the table ---


def test_the_rows_that_are_used():
    settings = Settings(who="known", person_1="Anne", face_2="unused", person_3="*", face_3="ben")
    assert [(slot.number, slot.person, slot.face) for slot in assignment.slots_of(settings)] == [
        (1, "Anne", ""), (3, "*", "ben"),
    ]  # fmt: skip
    for who in (Who.CHOSEN, Who.ALL):
        assert assignment.slots_of(replace(settings, who=who)) == ()


def test_a_row_wears_its_own_face_or_the_one_above():
    settings = Settings(face_file="above.png", who="known", person_1="*", person_2="*", face_2="ben")
    worn = [assignment.wearing(settings, slot) for slot in assignment.slots_of(settings)]
    assert [(each.face, each.face_file) for each in worn] == [("", "above.png"), ("ben", "")]


# --- several swaps in one frame ---


class Painter(FakeSwapper):
    """Paints in a color; makes others for other people."""

    def __init__(self, color=(200, 40, 40), made=None):
        super().__init__()
        self.color, self.made, self.tracks = color, made if made is not None else [self], []

    def another(self):
        self.made.append(Painter(self.color, self.made))
        return self.made[-1]

    def swap(self, aligned):
        self.tracks.append(aligned.face.track_id)
        if isinstance(self.swapped, Exception) and self.swapped.args[0] in ("all", aligned.face.track_id):
            raise self.swapped
        size = aligned.crop.shape[0]
        return replace(painted(size), crop=np.full((size, size, 3), self.color, np.uint8))


def engine_of(*found, swapper=None, more=None):
    worn = Worn(swapper or Painter(), FaceKind.PHOTO)
    others = {slot: Worn(other, FaceKind.PHOTO) for slot, other in (more or {}).items()}
    return Pipeline(networks_of(FakeFinder(*found)), worn, more=others)


def at(frame, face):
    x, y = np.round(face.landmarks.mean(axis=0)).astype(int)
    return frame.planes[0].reshape(frame.height, frame.width, 3)[y, x]


def is_blue(frame, face, color=(200, 40, 40)):
    return np.allclose(at(frame, face), color, atol=1)


def bareness(frame, face, reference):
    """How much of the frame's own detail is left around a face's middle."""
    x, y = np.round(face.landmarks.mean(axis=0)).astype(int)
    here = np.s_[y - 15 : y + 15, x - 15 : x + 15]
    now, before = (f.planes[0].reshape(240, 320, 3)[here].astype(float) for f in (frame, reference))
    return float(np.corrcoef(now.ravel(), before.ravel())[0, 1]) if now.std() > 0 else 0.0


def test_all_targets_are_swapped_in_one_frame():
    frame = frame_of()
    result = engine_of(BOTH).process(frame, PLAIN)
    assert (result.shown, result.notice) == (Shown.SWAPPED, "")
    assert result.faces == [LEFT, RIGHT]
    assert is_blue(frame, LEFT)
    assert is_blue(frame, RIGHT)


def test_one_that_fails_is_covered_while_the_others_are_shown():
    swapper = Painter()
    swapper.swapped = ModelError(2)
    swapper.another = lambda: swapper
    frame = frame_of()
    result = engine_of(BOTH, swapper=swapper).process(frame, PLAIN)
    assert result.shown is Shown.SWAPPED
    assert isinstance(result.fault, ModelError)
    assert result.notice
    assert is_blue(frame, LEFT)
    assert not is_blue(frame, RIGHT)
    assert bareness(frame, RIGHT, frame_of()) < 0.2


def test_when_all_fail_the_policy_covers_the_frame():
    swapper = Painter()
    swapper.swapped = ModelError("all")
    swapper.another = lambda: swapper
    assert engine_of(BOTH, swapper=swapper).process(frame_of(), PLAIN).shown is Shown.COVERED


@pytest.mark.parametrize(
    "points", [RIGHT.landmarks * 0 + RIGHT.landmarks.mean(axis=0), RIGHT.landmarks * np.nan]
)
def test_with_a_face_that_is_nowhere_the_whole_frame_is_covered(points):
    frame = frame_of()
    result = engine_of(Found(LEFT, [], (replace(RIGHT, landmarks=points),))).process(frame, PLAIN)
    assert result.shown is Shown.COVERED
    assert bareness(frame, LEFT, frame_of()) < 0.2
    assert bareness(frame, RIGHT, frame_of()) < 0.2


def test_under_show_original_one_that_fails_stays_as_it_is():
    swapper = Painter()
    swapper.swapped = ModelError(2)
    swapper.another = lambda: swapper
    frame = frame_of()
    engine_of(BOTH, swapper=swapper).process(frame, replace(PLAIN, cover=Cover.ORIGINAL))
    assert is_blue(frame, LEFT)
    assert bareness(frame, RIGHT, frame_of()) > 0.99


@pytest.mark.parametrize(("cover", "hidden"), [(Cover.FREEZE_BLUR, True), (Cover.ORIGINAL, False)])
def test_who_is_lost_is_covered_where_they_were_while_others_are_shown(cover, hidden):
    frame = frame_of()
    settings = replace(PLAIN, cover=cover, other_faces=OtherFaces.LEAVE)
    result = engine_of(Found(LEFT, [RIGHT], (), (RIGHT,))).process(frame, settings)
    assert result.shown is Shown.SWAPPED
    assert is_blue(frame, LEFT)
    assert (bareness(frame, RIGHT, frame_of()) < 0.2) is hidden


def test_each_wears_the_face_of_their_row():
    frame, second = frame_of(), Painter((10, 220, 10))
    found = Found(replace(LEFT, slot=1), [], (replace(RIGHT, slot=2),))
    engine_of(found, more={2: second}).process(frame, PLAIN)
    assert is_blue(frame, LEFT)
    assert is_blue(frame, RIGHT, (10, 220, 10))
    assert second.tracks == [2]


def test_what_a_swapper_learns_of_a_person_it_learns_of_one():
    swapper = Painter()
    engine = engine_of(BOTH, Found(RIGHT, [], (LEFT,)), Found(RIGHT, []), BOTH, swapper=swapper)
    for number in range(6):
        engine.process(frame_of(number), PLAIN)
    assert len(swapper.made) == 2
    assert [set(each.tracks) for each in swapper.made] == [{1}, {2}]
    assert all(each.updates == [PLAIN] for each in swapper.made)


def test_one_face_after_another_wears_the_same_swapper():
    swapper = Painter()
    other = replace(LEFT, track_id=7)
    engine = engine_of(Found(LEFT, []), Found(other, []), swapper=swapper)
    for number in range(3):
        engine.process(frame_of(number), PLAIN)
    assert swapper.made == [swapper]
    assert swapper.tracks == [1, 7, 7]


def test_a_swap_of_an_earlier_frame_is_moved_for_each_by_their_own_track():
    moved = Found(face_at(90, 130), [], (face_at(220, 110, track_id=2),))
    engine = engine_of(BOTH, moved)
    swap = engine.swap(engine.begin(frame_of(0), PLAIN))
    frame = frame_of(1)
    result = engine.finish(frame, engine.begin(frame, PLAIN), swap)
    assert (result.shown, result.notice) == (Shown.SWAPPED, "")
    assert is_blue(frame, moved.targets[0])
    assert is_blue(frame, moved.targets[1])


def test_a_newcomer_is_covered_until_there_is_a_swap_of_them():
    engine = engine_of(Found(LEFT, []), BOTH)
    swap = engine.swap(engine.begin(frame_of(0), PLAIN))
    frame = frame_of(1)
    result = engine.finish(frame, engine.begin(frame, PLAIN), swap)
    assert result.shown is Shown.SWAPPED
    assert "No swap" in result.notice
    assert bareness(frame, RIGHT, frame_of(1)) < 0.2


def test_a_swap_of_another_face_is_not_moved_to_somebody_who_changed():
    engine = engine_of(Found(replace(LEFT, slot=1), []), Found(replace(LEFT, slot=2), []))
    swap = engine.swap(engine.begin(frame_of(0), PLAIN))
    frame = frame_of(1)
    assert engine.finish(frame, engine.begin(frame, PLAIN), swap).shown is Shown.COVERED


def test_the_colors_of_two_people_are_matched_each_by_their_own():
    both, alone = frame_of(), frame_of()
    dark = both.planes[0].reshape(240, 320, 3)
    dark[:, 160:] //= 3
    alone.planes[0][:] = both.planes[0]
    settings = replace(PLAIN, color_transfer=ColorTransfer.RCT)
    engine = engine_of(BOTH)
    engine.process(both, settings)
    engine_of(Found(RIGHT, [])).process(alone, settings)
    assert np.abs(at(both, RIGHT).astype(int) - at(alone, RIGHT)).max() <= 2
    assert at(both, LEFT).mean() > 1.5 * at(both, RIGHT).mean()


def test_a_whole_picture_that_moves_follows_one_person():
    class Whole(Painter):
        fills_frame = True

    swapper, frame = Whole(), frame_of()
    result = engine_of(BOTH, swapper=swapper).process(frame, PLAIN)
    assert (result.shown, swapper.tracks) == (Shown.SWAPPED, [1])
    assert is_blue(frame, RIGHT)


def test_a_wardrobe_closes_each_face_once_and_tells_of_all():
    class Held:
        provider, notice, to_improve, closed = "cpu", "slow", None, 0

        def close(self):
            self.closed += 1

    sessions = [Held(), Held()]
    first, second = (Worn(Painter(), FaceKind.DFM, session, "odd") for session in sessions)
    wardrobe = Wardrobe(first, {1: first, 2: second})
    assert wardrobe.notice == "slow odd"
    assert wardrobe.of(replace(LEFT, slot=3)) is first
    wardrobe.close()
    assert [session.closed for session in sessions] == [1, 1]


def test_a_load_whose_second_face_fails_leaves_nothing_open(home, monkeypatch, tmp_path):
    from obs_faceswap.engine import pipeline

    closed = []

    def wear(settings, models_from, at_once):
        if settings.face == "gone":
            raise FaceError("There is no face “gone”.")
        worn = Worn(FakeSwapper(), FaceKind.PHOTO)
        monkeypatch.setattr(Worn, "close", lambda self: closed.append(self))
        return worn

    monkeypatch.setattr(pipeline, "wear", wear)
    with pytest.raises(FaceError, match="gone"):
        pipeline.load(Settings(face="here", who="known", person_1="*", face_1="gone"))
    assert len(closed) == 1
