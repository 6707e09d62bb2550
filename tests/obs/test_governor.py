"""A network that is too slow for the camera: the engine gives way as its target says, and says so."""

import time

import pytest
from obs_driver import NAME, set_filter, slow_dfm, wait_for_swaps

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


# Presses the button that a file names, as OBS's own panel does.
PRESSES = """
import os
import obspython as obs

def press():
    try:
        with open({path!r}) as file:
            key = file.read()
        os.remove({path!r})
    except OSError:
        return
    source = obs.obs_get_source_by_name("Cam")
    made = obs.obs_source_get_filter_by_name(source, "Face Swap")
    panel = obs.obs_source_properties(made)
    obs.obs_property_button_clicked(obs.obs_properties_get(panel, key), made)
    obs.obs_properties_destroy(panel)
    obs.obs_source_release(made)
    obs.obs_source_release(source)

def script_load(settings):
    obs.timer_add(press, 200)
"""


def press(path, key):
    unfinished = path.with_suffix(".new")
    unfinished.write_text(key)
    unfinished.replace(path)


def target_of(obs):
    found = obs.request("GetSourceFilter", {"sourceName": "Cam", "filterName": NAME})
    return found["filterSettings"].get("target")


def test_what_autotune_proposes_is_set_by_its_button_alone(stage, script, report, slow_face, tmp_path):
    button = tmp_path / "button"
    presses = tmp_path / "presses_buttons.py"
    presses.write_text(PRESSES.format(path=str(button)))
    collection = Collection([stage.cam({"face_file": str(slow_face)})], script, more_scripts=[presses])
    with ThrowawayObs(collection, environment=report.environment) as obs:
        wait_for_swaps(obs, report)
        press(button, "autotune")
        wait_for_status(report, lambda text: "Autotune proposes" in text, "a proposal", 90.0)
        assert target_of(obs) is None
        press(button, "take_over")
        wait_for_status(
            report, lambda text: "Smooth target:" in text and "proposes" not in text, "the target"
        )
        assert target_of(obs) == "smooth"
        assert obs.quit() == 0
