"""One filter on a stand-in libobs: what goes out is finished, covered or black, never the frame itself."""

import ctypes
import json

import numpy as np
import pytest
from fake_obs import FakeObs
from native_library import COMPILED, SHIPPED, Calls, bind, library
from stream_engine import StreamEngine, work

from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.worker import State, Worker
from obs_faceswap.engine.settings import Cover
from obs_faceswap.libobs import abi
from obs_faceswap.libobs import filter as filter_module
from obs_faceswap.libobs.filter import native_filter, python_filter
from obs_faceswap.libobs.sound import SOUND
from obs_faceswap.libobs.stored import set_defaults

ASYNC = abi.OBS_SOURCE_VIDEO | abi.OBS_SOURCE_ASYNC
DRAWN = abi.OBS_SOURCE_VIDEO
WIDTH, HEIGHT = 64, 36
RAW, SWAPPED = 77, 78  # what the camera's samples are, and what the engine makes of them
NUMBERS = {pixel_format: number for number, pixel_format in abi.VIDEO_FORMATS.items()}


class SteppedWorker(Worker):
    """A worker without a thread: the test steps it."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, load=lambda settings, running: StreamEngine(), **more)

    def start(self):
        pass

    def close(self):
        self._end()

    def catch_up(self):
        """Loads the engine and finishes what was offered."""
        while self._engine is None:
            self.step()
        work(self)


PYTHON = "python"


@pytest.fixture(params=[PYTHON, SHIPPED, COMPILED])
def half(request, tmp_path_factory):
    """Which half the graphics thread runs: None for Python's, or a native library."""
    if request.param == PYTHON:
        return None
    return library(request.param, tmp_path_factory.getbasetemp())


@pytest.fixture
def obs():
    return FakeObs()


class PythonCalls:
    """A filter's callbacks as libobs.source passes them on."""

    def __init__(self, made):
        self._path = made.path
        self.update = lambda handle, data: self._path.update(data)
        self.video_tick = lambda handle, seconds: self._path.tick()
        self.video_render = lambda handle, effect: self._path.render()
        self.filter_video = lambda handle, frame: self._path.filter_video(frame)


class OnStage:
    """A filter, and what libobs and the cover thread do to it."""

    def __init__(self, made, calls, covers_at_once):
        self.filter, self._calls, self.covers_at_once = made, calls, covers_at_once
        self.words, self.exchange = made._exchange.words, made._exchange

    def __getattr__(self, name):
        return getattr(self.filter, name)

    def update(self, data):
        self._calls.update(self.handle, data)

    def tick(self, times=1):
        for _ in range(times):
            self._calls.video_tick(self.handle, 0.016)

    def render(self):
        self._calls.video_render(self.handle, None)

    def filter_video(self, frame):
        self._calls.filter_video(self.handle, frame)

    def keep(self):
        self.filter._cover.step()


@pytest.fixture
def make(obs, half, monkeypatch):
    """Makes a filter whose threads the test runs by hand: `make(flags, **settings)` -> (filter, address)."""
    monkeypatch.setattr(filter_module, "Worker", SteppedWorker)
    monkeypatch.setattr(filter_module.CoverThread, "start", lambda self: None)
    made = []
    kept = bind(half, obs) if half else []

    def one(flags=ASYNC, **settings):
        _, address = obs.add_source(flags)
        data = obs.settings[address] = obs.add_data(face="Anna", **settings)
        set_defaults(obs, data)
        if half:
            calls = Calls(half)
            handle = calls.create(data, address)
            assert half.newborn() == handle
            made.append(OnStage(native_filter(obs, half, handle), calls, True))
        else:
            one = python_filter(obs, data, address)
            made.append(OnStage(one, PythonCalls(one), False))
        made[-1].start_engine()
        made[-1].tick()
        return made[-1], address

    yield one
    for each in made:
        each.close()
    kept.clear()


