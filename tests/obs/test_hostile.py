"""Other scripts in the same OBS that keep the interpreter, or take libobs's locks while they hold it.

OBS's Python bindings keep the interpreter's lock during a call. So a call that waits for a lock of the
graphics thread stands still for ever as soon as that thread waits for the interpreter: it must not.
"""

import json
import time

import pytest
from obs_driver import is_raw, picture, wait_for_swaps
from obs_hostile import SCRIPTS, written
from obs_watch import Heartbeat, hangs_are_told

from obs_faceswap.engine.live import native
from obs_faceswap.ui.bench.obs import tick_sources_ms
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

SECONDS = 20.0
pytestmark = pytest.mark.skipif(
    native.find().library is None,
    reason="OBS is answered by Python here, which may stand still for ever beside such scripts",
)


def goes_on(obs, report, stage, seconds):
    """For a while OBS draws and nothing is raw; then the engine still swaps."""
    heart = Heartbeat(obs)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        heart.beat()
        for source in ("Cam", "Picture"):
            assert not is_raw(picture(obs, source), stage.image, stage.inner_box)
        time.sleep(0.2)
    wait_for_swaps(obs, report)


def survives(stage, script, report, scripts, leaks_without, seconds=SECONDS):
    """OBS with these scripts beside ours draws, swaps and leaves by itself."""
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script, more_scripts=scripts)
    with hangs_are_told(ThrowawayObs(collection, environment=report.environment)) as obs:
        wait_for_swaps(obs, report, more=10)
        goes_on(obs, report, stage, seconds)
        told = {"callback_ms": report.read()["callback_ms"]}
        assert obs.quit() == 0
        assert obs.leaks() <= leaks_without
        print(json.dumps(told | {"tick_sources_ms": tick_sources_ms(obs.log())}))


@pytest.mark.parametrize("name", SCRIPTS)
def test_beside_a_script_that(name, stage, script, report, tmp_path, leaks_without):
    survives(stage, script, report, written(tmp_path, name), leaks_without)


def test_while_other_scripts_are_at_work_from_the_start(stage, script, report, tmp_path, leaks_without):
    """OBS loads the sources, and makes the filters, under a lock the other scripts ask for."""
    survives(stage, script, report, written(tmp_path, "all of them", True), leaks_without)


def test_the_figures_without_another_script(stage, script, report, leaks_without):
    """What the figures of the tests above are compared with."""
    survives(stage, script, report, [], leaks_without)
