"""Frames on their way through an engine: in a row, overlapped, reprojected; in their order, none twice."""

import threading
import time

import pytest
from stream_engine import StreamEngine

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import stream as stream_module
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.live.stream import Stream
from obs_faceswap.engine.settings import Reprojection, Settings

KEY = key_of(PixelFormat.I420, 64, 36)
NEVER, ALWAYS = Settings(reprojection=Reprojection.NO), Settings(reprojection=Reprojection.YES)
AUTO = Settings()


class Made:
    """A stream with an engine, and what it told."""

    def __init__(self, settings=NEVER, plan=None, is_due=lambda sequence: True):
        self.engine, self.settings, self.plan = StreamEngine(), settings, plan or Plan()
        self.exchange = Exchange()
        self.exchange.words[ex.SHOWING] = 1
        self.exchange.current(KEY)
        self.exchange.lay_out()
        self.arrived, self.swapping, self.swaps, self.done = [], [], [], []
        self.stream = Stream(
            self.exchange, is_due, lambda *at: self.arrived.append(at),
            lambda: self.swapping.append(threading.current_thread()), self.swaps.append, self.done.append,
        )  # fmt: skip

    def offer(self, value=10, arrival_ns=None):
        slots = self.exchange.current(KEY)
        index = self.exchange.input_slot()
        for view in slots.plane_views(index):
            view[:] = bytes([value]) * len(view)
        self.exchange.offer(slots, index, arrival_ns or now_ns())
        return slots

    def step(self):
        return self.stream.step(self.engine, self.settings, self.plan)

    def wait(self):
        """Until the swap under way is done."""
        while self.stream.is_busy and not self.stream._thread.is_done:
            time.sleep(0.0002)

    def published(self):
        """Sequence numbers of the results that may be shown."""
        slots = self.exchange.slots
        return sorted(slots.metas[index].ready for index in slots.result_range if slots.metas[index].ready)


def test_in_a_row_a_frame_waits_for_the_one_before():
    made = Made()
    made.engine.gate.clear()
    made.offer()
    assert made.step()
    made.offer()
    assert not made.step()
    assert made.engine.begun == [1]
    made.engine.gate.set()
    made.wait()
    assert made.step()
    assert made.engine.finished == [(1, 1)]
    made.wait()
    assert made.step()
    assert made.engine.finished == [(1, 1), (2, 2)]
    assert made.published() == [1, 2]


def test_overlapped_a_frame_is_begun_while_the_one_before_swaps():
    made = Made()
    made.engine.can_overlap = True
    made.engine.gate.clear()
    for _ in range(2):
        made.offer()
        assert made.step()
    assert made.engine.begun == [1, 2]
    made.offer()
    assert not made.step()  # one waits already
    made.engine.gate.set()
    made.wait()
    made.step()
    assert made.engine.finished == [(1, 1)]
    made.wait()
    made.step()
    assert made.engine.finished == [(1, 1), (2, 2)]
    assert made.published() == [1, 2]


def test_an_overlapped_frame_is_not_begun_long_before_it_can_be_swapped():
    """What is begun early waits, and is old when it is shown."""
    made = Made()
    made.engine.can_overlap = True
    made.stream._swap.ns, made.stream._begin.ns = 3_600e9, 1e6
    made.engine.gate.clear()
    made.offer()
    made.step()
    made.offer()
    assert not made.step()
    assert made.stream.seconds_to_next() == pytest.approx(3600, abs=60)
    made.engine.gate.set()


def test_an_engine_that_keeps_up_in_a_row_does_not_overlap():
    made = Made()
    made.engine.can_overlap = True
    for number in range(10):
        made.offer(arrival_ns=now_ns() - (12 - number) * 10**9)  # a very slow camera
        made.step()
        made.wait()
        made.step()
        made.exchange.choose(made.exchange.slots, now_ns())
    made.engine.gate.clear()
    for _ in range(2):
        made.offer()
        made.step()
    assert made.engine.begun == list(range(1, 12))
    made.engine.gate.set()


