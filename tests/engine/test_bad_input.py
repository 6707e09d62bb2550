"""Faces and frames as no camera should give them, through the whole engine."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from bad_input import VALUES, WORN, Engine, Late, checked, guarded_frame
from engine.find.test_hands import hand_network, palms
from fake_engine import FakeFinder, FakeSwapper, face_at, networks_of
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from obs_faceswap.engine.crop.front import Front
from obs_faceswap.engine.crop.occluders import HandsBefore
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.views import views_of
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import (
    AlignMode,
    Blending,
    CameraFit,
    ColorTransfer,
    Cover,
    FaceType,
    Settings,
    Who,
)
from obs_faceswap.engine.types import ColorSpace, Shown


def few(examples):
    return profile(max_examples=examples, derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def worn():
    return {kind: make() for kind, make in WORN.items()}


KINDS = st.sampled_from(list(WORN))

ANY_SETTINGS = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from(values) for key, values in VALUES.items() if len(values) > 1}
).map(lambda chosen: Settings(**chosen))

# --- faces ---

HOW = {
    "as it is": lambda x, y: (x, y),
    "in one place": lambda x, y: (x * 0 + x[0], y * 0 + y[0]),
    "in a line": lambda x, y: (x, x),
    "in a level line": lambda x, y: (x, y * 0 + y[0]),
    "mirrored": lambda x, y: (-x, y),
    "hanging": lambda x, y: (x, -y),
    "no numbers": lambda x, y: (x * np.nan, y),
    "one no number": lambda x, y: (np.where(np.arange(468) == 7, np.nan, x), y),
    "one far away": lambda x, y: (x, np.where(np.arange(468) == 200, 1e9, y)),
    "in any order": lambda x, y: (np.roll(x, 100), y),
}  # fmt: skip


@dataclass(frozen=True)
class BadFace:
    """What to make of a face of 90 pixels before it is made as high as told and put somewhere."""

    how: str
    height: float
    x: float
    y: float
    depth: float
    track_id: int

    @property
    def face(self):
        good = face_at(0, 0, 90, self.track_id)
        with np.errstate(all="ignore"):
            points = np.stack(HOW[self.how](*good.landmarks.T), axis=1) * (self.height / 90) + (
                self.x,
                self.y,
            )
            return replace(
                good, landmarks=points.astype(np.float32), depth=(good.depth * self.depth).astype(np.float32)
            )


PLACES = st.one_of(
    st.integers(-200, 600).map(float), st.sampled_from([1e4, -1e4, 1e9, -1e9, 1e30, np.nan, np.inf])
)
BAD_FACES = st.builds(
    BadFace, st.sampled_from(list(HOW)), st.sampled_from([90.0, 0.0, 1.0, 3.0, 20.0, 250.0, 2e3, 1e5, 1e30]),
    PLACES, PLACES, st.sampled_from([1.0, 0.0, -1.0, 1e9, np.nan]), st.integers(1, 3),
)  # fmt: skip


def engine_of(worn, *found, occluder=None):
    return Pipeline(networks_of(FakeFinder(*found)), worn, Front(occluder))


GIANT = BadFace("as it is", 1e5, -134, 396, 1, 3)  # and its crop would be sharpened with a kernel as large
NOWHERE = BadFace("as it is", 90, np.inf, 25, 1, 2)


@few(30)
@given(
    KINDS, st.lists(st.lists(BAD_FACES, min_size=1, max_size=3), min_size=2, max_size=2),
    st.lists(BAD_FACES, max_size=2), st.booleans(), ANY_SETTINGS,
)  # fmt: skip
@example("dfm", [[GIANT]], [], False, Settings(sharpen=10))
@example("dfm", [[NOWHERE]], [], False, Settings(align_mode=AlignMode.BOX))
@example("dfm", [[NOWHERE]], [], False, Settings(face_type=FaceType.HEAD))
@example("photo", [[BadFace("as it is", 1e30, 421, 75, 1, 1)]], [], True, Settings())
@example("one photo", [[GIANT, NOWHERE]], [GIANT, NOWHERE], False, Settings())
def test_faces_of_any_shape_end_in_a_valid_frame(worn, kind, scenes, others, is_late, settings):
    hands, lost = HandsBefore(palms((96, 80)), hand_network()), [bad.face for bad in others]
    people = [[bad.face for bad in scene] for scene in scenes]
    found = [Found(one, lost, tuple(more), tuple(lost[1:])) for one, *more in people]
    engine = engine_of(worn[kind], *found, occluder=hands)
    pipeline = Late(engine) if is_late else engine
    for number, targets in enumerate(people):
        frame, buffers = guarded_frame((320, 240), number=number)
        checked(pipeline, frame, buffers, settings, targets, is_opaque=False)


# --- frames ---

SIZES = [(1, 1), (2, 2), (1, 9), (9, 1), (3, 5), (33, 17), (16, 8192), (8192, 16)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_frame_of_any_size_and_format_stays_one(worn, size):
    for number, pixel_format in enumerate(PixelFormat):
        engine = Engine(worn["photo"].swapper, size=size)
        engine.faces = [face_at(size[0] / 2, size[1] / 2, max(size) / 3)]
        settings = Settings(cover=list(Cover)[number % len(Cover)])
        for flip in (False, True):
            result = engine.show(settings, pixel_format=pixel_format, flip=flip)
            assert result.fault is None
            assert result.notice or result.shown is Shown.SWAPPED


def test_a_face_is_swapped_in_an_8k_frame_and_its_loss_is_covered(worn):
    engine = Engine(worn["dfm"].swapper, FaceKind.DFM, size=(7680, 4320))
    engine.faces = [face_at(3000, 2000, 900)]
    settings = Settings(cover=Cover.BLUR)
    assert engine.show(settings, pixel_format=PixelFormat.NV12).shown is Shown.SWAPPED
    engine.faces = [face_at(1e9, 1e9, 900)]
    assert engine.show(settings, pixel_format=PixelFormat.NV12).shown is Shown.COVERED


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("kind", ["dfm", "photo"])
def test_a_frame_of_one_color_is_a_frame(worn, kind, value):
    for number, transfer in enumerate(ColorTransfer):
        engine = Engine(worn[kind].swapper, worn[kind].kind)
        engine.faces = [face_at(150, 120)]
        settings = Settings(
            color_transfer=transfer, camera_match=CameraFit.AUTO, blending=list(Blending)[number % 2]
        )
        for pixel_format in (PixelFormat.Y800, PixelFormat.I420):
            result = engine.show(settings, is_opaque=False, pixel_format=pixel_format, value=value)
            assert result.fault is None


@pytest.mark.parametrize(("x", "y"), [(0, 120), (319, 120), (150, 8), (150, 232), (0, 8), (319, 232)])
def test_of_a_face_half_outside_the_half_inside_is_swapped(worn, x, y):
    for kind in WORN:
        engine = Engine(worn[kind].swapper, worn[kind].kind)
        engine.faces = [face_at(x, y, 110)]
        assert engine.show(Settings(color_transfer=ColorTransfer.NONE)).shown is Shown.SWAPPED
        assert engine.show(Settings()).fault is None


@pytest.mark.parametrize("matrix", [(1.0,) * 12, (1.0, 2.0), (np.nan,) * 12, (np.inf,) * 12], ids=str)
def test_a_color_matrix_that_is_none_is_told(worn, matrix):
    engine = engine_of(worn["dfm"], Found(face_at(150, 120), []))
    for settings in (Settings(cover=cover) for cover in Cover if cover is not Cover.ORIGINAL):
        frame, buffers = guarded_frame((320, 240), PixelFormat.NV12)
        frame.color = ColorSpace(matrix)
        result = checked(engine, frame, buffers, settings, [face_at(150, 120)])
        assert result.shown is Shown.COVERED
        assert "The source states a colour matrix that cannot be used" in result.notice


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_rows_may_be_longer_than_the_picture(worn, pixel_format):
    for cover in Cover:
        frame, _ = guarded_frame((50, 41), pixel_format)
        planes = [np.pad(plane, ((0, 0), (0, 5)), constant_values=7) for plane in frame.planes]
        frame.planes = tuple(planes)
        engine = engine_of(worn["dfm"], Found(face_at(25, 20, 20), []), Found(None, []))
        for _ in range(2):
            checked(engine, frame, [], Settings(cover=cover))
            assert all((plane[:, -5:] == 7).all() for plane in planes)


def test_a_strip_is_not_searched_in_hundreds_of_parts():
    assert len(views_of(8192, 16)) < 10
    assert len(views_of(90, 8192)) < 150


# --- many faces, and the finder that follows them ---

CROWD = [face_at(30 + 62 * (n % 10), 40 + 70 * (n // 10), 50, track_id=n) for n in range(50)]


ON_TOP = [face_at(100 + n, 100 + n / 2, 60) for n in range(50)]


@pytest.mark.parametrize(
    ("who", "people"),
    [
        (Who.CHOSEN, []), (Who.CHOSEN, CROWD), (Who.ALL, CROWD), (Who.CHOSEN, [CROWD[5]] * 50),
        (Who.ALL, ON_TOP),
    ],
    ids=["nobody", "one of fifty", "all fifty", "fifty times the same", "fifty on top of each other"],
)  # fmt: skip
def test_any_number_of_faces_is_swapped_or_covered(who, people):
    engine = Engine(FakeSwapper(), size=(640, 360))
    engine.faces = [CROWD[12]]
    settings = Settings(who=who, color_transfer=ColorTransfer.NONE)
    assert engine.show(settings).shown is Shown.SWAPPED
    engine.faces = people
    result = [engine.show(settings) for _ in range(16)][-1]  # a place is held for a second
    assert (result.shown is Shown.SWAPPED) == bool(people)
    engine.faces = [CROWD[12]]
    engine.shows(
        settings, 12, is_opaque=False
    )  # those who left stay covered where they were, for half a second
    assert engine.show(settings).shown is Shown.SWAPPED


@few(10)
@given(st.lists(st.lists(BAD_FACES, max_size=4), min_size=1, max_size=4), ANY_SETTINGS)
def test_the_finder_follows_faces_of_any_shape_or_none_and_recovers(worn, scenes, settings):
    engine = Engine(worn["dfm"].swapper, worn["dfm"].kind)
    for scene in scenes:
        engine.faces = [bad.face for bad in scene]
        engine.show(settings, is_opaque=False)
    engine.faces = [face_at(150, 120)]
    assert Shown.SWAPPED in engine.shows(Settings(), 12, is_opaque=False)
