"""The worker takes the newest frame only, goes on after errors, and says what is wrong."""

import logging
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from stream_engine import StreamEngine, work
from worker_stage import ANNA, Loads, loaded, offered, result_of

from obs_faceswap.engine.errors import FaceError, explain
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import loader, stream, worker
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.live.loader import Choices
from obs_faceswap.engine.live.meter import Host
from obs_faceswap.engine.live.worker import State, Worker
from obs_faceswap.engine.settings import Settings, Target
from obs_faceswap.engine.types import Result, Shown

# --- frames ---


def test_a_frame_becomes_a_result_and_the_input_stays():
    engine = StreamEngine()
    made, _ = loaded(engine)
    slots = offered(made._exchange)
    assert work(made)
    assert result_of(made._exchange) == {11}
    assert set(slots.plane_views(made._exchange.words[ex.INPUT_NEWEST] - 1)[0]) == {10}
    assert engine.settings == [ANNA]
    assert not work(made)


def test_the_newest_frame_only():
    engine = StreamEngine()
    made, _ = loaded(engine)
    for value in (10, 20, 30):
        offered(made._exchange, value)
    work(made)
    assert len(engine.frames) == 1
    assert result_of(made._exchange) == {31}


def test_a_result_carries_its_kind_and_its_frame_number():
    engine = StreamEngine()
    made, _ = loaded(engine)
    for number, shown in enumerate(Shown, 1):
        engine.result = Result(shown)
        slots = offered(made._exchange)
        work(made)
        meta = slots.metas[made._exchange.words[ex.RESULT_NEWEST] - 1]
        assert (meta.kind, meta.sequence) == (list(Shown).index(shown), number)
        assert made._exchange.words[ex.DONE] == number


def test_a_frame_says_what_its_source_said():
    engine = StreamEngine()
    made, _ = loaded(engine)
    slots = offered(made._exchange)
    meta = slots.metas[made._exchange.words[ex.INPUT_NEWEST] - 1]
    meta.timestamp_ns = 77
    meta.color.matrix[:12] = range(12)
    meta.color.range_min[:] = (0.1, 0.2, 0.3)
    meta.color.range_max[:] = (0.7, 0.8, 0.9)
    meta.color.flip = True
    work(made)
    frame = engine.frames[0]
    assert (frame.format, frame.width, frame.height) == (PixelFormat.I420, 64, 36)
    assert [plane.shape for plane in frame.planes] == [(36, 64), (18, 32), (18, 32)]
    assert (frame.timestamp_ns, frame.flip) == (77, True)
    assert frame.color.matrix == tuple(range(12))
    np.testing.assert_allclose(frame.color.range_min, (0.1, 0.2, 0.3), atol=1e-6)
    np.testing.assert_allclose(frame.color.range_max, (0.7, 0.8, 0.9), atol=1e-6)


def test_rgb_and_silent_sources_have_no_color_space():
    engine = StreamEngine()
    made, _ = loaded(engine)
    offered(made._exchange)
    work(made)
    slots = offered(made._exchange, key=key_of(PixelFormat.BGRA, 64, 36))
    slots.metas[made._exchange.words[ex.INPUT_NEWEST] - 1].color.matrix[:12] = range(12)
    work(made)
    assert [frame.color for frame in engine.frames] == [None, None]


def test_it_sleeps_and_promises_nothing_while_nobody_watches():
    engine = StreamEngine()
    made, _ = loaded(engine)
    offered(made._exchange)
    made.set_showing(False)
    assert not work(made)
    assert not engine.frames
    assert made._exchange.words[ex.BUDGET_NS] == 0
    made.set_showing(True)
    assert work(made)
    assert made._exchange.words[ex.BUDGET_NS] > 0


@pytest.mark.parametrize(
    ("chosen", "periods"), [({}, 2), ({"delay": "fixed", "delay_ms": 500}, 15), ({"delay": "off"}, 0)]
)
def test_frames_are_held_for_the_delay_that_was_chosen(monkeypatch, chosen, periods):
    period_ns, needs_ns, clock = 33_000_000, 40_000_000, SimpleNamespace(now=10**12)
    engine = StreamEngine()
    made, _ = loaded(engine, settings=Settings(face="Anna", **chosen))
    exchange = made._exchange
    for module in (stream, worker):
        monkeypatch.setattr(module, "now_ns", lambda: clock.now)
    for number in range(40):
        arrival = 10**12 + number * period_ns
        clock.now = arrival + needs_ns
        monkeypatch.setitem(offered.__globals__, "now_ns", lambda arrival=arrival: arrival)
        slots = offered(exchange)
        work(made)
        exchange.choose(slots, arrival + 20 * period_ns)  # shown later, so that there is room
    assert exchange.words[ex.SHIFT_NS] == periods * period_ns
    assert exchange.words[ex.HOLD_NS] == max(0, (periods - 0.5) * period_ns)
    assert exchange.results >= periods
    made._end()
    assert exchange.words[ex.SHIFT_NS] == exchange.words[ex.HOLD_NS] == 0