def test_frames_without_a_face_keep_their_order():
    made = Made()
    made.engine.can_overlap = True
    made.engine.gate.clear()
    made.offer()
    made.step()
    made.engine.sees_a_face = False
    made.offer()
    made.step()
    made.engine.gate.set()
    for _ in range(2):
        made.wait()
        made.step()
    assert made.engine.finished == [(1, 1), (2, None)]


def test_reprojected_every_frame_is_shown_at_once_with_the_newest_swap():
    made = Made(ALWAYS)
    made.engine.gate.clear()
    for _ in range(3):
        made.offer()
        assert made.step()
        made.exchange.choose(made.exchange.slots, now_ns())
    assert made.engine.finished == [(1, None), (2, None), (3, None)]
    made.engine.gate.set()
    made.wait()
    made.offer()
    made.step()
    assert made.engine.finished[-1] == (4, 1)
    made.wait()
    made.offer()
    made.step()
    assert made.engine.finished[-1] == (5, 4)
    assert made.stream.is_reprojecting


def test_the_last_swap_in_a_row_is_the_first_one_reprojected():
    made = Made(NEVER)
    made.offer()
    made.step()
    made.wait()
    made.step()
    made.settings = ALWAYS
    made.offer()
    made.step()
    assert made.engine.finished == [(1, 1), (2, 1)]


def test_a_frame_in_a_row_is_finished_before_the_first_reprojected_one():
    made = Made(NEVER)
    made.engine.gate.clear()
    made.offer()
    made.step()
    made.settings = ALWAYS
    made.offer()
    assert not made.step()
    made.engine.gate.set()
    made.wait()
    made.step()
    assert made.engine.finished == [(1, 1), (2, 1)]
    assert made.published() == [1, 2]


def test_the_plan_asks_for_reprojection_and_fewer_swaps():
    made = Made(AUTO, Plan(reproject=True, max_swap_fps=0.001))
    for _ in range(6):
        made.offer()
        made.step()
        made.wait()
        made.exchange.choose(made.exchange.slots, now_ns())
    assert [swap for _, swap in made.engine.finished] == [None, 1, 1, 1, 1, 1]
    assert made.swaps == [1.0]
    assert [thread.name for thread in made.swapping] == ["face swap network"]


@pytest.mark.parametrize(("settings", "plan"), [(NEVER, Plan(reproject=True)), (AUTO, Plan())])
def test_it_does_not_reproject_unless_asked(settings, plan):
    made = Made(settings, plan)
    made.offer()
    made.step()
    assert not made.stream.is_reprojecting


def test_swaps_that_would_be_too_old_are_not_reprojected():
    made = Made(ALWAYS)
    made.stream._swap.ns = 0.7e9
    made.offer()
    made.step()
    assert not made.stream.is_reprojecting
    assert "700 ms" in made.stream.notice
    made.settings = AUTO
    made.step()
    assert made.stream.notice == ""


def test_automatic_it_reprojects_once_the_network_is_slower_than_the_camera(monkeypatch):
    clock = [10**12]
    monkeypatch.setattr(stream_module, "now_ns", lambda: clock[0])
    made = Made(AUTO)
    made.engine.result.stages_ms["swap"] = 100.0
    for _ in range(60):
        clock[0] += 33_000_000
        made.offer(arrival_ns=clock[0])
        made.step()
        made.wait()
        made.exchange.choose(made.exchange.slots, clock[0])
    assert made.stream.is_reprojecting


def test_a_result_that_was_not_shown_is_not_overwritten():
    made = Made()
    made.exchange.words[ex.HOLD_NS] = 10**18  # none of them is due
    for _ in range(10):
        made.offer()
        made.step()
        made.wait()
        made.step()
    assert made.published() == list(range(1, ex.RESULTS + 1))
    made.exchange.words[ex.HOLD_NS] = 0
    made.exchange.choose(made.exchange.slots, now_ns())
    made.offer()
    assert made.step()