class Camera:
    """A stream of equal frames in one format: of one color, or with fine detail."""

    def __init__(
        self, pixel_format=PixelFormat.I420, width=WIDTH, height=HEIGHT, number=None, is_detailed=False
    ):
        self.is_detailed = is_detailed
        self.planes = [
            np.empty((rows, stride), np.uint8) for stride, rows in plane_sizes(pixel_format, width, height)
        ]
        number = NUMBERS[pixel_format] if number is None else number
        self.frame = abi.SourceFrame(width=width, height=height, format=number)
        for index, plane in enumerate(self.planes):
            self.frame.data[index], self.frame.linesize[index] = plane.ctypes.data, plane.shape[1]

    def through(self, made, value=RAW):
        """One frame through the filter; the values its planes hold then."""
        for plane in self.planes:
            plane[:] = value
            if self.is_detailed:
                plane[:, np.arange(plane.shape[1]) // 4 % 2 == 0] -= 60  # a cover mixes neighbors
        made.filter_video(ctypes.addressof(self.frame))
        return [set(plane.ravel().tolist()) for plane in self.planes]

    def is_raw(self, values):
        return any(RAW in plane for plane in values)


BLACK = [{16}, {128}, {128}]


def covered(made, camera):
    """A frame while there is nothing but covers: native code makes them at once, a thread of Python soon."""
    first = camera.through(made)
    if not made.covers_at_once:
        assert first == BLACK
        made.keep()
        first = camera.through(made)
    return first


def test_from_the_first_frame_to_a_swap(make):
    made, _ = make()
    camera = Camera()
    first = camera.through(made)  # no memory yet
    assert first == ([{RAW}] * 3 if made.covers_at_once else BLACK)
    made.keep()
    assert covered(made, camera) == [{RAW}] * 3  # the cover of one colour is that colour
    made._worker.catch_up()
    assert camera.through(made) == [{SWAPPED}] * 3
    words = made.words
    frames = 3 if made.covers_at_once else 4
    assert words[ex.FRAMES_IN] == words[ex.CALLBACKS] == frames
    assert words[ex.FRAMES_SHOWN + ex.KIND_COVERED] == frames - 1
    assert words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED] == 1
    assert words[ex.FRAMES_SHOWN + ex.KIND_ORIGINAL] == 0


@pytest.mark.parametrize("cover", Cover)
@pytest.mark.parametrize("number", [*abi.VIDEO_FORMATS, 18])
def test_without_an_engine_raw_goes_out_under_show_original_alone(make, cover, number):
    made, _ = make(cover=cover.value)
    pixel_format = abi.VIDEO_FORMATS.get(number, PixelFormat.I420)
    camera = Camera(pixel_format, 640, 360, number=number, is_detailed=True)
    raw = [camera.is_raw(camera.through(made)) for _ in range(3)]
    assert raw == [cover is Cover.ORIGINAL] * 3


def test_a_new_size_in_mid_stream_is_covered_until_there_is_memory(make):
    made, _ = make()
    for camera in (Camera(width=640), Camera(PixelFormat.NV12, 1280, 720), Camera(width=640)):
        camera.is_detailed = True
        assert not camera.is_raw(camera.through(made))
        made.keep()
        camera.is_detailed = False
        camera.through(made)
        made._worker.catch_up()
        assert camera.through(made) == [{SWAPPED}] * len(camera.planes)


def test_timestamps_are_earlier_by_the_steady_delay(make):
    """libobs then delays the source's own sound; the engine sees the source's own time."""
    made, _ = make()
    made.words[ex.SHIFT_NS] = 100
    camera = Camera()
    camera.through(made)
    made.keep()
    for before, after in ((1000, 900), (30, 0)):
        camera.frame.timestamp = before
        camera.through(made)
        assert camera.frame.timestamp == after
        slots, words = made._exchange.slots, made._exchange.words
        assert slots.metas[words[ex.INPUT_NEWEST] - 1].timestamp_ns == before