def test_the_promise_follows_what_a_frame_usually_takes():
    made, _ = loaded(StreamEngine())
    frames = made._stream
    assert frames.budget_ns == stream._FIRST_BUDGET_NS
    frames._whole.ns = 400e6
    assert frames.budget_ns == 1_600_000_000
    frames._whole.ns = 1e6
    assert frames.budget_ns == stream._SHORTEST_BUDGET_NS
    frames._whole.ns = 9e9
    assert frames.budget_ns == stream._LONGEST_BUDGET_NS


# --- errors ---


def test_one_bad_frame_costs_one_frame():
    engine = StreamEngine()
    engine.errors = [RuntimeError("odd")]
    made, _ = loaded(engine)
    offered(made._exchange)
    with pytest.raises(RuntimeError) as caught:
        work(made)
    made._fail(caught.value)
    assert made._exchange.words[ex.RESULT_NEWEST] == 0
    offered(made._exchange)
    assert work(made)
    assert made.status().state is State.RUNNING


def test_many_bad_frames_load_the_engine_anew(caplog):
    broken, good = StreamEngine(), StreamEngine()
    broken.errors = [RuntimeError("the card is gone")] * 50
    with caplog.at_level(logging.WARNING):
        made, loads = loaded(broken, good)
        made.start()
        offer_until(made, lambda: made.status().state is State.FAILED)
        assert "the card is gone" in made.status().line()
        assert made._exchange.words[ex.BUDGET_NS] == 0
        assert broken.closed
        made._retries._at_s = time.monotonic()
        offer_until(made, lambda: good.frames)
    made.close()
    assert len(loads.asked) == 2
    assert len(caplog.records) < 10


def offer_until(made, condition, timeout_s=30.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        offered(made._exchange)
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FaceError("No face."), "No face."),
        (ModuleNotFoundError(name="numpy, cv2"), "OBS uses: numpy, cv2."),
        (
            ImportError("bad DLL", name="onnxruntime.capi"),
            "onnxruntime cannot be used by the Python in OBS (bad DLL).",
        ),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_errors_in_plain_words(error, words):
    assert words in explain(error)


# --- the thread ---


def test_it_runs_by_itself_and_ends_clean():
    engine, news = StreamEngine(), []
    made = Worker(Exchange(), ANNA, on_change=lambda: news.append(made.status().state), load=Loads(engine))
    made.start()
    offer_until(made, lambda: len(engine.frames) > 3)
    made.close()
    made.close()
    assert engine.closed
    assert not made._thread.is_alive()
    assert made._exchange.words[ex.BUDGET_NS] == 0
    assert news == [State.LOADING, State.RUNNING, State.STOPPED]


def in_a_load(engine):
    """A worker whose load waits at its gate, and the loads."""
    loads = Loads(engine)
    loads.gate.clear()
    made = Worker(Exchange(), ANNA, load=loads)
    made.start()
    while not loads.asked:
        time.sleep(0.001)
    return made, loads


def test_it_ends_while_a_load_runs_and_frees_what_that_made():
    engine = StreamEngine()
    made, loads = in_a_load(engine)
    closing = threading.Thread(target=made.close)
    closing.start()
    loads.gate.set()
    closing.join()
    assert engine.closed


def test_it_does_not_wait_for_ever_for_a_load_and_what_that_makes_is_freed(monkeypatch):
    monkeypatch.setattr(worker, "_PATIENCE_S", 0.05)
    engine = StreamEngine()
    made, loads = in_a_load(engine)
    late = made._loader._thread
    made.close()
    assert not engine.closed
    loads.gate.set()
    late.join(30)
    assert engine.closed


def test_a_report_that_cannot_be_written_stops_nothing(caplog):
    def fail():
        raise OSError("disk full")

    made, _ = loaded(StreamEngine(), every_second=fail)
    made._each_second()
    made._each_second()
    assert "disk full" in caplog.text


# --- telling ---


def test_status_gets_figures_after_some_seconds(monkeypatch):
    clock = SimpleNamespace(ns=1_000_000_000)
    for module in (stream, worker):
        monkeypatch.setattr(module, "now_ns", lambda: clock.ns)
    engine, news = StreamEngine(), []
    made, _ = loaded(engine, on_change=lambda: news.append(1))
    engine.result = Result(Shown.COVERED, notice="No face is seen.")
    for _ in range(101):
        slots = offered(made._exchange)
        made._exchange.choose(slots, now_ns())
        work(made)
        clock.ns += 50_000_000
        if clock.ns == 2_000_000_000:
            assert "a second" not in made.status().line()
    made._exchange.words[ex.DELAY_NS] = 61_400_000
    assert made.status().line().endswith("20 frames a second, 61 ms behind. No face is seen.")
    told = len(news)
    made._each_second()
    made._each_second()
    assert len(news) == told + 1