def test_a_frame_that_is_not_due_is_left_out():
    made = Made(is_due=lambda sequence: sequence % 2 == 0)
    for arrival in range(10, 16):
        made.offer(arrival_ns=arrival)
        made.step()
        made.wait()
        made.step()
        made.exchange.choose(made.exchange.slots, now_ns())
    assert [arrival for arrival, _ in made.arrived] == [11, 13, 15]
    assert len(made.engine.begun) == 3


def test_an_error_of_the_network_costs_its_frame_and_the_one_that_waits():
    made = Made()
    made.engine.swap_errors = [RuntimeError("odd")]
    made.offer()
    made.step()
    made.wait()
    with pytest.raises(RuntimeError, match="odd"):
        made.step()
    made.offer()
    made.step()
    made.wait()
    made.step()
    assert made.engine.finished == [(2, 2)]


def test_what_was_under_way_when_nobody_watched_is_not_shown_later():
    made = Made()
    made.engine.gate.clear()
    made.offer()
    made.step()
    made.stream.rest()
    made.engine.gate.set()
    made.wait()
    made.offer()
    made.step()
    made.wait()
    made.step()
    assert made.engine.finished == [(2, 2)]


def test_it_says_how_long_the_network_has_not_answered():
    made = Made()
    made.engine.gate.clear()
    made.offer()
    made.step()
    started_ns = now_ns()
    assert made.stream.stuck_ns(started_ns) == 0
    assert made.stream.stuck_ns(started_ns + 20 * 10**9) == pytest.approx(20e9, rel=0.05)
    made.engine.gate.set()
    made.wait()
    made.step()
    assert made.stream.stuck_ns(started_ns + 20 * 10**9) == 0


def test_a_slow_network_beside_quick_frames_is_not_stuck():
    made = Made(ALWAYS)
    made.stream._whole.ns, made.stream._swap.ns = 10e6, 400e6
    made.engine.gate.clear()
    made.offer()
    made.step()
    assert made.stream.stuck_ns(now_ns() + 800_000_000) == 0
    assert made.stream.stuck_ns(now_ns() + 2 * 10**9) > 10**9
    made.engine.gate.set()


def test_the_first_frames_after_reprojection_may_take_as_long_as_the_network():
    made = Made(ALWAYS)
    made.stream._whole.ns, made.stream._swap.ns = 10e6, 400e6
    made.step()
    assert made.stream.budget_ns == 250_000_000
    made.settings = NEVER
    made.step()
    assert made.stream.budget_ns == 1_600_000_000


def test_one_thread_swaps_for_all_engines_and_ends():
    made = Made()
    for _ in range(3):
        made.offer()
        made.step()
        made.wait()
        made.step()
        made.stream.leave(made.engine.close)
        made.engine = StreamEngine()
    assert len(made.swapping) == 3
    assert len(set(made.swapping)) == 1
    made.stream.close()
    assert not made.swapping[0].is_alive()


def test_an_engine_is_closed_at_once_and_one_that_does_not_answer_once_it_does(monkeypatch):
    monkeypatch.setattr(stream_module, "_PATIENCE_S", 0.05)
    made = Made()
    unused = StreamEngine()
    made.stream.leave(unused.close)
    assert unused.closed
    made.offer()
    made.step()
    made.wait()
    made.step()
    made.stream.leave(made.engine.close)
    assert made.engine.closed
    made.engine = stuck = StreamEngine()
    stuck.gate.clear()
    made.offer()
    made.step()
    thread = made.stream._thread._thread
    made.stream.leave(stuck.close)
    assert not made.stream.is_busy
    made.engine = StreamEngine(5)
    made.offer()
    made.step()
    made.wait()
    made.step()
    assert made.engine.finished == [(1, 1)]
    assert not stuck.closed
    stuck.gate.set()
    thread.join(30)
    assert stuck.closed
