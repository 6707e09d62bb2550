"""Registration and the callbacks libobs calls, through the very pointers it gets."""

import ctypes
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from fake_obs import FakeObs

import obs_faceswap
from obs_faceswap import plugin
from obs_faceswap.engine.loader import DEVICES
from obs_faceswap.engine.settings import OPTIONS
from obs_faceswap.libobs import abi, api, log, source
from obs_faceswap.libobs.log import ObsLogHandler
from obs_faceswap.libobs.panel import ObsPanel
from obs_faceswap.libobs.source import FilterType

ASYNC = abi.OBS_SOURCE_VIDEO | abi.OBS_SOURCE_ASYNC


class FakeFilter:
    """Notes what it is asked for."""

    def __init__(self, obs, address, data):
        self.asked = []

    def __getattr__(self, name):
        return lambda *arguments: self.asked.append((name, *arguments))


@pytest.fixture
def obs(monkeypatch):
    made = FakeObs()
    monkeypatch.setattr(source, "obs", lambda: made)
    monkeypatch.setattr(plugin, "obs", lambda: made)
    monkeypatch.setattr(source, "Filter", FakeFilter)
    monkeypatch.setattr(source, "TYPE", FilterType())
    monkeypatch.setattr(plugin, "TYPE", source.TYPE)
    monkeypatch.setattr(log, "install", lambda _: None)
    return made


@pytest.fixture
def info(obs):
    plugin.script_load(None)
    return obs.registered[0]


def made_by(info, obs):
    """A filter made as libobs makes it: (handle, the filter)."""
    handle = info.create(obs.add_data(), obs.add_source(ASYNC)[1])
    return handle, source.TYPE.find(handle)


def test_registered_once_however_often_the_script_is_loaded(obs):
    for _ in range(3):
        plugin.script_load(None)
        assert obs.type_enabled is True
        plugin.script_unload()
        assert obs.type_enabled is False
    assert len(obs.registered) == 1


def test_what_is_registered(info):
    assert (info.id, info.type, info.output_flags) == (b"obs_faceswap", 1, abi.OBS_SOURCE_VIDEO)
    assert ctypes.string_at(info.get_name(None)) == b"Face Swap"
    assert ctypes.string_at(info.unversioned_id) == b"obs_faceswap"
    assert all((info.create, info.destroy, info.filter_video, info.video_render, info.update))


def test_a_refused_registration_is_an_error(obs, monkeypatch):
    monkeypatch.setattr(obs, "obs_register_source_s", lambda *_: None)
    with pytest.raises(RuntimeError, match="did not accept"):
        plugin.script_load(None)


def test_the_callbacks_reach_their_filter(info, obs):
    handle, made = made_by(info, obs)
    other, _ = made_by(info, obs)
    assert handle != other
    info.update(handle, 5)
    info.video_tick(handle, 0.1)
    info.video_render(handle, None)
    frame = abi.SourceFrame()
    assert info.filter_video(handle, ctypes.addressof(frame)) == ctypes.addressof(frame)
    info.destroy(handle)
    assert [name for name, *_ in made.asked] == [
        "start_engine", "update", "tick", "render", "filter_video", "close",
    ]  # fmt: skip
    assert source.TYPE.find(handle) is None


def test_the_script_s_end_stops_engines_and_its_return_starts_them(info, obs):
    _, made = made_by(info, obs)
    plugin.script_unload()
    _, late = made_by(info, obs)
    plugin.script_load(None)
    assert made.asked == [("start_engine",), ("ask_to_stop",), ("stop_engine",), ("start_engine",)]
    assert late.asked == [("start_engine",)]


def test_defaults_are_those_of_the_declaration(info, obs):
    data = obs.add_data()
    info.get_defaults(data)
    assert {key: value for (_, key), value in obs.defaults.items()} == {o.key: o.default for o in OPTIONS}


class Broken(FakeFilter):
    def __getattr__(self, name):
        raise SystemExit(f"{name} failed")


def test_no_exception_gets_out_of_a_callback(obs, monkeypatch, caplog):
    monkeypatch.setattr(source.TYPE, "_is_loaded", False)
    plugin.script_load(None)
    info = obs.registered[0]
    handle, _ = made_by(info, obs)
    source.TYPE._filters[handle] = Broken(None, 0, 0)
    frame = abi.SourceFrame()
    for _ in range(100):
        info.update(handle, 1)
        info.video_tick(handle, 0.1)
        info.video_render(handle, None)
        assert info.filter_video(handle, ctypes.addressof(frame)) == ctypes.addressof(frame)
    assert not info.get_properties(handle)
    info.destroy(handle)
    assert "tick failed" in caplog.text
    assert len(caplog.records) < 10  # each once, not a hundred times


