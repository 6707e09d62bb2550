"""The debug view: what it draws, in every format, and that nothing of a hidden face comes out with it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fake_engine import (
    NOBODY,
    OTHER,
    SEEN,
    TARGET,
    FakeSwapper,
    face_at,
    frame_of,
    painted,
    pipeline_of,
)

from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.errors import ModelError
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.policy import GOOD_FRAMES
from obs_faceswap.engine.finish.sketch import Lettering, Sketch
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.settings import CameraFit, ColorTransfer, Cover, DebugView, Settings
from obs_faceswap.engine.steps import Stage
from obs_faceswap.engine.types import Shown, Warp

OFF = Settings(color_transfer=ColorTransfer.NONE, camera_match=CameraFit.OFF)
ON = replace(OFF, debug_view=DebugView.PREVIEW)
BOX = np.array([(200, 50), (260, 130)], np.float32)
SIZES = [(320, 180), (180, 320), (640, 480), (1920, 1080), (3840, 2160)]


def swapped(*found, settings=ON, frame=None, swapper=None):
    """A frame and what became of it."""
    frame = frame if frame is not None else frame_of()
    result = pipeline_of(*(found or (SEEN,)), swapper=swapper).process(frame, settings)
    return pixels.to_bgr(frame), result


def in_size(width, height):
    """The stand-ins' frame and face at another size."""
    scale = min(width / 320, height / 240)
    face = face_at(90 * width / 320, 120 * height / 240, 90 * scale)
    plain = frame_of(pixel_format=PixelFormat.I420, size=(width, height))
    for plane in plain.planes:
        plane[:] = 128
    return plain, Found(face, [])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_it_draws_in_every_format(pixel_format, flip):
    frames = [frame_of(pixel_format=pixel_format) for _ in range(2)]
    for frame in frames:
        frame.flip = flip
    plain, _ = swapped(frame=frames[0], settings=OFF)
    drawn, result = swapped(frame=frames[1])
    assert result.shown is Shown.SWAPPED
    changed = (plain != drawn).any(axis=2)
    assert changed[120:130, 10:300].any()  # the face's box
    assert changed[120:190, 200:315].any()  # the text
    assert changed[-10:, 5:100].any()  # the pictures
    assert not changed[:60, 250:].any()


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_what_is_not_drawn_on_keeps_its_bytes(pixel_format):
    frame = frame_of(pixel_format=pixel_format)
    before = [plane.copy() for plane in frame.planes]
    sketch = Sketch(frame, (10, 20, 90, 80))
    sketch.bar((30, 40, 50, 60), (255, 255, 255))
    sketch.put()
    kept = [pixels.to_bgr(replace(frame, planes=tuple(planes))) for planes in (before, frame.planes)]
    changed = (kept[0] != kept[1]).any(axis=2)
    assert changed[40:60, 30:50].all()
    assert changed.sum() == 400


