"""Counts, percentiles and the report."""

import json

import pytest

from obs_faceswap.engine.stats import Stats, Times


@pytest.mark.parametrize(
    ("noted", "percent", "expected"),
    [
        ([], 50, None),
        ([4.0], 50, 4.0),
        ([4.0], 99, 4.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 101)], 100, 100.0),
    ],
)
def test_percentile(noted, percent, expected):
    times = Times()
    for ms in noted:
        times.add(ms)
    assert times.percentile(percent) == expected


def test_old_times_are_forgotten():
    times = Times(capacity=3)
    for ms in (100.0, 1.0, 2.0, 3.0):
        times.add(ms)
    assert times.percentile(100) == 3.0


def filled(shown: list[str]) -> Stats:
    stats = Stats()
    for number, what in enumerate(shown):
        stats.frames_in += 1
        stats.add(what, {"find": 3.0 + number, "merge": 1.0}, engine_ms=20.0, now_s=number * 0.5)
    return stats


def test_report_counts_what_was_shown():
    report = filled(["covered", "swapped", "swapped", "frozen", "original"]).report("CPU", "31.0.0")
    assert report["frames_in"] == 5
    assert report["frames_swapped"] == 2
    assert report["frames_frozen"] == 1
    assert report["frames_covered"] == 1
    assert report["frames_raw"] == 1
    assert report["obs_version"] == "31.0.0"
    assert report["provider"] == "CPU"
    assert report["engine_fps"] == 50.0
    assert report["stages_ms"] == {"find": 5.0, "merge": 1.0}


def test_switches_are_counted_a_minute():
    assert filled(["swapped"] * 5).switches_per_minute() == 0.0
    assert filled(["swapped", "frozen", "swapped", "covered", "swapped"]).switches_per_minute() == 120.0


def test_an_empty_report_has_every_key_and_is_json():
    report = Stats().report("CPU")
    assert json.loads(json.dumps(report)) == {
        "obs_version": None,
        "provider": "CPU",
        "frames_in": 0,
        "frames_swapped": 0,
        "frames_frozen": 0,
        "frames_covered": 0,
        "frames_raw": 0,
        "switches_per_minute": 0.0,
        "engine_fps": None,
        "delay_ms": None,
        "callback_ms": {"p50": None, "p99": None},
        "stages_ms": {},
    }