def test_an_unknown_format_is_said_while_it_comes(make):
    made, _ = make()
    Camera(number=22).through(made)
    made.keep()
    assert "number 22" in made.view().status
    Camera().through(made)
    made.keep()
    assert "number 22" not in made.view().status


@pytest.mark.parametrize("cover", Cover)
def test_an_error_in_the_callback_hides_the_picture(make, half, monkeypatch, cover):
    if half:
        pytest.skip("Native code raises nothing.")
    made, _ = make(cover=cover.value)
    camera = Camera()
    monkeypatch.setattr(made._exchange, "current", lambda key: 1 / 0)
    for plane in camera.planes:
        plane[:] = RAW
    with pytest.raises(ZeroDivisionError):
        made.filter_video(ctypes.addressof(camera.frame))
    values = [set(plane.ravel().tolist()) for plane in camera.planes]
    assert values == ([{RAW}] * 3 if cover is Cover.ORIGINAL else BLACK)


def test_after_the_engine_was_stopped_the_picture_is_covered(make):
    made, _ = make(cover="blur")
    camera = Camera()
    camera.through(made)
    made.keep()
    camera.through(made)
    made._worker.catch_up()
    made.stop_engine()
    assert covered(made, camera) == [{RAW}] * 3
    assert "not loaded" in made.view().status
    made.start_engine()
    camera.through(made)
    made._worker.catch_up()
    assert camera.through(made) == [{SWAPPED}] * 3


def test_while_nobody_sees_the_source_nothing_is_copied_in(make, obs):
    made, address = make()
    camera = Camera(width=640, height=360, is_detailed=True)
    camera.through(made)
    made.keep()
    obs.showing[obs.parents[address]] = False
    made.tick(8)
    offered = made._exchange.words[ex.OFFERED]
    assert not camera.is_raw(camera.through(made))
    assert made._exchange.words[ex.OFFERED] == offered


# --- settings ---


def test_a_changed_setting_reaches_the_worker_and_the_policy(make, obs):
    made, address = make()
    data = obs.settings[address] = obs.add_data(face="Anna", cover="hide", opacity=0.25)
    set_defaults(obs, data)
    made.update(data)
    made.keep()
    assert made._worker._settings.opacity == 0.25
    assert list(Cover)[made._exchange.words[ex.POLICY]] is Cover.HIDE


def test_stored_values_that_do_not_fit_are_said_and_replaced(make):
    made, _ = make(opacity=7.0, cover="nothing")
    view = made.view()
    assert (view.settings.opacity, view.settings.cover) == (1.0, Cover.FREEZE_BLUR)
    assert "opacity is 7" in view.status
    assert "cover is “nothing”" in view.status


# --- the panel's renewal ---


def test_the_panel_is_renewed_on_news_once(make, obs):
    made, address = make()
    obs.updated_properties.clear()
    made._on_news()
    for _ in range(5):
        made.keep()
    assert obs.updated_properties == [address]


def test_refresh_tries_again_and_renews_the_panel(make, obs):
    made, address = make()
    made.keep()
    obs.updated_properties.clear()
    made.refresh()
    assert made._worker._wants_retry
    made.keep()
    assert obs.updated_properties == [address]


def test_the_live_face_is_taken_as_neutral(make, monkeypatch):
    made, _ = make()
    told = []
    monkeypatch.setattr(made._worker, "take_neutral", lambda: told.append(1))
    made.take_neutral()
    made.stop_engine()
    made.take_neutral()  # without an engine there is nothing to tell
    assert told == [1]


def test_who_is_swapped_is_enrolled(make, monkeypatch):
    made, _ = make()
    told = []
    monkeypatch.setattr(made._worker, "enroll", lambda: told.append(1))
    made.enroll()
    made.stop_engine()
    made.enroll()  # without an engine nobody is swapped
    assert told == [1]


