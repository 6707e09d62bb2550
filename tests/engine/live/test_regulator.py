"""What stands between a worker and its governor."""

import threading
from dataclasses import replace

import pytest

from obs_faceswap.engine.live import regulator as regulator_module
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.live.meter import Host
from obs_faceswap.engine.live.regulator import Regulator
from obs_faceswap.engine.settings import Settings, Target


def limited(every):
    """A regulator whose plan leaves frames out."""
    made = Regulator(Settings(target=Target.SMOOTH))
    made._governor.plan = Plan(every=every)
    return made


@pytest.mark.parametrize("every", [1, 2, 3])
def test_frames_are_left_out_evenly(every):
    made = limited(every)
    assert [number for number in range(100, 112) if made.is_due(number)] == list(range(100, 112, every))


def test_a_busy_engine_takes_the_next_frame_that_it_can():
    made = limited(2)
    assert [made.is_due(number) for number in (1, 5, 6, 8)] == [True, True, False, True]


def test_numbers_that_start_again_are_due():
    made = limited(3)
    assert made.is_due(500)
    assert made.is_due(1)


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
