"""No frame of a recording shows the live face, from OBS's start on and through everything that goes wrong."""

import time

import obs_driver
import pytest
from obs_driver import is_raw, read_clip, set_filter, wait_for_swaps

from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs


def raw_frames(recording, stage):
    """(numbers of the frames that show the live face, number of all frames)."""
    shown = [is_raw(image, stage.image, stage.inner_box) for image in read_clip(recording)]
    return [number for number, raw in enumerate(shown) if raw], len(shown)


def trouble(obs, report, stage, source, folder):
    """What a user and a bad day do to the filter."""
    wait_for_swaps(obs, report)
    set_filter(obs, source, {"face_file": str(stage.worn_picture)})
    wait_for_swaps(obs, report, more=30)
    set_filter(obs, source, {"face_file": str(folder / "nobody.png")})
    obs.wait_for(lambda: "nobody" in report.read().get("status", ""), "the complaint", 30.0)
    set_filter(obs, source, {"face_file": str(stage.slow), "device": "cpu"})
    obs.wait_for(lambda: "slow" in report.read().get("status", ""), "the slow face", 30.0)
    for cover in ("blur", "hide", "freeze_blur"):
        set_filter(obs, source, {"cover": cover})
    obs_driver.open_scripts(obs)
    for _ in range(2):
        loads = obs.log().count("Loaded python script")
        obs_driver.reload_script(obs)
        obs.wait_for(lambda loads=loads: obs.log().count("Loaded python script") > loads, "a reload", 30.0)
    obs_driver.remove_script(obs)
    time.sleep(1.0)


@pytest.mark.parametrize("kind", ["Cam", "Picture"])
def test_no_recorded_frame_is_raw(stage, script, report, tmp_path, kind):
    worn = {"face_file": str(stage.negative)}
    source = stage.cam(worn) if kind == "Cam" else stage.still(worn)
    recorded = {"lossless": True, "arguments": ["--startrecording"]}
    with ThrowawayObs(Collection([source], script), environment=report.environment, **recorded) as obs:
        trouble(obs, report, stage, kind, tmp_path)
        raw, count = raw_frames(obs.stop_recording(), stage)
        assert count > 60
        assert raw == []
        assert report.count("frames_raw") == 0


@pytest.mark.parametrize("kind", ["Cam", "Picture"])
def test_without_the_filter_the_recording_is_raw(stage, kind):
    """The oracle of the test above can fail."""
    source = stage.cam() if kind == "Cam" else stage.still()
    with ThrowawayObs(Collection([source]), lossless=True, arguments=["--startrecording"]) as obs:
        obs_driver.settled(obs, kind, lambda image: is_raw(image, stage.image, stage.inner_box))
        time.sleep(1.0)
        raw, _ = raw_frames(obs.stop_recording(), stage)
        assert len(raw) >= 10
