"""The steady delay beside simulated cameras, engines and OBS ticks; all times are simulated."""

import random
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from obs_faceswap.engine.live.delay import LONGEST_MS, SteadyDelay
from obs_faceswap.engine.settings import Settings

MS = 1_000_000
OBS_FPS = 60


@dataclass
class Shown:
    """One callback in which another result was shown than in the one before."""

    at_ns: int
    age_ns: int
    shift_ns: int


@dataclass
class Stream:
    """A camera whose frames OBS hands over in its ticks, an engine that takes the newest, and the display.

    Attributes:
        engine_ms: (seconds into the stream) -> how long the engine needs for a frame begun then.
        fps: (seconds) -> the camera's rate.
        jitter_ms: how late the camera and a tick may be.
    """

    delay: SteadyDelay
    engine_ms: object
    fps: object = lambda s: 30
    jitter_ms: float = 0.0
    obs_fps: float = OBS_FPS
    seed: int = 1
    shown: list = field(default_factory=list)
    shifts: list = field(default_factory=list)  # (when, shift) at every change

    def arrivals(self, seconds):
        """When libobs hands over each frame: in the first tick after the camera had it."""
        chance = random.Random(self.seed)
        due, last, tick_ns = chance.uniform(0.001, 0.015), -1, 1e9 / self.obs_fps
        while due < seconds:
            ready_ns = (due + chance.uniform(0, self.jitter_ms) / 1e3) * 1e9
            tick = int(ready_ns // tick_ns) + 1
            if tick > last:  # else the frame before is replaced by this one
                last = tick
                yield int(tick * tick_ns + chance.uniform(0, self.jitter_ms / 4) * MS)
            due += 1 / self.fps(due)

    def run(self, seconds):
        """Plays so many seconds; returns itself."""
        chance = random.Random(self.seed + 1)
        inputs, results, pending = [], [], None  # (arrival, sequence); (arrival, done); the same
        free_ns, newest_shown, taken = 0, -1, 0
        for sequence, now in enumerate(self.arrivals(seconds), 1):
            while pending is not None or taken < len(inputs):
                if pending is None:
                    arrival, number = inputs[-1]
                    taken = len(inputs)
                    begun = max(free_ns, arrival)
                    pending = (arrival, int(begun + self.engine_ms(begun / 1e9, chance) * MS))
                    self.delay.arrived(arrival, number)
                if pending[1] > now:
                    break
                results.append(pending)
                free_ns = pending[1]
                self.delay.note(*pending)
                pending = None
                # What came in while it worked is taken once it is free: all of `inputs` came before `now`.
            inputs.append((now, sequence))
            self._show(results, now, newest_shown)
            newest_shown = self.shown[-1].at_ns - self.shown[-1].age_ns if self.shown else -1
            if not self.shifts or self.shifts[-1][1] != self.delay.shift_ns:
                self.shifts.append((now, self.delay.shift_ns))
        return self

    def _show(self, results, now, newest_shown):
        ready = [arrival for arrival, _ in results if arrival + self.delay.hold_ns <= now]
        if ready and ready[-1] != newest_shown:
            self.shown.append(Shown(now, now - ready[-1], self.delay.shift_ns))
        del results[: max(0, len(ready) - 1)]

    def after(self, second):
        return [shown for shown in self.shown if shown.at_ns > second * 1e9]

    def interval_spread_ms(self, second):
        """Standard deviation of the time from one newly shown frame to the next."""
        times = [shown.at_ns for shown in self.after(second)]
        return pstdev(later - earlier for earlier, later in pairwise(times)) / MS

    def age_spread_ms(self, second):
        """Standard deviation of a frame's age when first shown, beside the delay: what motion stutters by."""
        return pstdev(shown.age_ns - shown.shift_ns for shown in self.after(second)) / MS

    def changes(self, second):
        """How often the delay changed by more than the period's slowly growing accuracy."""
        both = pairwise(self.shifts)
        return sum(now[0] > second * 1e9 and abs(now[1] - before[1]) > 8 * MS for before, now in both)


def always(ms, wander=0.0):
    return lambda second, chance: max(1.0, chance.gauss(ms, wander))


def automatic(engine_ms, **more):
    return Stream(SteadyDelay(None), engine_ms, **more)


def undelayed(engine_ms, **more):
    return Stream(SteadyDelay(0), engine_ms, **more)


def test_off_holds_nothing():
    off = undelayed(always(50)).run(10)
    assert off.delay.hold_ns == off.delay.shift_ns == 0
    assert off.shifts == [(off.shifts[0][0], 0)]


@pytest.mark.parametrize(
    ("engine_ms", "fps", "periods"),
    [(10, 30, 1), (40, 30, 3), (80, 30, 4), (10, 60, 1), (30, 60, 3), (120, 60, 9)],
)
def test_the_delay_is_the_smallest_that_holds(engine_ms, fps, periods):
    # An engine slower than the camera takes a frame that is up to one period old: that is in `periods`.
    stream = automatic(always(engine_ms), fps=lambda s: fps).run(20)
    assert stream.delay.shift_ns / (1e9 / fps) == pytest.approx(periods, abs=0.05)
    assert stream.delay.hold_ns == pytest.approx(stream.delay.shift_ns - 0.5e9 / fps, abs=MS)


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    engine_fps=st.floats(8, 60),
    fps=st.sampled_from([24, 25, 30, 50, 60]),
    jitter_ms=st.floats(0, 4),
    wander=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
def test_a_steady_engine_has_a_steady_delay(engine_fps, fps, jitter_ms, wander, seed):
    needs_ms = 1000 / engine_fps
    engine = always(needs_ms, wander * needs_ms)
    held = automatic(engine, fps=lambda s: fps, jitter_ms=jitter_ms, seed=seed).run(40)
    free = undelayed(engine, fps=lambda s: fps, jitter_ms=jitter_ms, seed=seed).run(40)
    # Nearly all frames are shown within a period of the delay that is told, so that sound fits.
    out = [shown for shown in held.after(10) if abs(shown.age_ns - shown.shift_ns) > 1.5e9 / fps]
    assert len(out) <= 0.1 * len(held.after(10))
    assert held.changes(10) <= 3
    assert held.age_spread_ms(10) <= free.age_spread_ms(10) + 1000 / OBS_FPS / 2


@pytest.mark.parametrize(("engine", "fps"), [((22, 7), 30), ((28, 9), 30), ((12, 3), 60), ((60, 18), 30)])
def test_frames_come_out_more_evenly(engine, fps):
    held = automatic(always(*engine), fps=lambda s: fps).run(60)
    free = undelayed(always(*engine), fps=lambda s: fps).run(60)
    assert held.age_spread_ms(10) < 0.5 * free.age_spread_ms(10)
    assert held.interval_spread_ms(10) <= free.interval_spread_ms(10)


def test_it_rises_within_a_second_of_a_slower_engine_and_falls_late():
    def engine(second, chance):
        return 70.0 if 20 < second < 40 else 20.0

    stream = automatic(engine).run(90)
    shifts = [(at / 1e9, round(shift / 1e9 * 30)) for at, shift in stream.shifts[1:]]
    (_, first), *rises = [shift for shift in shifts if shift[0] < 30]
    falls = [shift for shift in shifts if shift[0] > 30]
    assert first == 1
    assert rises[-1][1] in (3, 4)
    assert all(20 < rose < 22 for rose, _ in rises)
    assert falls[-1][1] == 1
    assert all(fell > 40 for fell, _ in falls)
    assert falls[-1][0] > 59


def test_one_stall_changes_nothing():
    def engine(second, chance):
        return 3000.0 if 20 < second < 20.05 else 20.0

    assert automatic(engine).run(60).changes(2) == 0


def test_a_load_that_comes_and_goes_makes_it_fall_ever_less_often():
    def engine(second, chance):
        return 70.0 if second % 60 < 20 else 20.0

    stream = automatic(engine).run(1200)
    assert stream.changes(600) <= 4 < stream.changes(0) / 3


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    before=st.sampled_from([15, 24, 30, 60]),
    after=st.sampled_from([15, 24, 30, 60]),
    engine_ms=st.floats(5, 60),
)
def test_a_new_camera_rate_is_followed(before, after, engine_ms):
    stream = automatic(always(engine_ms), fps=lambda s: before if s < 30 else after, jitter_ms=1).run(50)
    periods = stream.delay.shift_ns / (1e9 / after)
    assert periods == pytest.approx(round(periods), abs=0.15)
    assert stream.delay.shift_ns - 1.3e9 / after <= (engine_ms + 1000 / after) * MS + 1e9 / OBS_FPS
    assert stream.changes(36) <= 1  # an engine a hair slower than the camera is late now and then


