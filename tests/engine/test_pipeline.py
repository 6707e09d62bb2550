"""The story of a frame, with stand-ins for the networks: what is changed, what is shown, what is said."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_engine import (
    FRAME_NS,
    NOBODY,
    OTHER,
    SEEN,
    TARGET,
    FakeFinder,
    FakeSwapper,
    face_at,
    frame_of,
    networks_of,
    painted,
    pipeline_of,
)

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.crop import front
from obs_faceswap.engine.errors import FaceError, FaceUnseenError, ModelError, ProviderError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find import networks
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.finish.policy import GOOD_FRAMES
from obs_faceswap.engine.formats import LAYOUTS, PixelFormat
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.live.pace import OLDEST_SWAP_NS
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import CameraFit, ColorTransfer, Cover, Keep, OtherFaces, Settings
from obs_faceswap.engine.steps import Stage
from obs_faceswap.engine.types import Frame, Result, Shown
from obs_faceswap.engine.wear import Worn

PLAIN = Settings(color_transfer=ColorTransfer.NONE, camera_match=CameraFit.OFF)


def copies(frame: Frame) -> list[np.ndarray]:
    return [plane.copy() for plane in frame.planes]


def same(frame: Frame, planes: list[np.ndarray]) -> bool:
    return all(np.array_equal(plane, kept) for plane, kept in zip(frame.planes, planes, strict=True))


def detail(frame: Frame) -> float:
    """How much the samples of the first plane differ from their neighbours."""
    return float(np.abs(np.diff(frame.planes[0].astype(int), axis=0)).mean())


def picture(frame: Frame) -> np.ndarray:
    return frame.planes[0].reshape(frame.height, frame.width, 3)


def run(engine: Pipeline, settings: Settings, count: int, first: int = 0) -> list[str]:
    return [engine.process(frame_of(number), settings).shown for number in range(first, first + count)]


def test_a_swap_changes_the_face_and_nothing_far_from_it():
    frame = frame_of()
    before = picture(frame).copy()
    result = pipeline_of(SEEN).process(frame, PLAIN)
    after = picture(frame)
    assert result.shown is Shown.SWAPPED
    assert result.notice == ""
    assert result.faces == [TARGET]
    assert tuple(after[120, 90]) == pytest.approx((200, 40, 40), abs=1)
    assert np.array_equal(before[:, 200:], after[:, 200:])


def test_every_stage_is_timed():
    result = pipeline_of(SEEN).process(frame_of(), Settings())
    assert set(result.stages_ms) == set(Stage) - {Stage.REPROJECT, Stage.DEBUG_VIEW}
    assert all(ms >= 0 for ms in result.stages_ms.values())


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_every_format_is_swapped_in_its_own_samples(pixel_format, flip):
    frame = frame_of(pixel_format=pixel_format)
    frame.flip = flip
    before = copies(frame)
    assert pipeline_of(SEEN).process(frame, PLAIN).shown is Shown.SWAPPED
    assert not same(frame, before)
    x_step, sample_bytes = LAYOUTS[pixel_format][0].x_step, LAYOUTS[pixel_format][0].sample_bytes
    far = 200 // x_step * sample_bytes
    assert np.array_equal(frame.planes[0][:, far:], before[0][:, far:])


def test_the_crop_covers_the_face_as_wide_as_coverage_says():
    swapper = FakeSwapper()
    engine = pipeline_of(SEEN, swapper=swapper)
    engine.process(frame_of(), Settings(coverage=2.2))
    engine.process(frame_of(1), Settings(coverage=4.4))
    assert swapper.sides[1] == pytest.approx(2 * swapper.sides[0], rel=1e-3)
    assert 90 < swapper.sides[0] < 270


@pytest.mark.parametrize(
    ("settings", "covered"),
    [
        (PLAIN, True),
        (replace(PLAIN, other_faces=OtherFaces.LEAVE), False),
        (replace(PLAIN, cover=Cover.ORIGINAL), False),
        (replace(PLAIN, cover=Cover.ORIGINAL, other_faces=OtherFaces.COVER), True),
    ],
)
def test_other_faces_are_covered_as_the_settings_say(settings, covered):
    frame = frame_of()
    before = picture(frame).copy()
    pipeline_of(Found(TARGET, [OTHER])).process(frame, settings)
    there = np.s_[100:120, 230:250]
    assert np.array_equal(before[there], picture(frame)[there]) is not covered


def test_what_only_the_detector_takes_for_a_face_is_covered():
    frame = frame_of()
    before = picture(frame).copy()
    box = np.array([(220, 90), (260, 130)], np.float32)
    assert pipeline_of(Found(TARGET, [], unclear=(box,))).process(frame, PLAIN).shown is Shown.SWAPPED
    there = np.s_[100:120, 230:250]
    assert not np.array_equal(before[there], picture(frame)[there])


def test_a_frozen_frame_is_the_whole_last_swapped_frame():
    engine = pipeline_of(SEEN, NOBODY)
    shown, lost = frame_of(0), frame_of(1)
    engine.process(shown, PLAIN)
    result = engine.process(lost, PLAIN)
    assert result.shown is Shown.FROZEN
    assert "No face" in result.notice
    assert same(lost, copies(shown))


@pytest.mark.parametrize("cover", [Cover.FREEZE_BLUR, Cover.ORIGINAL])
def test_a_frame_that_stays_is_frozen_as_one_that_is_copied(cover):
    """The memory of two frames in turns; a raw frame must not come back as a frozen one."""
    found = SEEN, NOBODY, NOBODY, NOBODY, SEEN, SEEN, NOBODY, NOBODY
    covers = [cover] * 2 + [Cover.FREEZE_BLUR] * 6
    copied, borrowed = pipeline_of(*found), pipeline_of(*found)
    memory = [frame_of(), frame_of()]
    for number, cover_now in enumerate(covers):
        fresh, used = frame_of(number), memory[number % 2]
        for plane, own in zip(used.planes, fresh.planes, strict=True):
            plane[:] = own
        used.timestamp_ns, used.stays = fresh.timestamp_ns, True
        settings = replace(PLAIN, cover=cover_now)
        assert copied.process(fresh, settings).shown is borrowed.process(used, settings).shown
        assert same(used, copies(fresh))


def test_a_lost_face_is_frozen_faded_covered_and_comes_back_after_good_frames():
    engine = pipeline_of(SEEN, *[NOBODY] * 8, SEEN)
    shown = run(engine, PLAIN, 10 + GOOD_FRAMES - 1)
    frozen, covered = [Shown.FROZEN] * 6, [Shown.COVERED] * (2 + GOOD_FRAMES - 1)
    assert shown == [Shown.SWAPPED, *frozen, *covered, Shown.SWAPPED]


def test_a_fade_holds_no_detail_of_the_new_frame():
    engine = pipeline_of(SEEN, NOBODY)
    first = frame_of(0)
    engine.process(first, PLAIN)
    fading = frame_of(6)  # 0.6 s later, half way through the fade
    before = copies(fading)
    assert engine.process(fading, PLAIN).shown is Shown.FROZEN
    mixed = fading.planes[0].astype(float)
    by_old = np.corrcoef(mixed.ravel(), first.planes[0].ravel())[0, 1]
    by_new = np.corrcoef(mixed.ravel(), before[0].ravel())[0, 1]
    assert by_old > 0.9
    assert abs(by_new) < 0.1


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_the_cover_keeps_no_detail(pixel_format):
    frame = frame_of(pixel_format=pixel_format)
    before = detail(frame)
    assert pipeline_of(NOBODY).process(frame, replace(PLAIN, cover=Cover.BLUR)).shown is Shown.COVERED
    assert detail(frame) < before / 10


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_hidden_picture_is_constant(pixel_format):
    frame = frame_of(pixel_format=pixel_format)
    assert pipeline_of(NOBODY).process(frame, replace(PLAIN, cover=Cover.HIDE)).shown is Shown.COVERED
    for plane, layout in zip(frame.planes, LAYOUTS[pixel_format], strict=True):
        assert np.array_equal(np.unique(plane.reshape(-1, layout.sample_bytes), axis=0), [layout.blank])


def test_under_show_original_a_frame_without_a_face_is_untouched():
    frame = frame_of()
    before = copies(frame)
    assert pipeline_of(NOBODY).process(frame, replace(PLAIN, cover=Cover.ORIGINAL)).shown is Shown.ORIGINAL
    assert same(frame, before)


@pytest.mark.parametrize("cover", [Cover.FREEZE_BLUR, Cover.BLUR, Cover.HIDE])
@pytest.mark.parametrize(
    "trouble",
    [
        ModelError("The device stopped working."),
        ValueError("shapes do not fit"),
        cv2.error("a bad argument"),
        FloatingPointError("not a number"),
        painted(128, mask=float("nan")),
        painted(64),
        painted(128, mask=0.0),
        painted(128, mask=0.1),
    ],
    ids=["model", "value", "opencv", "arithmetic", "nan mask", "wrong size", "no mask", "thin mask"],
)
def test_a_swap_that_fails_never_shows_the_live_face(trouble, cover):
    swapper = FakeSwapper()
    engine = pipeline_of(SEEN, swapper=swapper)
    swapper.swapped = trouble
    frame = frame_of()
    before = detail(frame)
    result = engine.process(frame, replace(PLAIN, cover=cover))
    assert result.shown is Shown.COVERED
    assert result.notice
    assert detail(frame) < before / 10


def test_a_failure_of_the_finder_is_told_and_covered():
    result = pipeline_of(ModelError("The detector is broken.")).process(frame_of(), PLAIN)
    assert (result.shown, result.notice) == (Shown.COVERED, "The detector is broken.")


def test_a_new_size_in_the_middle_of_a_freeze_is_covered():
    engine = pipeline_of(SEEN, NOBODY)
    engine.process(frame_of(0), PLAIN)
    assert engine.process(frame_of(1, size=(160, 120)), PLAIN).shown is Shown.COVERED
    assert engine.process(frame_of(2), PLAIN).shown is Shown.COVERED  # the old picture is gone for good


def test_the_cover_can_be_changed_between_frames():
    engine = pipeline_of(NOBODY)
    assert engine.process(frame_of(0), PLAIN).shown is Shown.COVERED
    assert engine.process(frame_of(1), replace(PLAIN, cover=Cover.ORIGINAL)).shown is Shown.ORIGINAL


def test_the_swapper_hears_of_settings_once():
    swapper = FakeSwapper()
    engine = pipeline_of(SEEN, swapper=swapper)
    other = replace(PLAIN, morph=0.1)
    for number, settings in enumerate([PLAIN, PLAIN, other, other]):
        engine.process(frame_of(number), settings)
    assert swapper.updates == [PLAIN, other]


@pytest.mark.parametrize("kind", [kind for kind in ColorTransfer if kind is not ColorTransfer.NONE])
def test_color_transfer_takes_on_the_scene(kind):
    plain, matched = frame_of(), frame_of()
    pipeline_of(SEEN).process(plain, PLAIN)
    pipeline_of(SEEN).process(matched, Settings(color_transfer=kind))
    scene = np.array([125.0] * 3)  # the mean of the noise
    off = [np.abs(picture(frame)[110:130, 80:100].mean((0, 1)) - scene).max() for frame in (plain, matched)]
    assert off[1] < off[0] / 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("camera_match", CameraFit.AUTO),
        ("sharpen", 3.0),
        ("median_blur", 100.0),
        ("degrade_bicubic", 95.0),
        ("color_compression", 120.0),
    ],
)
def test_a_finish_changes_the_swap_and_nothing_far_from_it(key, value):
    plain, changed = frame_of(), frame_of()
    pipeline_of(SEEN).process(plain, PLAIN)
    pipeline_of(SEEN).process(changed, replace(PLAIN, **{key: value}))
    assert not same(changed, copies(plain))
    assert np.array_equal(picture(changed)[:, 200:], picture(plain)[:, 200:])


def test_opacity_zero_leaves_the_frame():
    frame = frame_of()
    before = copies(frame)
    pipeline_of(SEEN).process(frame, replace(PLAIN, opacity=0.0))
    assert same(frame, before)


def test_a_new_pipeline_goes_on_with_what_was_shown_last():
    old, new = pipeline_of(SEEN), pipeline_of(NOBODY)
    shown, lost = frame_of(0), frame_of(1)
    old.process(shown, PLAIN)
    new.adopt(old)
    old.close()
    assert new.process(lost, PLAIN).shown is Shown.FROZEN
    assert same(lost, copies(shown))


def test_following_goes_on_with_another_finder():
    old = Pipeline(networks_of(FakeFinder(SEEN)), Worn(FakeSwapper(), FaceKind.PHOTO))
    new = Pipeline(networks_of(FakeFinder(SEEN)), Worn(FakeSwapper(), FaceKind.PHOTO))
    new.adopt(old)
    assert new._networks.finder.adopted is old._networks.finder


class FakeSession:
    """Counts how often it is closed."""

    provider, notice = "cpu", ""

    def __init__(self, *_arguments, **_options) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def sessions(monkeypatch):
    """The sessions that `Networks` makes, as stand-ins."""
    made = []

    def make(*_arguments):
        made.append(FakeSession())
        return made[-1]

    monkeypatch.setattr(networks, "shared", make)
    monkeypatch.setattr(networks.models, "find_detector", lambda models_from: "detector")
    monkeypatch.setattr(networks.models, "find", lambda name, models_from: name)
    monkeypatch.setattr(networks, "detector_for", lambda session, side_px: session)
    monkeypatch.setattr(networks, "landmarker_for", lambda session: session)
    monkeypatch.setattr(networks, "recognizer_path", lambda *_arguments: None)
    monkeypatch.setattr(front, "shared", make)
    monkeypatch.setattr(front, "HandsBefore", lambda palms, hands: None)
    return made


def test_a_pipeline_gives_back_what_it_loaded(sessions, monkeypatch):
    monkeypatch.setattr(
        pipeline, "wear", lambda settings, models_from, at_once: Worn(FakeSwapper(), FaceKind.PHOTO)
    )
    engine = pipeline.load(Settings(device="cpu"))
    assert [session.closed for session in sessions] == [0] * 4  # two find faces, two find hands
    engine.close()
    assert [session.closed for session in sessions] == [1] * 4


def test_a_load_that_fails_at_its_last_network_leaves_nothing_open(sessions, monkeypatch):
    worn = Worn(FakeSwapper(), FaceKind.DFM, FakeSession())
    monkeypatch.setattr(pipeline, "wear", lambda settings, models_from, at_once: worn)
    monkeypatch.setattr(front, "HandsBefore", lambda palms, hands: (_ for _ in ()).throw(ModelError("odd")))
    with pytest.raises(ModelError, match="odd"):
        pipeline.load(Settings(device="cpu"))
    assert [session.closed for session in (*sessions, worn.session)] == [1] * 5


def test_a_load_that_fails_leaves_nothing_open(sessions, monkeypatch):
    model = FakeSession()
    worn = Worn(FakeSwapper(), FaceKind.DFM, model)
    monkeypatch.setattr(pipeline, "wear", lambda settings, models_from, at_once: worn)
    monkeypatch.setattr(pipeline, "Networks", lambda *arguments: (_ for _ in ()).throw(ModelError("gone")))
    with pytest.raises(ModelError, match="gone"):
        pipeline.load(Settings())
    assert model.closed == 1


@pytest.mark.parametrize("settings", [Settings(), Settings(face="nobody"), Settings(face_file="gone.png")])
def test_a_face_that_is_not_there_is_refused(settings):
    with pytest.raises(FaceError):
        pipeline.load(settings)


def test_the_provider_is_that_of_the_network_that_swaps():
    model = FakeSession()
    model.provider, model.notice = "cuda", "because"
    engine = Pipeline(networks_of(FakeFinder(SEEN)), Worn(FakeSwapper(), FaceKind.DFM, model))
    assert (engine.provider, engine.notice, engine.has_morph) == ("cuda", "because", False)
    assert pipeline_of(SEEN).provider == "cpu"


# --- in three steps ---


def test_three_steps_with_a_thread_for_the_swap_make_the_same_picture():
    whole, stepped = pipeline_of(SEEN, NOBODY, SEEN), pipeline_of(SEEN, NOBODY, SEEN)
    with ThreadPoolExecutor(1) as beside:
        for number in range(4):
            one, other = frame_of(number), frame_of(number)
            expected = whole.process(one, Settings())
            begun = stepped.begin(other, Settings())
            result = stepped.finish(other, begun, beside.submit(stepped.swap, begun).result())
            assert (result.shown, result.notice) == (expected.shown, expected.notice)
            assert same(other, copies(one))


def test_begin_and_swap_leave_the_frame_as_it_is():
    frame = frame_of()
    before = copies(frame)
    engine = pipeline_of(Found(TARGET, [OTHER]))
    assert engine.swap(engine.begin(frame, Settings())).made[0].face is not None
    assert same(frame, before)


def test_there_is_no_swap_without_a_face():
    engine = pipeline_of(NOBODY)
    begun = engine.begin(frame_of(), Settings())
    assert begun.cuts == ()
    assert engine.swap(begun) is None


# --- with the swap of an earlier frame ---


def a_moved_swap(later: Found, after: int = 1, settings: Settings = PLAIN) -> tuple[Result, Frame]:
    """A frame that is shown with the swap of the one `after` before it."""
    engine = pipeline_of(SEEN, later)
    swap = engine.swap(engine.begin(frame_of(0), settings))
    frame = frame_of(after)
    return engine.finish(frame, engine.begin(frame, settings), swap), frame


def test_an_earlier_swap_is_put_where_the_face_is_now():
    result, frame = a_moved_swap(Found(face_at(200, 130), []))
    assert result.shown is Shown.SWAPPED
    assert (result.notice, result.fault) == ("", None)
    assert Stage.REPROJECT in result.stages_ms
    assert tuple(picture(frame)[130, 200]) == pytest.approx((200, 40, 40), abs=1)
    assert np.array_equal(picture(frame)[:, :100], picture(frame_of(1))[:, :100])


@pytest.mark.parametrize(
    ("later", "after"),
    [
        (Found(face_at(90, 120, track_id=2), []), 1),
        (SEEN, OLDEST_SWAP_NS // FRAME_NS + 1),
        (NOBODY, 1),
    ],
    ids=["another face", "too old", "nobody"],
)
def test_an_earlier_swap_that_does_not_belong_here_is_not_shown(later, after):
    result, frame = a_moved_swap(later, after)
    assert result.shown is Shown.COVERED
    assert result.notice
    assert result.fault is None
    assert detail(frame) < detail(frame_of(after)) / 10


def test_a_frame_waits_covered_for_the_first_swap():
    engine = pipeline_of(SEEN)
    frame = frame_of()
    result = engine.finish(frame, engine.begin(frame, PLAIN), None)
    assert (result.shown, result.fault) == (Shown.COVERED, None)
    assert "not finished" in result.notice or "No swap" in result.notice


def test_a_models_mouth_is_the_users_own_where_it_is_asked_for():
    own, models = frame_of(), frame_of()
    face = replace(TARGET, landmarks=TARGET.landmarks.copy())
    face.landmarks[[14, 87, 178, 88, 95, 317, 402, 318, 324]] += (0, 8)
    pipeline_of(Found(face, [])).process(own, replace(PLAIN, keep_mouth=Keep.YES))
    pipeline_of(Found(face, [])).process(models, PLAIN)
    x, y = np.round(face.landmarks[[13, 14]].mean(0)).astype(int)
    before = picture(frame_of())[y, x].astype(int)
    assert np.abs(picture(own)[y, x] - before).max() < np.abs(picture(models)[y, x] - before).max() / 3


# --- faults ---


@pytest.mark.parametrize("error", [ModelError("not a number"), ProviderError("gone"), ValueError("shapes")])
def test_what_is_wrong_with_the_engine_is_told_as_a_fault(error):
    swapper = FakeSwapper()
    swapper.swapped = error
    assert pipeline_of(SEEN, swapper=swapper).process(frame_of(), PLAIN).fault is error
    assert pipeline_of(error).process(frame_of(), PLAIN).fault is error


def test_a_frame_that_shows_no_face_to_swap_is_no_fault():
    swapper = FakeSwapper()
    swapper.swapped = FaceUnseenError("The model sees no face in this frame.")
    result = pipeline_of(SEEN, swapper=swapper).process(frame_of(), PLAIN)
    assert (result.shown, result.fault) == (Shown.COVERED, None)
    assert "sees no face" in result.notice
    assert pipeline_of(NOBODY).process(frame_of(), PLAIN).fault is None


# --- with a plan ---


def test_a_plan_limits_the_crop_and_says_when_to_search():
    swapper, finder = FakeSwapper(), FakeFinder(SEEN)
    engine = Pipeline(networks_of(finder), Worn(swapper, FaceKind.PHOTO))
    engine.process(frame_of(), PLAIN)
    engine.process(frame_of(1), PLAIN, Plan(crop_limit_px=50, search_every_s=0.7))
    assert swapper.sides[0] > 90
    assert swapper.sides[1] == 50
    assert finder.search_every_s == 0.7