def test_the_panel_is_left_alone_while_the_user_changes_something(make, obs, monkeypatch):
    made, address = make()
    made.keep()
    obs.updated_properties.clear()
    clock = [1000.0]
    monkeypatch.setattr(filter_module.time, "monotonic", lambda: clock[0])
    made.update(obs.settings[address])
    made._on_news()
    made.keep()
    assert not obs.updated_properties
    clock[0] += 2.0
    made.keep()
    assert obs.updated_properties == [address]


# --- drawing ---


def test_a_stream_is_drawn_by_obs_once_it_went_through_the_filter(make, obs):
    made, _ = make()
    camera = Camera()
    made.render()
    assert "obs_source_skip_video_filter" not in obs.calls  # a frame of before the filter: covered
    assert "gs_draw_sprite" in obs.calls
    camera.through(made)
    made.render()
    assert "obs_source_skip_video_filter" in obs.calls


def test_a_frame_of_while_the_filter_was_off_is_not_drawn(make, obs):
    made, address = make()
    Camera().through(made)
    obs.enabled[address] = False
    made.tick(4)
    obs.calls.clear()
    made.render()
    assert "obs_source_skip_video_filter" not in obs.calls


def test_a_filter_that_is_off_is_at_rest(make, obs):
    """OBS goes on calling its tick; what it would do nobody sees."""
    made, address = make()
    for is_on in (False, True):
        obs.enabled[address] = is_on
        made.tick(4)
        assert bool(made.words[ex.SHOWING]) is is_on


def test_leaving_show_original_does_not_leave_the_original_on_the_screen(make, obs):
    made, _ = make(cover="original")
    Camera().through(made)
    data = obs.add_data(face="Anna", cover="blur")
    set_defaults(obs, data)
    made.update(data)
    obs.calls.clear()
    made.render()
    assert "obs_source_skip_video_filter" not in obs.calls
    assert "gs_draw_sprite" in obs.calls


@pytest.mark.parametrize("cover", Cover)
def test_a_drawn_source_without_an_engine(make, obs, cover):
    made, _ = make(DRAWN, cover=cover.value)
    obs.calls.clear()
    made.render()
    assert ("obs_source_skip_video_filter" in obs.calls) == (cover is Cover.ORIGINAL)
    assert ("gs_draw_sprite" in obs.calls) == (cover in (Cover.FREEZE_BLUR, Cover.BLUR))


def ticked(made):
    made.tick()
    made.render()


def test_a_drawn_source_is_read_back_swapped_and_drawn(make, obs):
    made, _ = make(DRAWN)
    obs.pixels = bytes([RAW]) * (WIDTH * 4 + 32) * HEIGHT  # rows of some graphics cards are padded
    ticked(made)
    made.keep()
    for _ in range(3):
        ticked(made)
    made._worker.catch_up()
    ticked(made)
    assert obs.uploads == [bytes([SWAPPED]) * WIDTH * 4 * HEIGHT]


def test_a_source_drawn_twice_in_a_tick_is_read_back_once(make, obs):
    made, _ = make(DRAWN)
    obs.pixels = bytes(WIDTH * 4 * HEIGHT)
    ticked(made)
    made.keep()
    obs.calls.clear()
    ticked(made)
    made.render()
    made.render()
    assert obs.calls.count("gs_stage_texture") == 1
    assert made._exchange.words[ex.FRAMES_IN] == 2


def test_hdr_is_covered_and_said(make, obs):
    made, _ = make(DRAWN)
    obs.color_space = abi.GS_CS_709_SCRGB
    obs.calls.clear()
    ticked(made)
    assert "obs_source_skip_video_filter" not in obs.calls
    assert "gs_stage_texture" not in obs.calls
    made.keep()
    assert "HDR" in made.view().status


def test_a_new_size_frees_the_old_textures(make, obs):
    made, _ = make(DRAWN)
    ticked(made)
    first = dict(obs.alive)
    obs.size = (128, 72)
    ticked(made)
    assert len(obs.alive) == len(first)
    assert not obs.alive.keys() & first.keys()