def test_a_slow_engine_follows_the_plan_of_its_target_and_says_so(monkeypatch):
    clock = SimpleNamespace(ns=1_000_000_000)
    for module in (stream, worker):
        monkeypatch.setattr(module, "now_ns", lambda: clock.ns)
    settings = Settings(face="Anna", target=Target.SMOOTH)
    engine = StreamEngine()
    engine.result = Result(Shown.SWAPPED, [], {"swap": 90.0}, "")
    made, _ = loaded(engine, settings=settings, read_host=lambda: Host(clock.ns // 10**7, 0, 0.1))
    made._exchange.words[ex.SHOWING] = 1
    for second in range(12):
        for _ in range(10):
            made._exchange.choose(offered(made._exchange), now_ns())
            made._exchange.words[ex.FRAMES_IN] += 3  # the engine is too slow for the other two
            clock.ns += 100_000_000
            work(made)
        made._each_second()
        assert not (engine.plans[-1].reproject and second < 3)
    assert engine.plans[-1].reproject
    assert "Smooth target: new faces looked for every 0.2 s." in made.status().line()
    made.set_settings(ANNA)
    offered(made._exchange)
    work(made)
    assert engine.plans[-1] == Plan()


def test_frames_that_the_target_does_not_need_are_left_out():
    made, _ = loaded(StreamEngine(), settings=Settings(face="Anna", target=Target.SMOOTH, target_fps=10))
    made._regulator._governor._camera.note(30.0)
    made._regulator.update(made._settings)
    done = 0
    for _ in range(60):
        slots = offered(made._exchange)
        done += work(made)
        made._exchange.choose(slots, now_ns())
    assert done == 20


def test_one_log_line_a_minute(monkeypatch, caplog):
    clock = SimpleNamespace(ns=1_000_000_000)
    for module in (stream, worker):
        monkeypatch.setattr(module, "now_ns", lambda: clock.ns)
    made, _ = loaded(StreamEngine(), name="Cam")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for _ in range(190):
            clock.ns += 1_000_000_000
            made._each_second()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert all(line.startswith("Cam: Wearing “Anna” on ") for line in lines)


def test_a_device_that_was_not_asked_for_is_said():
    engine = StreamEngine()
    engine.provider, engine.notice, engine.has_morph = "cpu", "CUDA does not work here.", True
    made, _ = loaded(engine)
    assert made.status().problem == "CUDA does not work here."
    assert made.status().has_morph


def test_stages_on_other_devices_are_named(monkeypatch):
    engine = StreamEngine()
    engine.provider, engine.stages = "cuda", {"faces found": "cuda", "faces followed": "cpu"}
    monkeypatch.setattr(loader, "DEVICES", Choices())
    loader.DEVICES.set([("cuda", "NVIDIA CUDA"), ("cpu", "CPU")])
    made, _ = loaded(engine)
    assert made.status().text == "Wearing “Anna” on NVIDIA CUDA, faces followed on CPU."


def test_the_report_counts_what_was_shown():
    made, _ = loaded(StreamEngine())
    slots = offered(made._exchange)
    work(made)
    exchange = made._exchange
    for _ in range(3):
        exchange.words[ex.FRAMES_IN] += 1
        exchange.choose(slots, now_ns())
        exchange.note_callback(2_000_000)
    report = made.report("30.2.0")
    assert report["frames_in"] == report["frames_swapped"] == 3
    assert report["frames_frozen"] == report["frames_covered"] == report["frames_raw"] == 0
    assert report["callback_ms"] == {"p50": 2.0, "p99": 2.0}
    assert report["stages_ms"] == {"swap": 1.0}
    assert (report["obs_version"], report["provider"]) == ("30.2.0", "cpu")


def test_devices_are_automatic_until_they_are_known():
    choices = Choices()
    assert choices.get() == (("auto", "Automatic"),)
    choices.set([("auto", "Automatic"), ("cpu", "CPU")])
    assert choices.get()[1] == ("cpu", "CPU")


def test_the_real_loader_learns_the_devices_and_needs_a_face(home, monkeypatch):
    monkeypatch.setattr(loader, "DEVICES", Choices())
    with pytest.raises(FaceError, match="No face is chosen"):
        loader.load_engine(Settings(), None)
    assert "cpu" in dict(loader.DEVICES.get())


def test_all_missing_packages_are_named_at_once(monkeypatch):
    for package in ("numpy", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        loader.load_engine(Settings(), None)
    assert "numpy, onnxruntime." in explain(caught.value)
