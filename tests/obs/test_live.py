"""The settings of a live stream act in OBS: devices of single stages, reprojection, frame rate and delay."""

import re

import pytest
from obs_driver import Report, set_filter, slow_dfm, wait_for_swaps

from obs_faceswap.engine.settings import SAME
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

_BEHIND = re.compile(r"(\d+) frames a second.* (\d+) ms behind")


@pytest.fixture(scope="module")
def faces(stage, tmp_path_factory):
    """{"quick", "slow"}: files; the slow one takes some camera frames for each of its own."""
    slow = tmp_path_factory.mktemp("slow") / "slow.dfm"
    slow.write_bytes(slow_dfm(layers=20))
    return {"quick": str(stage.negative), "slow": str(slow)}


@pytest.fixture(scope="module")
def running(stage, script, faces, tmp_path_factory):
    """(OBS, report) with the filter on one stream of frames."""
    report = Report(tmp_path_factory.mktemp("live") / "report.json")
    collection = Collection([stage.cam({"face_file": faces["quick"]})], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        wait_for_swaps(obs, report)
        yield obs, report


@pytest.fixture
def live(running, faces):
    """Sets a face, settings and the other defaults; returns (frames a second, ms behind) once accepted."""
    obs, report = running

    def shown():
        found = _BEHIND.search(report.read().get("status", ""))
        return (int(found[1]), int(found[2])) if found else None

    def wear(face, settings, accept):
        set_filter(obs, "Cam", {"face_file": faces[face], **settings}, overlay=False)
        obs.wait_for(lambda: bool(shown()) and accept(*shown()), f"{settings} in the status", 60.0)
        return shown()

    return wear


@pytest.mark.parametrize("stage_of", ["detector_device", "landmarks_device"])
def test_a_stages_device_that_is_not_there_is_said(running, faces, stage_of):
    obs, report = running
    set_filter(obs, "Cam", {"face_file": faces["quick"], stage_of: "no-such-device"}, overlay=False)
    obs.wait_for(lambda: "no-such-device" in report.read().get("status", ""), "the status", 30.0)
    set_filter(obs, "Cam", {stage_of: SAME})
    obs.wait_for(lambda: "no-such-device" not in report.read().get("status", ""), "the status", 30.0)
    wait_for_swaps(obs, report)


def test_reprojection_shows_more_frames_than_the_network_makes(live):
    slow, _ = live("slow", {"reprojection": "no"}, lambda fps, _: 0 < fps < 12)
    live("slow", {"reprojection": "yes"}, lambda fps, _: fps > 2 * slow)
    live("slow", {"reprojection": "no"}, lambda fps, _: fps < 1.5 * slow)


def test_a_target_limits_the_frame_rate(live):
    fast, _ = live("quick", {}, lambda fps, _: fps > 12)
    live("quick", {"target": "game", "target_fps": 6.0}, lambda fps, _: 0 < fps < 0.7 * fast)
    live("quick", {"target": "off"}, lambda fps, _: fps > 0.8 * fast)


def test_a_fixed_delay_is_kept(live):
    live("quick", {"delay": "fixed", "delay_ms": 1500.0}, lambda _, behind: 1300 < behind < 2000)
    live("quick", {"delay": "fixed", "delay_ms": 700.0}, lambda _, behind: 600 < behind < 1200)
    live("quick", {"delay": "off"}, lambda _, behind: behind < 600)
