"""The engine goes wrong in every way: the picture follows the policy, it recovers, and the status says so."""

import logging
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import faulty_networks
import numpy as np
import pytest
from fake_engine import HEIGHT, SEEN, WIDTH, FakeFinder, FakeSwapper, networks_of
from stream_engine import StreamEngine, work
from worker_stage import wait_for_load

from obs_faceswap.engine.errors import FaceUnseenError, ModelError, ProviderError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import recovery
from obs_faceswap.engine.live import stream as stream_module
from obs_faceswap.engine.live import worker as worker_module
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.live.recovery import Retries, Trouble
from obs_faceswap.engine.live.worker import State, Worker
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Delay, Settings
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.types import Shown
from obs_faceswap.engine.wear import Worn

KEY = key_of(PixelFormat.BGR3, WIDTH, HEIGHT)
KINDS = list(Shown)


class Stage:
    """A worker without its thread, a camera, and a graphics thread."""

    def __init__(self, *engines, settings=None, **more):
        self.loads = list(engines)
        self.exchange = Exchange()
        self.exchange.words[ex.SHOWING] = 1
        self.worker = Worker(self.exchange, settings or ANNA, load=self._load, **more)
        self.times_loaded = 0
        self.number = 0
        self.settle()

    def _load(self, _settings, _running):
        self.times_loaded += 1
        outcome = self.loads.pop(0) if len(self.loads) > 1 else self.loads[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def settle(self):
        """Until no load is under way."""
        self.worker.step()
        while self.worker._loader.is_busy:
            wait_for_load(self.worker)
            self.worker.step()

    def offer(self):
        self.exchange.current(KEY)
        self.exchange.lay_out()
        slots = self.exchange.current(KEY)
        index = self.exchange.input_slot()
        noise = np.random.default_rng(self.number).integers(60, 190, slots.slot_bytes, np.uint8)
        for view in slots.plane_views(index):
            view[:] = noise[: len(view)].tobytes()
        self.number += 1
        slots.metas[index].timestamp_ns = self.number * 33_000_000
        self.exchange.offer(slots, index, now_ns())
        return slots

    def frame(self):
        """One frame of the camera through the engine; what it shows."""
        slots = self.offer()
        try:
            work(self.worker)
        except Exception as error:  # noqa: BLE001  # as the thread's own border
            self.worker._fail(error)
        choice = self.exchange.choose(slots, now_ns())
        return KINDS[slots.metas[choice].kind] if choice >= 0 else None

    def frames(self, count):
        return [self.frame() for _ in range(count)]

    def wait_out_the_retry(self):
        """As if the time until the next try had passed."""
        assert self.worker._retries._at_s is not None
        self.worker._retries._at_s = time.monotonic() - 1
        self.settle()

    @property
    def line(self):
        return self.worker.status().line()


def pipeline_of(swapper, session=None, finder=None):
    networks = networks_of(finder or FakeFinder(SEEN))
    return Pipeline(networks, Worn(swapper, FaceKind.DFM, session))


def model_of(network):
    session = Session(network, "cpu", threads=1)
    return pipeline_of(DfmSwapper(session), session)


ANNA = Settings(face="Anna", delay=Delay.OFF)
WELL = replace(ANNA, morph=faulty_networks.WELL)
ILL = replace(ANNA, morph=faulty_networks.ILL)


@pytest.mark.parametrize(
    ("network", "words"),
    [(faulty_networks.without_numbers, "no numbers"), (faulty_networks.raising, "cannot compute")],
)
def test_a_model_that_goes_wrong_is_frozen_covered_told_and_recovers(network, words):
    stage = Stage(model_of(network()), settings=WELL)
    assert stage.frames(3) == [Shown.SWAPPED] * 3
    stage.worker.set_settings(ILL)
    shown = stage.frames(30)
    assert shown[0] is Shown.FROZEN
    assert shown[-1] is Shown.COVERED
    assert Shown.ORIGINAL not in shown
    assert Shown.SWAPPED not in shown
    assert words in stage.line
    assert stage.worker.status().state is State.RUNNING
    stage.worker.set_settings(WELL)
    assert stage.frames(5)[-1] is Shown.SWAPPED
    assert "works again" in stage.line
    assert words in stage.line


@pytest.mark.parametrize("where", ["swap", "find"])
def test_a_provider_that_vanishes_is_loaded_anew_beside_the_old_engine(where, caplog):
    gone = ProviderError("NVIDIA CUDA stopped working while it ran anna.dfm.")
    swapper, finder = FakeSwapper(), FakeFinder(SEEN)
    good = pipeline_of(FakeSwapper())
    stage = Stage(pipeline_of(swapper, finder=finder), ProviderError("CUDA is still gone."), good, name="Cam")
    stage.frames(3)
    caplog.clear()
    if where == "swap":
        swapper.swapped = gone
    else:
        finder.found = [gone]
    assert Shown.SWAPPED not in stage.frames(20)
    stage.worker._each_second()
    stage.worker._each_second()
    assert "stopped working" in stage.line
    told = [record for record in caplog.records if "stopped working" in record.getMessage()]
    assert len(told) == 1
    assert told[0].getMessage().startswith("Cam: ")
    stage.wait_out_the_retry()
    assert "still gone" in stage.line
    assert stage.worker.status().state is State.RUNNING  # the old one goes on, covered
    stage.wait_out_the_retry()
    assert stage.frames(5)[-1] is Shown.SWAPPED
    assert stage.times_loaded == 3
    assert "works again" in stage.line
    assert "still gone" not in stage.line


def test_a_fault_that_stays_is_tried_ever_less_often():
    swapper = FakeSwapper()
    swapper.swapped = ModelError("not a number")
    stage = Stage(pipeline_of(swapper))
    waits = []
    for _ in range(5):
        stage.frames(6)
        waits.append(stage.worker._retries._at_s - time.monotonic())
        stage.wait_out_the_retry()
    assert waits == pytest.approx([*recovery._RETRY_S, recovery._RETRY_S[-1]], abs=1)
    assert stage.times_loaded == 6


def test_frames_without_a_face_to_swap_load_nothing_anew():
    swapper = FakeSwapper()
    swapper.swapped = FaceUnseenError("The model sees no face in this frame.")
    stage = Stage(pipeline_of(swapper))
    stage.frames(20)
    assert stage.worker._retries._at_s is None
    assert not stage.worker._trouble.is_on


def test_the_user_may_ask_for_a_try_at_once():
    swapper = FakeSwapper()
    swapper.swapped = ModelError("not a number")
    stage = Stage(pipeline_of(swapper), pipeline_of(FakeSwapper()))
    stage.frames(6)
    stage.worker.retry()
    stage.settle()
    assert stage.frames(4)[-1] is Shown.SWAPPED


def test_errors_that_nobody_expects_load_the_engine_anew_and_are_remembered():
    broken, good = StreamEngine(), StreamEngine()
    broken.swap_errors = [RuntimeError("the card is gone")] * 9
    stage = Stage(broken, good)
    stage.frames(worker_module._FAILURES_ALLOWED)
    assert stage.worker.status().state is State.FAILED
    assert "the card is gone" in stage.line
    assert stage.line.count("the card is gone") == 1
    assert broken.closed
    stage.wait_out_the_retry()
    stage.frame()
    assert stage.worker.status().state is State.RUNNING
    assert "works again" in stage.line
    assert "the card is gone" in stage.line


# --- stalls ---


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves; the camera and the engine live by it."""
    clock = SimpleNamespace(ns=now_ns())
    for module in (stream_module, worker_module):
        monkeypatch.setattr(module, "now_ns", lambda: clock.ns)
    return clock


def test_a_stalled_network_is_covered_told_while_it_lasts_and_afterwards(clock, caplog):
    engine = StreamEngine()
    stage = Stage(engine)
    stage.frames(3)
    slots = stage.offer()
    engine.gate.clear()
    stage.worker.step()
    clock.ns += 10 * 10**9
    later_ns = now_ns() + 10 * 10**9
    stage.exchange.offer(slots, stage.exchange.input_slot(), later_ns)
    stage.exchange.offer(slots, stage.exchange.input_slot(), later_ns)
    stage.exchange.choose(slots, later_ns)
    assert stage.exchange.choose(slots, later_ns + ex.FREEZE_NS) in (ex.HIDE, *slots.cover_range)
    assert "has not answered for 10 s" in stage.line
    assert not stage.worker.step()  # it is not stuck itself
    stage.worker._each_second()
    stage.worker._each_second()
    assert sum("has not answered" in record.getMessage() for record in caplog.records) == 1
    engine.gate.set()
    work(stage.worker)
    stage.worker._each_second()
    assert stage.frame() is Shown.SWAPPED
    assert "did not answer for 10 s" in stage.line


@pytest.mark.parametrize(("stall_s", "is_told"), [(0.3, False), (0.9, False), (1.2, True)])
def test_a_stall_that_nobody_could_read_of_is_not_told(clock, caplog, stall_s, is_told):
    engine = StreamEngine()
    stage = Stage(engine)
    stage.frames(3)
    stage.offer()
    engine.gate.clear()
    stage.worker.step()
    clock.ns += int(stall_s * 1e9)
    assert stage.worker._stream.stuck_ns(clock.ns) > 0
    stage.worker._each_second()
    assert ("has not answered for 1 s" in stage.line) is is_told
    engine.gate.set()
    work(stage.worker)
    stage.worker._each_second()
    assert ("did not answer for 1 s" in stage.line) is is_told
    assert any("answer" in record.getMessage() for record in caplog.records) is is_told


def test_the_status_is_told_while_the_worker_itself_is_stuck(clock):
    """The steps beside the swap run on the worker's own thread."""
    entered, go_on = threading.Event(), threading.Event()
    engine = StreamEngine()

    def stuck(frame, begun, swap):
        entered.set()
        go_on.wait(30)
        return engine.result

    stage = Stage(engine)
    stage.frame()
    engine.finish = stuck
    stage.offer()
    stuck_thread = threading.Thread(target=work, args=(stage.worker,))
    stuck_thread.start()
    assert entered.wait(30)
    clock.ns += 7 * 10**9
    assert "has not answered for 7 s" in stage.line
    go_on.set()
    stuck_thread.join(30)
    assert "has not answered" not in stage.line


def test_another_face_is_worn_although_the_old_network_never_answers(monkeypatch):
    monkeypatch.setattr(stream_module, "_PATIENCE_S", 0.05)
    stuck, other = StreamEngine(), StreamEngine(2)
    stage = Stage(stuck, other)
    stuck.gate.clear()
    stage.offer()
    stage.worker.step()
    stage.worker.set_settings(replace(ANNA, face="Bert"))
    stage.settle()
    assert stage.frame() is Shown.SWAPPED
    assert other.finished
    assert not stuck.closed  # what it is doing cannot be freed
    stuck.gate.set()
    deadline = time.monotonic() + 30
    while not stuck.closed and time.monotonic() < deadline:
        time.sleep(0.005)
    assert stuck.closed


def test_the_end_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(stream_module, "_PATIENCE_S", 0.05)
    engine = StreamEngine()
    stage = Stage(engine)
    stage.worker.start()
    engine.gate.clear()
    while not engine.begun:
        stage.offer()
        time.sleep(0.01)
    stage.worker.close()
    assert not stage.worker._thread.is_alive()
    assert stage.worker.status().state is State.STOPPED
    engine.gate.set()


# --- many filters ---


def test_a_fault_in_one_filter_leaves_the_others_alone():
    broken, well = StreamEngine(), StreamEngine()
    broken.errors = [RuntimeError("odd")] * 50
    stuck = StreamEngine()
    stuck.gate.clear()
    stages = [Stage(engine) for engine in (broken, stuck, well)]
    for stage in stages:
        stage.worker.start()
    end_s = time.monotonic() + 30
    while len(well.finished) < 10 or stages[0].worker.status().state is not State.FAILED:
        for stage in stages:
            stage.exchange.choose(stage.offer(), now_ns())
        assert time.monotonic() < end_s
        time.sleep(0.005)
    assert stages[2].worker.status().state is State.RUNNING
    stuck.gate.set()
    for stage in stages:
        stage.worker.close()


def test_a_hidden_filter_sleeps_until_a_frame_comes(monkeypatch):
    waits = []
    monkeypatch.setattr(
        Exchange, "wait_for_input", lambda self, timeout_s: waits.append(timeout_s) or time.sleep(0.01)
    )
    stage = Stage(StreamEngine())
    stage.worker.set_showing(False)
    stage.worker.start()
    while len(waits) < 20:
        time.sleep(0.005)
    stage.worker.close()
    assert max(waits) > 0.9  # once a second it looks, for the log and the report
    assert min(waits) >= 0


# --- what is said ---


def test_retries_come_later_each_time_and_start_over():
    retries = Retries()
    assert not retries.is_due(1e9)
    for wait_s in (*recovery._RETRY_S, recovery._RETRY_S[-1]):
        retries.later(100.0)
        retries.later(0.0)  # one is planned already
        assert not retries.is_due(99.9 + wait_s)
        assert retries.is_due(100.0 + wait_s)
        retries.drop()
    assert not retries.is_patient()
    retries.reset()
    assert retries.is_patient()


def test_trouble_is_told_from_some_frames_on_and_for_a_while_after():
    trouble, error = Trouble(), ModelError("not a number.")
    told = [trouble.fault(error) for _ in range(recovery._FAULTS_ALLOWED + 2)]
    assert told == [False] * (recovery._FAULTS_ALLOWED - 1) + [True, False, False]
    assert trouble.text(0.0) == "not a number."
    assert trouble.fine(100.0)
    assert not trouble.fine(100.1)
    assert "works again: not a number." in trouble.text(99.0 + recovery._REMEMBERED_S)
    assert trouble.text(101.0 + recovery._REMEMBERED_S) == ""


def test_a_single_bad_frame_is_not_told():
    trouble = Trouble()
    for _ in range(20):
        trouble.fault(ModelError("odd"))
        assert not trouble.fine(1.0)
    assert trouble.text(1.0) == ""


def test_faults_are_logged_once_and_when_they_are_over(caplog):
    swapper = FakeSwapper()
    stage = Stage(pipeline_of(swapper))
    with caplog.at_level(logging.WARNING):
        stage.frame()
        swapper.swapped = ModelError("not a number.")
        for _ in range(10):
            stage.frames(3)
            stage.worker._each_second()
        swapper.swapped = None
        stage.frames(5)
        stage.worker._each_second()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "not a number" in lines[0]
    assert "works again" in lines[1]
