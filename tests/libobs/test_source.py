"""Registration and the callbacks libobs calls, through the very pointers it gets."""

import ctypes
import logging
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_obs import FakeObs
from native_library import SHIPPED, bind, library

import obs_faceswap
from obs_faceswap import plugin
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.loader import DEVICES
from obs_faceswap.engine.live.native import Found
from obs_faceswap.engine.settings import OPTIONS
from obs_faceswap.libobs import abi, api, log, properties, sound, source
from obs_faceswap.libobs import filter as filter_module
from obs_faceswap.libobs.defaults import DEFAULTS
from obs_faceswap.libobs.log import ObsLogHandler
from obs_faceswap.libobs.nursery import Nursery, prepare
from obs_faceswap.libobs.panel import ObsPanel
from obs_faceswap.libobs.source import FilterType

ASYNC = abi.OBS_SOURCE_VIDEO | abi.OBS_SOURCE_ASYNC


class FakeFilter:
    """Notes what it is asked for; it is its own path."""

    def __init__(self, handle):
        self.asked, self.handle, self.path = [], handle, self

    def __getattr__(self, name):
        return lambda *arguments: self.asked.append((name, *arguments))


@pytest.fixture
def obs(monkeypatch):
    made = FakeObs()
    monkeypatch.setattr(source, "obs", lambda: made)
    monkeypatch.setattr(properties, "obs", lambda: made)
    monkeypatch.setattr(filter_module, "python_filter", lambda obs, data, address: FakeFilter(5 * address))
    monkeypatch.setattr(source, "TYPE", FilterType())
    monkeypatch.setattr(plugin, "TYPE", source.TYPE)
    monkeypatch.setattr(log, "install", lambda _: None)
    monkeypatch.setattr(sound, "SOUND", SimpleNamespace(start=lambda: None, stop=lambda: None))
    monkeypatch.setattr(source.native, "find", lambda: Found(None, "There is none."))
    monkeypatch.setattr(source.atexit, "register", made.at_exit.append)
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
    source.TYPE._filters[handle] = Broken(handle)
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
    monkeypatch.setattr(filter_module, "python_filter", lambda *_: 1 / 0)
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


