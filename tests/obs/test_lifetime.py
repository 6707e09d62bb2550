"""Start, reload, removal, collection switch and exit: no crash, no hang, no leak, also in mid-inference."""

import time
from dataclasses import replace

import obs_driver
import pytest
from obs_driver import OTHER, is_raw, picture, switch_collections

from obs_faceswap.engine.live import native
from obs_faceswap.ui.materials import SCRIPT_NAME
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

RELOADS = 20
LOADED = f"Loaded python script: {SCRIPT_NAME}"


@pytest.fixture(params=["quick engine", "in mid-inference"])
def collection(request, stage, script):
    """With a face whose network answers at once, and with one that is nearly always at work."""
    if request.param == "in mid-inference":
        return Collection([stage.cam({"face_file": str(stage.slow)})], script)
    worn = {"face_file": str(stage.negative)}
    return Collection([stage.cam(worn), stage.still(worn)], script)


def started(obs, report):
    """Waits until an engine, since the last call a new one, has worked on a frame."""
    report.path.unlink(missing_ok=True)
    obs.wait_for(lambda: "swap" in report.read().get("stages_ms", {}), "the engine", 120.0)


def ends_well(obs, leaks_without):
    """OBS leaves by itself, with its own leaks only."""
    log_before = obs.log()
    assert obs.quit() == 0
    assert obs.leaks() <= leaks_without
    assert "Traceback" not in log_before + obs.log()


def test_exit_with_the_filter_active(collection, report, leaks_without):
    with ThrowawayObs(collection, environment=report.environment) as obs:
        started(obs, report)
        ends_well(obs, leaks_without)


HOLDS = """
import obspython as obs

def hold(event):
    if event == obs.OBS_FRONTEND_EVENT_FINISHED_LOADING:
        for name in ("Cam", "Picture"):
            source = obs.obs_get_source_by_name(name)
            if source is not None:
                obs.obs_source_get_filter_by_name(source, "Face Swap")

def script_load(settings):
    obs.obs_frontend_add_event_callback(hold)
"""


@pytest.mark.skipif(native.find().library is None, reason="OBS then calls a Python that is gone")
def test_exit_while_another_script_holds_filter_and_source(collection, report, tmp_path):
    """OBS destroys them when it has ended Python."""
    holds = tmp_path / "holds_sources.py"
    holds.write_text(HOLDS)
    collection = replace(collection, more_scripts=[holds])
    with ThrowawayObs(collection, environment=report.environment) as obs:
        started(obs, report)
        assert obs.quit() == 0
        assert "source(s) were remaining" in obs.log()


def test_exit_while_the_engine_loads(collection, report, leaks_without):
    with ThrowawayObs(collection, environment=report.environment) as obs:
        ends_well(obs, leaks_without)


def test_reloading_the_script(collection, report, stage, leaks_without):
    with ThrowawayObs(collection, environment=report.environment) as obs:
        started(obs, report)
        obs_driver.open_scripts(obs)
        for done in range(1, RELOADS + 1):
            obs_driver.reload_script(obs)
            obs.wait_for(lambda done=done: obs.log().count(LOADED) == 1 + done, f"reload {done}", 30.0)
            started(obs, report)
            assert not is_raw(picture(obs, "Cam"), stage.image, stage.inner_box)
        assert "already exists" not in obs.log()
        ends_well(obs, leaks_without)


def test_switching_scene_collections(collection, report, stage, leaks_without_switching):
    more = {OTHER: Collection([stage.cam(name="Plain")])}
    with ThrowawayObs(collection, environment=report.environment, more_collections=more) as obs:
        started(obs, report)
        shown = []
        switch_collections(obs, lambda: shown.append(picture(obs, "Cam")))
        assert not [image for image in shown if is_raw(image, stage.image, stage.inner_box)]
        started(obs, report)
        ends_well(obs, leaks_without_switching)


def test_removing_the_script_covers_the_picture(collection, report, stage, leaks_without):
    with ThrowawayObs(collection, environment=report.environment) as obs:
        started(obs, report)
        shown = [entry["name"] for entry in collection.sources]
        obs_driver.open_scripts(obs)
        obs_driver.remove_script(obs)
        for _ in range(10):
            for source in shown:
                assert not is_raw(picture(obs, source), stage.image, stage.inner_box)
            time.sleep(0.1)
        ends_well(obs, leaks_without)