def test_switched_off_again_it_changes_no_byte_and_times_nothing():
    engine, other = pipeline_of(SEEN), pipeline_of(SEEN)
    for number in range(3):
        engine.process(frame_of(number), ON)
    frames = [frame_of(3), frame_of(3)]
    other.process(frame_of(2), OFF)
    results = [one.process(frame, OFF) for one, frame in zip((engine, other), frames, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(frames[0].planes, frames[1].planes, strict=True))
    assert Stage.DEBUG_VIEW not in results[0].stages_ms


def test_it_is_timed_like_every_stage():
    _, result = swapped()
    assert result.stages_ms[Stage.DEBUG_VIEW] > 0


def test_the_frozen_picture_is_kept_without_it():
    engine = pipeline_of(SEEN, NOBODY)
    plain, shown, frozen = frame_of(0), frame_of(0), frame_of(1)
    pipeline_of(SEEN).process(plain, OFF)
    engine.process(shown, ON)
    assert engine.process(frozen, OFF).shown is Shown.FROZEN
    assert np.array_equal(frozen.planes[0], plain.planes[0])


# What of the live face it shows.


def marked(color=(10, 250, 20)):
    """A frame with a live face of one color."""
    frame = frame_of()
    low, high = (
        (TARGET.landmarks.min(axis=0) - 20).astype(int),
        (TARGET.landmarks.max(axis=0) + 20).astype(int),
    )
    frame.planes[0].reshape(240, 320, 3)[low[1] : high[1], low[0] : high[0]] = color
    return frame


def of_live(picture, color=(10, 250, 20)):
    """How many pixels have the live face's color, or nearly."""
    return int((np.abs(picture.astype(int) - color).max(axis=2) < 40).sum())


class Transparent(FakeSwapper):
    """Leaves the live picture in its crop where its alpha shows nothing, as photo faces do."""

    is_upright = False

    def swap(self, aligned):
        size = aligned.warp.size
        crop, alpha = aligned.crop.copy(), np.zeros((size, size), np.float32)
        there = np.s_[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4]
        crop[there], alpha[there] = (200, 40, 40), 1
        return replace(painted(size), crop=crop, alpha=alpha)


@pytest.mark.parametrize("cover", [cover for cover in Cover if cover is not Cover.ORIGINAL])
@pytest.mark.parametrize("found", [SEEN, NOBODY, Found(None, [TARGET]), Found(TARGET, [OTHER])])
@pytest.mark.parametrize("trouble", [None, ModelError("It failed."), "bare", "transparent"])
def test_it_shows_no_more_of_the_live_face_than_the_frame_without_it(cover, found, trouble):
    swapper = Transparent() if trouble == "transparent" else FakeSwapper()
    if isinstance(trouble, Exception):
        swapper.swapped = trouble
    elif trouble == "bare":  # the mask hides too little, and what was made is the live picture
        swapper.swap = lambda aligned: replace(
            painted(128), crop=aligned.crop, mask=np.eye(128, dtype=np.float32)
        )
    plain, _ = swapped(found, settings=replace(OFF, cover=cover), frame=marked(), swapper=swapper)
    drawn, _ = swapped(found, settings=replace(ON, cover=cover), frame=marked(), swapper=swapper)
    strip = drawn[-48:]
    assert of_live(strip[:, : 5 * 48]) <= of_live(plain) // 6  # of the merged picture, smaller than the frame


def test_a_swap_that_is_not_shown_yet_is_in_no_picture():
    swapper = FakeSwapper()
    swapper.swap = lambda aligned: replace(painted(128), crop=aligned.crop)  # it is the live picture
    hidden = replace(ON, cover=Cover.HIDE)
    engine = pipeline_of(NOBODY, SEEN, swapper=swapper)
    assert engine.process(frame_of(), hidden).shown is Shown.COVERED
    frame = marked()
    assert engine.process(frame, hidden).shown is Shown.COVERED
    assert of_live(pixels.to_bgr(frame)) == 0
    for _ in range(GOOD_FRAMES):
        frame = marked()
        last = engine.process(frame, hidden).shown
    assert last is Shown.SWAPPED
    assert of_live(pixels.to_bgr(frame)[-40:, 40:80]) > 100


def test_the_live_crop_is_shown_where_the_user_shows_the_original():
    shown, _ = swapped(settings=replace(ON, cover=Cover.ORIGINAL), frame=marked())
    hidden, _ = swapped(settings=ON, frame=marked())
    assert of_live(shown[-40:, :40]) > 200
    assert of_live(hidden[-40:, :40]) == 0


# What it says.


class Written(list):
    """What was written, with its place, and how wide its picture is."""


@pytest.fixture
def written(monkeypatch):
    told, write = Written(), Lettering.write

    def noted(self, picture, text, left, top, color):
        told.append((text, left, left + self.width(text), top, top + self.line_px, picture.shape))
        write(self, picture, text, left, top, color)

    monkeypatch.setattr(Lettering, "write", noted)
    return told


def texts(written):
    return [text for text, *_ in written]


@pytest.mark.parametrize(
    ("found", "tuned", "expected"),
    [
        (SEEN, {}, ["#1: swapped", "detector 0.00   mesh 1.00   doubt 0.00", "Swapped"]),
        (Found(replace(TARGET, person="Zoë", score=0.91), []), {}, ["#1 Zoë: swapped", "detector 0.91"]),
        (Found(TARGET, [OTHER]), {}, ["#2: covered: not chosen"]),
        (Found(TARGET, [replace(OTHER, doubt=0.2)]), {}, ["#2: covered: no face for sure"]),
        (Found(TARGET, [OTHER]), {"other_faces": "leave"}, ["#2: left: not chosen"]),
        (Found(TARGET, [OTHER], lost=(OTHER,)), {}, ["#2: lost, looked for here"]),
        (Found(TARGET, [], unclear=(BOX,)), {}, ["covered: seen by the detector alone"]),
        (NOBODY, {}, ["Covered", "No face is seen."]),
        (NOBODY, {"cover": "original"}, ["Original"]),
    ],
)
def test_it_says_who_is_who_and_what_became_of_them(written, found, tuned, expected):
    frame = frame_of(size=(1280, 720), pixel_format=PixelFormat.NV12)
    swapped(found, frame=frame, settings=replace(ON, **tuned))
    for text in expected:
        assert any(line.startswith(text) for line in texts(written)), (text, texts(written))


def test_it_says_why_a_face_is_not_swapped(written):
    swapper = FakeSwapper()
    swapper.swapped = ModelError("The network failed.")
    swapped(frame=frame_of(size=(1280, 720)), swapper=swapper)
    assert "#1: not swapped: The network failed." in texts(written)
    assert "swapped" in texts(written)  # a picture's name: it is empty


def test_every_step_is_named_with_its_time(written):
    engine = pipeline_of(Found(TARGET, [OTHER]))
    for number in range(2):
        written.clear()
        engine.process(frame_of(number, size=(1280, 720)), ON)
    timed = {name for name, number in pairwise(texts(written)) if number.replace(".", "").isdigit()}
    assert {"swap", "debug view"} <= timed


@pytest.mark.parametrize("size", SIZES)
def test_all_text_fits_its_frame(written, size):
    frame, found = in_size(*size)
    swapped(found, frame=frame)
    assert len(written) > 8
    for text, left, right, top, bottom, shape in written:
        assert 0 <= left < right <= shape[1], (text, left, right, shape)
        assert 0 <= top < bottom <= shape[0] + 2, (text, top, bottom, shape)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 31), (95, 400)])