def test_without_the_library_that_is_said_once(obs, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            plugin.script_load(None)
    assert caplog.text.count("pass through Python") == 1
    assert "There is none." in caplog.text


# --- with the native library ---


@pytest.fixture
def made(obs, monkeypatch, tmp_path_factory):
    """The library, as OBS finds it; the nursery's thread is the test."""
    found = library(SHIPPED, tmp_path_factory.getbasetemp())
    while found.newborn():
        pass
    kept = bind(found, obs)
    monkeypatch.setattr(source.native, "find", lambda: Found(found))
    monkeypatch.setattr(source, "prepare", lambda library, _: library.declare(DEFAULTS))
    monkeypatch.setattr(source.Nursery, "start", lambda self: None)
    monkeypatch.setattr(filter_module, "native_filter", lambda obs, library, handle: FakeFilter(handle))
    yield found
    kept.clear()


def test_what_libobs_calls_with_locks_held_is_native(made, info):
    for name in (
        "get_name",
        "get_defaults",
        "create",
        "destroy",
        "update",
        "video_tick",
        "video_render",
        "filter_video",
    ):
        assert ctypes.cast(getattr(info, name), ctypes.c_void_p).value == made.address_of(name)
    assert ctypes.string_at(info.get_name(None)) == source.NAME


def test_native_defaults_are_those_of_the_declaration(made, info, obs):
    data = obs.add_data()
    info.get_defaults(data)
    assert {key: value for (_, key), value in obs.defaults.items()} == DEFAULTS


def test_a_native_filter_is_adopted_and_ended(made, info, obs):
    handle, unseen = made_by(info, obs)
    assert unseen is None
    source.TYPE._nursery.step()
    adopted = source.TYPE.find(handle)
    assert adopted.asked == [("start_engine",)]
    info.destroy(handle)
    assert adopted.asked[1:] == [("close",)]
    assert source.TYPE.find(handle) is None


def test_filters_that_outlive_python_are_ended_by_it(made, info, obs, monkeypatch):
    """libobs destroys what somebody still holds when Python has ended."""
    handle, _ = made_by(info, obs)
    unseen, _ = made_by(info, obs)
    source.TYPE._nursery.step()
    kept = source.TYPE.find(handle)
    (end,) = obs.at_exit
    end()
    assert kept.asked[1:] == [("close",)]
    monkeypatch.setattr(source, "TYPE", None)  # Python is gone
    obs.calls.clear()
    info.destroy(handle)
    info.destroy(unseen)
    assert not obs.calls


@pytest.mark.parametrize("cover", ["freeze_blur", "blur", "hide", "original", "nonsense"])
def test_a_native_filter_covers_before_python_sees_it(made, info, obs, cover):
    data = obs.add_data(cover=cover)
    handle = info.create(data, obs.add_source(ASYNC)[1])
    plane = (ctypes.c_ubyte * 4096)(*([77, 17] * 2048))
    frame = abi.SourceFrame(width=64, height=64, format=9)
    frame.data[0], frame.linesize[0] = ctypes.addressof(plane), 64
    assert info.filter_video(handle, ctypes.addressof(frame)) == ctypes.addressof(frame)
    assert (77 in plane) == (cover == "original")
    assert (set(plane) == {16}) == (cover == "hide")


def test_a_native_filter_that_ends_before_python_sees_it_is_not_adopted(made, info, obs):
    handle, _ = made_by(info, obs)
    info.video_tick(handle, 0.1)
    info.destroy(handle)
    source.TYPE._nursery.step()
    assert source.TYPE.find(handle) is None
    assert ("obs_enter_graphics" in obs.calls) == ("obs_leave_graphics" in obs.calls) is True


def test_a_gone_filter_still_hides(made, info, obs):
    """Its control block is never freed: libobs could still be in it."""
    handle, _ = made_by(info, obs)
    info.destroy(handle)
    obs.calls.clear()
    info.video_tick(handle, 0.1)
    info.video_render(handle, None)
    info.update(handle, 1)
    assert not obs.calls
    assert ex.Block.from_address(handle).words[ex.SOURCE] == 0


def test_filters_made_while_the_script_is_gone_are_adopted_at_its_return(made, info, obs):
    plugin.script_unload()
    handle, _ = made_by(info, obs)
    plugin.script_load(None)
    source.TYPE._nursery.step()
    assert source.TYPE.find(handle).asked == [("start_engine",)]


def test_a_filter_that_cannot_be_adopted_is_said_and_the_next_one_is(made, info, obs, monkeypatch, caplog):
    made_by(info, obs)
    good, _ = made_by(info, obs)
    monkeypatch.setattr(
        filter_module, "native_filter", lambda o, lib, handle: FakeFilter(handle) if handle == good else 1 / 0
    )
    source.TYPE._nursery.step()
    assert "could not be given its engine" in caplog.text
    assert source.TYPE.find(good)


def test_the_nursery_wakes_up_for_a_filter(made, obs, monkeypatch):
    monkeypatch.undo()
    adopted = threading.Event()
    began = threading.Event()
    nursery = Nursery(made, began.set, lambda handle: adopted.set())
    nursery.start()
    create = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(made.address_of("create"))
    create(obs.add_data(), obs.add_source(ASYNC)[1])
    assert adopted.wait(30)
    assert began.is_set()
    nursery.close()
    nursery.close()


def test_the_library_is_told_where_every_function_lies(made):
    """With the functions of this process instead of libobs's."""
    process = ctypes.CDLL(None)
    prepare(made, SimpleNamespace(**dict.fromkeys(made.needed(), process.abort)))
    assert len(set(made.needed())) == len(list(made.needed())) > 30
    assert set(made.needed()) <= set(abi.RELEASING | abi.HOLDING)


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


def test_the_panel_offers_the_audio_sources(info, obs, home, monkeypatch):
    monkeypatch.setattr(properties, "names", lambda obs, collect: ["Mic", "Music"])
    panel = info.get_properties(None)
    assert [value for value, _ in obs.find(panel, "sync_audio")["items"]] == ["", "Mic", "Music"]


def test_sound_is_looked_after_while_the_script_is_loaded(obs, monkeypatch):
    told = []
    monkeypatch.setattr(
        sound, "SOUND", SimpleNamespace(start=lambda: told.append(1), stop=lambda: told.append(0))
    )
    plugin.script_load(None)
    plugin.script_unload()
    assert told == [1, 0]


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


def test_obs_does_not_wait_for_the_engine_s_modules():
    """What registers the type leaves out what only a filter needs."""
    root = Path(obs_faceswap.__file__).parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import obs_faceswap.plugin; "
        "late = ('.worker', '.filter', '.loader', '.obs_properties', '.settings', '.sound', 'logging'); "
        "print(sorted(n for n in sys.modules if n.endswith(late)))"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
