"""Rates, and the calm decision to reproject."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.live.pace import OLDEST_SWAP_NS, Camera, Pace, Reprojector, Usual, can_reproject

MS = 1_000_000
PERIOD = 33 * MS


def after(
    seconds: float, swap_ms: float, frame_ms: float = 5, reprojector: Reprojector | None = None, at_s=0.0
):
    """The decision after so many seconds of a 30 Hz camera, and how often it changed."""
    reprojector = reprojector or Reprojector()
    changes, before = 0, reprojector.is_on
    for frame in range(int(seconds * 30)):
        now = reprojector.step(int(at_s * 1e9) + frame * PERIOD, 5 * MS, swap_ms * MS, PERIOD)
        changes += now is not before
        before = now
    return before, changes


@pytest.mark.parametrize(
    ("swap_ms", "is_on"),
    [(0, False), (10, False), (28, False), (31, False), (40, True), (100, True), (400, True), (520, False)],
)
def test_it_reprojects_what_is_slower_than_the_camera_and_still_young(swap_ms, is_on):
    assert after(10, swap_ms) == (is_on, int(is_on))


def test_one_slow_second_is_not_enough_and_neither_is_an_unknown_camera():
    assert after(0.9, 100) == (False, 0)
    reprojector = Reprojector()
    assert not any(reprojector.step(frame * PERIOD, 5 * MS, 100 * MS, 0) for frame in range(300))


def test_it_stops_when_the_network_is_fast_again():
    reprojector = Reprojector()
    after(5, 100, reprojector=reprojector)
    assert after(3.5, 10, reprojector=reprojector, at_s=5)[0]
    assert not after(5, 10, reprojector=reprojector, at_s=9)[0]


@given(st.lists(st.sampled_from([10, 26, 31, 45, 400, 600]), min_size=20, max_size=60))
def test_it_never_swings(swaps):
    """Whatever the network needs from second to second, a viewer sees a change now and then at most."""
    reprojector, changes = Reprojector(), 0
    for second, swap_ms in enumerate(swaps):
        changes += after(1, swap_ms, reprojector=reprojector, at_s=float(second))[1]
    assert changes <= 2 + len(swaps) / 5


def test_its_patience_grows_when_it_was_wrong():
    reprojector, first = Reprojector(), 0
    gaps = []
    for at_s in range(200):
        is_slow = not reprojector.is_on  # slow alone, fast as soon as it reprojects
        before = reprojector.is_on
        after(1, 100 if is_slow else 10, reprojector=reprojector, at_s=float(at_s))
        if before and not reprojector.is_on:
            gaps.append(at_s - first)
            first = at_s
    assert gaps[-1] > 3 * gaps[0]


def test_a_network_just_too_slow_to_begin_with_goes_on_once_it_is_reprojected():
    reprojector = Reprojector()
    after(5, 390, reprojector=reprojector)
    assert after(30, 550, reprojector=reprojector, at_s=5) == (True, 0)  # frames beside it slow it down
    assert after(30, 700, reprojector=reprojector, at_s=35) == (False, 1)
    assert after(30, 550, reprojector=reprojector, at_s=65) == (False, 0)


def test_no_swap_is_shown_that_is_older_than_the_pipeline_allows():
    longest_ns = max(ns for ns in range(0, 2 * OLDEST_SWAP_NS, MS) if can_reproject(ns, True))
    assert 2 * longest_ns <= OLDEST_SWAP_NS


@pytest.mark.parametrize("skipped", [1, 2, 5])
def test_a_camera_is_known_though_frames_are_left_out(skipped):
    camera = Camera()
    for number in range(0, 40, skipped):
        camera.arrived(number * PERIOD, number)
    assert camera.period_ns == pytest.approx(PERIOD)


def test_a_camera_is_unknown_at_first_and_not_upset_by_a_pause():
    camera = Camera()
    assert camera.period_ns == 0
    for number in range(20):
        camera.arrived(number * PERIOD + (10**10 if number > 10 else 0), number)
    assert camera.period_ns == pytest.approx(PERIOD)


def test_figures_need_three_seconds_and_follow_the_newest():
    pace = Pace(0)
    for frame in range(30):
        pace.tick(frame * 100 * MS)
    assert pace.per_second(2_900 * MS) is None
    assert pace.per_second(3_000 * MS) == pytest.approx(10)
    for frame in range(100):
        pace.tick(3_000 * MS + frame * 50 * MS)
    assert pace.per_second(8_000 * MS) == pytest.approx(20)


def test_a_running_mean_starts_with_the_first_value():
    usual = Usual()
    usual.add(100)
    assert usual.ns == 100
    for _ in range(100):
        usual.add(50)
    assert usual.ns == pytest.approx(50, abs=0.1)
