"""The benchmark's section in real OBS gives its figures; none of them is judged here."""

from contextlib import nullcontext

import pytest

from obs_faceswap.engine.settings import Settings
from obs_faceswap.ui.bench import obs
from obs_faceswap.ui.bench.plan import Plan
from obs_faceswap.ui.throwaway_obs import WebSocketCrashError

PARTS = ("absent", "off", "on", "same_load_in_another_process")


@pytest.fixture
def plan(stage, tmp_path):
    """A quick run with a small face."""
    return Plan(Settings(), stage.worn_picture, str(stage.negative), True, None, tmp_path, lambda *_: None)


def test_each_part_has_its_figures(plan, monkeypatch):
    monkeypatch.setattr(obs, "_QUICK_S", 2.0)
    figures = obs.obs(plan)
    for part in PARTS:
        assert figures[part]["frames"] > 20
        times = figures[part]["tick_sources_ms"]
        assert times["min"] <= times["p50"] <= times["p99"] <= times["max"]
    assert figures["on"]["engine_fps"] > 0
    assert figures[PARTS[-1]]["engine_fps"] > 0
    assert "engine_fps" not in figures["off"]
    assert {"tick_sources_p99_more_than_absent", "skipped_more_than_in_another_process"} <= set(figures)


def test_without_obs_it_says_so(plan, monkeypatch):
    monkeypatch.setenv("PATH", str(plan.folder))
    assert "OBS Studio is not installed" in obs.obs(plan)["not_measured"]


@pytest.mark.parametrize(("crashes", "tries"), [(0, 1), (2, 3), (9, 3)])
def test_a_run_whose_obs_crashed_by_itself_is_made_again(plan, monkeypatch, crashes, tries):
    tried = []

    def measured(*_run):
        tried.append(1)
        if len(tried) <= crashes:
            raise WebSocketCrashError
        return {}

    monkeypatch.setattr(obs, "_measured", measured)
    with nullcontext() if crashes < tries else pytest.raises(WebSocketCrashError):
        obs._measured_whole(plan, None, "on")
    assert len(tried) == tries