@pytest.mark.parametrize(("slow", "seconds"), [(12, 5.0), (60, 8.0)])
def test_the_slow_first_frames_of_an_engine_are_soon_forgotten(slow, seconds):
    delay, shifts = SteadyDelay(None), []
    for number in range(1, 400):
        at = number * 33 * MS
        delay.arrived(at, number)
        delay.note(at, at + (60 if number <= slow else 20) * MS)
        shifts.append(delay.shift_ns // (33 * MS))
    assert max(shifts) == 2
    assert shifts.index(1) <= seconds * 30
    assert shifts[-1] == 1


def test_a_delay_that_lasted_falls_after_a_long_calm_only():
    delay, shifts = SteadyDelay(None), []
    for number in range(1, 1800):
        at = number * 33 * MS
        delay.arrived(at, number)
        delay.note(at, at + (60 if number <= 900 else 20) * MS)
        shifts.append(delay.shift_ns // (33 * MS))
    assert shifts.index(1) > 900 + 19 * 30


def test_an_interruption_is_no_new_rate():
    delay = SteadyDelay(None)
    at = 0
    for number in range(1, 400):
        at += 33 * MS + (5_000 * MS if number % 100 == 0 else 0)
        delay.arrived(at, number)
        delay.note(at, at + 20 * MS)
    assert delay.shift_ns == 33 * MS


@given(fixed_ms=st.integers(0, LONGEST_MS), fps=st.sampled_from([15, 25, 30, 60]))
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_fixed_delay_is_kept_to_half_a_period(fixed_ms, fps):
    stream = Stream(SteadyDelay(fixed_ms), always(12), fps=lambda s: fps).run(15)
    assert stream.delay.shift_ns == pytest.approx(fixed_ms * MS, abs=0.63e9 / fps)
    if stream.delay.shift_ns:
        ages = [shown.age_ns for shown in stream.after(9)]
        assert max(ages) - min(ages) <= 2.1e9 / OBS_FPS + 0.13e9 / fps
        assert min(ages) == pytest.approx(stream.delay.shift_ns, abs=0.63e9 / fps + 1e9 / OBS_FPS)


def waiting_results(stream, seconds=15):
    """Lets a stream play and counts the most results that were finished and not yet shown."""
    most, results = 0, []
    note = stream.delay.note

    def counting(arrival, done):
        nonlocal most
        note(arrival, done)
        results.append(arrival)
        waiting = [one for one in results if one + stream.delay.hold_ns > done]
        most = max(most, len(waiting))

    stream.delay.note = counting
    stream.run(seconds)
    return most


@hypothesis_settings(max_examples=25, deadline=None)
@given(fixed_ms=st.sampled_from([None, 100, 500, 2000, 5000]), engine_ms=st.floats(8, 120))
def test_the_ring_holds_what_waits(fixed_ms, engine_ms):
    stream = Stream(SteadyDelay(fixed_ms), always(engine_ms, engine_ms / 5))
    assert waiting_results(stream) + 2 <= stream.delay.results_needed


def test_a_delay_that_needs_too_much_memory_is_shortened_and_said():
    delay = SteadyDelay(5000, memory_bytes=1 << 30)
    delay.sized(3840 * 2160 * 3 // 2)
    Stream(delay, always(20)).run(10)
    assert delay.results_needed * 3840 * 2160 * 3 // 2 <= 1 << 30
    assert delay.shift_ns == pytest.approx(84 / 30 * 1e9, rel=0.03)
    for part in ("5000 ms", "18", "1024 MB are allowed", "Choose a shorter delay"):
        assert part in delay.notice


def test_a_fixed_delay_shorter_than_the_engine_needs_is_said():
    delay = SteadyDelay(40)
    Stream(delay, always(150)).run(10)
    assert "more than the fixed delay of 40 ms" in delay.notice
    longer = SteadyDelay(400)
    Stream(longer, always(150)).run(10)
    assert longer.notice == ""


def test_another_choice_acts_at_once_and_keeps_what_is_known():
    stream = automatic(always(40)).run(10)
    delay, period_ns = stream.delay, 1e9 / 30
    for chosen, periods in (({"delay": "fixed", "delay_ms": 5000}, 150), ({"delay": "off"}, 0), ({}, 3)):
        delay.follow(Settings(**chosen))
        delay.note(10_000 * MS, 10_050 * MS)
        assert delay.shift_ns == pytest.approx(periods * period_ns, abs=0.5 * period_ns)
        assert (delay.results_needed > 100) == (periods == 150)


def test_the_ring_grows_at_once_and_shrinks_once_when_the_delay_has_fallen():
    delay = SteadyDelay(None)
    sizes = []
    for number in range(1, 2400):
        at = number * 33 * MS
        delay.arrived(at, number)
        delay.note(at, at + (400 * MS if 500 < number < 700 and number % 2 else 20 * MS))
        sizes.append(delay.results_needed)
    changes = [after for before, after in pairwise(sizes) if before != after]
    assert changes[-1] == sizes[0]
    assert changes[:-1] == sorted(changes[:-1])
    assert sizes.index(changes[-1], 700) > 700 + 19 * 30
