"""What the governor is told of a second."""

import pytest

from obs_faceswap.engine.live.meter import Host, Meter
from obs_faceswap.engine.runtime import providers


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    monkeypatch.setattr(providers, "usable_processors", lambda: 4)
    monkeypatch.setattr(providers, "default_threads", lambda: 2)


def second_of(meter, frames=30, frame_ms=5.0, swaps=10, swap_ms=40.0, host=None):
    """One second's observation after another second."""
    assert meter.take(100.0, 50, Host(1000, 7, 0.1)) is None
    for _ in range(frames):
        meter.note_frame(frame_ms)
    for _ in range(swaps):
        meter.note_swap(swap_ms)
    return meter.take(101.0, 50 + 30, host)


def test_rates_and_means():
    seen = second_of(Meter("cpu"))
    assert (seen.camera_fps, seen.fps, seen.swap_fps) == (30, 30, 10)
    assert (seen.frame_ms, seen.swap_ms) == pytest.approx((5, 40))


def test_what_is_in_front_is_a_part_of_the_frames_time():
    meter = Meter("cpu")
    meter.take(100.0, 0, None)
    for front_ms in (4.0, 0.0):  # every second frame is looked at
        meter.note_frame(9.0, front_ms)
    assert meter.take(101.0, 30, None).front_ms == pytest.approx(2)


@pytest.mark.parametrize(
    ("provider", "share"),
    # Frames keep one of four processors busy for 0.15 s, swaps two of them, or the card, for 0.4 s.
    [("cpu", 0.15 / 4 + 0.4 * 2 / 4), ("cuda:1", 0.4), ("directml", 0.4)],
)
def test_the_share_is_of_what_the_swap_runs_on(provider, share):
    assert second_of(Meter(provider)).share == pytest.approx(share)


def test_what_obs_counts_is_compared_with_the_second_before():
    seen = second_of(Meter("cpu"), host=Host(1060, 9, 0.5))
    assert (seen.shown, seen.late, seen.host_load) == (60, 2, 0.5)


def test_counts_that_started_again_are_no_late_frames():
    seen = second_of(Meter("cpu"), host=Host(3, 1, 0.5))
    assert (seen.shown, seen.late) == (0, 0)


def test_nothing_done_and_nothing_known_is_all_zero():
    seen = second_of(Meter("cpu"), frames=0, swaps=0)
    assert (seen.fps, seen.swap_fps, seen.frame_ms, seen.swap_ms, seen.share) == (0, 0, 0, 0, 0)
    assert (seen.shown, seen.late, seen.host_load, seen.late_part) == (0, 0, 0, 0)


def test_too_short_a_span_is_no_observation():
    meter = Meter("cpu")
    assert meter.take(1.0, 0, None) is None
    assert meter.take(1.2, 10, None) is None
    assert meter.take(2.0, 30, None).camera_fps == 30