def test_a_filter_that_cannot_be_made_still_hides_the_picture(info, obs, monkeypatch):
    monkeypatch.setattr(source, "Filter", lambda *_: 1 / 0)
    handle = info.create(obs.add_data(), 1)
    assert handle
    plane = (ctypes.c_ubyte * 16)(*[77] * 16)
    frame = abi.SourceFrame(width=4, height=4, format=9)
    frame.data[0], frame.linesize[0] = ctypes.addressof(plane), 4
    assert info.filter_video(handle, ctypes.addressof(frame)) == ctypes.addressof(frame)
    assert set(plane) == {16}
    info.video_render(handle, None)
    assert "obs_source_skip_video_filter" not in obs.calls


def test_the_interpreter_is_given_away_quickly_while_a_filter_lives(info, obs):
    usual = sys.getswitchinterval()
    handle, _ = made_by(info, obs)
    assert sys.getswitchinterval() <= 0.0005
    info.destroy(handle)
    assert sys.getswitchinterval() == usual


# --- properties ---


def test_properties_without_a_filter(info, obs, home):
    panel = info.get_properties(None)
    assert obs.find(panel, "face")["items"] == [("", "From a file …")]
    assert obs.find(panel, "device")["items"] == list(DEVICES.get())
    for option in OPTIONS:
        assert obs.find(panel, option.key)["label"] == option.label


def test_the_panel_s_numbers(info, obs, home):
    panel = info.get_properties(None)
    erode = obs.find(panel, "mask_erode")
    assert erode["more"] == (-50.0, 50.0, 0.1)
    assert erode["suffix"] == " %"
    assert "smaller" in erode["help"]


def test_refresh_writes_the_status_anew(info, obs, home):
    panel = info.get_properties(None)
    assert obs.find(panel, "refresh")["more"][0](panel, 1, None) is True


def test_another_face_shows_and_hides_what_matters(info, obs, home):
    panel = info.get_properties(None)
    changed = obs.find(panel, "face")["changed"]
    data = obs.add_data(face="Anna")
    assert changed(None, panel, 1, data) is True
    assert not obs.find(panel, "face_file")["visible"]
    assert changed(None, panel, 1, data) is False
    obs.data[data] = {"face": ""}
    assert changed(None, panel, 1, data) is True
    assert obs.find(panel, "face_file")["visible"]


def test_a_group_is_found_through():
    obs = FakeObs()
    panel = ObsPanel(obs, obs.obs_properties_create())
    panel.group("g", "Group").path("p", "Path", "All (*)")
    panel.set_visible("p", False)
    assert not panel.is_visible("p")


# --- around it ---


def test_log_lines_are_formats_that_show_as_they_are():
    obs = FakeObs()
    handler = ObsLogHandler(obs)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        handler.handle(logging.LogRecord("x", level, "f", 1, "100%%s of %s\nnext", ("it",), None))
    assert obs.log[:2] == [
        (abi.LOG_DEBUG, b"[face swap] 100%%s of it"), (abi.LOG_DEBUG, b"[face swap] next"),
    ]  # fmt: skip
    assert [level for level, _ in obs.log[2::2]] == [abi.LOG_INFO, abi.LOG_WARNING, abi.LOG_ERROR]


def test_a_log_line_that_cannot_be_written_stops_nothing():
    class Broken:
        def blog(self, *_):
            raise OSError

    ObsLogHandler(Broken()).handle(logging.LogRecord("x", logging.INFO, "f", 1, "text", (), None))


def test_move_and_fill_are_memmove_and_memset():
    source, target = ctypes.create_string_buffer(b"abcdef"), ctypes.create_string_buffer(7)
    api.move(ctypes.addressof(target), ctypes.addressof(source), 4)
    assert target.raw == b"abcd\0\0\0"
    api.fill(ctypes.addressof(target) + 1, ord("x"), 2)
    assert target.raw == b"axxd\0\0\0"


def test_texts_for_libobs():
    assert api.text("Größe\0!") == "Größe!".encode()


def test_outside_obs_there_is_nothing_to_bind():
    with pytest.raises((AttributeError, OSError)):
        api.Functions(None)


def test_only_the_standard_library_is_needed():
    """In an interpreter without site-packages everything OBS needs to cover the picture can be imported."""
    root = Path(obs_faceswap.__file__).parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import obs_faceswap.plugin; "
        "print([n for n in ('numpy', 'cv2', 'onnxruntime') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
