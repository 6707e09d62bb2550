"""A faster form of a network is made beside the engine that wears it, and then taken over."""

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny_networks
from stream_engine import StreamEngine
from worker_stage import wait_for_load

from obs_faceswap.engine.live import improver
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.improver import MAKING, Improver, make_faster
from obs_faceswap.engine.live.worker import Worker
from obs_faceswap.engine.runtime import cancel, optimize, session
from obs_faceswap.engine.runtime.session import shared
from obs_faceswap.engine.settings import Settings

ANNA, BERT = Path("anna.dfm"), Path("bert.dfm")


class Making:
    """Notes what is asked for, and waits where told."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes) or [True]
        self.asked, self.gate = [], threading.Event()
        self.gate.set()

    def __call__(self, path):
        self.asked.append(path)
        while not self.gate.wait(0.01):
            cancel.check()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def finished(made: Improver):
    made._thread.join()
    return made.take()


@pytest.mark.parametrize("outcome", [True, False])
def test_what_was_made_is_told_once(outcome):
    told = []
    made = Improver(lambda: told.append(1), Making(outcome))
    made.follow(ANNA)
    assert finished(made) == (ANNA, outcome)
    assert made.take() is None
    assert told == [1]


def test_nothing_is_made_twice_nor_beside_another_one():
    making = Making()
    making.gate.clear()
    made = Improver(lambda: None, making)
    made.follow(ANNA)
    made.follow(BERT)
    made.follow(None)
    assert made.works_on(ANNA)
    assert not made.works_on(BERT)
    assert not made.works_on(None)
    making.gate.set()
    finished(made)
    made.follow(ANNA)
    assert making.asked == [ANNA]
    made.follow(BERT)
    assert finished(made) == (BERT, True)


def test_what_fails_is_as_nothing_to_gain():
    made = Improver(lambda: None, Making(OSError("disk full")))
    made.follow(ANNA)
    assert finished(made) == (ANNA, False)


def test_closing_gives_up_what_is_under_way():
    making = Making()
    making.gate.clear()
    made = Improver(lambda: None, making)
    made.follow(ANNA)
    made.close(30)
    assert not made._thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have nice values on Linux alone")
def test_it_gives_way_and_is_none_of_the_engines_threads():
    found = {}

    def make(path):
        thread = threading.get_native_id()
        found["nice"] = os.getpriority(os.PRIO_PROCESS, thread)
        found["name"] = Path(f"/proc/self/task/{thread}/comm").read_text()
        return True

    made = Improver(lambda: None, make)
    made.follow(ANNA)
    finished(made)
    assert found["nice"] > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert not found["name"].startswith("face swap")


# --- the sessions ---


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "anna.dfm"
    path.write_bytes(tiny_networks.dfm(32))
    return path


@pytest.fixture
def faster(monkeypatch, tmp_path):
    """A faster form that exists once it was asked for; answers whether it was."""
    made = []

    def prepared(path):
        other = tmp_path / "faster.onnx"
        if not made:
            other.write_bytes(tiny_networks.dfm(32, face=np.full((32, 32, 3), 0.25)))
            made.append(other)
        return other

    monkeypatch.setattr(optimize, "prepared", prepared)
    monkeypatch.setattr(optimize, "is_prepared", lambda path: bool(made))
    return made


def face_of(used):
    return float(used.run({"in_face:0": np.full((1, 32, 32, 3), 0.25, np.float32)})[1].mean())


def test_a_model_is_worn_at_once_and_faster_when_that_is_made(model, faster):
    first, other = (shared(model, "cpu", at_once=True) for _ in range(2))
    assert (first.to_improve, faster) == (model, [])
    assert first._use.loaded is other._use.loaded
    assert face_of(first) == 0.75
    assert make_faster(model) is True
    second = shared(model, "cpu", at_once=True)
    assert second.to_improve is None
    assert face_of(second) == 0.25
    assert face_of(first) == 0.75  # who has the old one goes on with it
    for each in (first, other, second):
        each.close()


def test_who_does_not_ask_for_that_gets_the_faster_form_as_ever(model, faster):
    used = shared(model, "cpu")
    assert (used.to_improve, face_of(used)) == (None, 0.25)
    used.close()


def test_where_the_faster_form_is_there_nothing_is_to_be_made(model, faster):
    optimize.prepared(model)
    used = shared(model, "cpu", at_once=True)
    assert used.to_improve is None
    used.close()


def test_a_file_that_cannot_be_improved_stays_as_it_is(model):
    first = shared(model, "cpu", at_once=True)
    assert first.to_improve == model
    assert make_faster(model) is False
    second = shared(model, "cpu", at_once=True)
    assert second._use.loaded is first._use.loaded  # and is not loaded once more for the next filter
    for each in (first, second):
        each.close()


def test_a_network_whose_faster_form_is_known_is_not_asked_about_twice(model):
    assert not optimize.is_prepared(model)
    optimize.prepared(model)
    assert optimize.is_prepared(model)
    os.utime(model, (1, 1))  # a copied file: whether its content is known shows only when it is read
    assert not optimize.is_prepared(model)


# --- the worker ---


def settle(made):
    made.step()
    while made._loader.is_busy:
        wait_for_load(made)
        made.step()


def working(monkeypatch, making, *engines):
    """A worker that loads these engines one after the other."""
    monkeypatch.setattr(improver, "make_faster", making)
    left = list(engines)
    made = Worker(Exchange(), Settings(face="Anna"), load=lambda settings, running: left.pop(0))
    made._improver = Improver(made._exchange.wake, making)
    settle(made)
    return made


def engine_of(path):
    engine = StreamEngine()
    engine.to_improve = path
    return engine


def test_the_worker_takes_the_faster_form_over(monkeypatch):
    making = Making()
    making.gate.clear()
    slow, fast = engine_of(ANNA), engine_of(None)
    made = working(monkeypatch, making, slow, fast)
    assert made.status().text == f"Wearing “Anna” on cpu. {MAKING}"
    making.gate.set()
    made._improver._thread.join()
    settle(made)
    settle(made)
    assert made._engine is fast
    assert fast.adopted == [slow]
    assert slow.closed
    assert made.status().text == "Wearing “Anna” on cpu."


def test_where_there_is_nothing_to_gain_the_engine_goes_on(monkeypatch):
    making = Making(False)
    making.gate.clear()
    slow = engine_of(ANNA)
    made = working(monkeypatch, making, slow)
    assert MAKING in made.status().text
    making.gate.set()
    made._improver._thread.join()
    settle(made)
    settle(made)
    assert made._engine is slow
    assert made.status().text == "Wearing “Anna” on cpu."
    assert not slow.closed


def test_another_face_worn_meanwhile_is_left_alone_and_its_turn_comes(monkeypatch):
    making = Making()
    making.gate.clear()
    second, faster_second = engine_of(BERT), engine_of(None)
    made = working(monkeypatch, making, engine_of(ANNA), second, faster_second)
    made.set_settings(Settings(face="Bert"))
    settle(made)
    assert made.status().text == "Wearing “Bert” on cpu."
    making.gate.set()
    made._improver._thread.join()
    made.step()
    assert made._engine is second
    made._improver._thread.join()
    settle(made)
    settle(made)
    assert making.asked == [ANNA, BERT]
    assert made._engine is faster_second


def test_a_worker_that_ends_gives_it_up(monkeypatch):
    making = Making()
    making.gate.clear()
    made = working(monkeypatch, making, engine_of(ANNA))
    made._end()
    assert not made._improver._thread.is_alive()


def test_the_filters_engine_is_loaded_at_once(monkeypatch):
    from obs_faceswap.engine import pipeline
    from obs_faceswap.engine.live import loader

    asked = []
    monkeypatch.setattr(pipeline, "load", lambda settings, at_once: asked.append(at_once))
    loader.load_engine(Settings(), None)
    assert asked == [True]
    assert session.renew(Path("nothing")) is None
