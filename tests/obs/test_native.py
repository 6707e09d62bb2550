"""OBS is answered by native code, and by Python where that is turned off: the same picture, the same end."""

import pytest
from obs_driver import is_raw, picture, wait_for_swaps

from obs_faceswap.engine.live import native
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs


@pytest.mark.parametrize(
    ("switch", "line"), [("", "pass through native code"), ("off", "pass through Python")]
)
def test_both_halves_swap_and_leave(stage, script, report, leaks_without, switch, line):
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script)
    environment = report.environment | {native.VARIABLE: switch}
    with ThrowawayObs(collection, environment=environment) as obs:
        wait_for_swaps(obs, report, more=20)
        for source in ("Cam", "Picture"):
            assert not is_raw(picture(obs, source), stage.image, stage.inner_box)
        assert line in obs.log()
        assert report.count("frames_raw") == 0
        assert obs.quit() == 0
        assert obs.leaks() <= leaks_without
        assert "Traceback" not in obs.log()
