"""A network that is too slow for the camera: the engine gives way as its target says, and says so."""

import time

import pytest
from obs_driver import set_filter, slow_dfm, wait_for_swaps

from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs


@pytest.fixture(scope="module")
def slow_face(tmp_path_factory):
    path = tmp_path_factory.mktemp("slow") / "slow.dfm"
    path.write_bytes(slow_dfm(layers=12))
    return path


def wait_for_status(report, accept, what, timeout_s=40.0):
    """The status once it is as wanted; it is written about once a second."""
    end = time.monotonic() + timeout_s
    while not accept(status := report.read().get("status", "")):
        assert time.monotonic() < end, f"waited for {what}; the status is “{status}”"
        time.sleep(0.5)
    return status


def test_the_status_says_what_each_target_does(stage, script, report, slow_face):
    settings = {"face_file": str(slow_face), "target": "smooth"}
    collection = Collection([stage.cam(settings)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        wait_for_swaps(obs, report)
        wait_for_status(
            report, lambda text: "Smooth target:" in text and "reprojected" in text, "reprojection"
        )
        set_filter(obs, "Cam", {"target": "game"})
        wait_for_status(report, lambda text: "Game target:" in text and "swaps a second" in text, "the game")
        set_filter(obs, "Cam", {"target": "off"})
        wait_for_status(report, lambda text: "target:" not in text, "no target")
        before = report.count("frames_swapped")
        wait_for_swaps(obs, report)
        assert report.count("frames_swapped") > before
        assert obs.quit() == 0
