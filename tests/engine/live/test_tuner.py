"""Autotune beside a running engine: progress, outcome, and a stop at any time."""

import threading

import pytest

from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.live import autotune as autotune_module
from obs_faceswap.engine.live import tuner as tuner_module
from obs_faceswap.engine.live.autotune import StoppedError, Tuning
from obs_faceswap.engine.live.loader import DEVICES
from obs_faceswap.engine.live.tuner import Tuner
from obs_faceswap.engine.settings import Settings

FOUND = Tuning((), {"device": "cpu", "target": "smooth"}, ("Swap: CPU, 60.0 ms.",))


class Measure:
    """An autotune that does what the test says, when it says so."""

    def __init__(self, outcome=FOUND):
        self.outcome, self.settings = outcome, []
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, settings, on_progress, is_stopped):
        self.settings.append(settings)
        on_progress("swap on CPU", 0.5)
        self.reached.set()
        assert self.go_on.wait(30)
        if is_stopped():
            raise StoppedError("Autotune was stopped.")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def finished(measure):
    """A tuner that is done, and how often it had news."""
    news = []
    made = Tuner(lambda: news.append(made.text), measure)
    measure.go_on.set()
    made.start(Settings(face="Anna"))
    made._thread.join(30)
    return made, news


def test_what_is_done_and_what_came_out_is_told(monkeypatch):
    monkeypatch.setattr(DEVICES, "get", lambda: (("auto", "Automatic"), ("cpu", "Processor")))
    measure = Measure()
    made, news = finished(measure)
    assert news[:2] == ["Autotune starts …", "Autotune measures the swap on CPU (50%) …"]
    assert made.text == "Autotune proposes Device: Processor, Target: Smooth picture. Swap: CPU, 60.0 ms."
    assert made.proposal == FOUND.settings
    assert measure.settings[0].face == "Anna"
    made.forget()
    assert (made.text, made.proposal) == ("", {})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FaceError("There is no face “Anna”."), "no face “Anna”"),
        (ModuleNotFoundError(name="numpy"), "Missing in the Python that OBS uses: numpy"),
        (ZeroDivisionError("oh"), "The engine failed"),
    ],
)
def test_what_went_wrong_is_told(error, words):
    made, _ = finished(Measure(error))
    assert made.text.startswith("Autotune: ")
    assert words in made.text
    assert not made.proposal


def test_a_second_press_starts_nothing_while_it_measures():
    measure = Measure()
    made = Tuner(lambda: None, measure)
    made.start(Settings())
    assert measure.reached.wait(30)
    assert made.is_busy
    made.start(Settings())
    measure.go_on.set()
    made._thread.join(30)
    assert len(measure.settings) == 1
    made.start(Settings())
    made._thread.join(30)
    assert len(measure.settings) == 2


def test_closing_stops_it_without_news():
    measure, news = Measure(), []
    made = Tuner(lambda: news.append(1), measure)
    made.start(Settings())
    assert measure.reached.wait(30)
    told = len(news)
    threading.Timer(0.05, measure.go_on.set).start()
    made.close()
    made.close()
    assert not made.is_busy
    assert len(news) == told
    assert not made.proposal


def test_the_real_one_gets_what_it_needs(monkeypatch):
    asked = []
    monkeypatch.setattr(autotune_module, "autotune", lambda *given, **more: asked.append((given, more)))
    tuner_module.measure(Settings(), "progress", "stopped")
    assert asked == [((Settings(),), {"on_progress": "progress", "is_stopped": "stopped"})]


def test_closing_one_that_never_started_does_nothing():
    Tuner(lambda: None).close()