def test_a_frame_that_is_too_small_to_read_is_left_alone(size):
    frames = [frame_of(size=size) for _ in range(2)]
    for frame, settings in zip(frames, (OFF, ON), strict=True):
        swapped(Found(face_at(4, 4, 8), []), frame=frame, settings=settings)
    assert np.array_equal(frames[0].planes[0], frames[1].planes[0])


@pytest.mark.parametrize(
    "place", [(-40, 60), (90, -30), (315, 235), (-500, -500), (1e9, 0), (float("nan"), 5)]
)
@pytest.mark.parametrize("height", [1, 90, 900])
def test_faces_anywhere_are_survived(place, height):
    frame = frame_of()
    found = Found(face_at(*place, height), [face_at(*place, height, track_id=2)])
    _, result = swapped(found, frame=frame)
    assert result.shown in tuple(Shown)


def test_text_is_cut_and_wrapped_to_its_width():
    lettering = Lettering(16)
    long = "The face is turned too far away, or lies outside the picture."
    assert lettering.fitting("short", 200) == "short"
    cut = lettering.fitting(long, 120)
    assert cut.endswith("…")
    assert lettering.width(cut) <= 120
    rows = lettering.wrapped(long, 160, 3)
    assert len(rows) == 3
    assert all(lettering.width(row) <= 160 for row in rows)
    assert lettering.wrapped(long, 2000, 3) == [long]
    assert lettering.fitting(long, 3) in ("", "…")


def test_a_swap_of_an_earlier_frame_tells_its_age(written):
    engine = pipeline_of(SEEN)
    swap = engine.swap(engine.begin(frame_of(0, size=(1280, 720)), ON))
    frame = frame_of(1, size=(1280, 720))
    assert engine.finish(frame, engine.begin(frame, ON), swap).shown is Shown.SWAPPED
    assert "#1: swapped, 100 ms ago" in texts(written)


def test_what_lies_before_a_face_is_red():
    seen = np.ones((64, 64), np.float32)
    seen[:, :32] = 0  # the left half of what follows
    warp = Warp(np.array([[1, 0, -58], [0, 1, -88]], np.float32), 64)
    engine = pipeline_of(SEEN)
    frames = []
    for visible in ({}, {1: Visible(seen, warp)}):
        frame = frame_of()
        begun = replace(engine.begin(frame, ON), visible=visible)
        engine.finish(frame, begun, engine.swap(begun))
        frames.append(pixels.to_bgr(frame).astype(int))
    plain, red = (frame[95:145, 62:86].reshape(-1, 3).mean(axis=0) for frame in frames)
    assert red[2] - red[0] > plain[2] - plain[0] + 60


def test_a_picture_that_takes_the_frame_s_place_has_no_landmarks(written):
    swapper = FakeSwapper()
    swapper.fills_frame = True
    _, result = swapped(frame=frame_of(size=(1280, 720)), swapper=swapper)
    assert result.shown is Shown.SWAPPED
    assert not any(text.startswith("#1") for text in texts(written))
    assert {"swapped", "merged"} <= set(texts(written))