def test_a_source_without_a_size_draws_nothing(make, obs):
    made, _ = make(DRAWN)
    obs.size = (0, 0)
    obs.calls.clear()
    ticked(made)
    assert "gs_draw_sprite" not in obs.calls
    assert "obs_source_skip_video_filter" not in obs.calls


def test_sound_knows_the_filter_while_it_lives(make):
    made, address = make()
    assert SOUND._listeners[address].exchange is made.exchange
    made.close()
    assert address not in SOUND._listeners


def test_closing_frees_the_textures_inside_the_graphics_context(make, obs):
    made, _ = make(DRAWN)
    ticked(made)
    assert obs.alive
    obs.calls.clear()
    made.close()
    assert not obs.alive
    assert obs.calls[0] == "obs_enter_graphics"
    assert obs.calls[-1] == "obs_leave_graphics"


# --- telling ---


def test_the_status_has_the_worker_s_words(make):
    made, _ = make()
    made._worker.catch_up()
    assert made._worker.status().state is State.RUNNING
    assert "Wearing “Anna”" in made.view().status


def test_the_report_is_written_where_it_was_asked_for(make, monkeypatch, tmp_path):
    path = tmp_path / "report.json"
    monkeypatch.setenv("OBS_FACESWAP_REPORT", str(path))
    made, _ = make()
    camera = Camera()
    camera.through(made)
    made._write_report()
    written = json.loads(path.read_text())
    assert written["obs_version"] == "29.0.2"
    assert written["frames_in"] >= 1
    assert written["frames_raw"] == 0
    assert "Starting" in written["status"] or "Loading" in written["status"]
    assert list(tmp_path.iterdir()) == [path]


# The debug view, which is for the user's own eyes.


@pytest.fixture
def hasty(monkeypatch):
    """Looks for viewers in every round."""
    monkeypatch.setattr(filter_module, "_LOOK_S", 0.0)


def drawn(made):
    made.keep()
    return made._worker._settings.debug_view


def test_the_debug_view_is_off(make):
    made, _ = make()
    assert drawn(made) == "off"
    assert "debug" not in made.view().status


def test_the_debug_view_leaves_the_picture_while_an_output_takes_it(make, obs, hasty):
    obs.has_output = True
    made, _ = make(debug_view="preview")
    assert made._worker._settings.debug_view == "off"
    seen = []
    for obs.has_output in (True, False, False, True, False):
        seen.append(drawn(made))
    assert seen == ["off", "preview", "preview", "off", "preview"]
    assert "is drawn" in made.view().status
    obs.has_output = True
    made.keep()
    assert "left out while OBS streams" in made.view().status


def test_a_debug_view_that_was_just_switched_on_asks_for_outputs_first(make, obs):
    made, address = make()
    made.keep()
    obs.has_output = True
    obs.data[obs.settings[address]]["debug_view"] = "preview"
    made.update(obs.settings[address])
    assert drawn(made) == "off"


def test_the_debug_view_stays_where_the_user_wants_viewers_to_see_it(make, obs, hasty):
    obs.has_output = True
    made, _ = make(debug_view="always")
    assert drawn(made) == "always"
    assert "viewers see it" in made.view().status
    assert "obs_video_active" not in obs.calls


def test_without_a_debug_view_nobody_asks_for_outputs(make, obs, hasty):
    made, _ = make()
    made.keep()
    assert "obs_video_active" not in obs.calls


def test_what_is_found_while_the_worker_is_made_reaches_it(make, obs, hasty, monkeypatch):
    made, _ = make(debug_view="preview")
    made.stop_engine()
    obs.has_output = True
    made.keep()

    class SlowWorker(SteppedWorker):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            obs.has_output = False
            made.keep()  # the cover thread's turn, before anybody knows this worker

    monkeypatch.setattr(filter_module, "Worker", SlowWorker)
    made.start_engine()
    assert made._worker._settings.debug_view == "preview"
