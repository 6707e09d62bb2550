"""What stands between a worker and its governor."""

import threading
from dataclasses import replace

import pytest

from obs_faceswap.engine import regulator as regulator_module
from obs_faceswap.engine.meter import Host
from obs_faceswap.engine.regulator import Regulator
from obs_faceswap.engine.settings import Settings, Target

FRAME_NS = 33_333_333


def begun(made, camera_ns, seconds=20):
    """How many frames a second are begun of a camera's."""
    count = sum(made.is_due(at) for at in range(10**12, 10**12 + seconds * 10**9, camera_ns))
    return count / seconds


def test_without_a_limit_every_frame_is_due():
    assert begun(Regulator(Settings()), FRAME_NS) == pytest.approx(30, abs=0.3)


@pytest.mark.parametrize("limit", [10, 15, 20, 24, 30, 60])
@pytest.mark.parametrize("camera_fps", [15, 30, 60])
def test_a_limit_is_met_and_never_passed(limit, camera_fps):
    made = Regulator(Settings(target=Target.SMOOTH, target_fps=limit))
    expected = min(limit, camera_fps)
    assert begun(made, 10**9 // camera_fps) == pytest.approx(expected, rel=0.04)


def test_after_a_pause_it_does_not_catch_up():
    made = Regulator(Settings(target=Target.SMOOTH, target_fps=10))
    assert made.is_due(10**9)
    assert [made.is_due(60 * 10**9 + at * 10**6) for at in range(4)] == [True, False, False, False]


def test_a_slow_swap_is_reported_and_reprojected():
    host = Host(0, 0, 0.2)
    made = Regulator(Settings(target=Target.SMOOTH), lambda: host)
    assert made.text == ""
    for second in range(12):
        for _ in range(10):
            made.note_frame(8)
            made.note_swap(90)
        host = replace(host, shown=host.shown + 60, late=host.late + (second == 9))
        made.each_second(float(second), 30 * second, made.plan.reproject)
    assert made.plan.reproject
    assert made.text == "Smooth target: new faces looked for every 0.2 s; OBS was late once."


class Quiet:
    """A priority that only remembers."""

    def __init__(self):
        self.notice, self.lows = "", []

    def set_low(self, low):
        self.lows.append(low)
        self.notice = "" if low else "It stays low."


def test_a_game_gets_the_priority_and_the_notice_is_told(monkeypatch):
    monkeypatch.setattr(regulator_module, "Priority", Quiet)
    made = Regulator(Settings(target=Target.GAME))
    made.give_way()
    made.each_second(1.0, 30, False)
    made.update(Settings())
    made.each_second(2.0, 60, False)
    assert made._of_thread.priority.lows == [True, True, False]
    assert made.text == "It stays low."


def test_another_engine_is_measured_anew():
    made = Regulator(Settings(target=Target.SMOOTH))
    made.each_second(1.0, 30, False)
    made.use("cuda")
    made.each_second(2.0, 60, False)  # a first look at it: nothing to judge by yet
    assert made.text == ""


def test_swaps_may_be_noted_on_another_thread():
    made = Regulator(Settings(target=Target.SMOOTH))
    made.each_second(1.0, 0, False)
    thread = threading.Thread(target=lambda: [made.note_swap(10) for _ in range(500)])
    thread.start()
    for _ in range(500):
        made.note_frame(1)
    thread.join()
    made.each_second(2.0, 500, False)
    assert made.text == "Smooth target: nothing gives way."
