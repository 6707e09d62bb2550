"""A paused Media Source: OBS goes on showing one frame, and no new one comes that could be swapped."""

import time

import pytest
from obs_driver import (
    FILTER,
    NAME,
    enable_filter,
    is_raw,
    picture,
    set_filter,
    settled,
    wait_for_swaps,
)

from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

SOURCE = "Cam"
LOOKS = 12


@pytest.fixture(scope="module")
def running(stage, script, tmp_path_factory):
    """(OBS, report) with one Media Source and no filter."""
    from obs_driver import Report

    report = Report(tmp_path_factory.mktemp("paused") / "report.json")
    with ThrowawayObs(Collection([stage.cam()], script), environment=report.environment) as obs:
        yield obs, report


@pytest.fixture
def obs(running):
    """OBS with the clip playing and no filter on it."""
    obs, _ = running
    media(obs, "PLAY")
    known = obs.request("GetSourceFilterList", {"sourceName": SOURCE})["filters"]
    for worn in known:
        obs.request("RemoveSourceFilter", {"sourceName": SOURCE, "filterName": worn["filterName"]})
    return obs


def media(obs, action):
    asked = {"inputName": SOURCE, "mediaAction": f"OBS_WEBSOCKET_MEDIA_INPUT_ACTION_{action}"}
    obs.request("TriggerMediaInputAction", asked)
    state = {"PLAY": "OBS_MEDIA_STATE_PLAYING", "PAUSE": "OBS_MEDIA_STATE_PAUSED"}[action]
    status = {"inputName": SOURCE}
    obs.wait_for(lambda: obs.request("GetMediaInputStatus", status)["mediaState"] == state, action, 15.0)


def add_filter(obs, **settings):
    asked = {"sourceName": SOURCE, "filterName": NAME, "filterKind": FILTER, "filterSettings": settings}
    obs.request("CreateSourceFilter", asked)


def raw(stage):
    return lambda image: is_raw(image, stage.image, stage.inner_box)


def stays_covered(obs, stage):
    """None of the next pictures shows the live face."""
    for _ in range(LOOKS):
        assert not raw(stage)(picture(obs, SOURCE))
        time.sleep(0.1)


def plays_swapped(obs, report, stage):
    """Playing again, it is swapped."""
    media(obs, "PLAY")
    wait_for_swaps(obs, report)
    stays_covered(obs, stage)


def test_the_filter_is_added(obs, running, stage):
    settled(obs, SOURCE, raw(stage))
    media(obs, "PAUSE")
    settled(obs, SOURCE, raw(stage))
    add_filter(obs, face_file=str(stage.negative))
    stays_covered(obs, stage)
    plays_swapped(obs, running[1], stage)


def test_the_filter_is_switched_on_again(obs, running, stage):
    add_filter(obs, face_file=str(stage.negative))
    wait_for_swaps(obs, running[1])
    enable_filter(obs, SOURCE, False)
    settled(obs, SOURCE, raw(stage))
    media(obs, "PAUSE")
    enable_filter(obs, SOURCE, True)
    stays_covered(obs, stage)
    plays_swapped(obs, running[1], stage)


def test_show_original_is_left(obs, running, stage, tmp_path):
    """Without a face to wear, Show original shows the live one; another choice takes it away again."""
    add_filter(obs, face_file=str(tmp_path / "nobody.png"), cover="original")
    settled(obs, SOURCE, raw(stage))
    media(obs, "PAUSE")
    set_filter(obs, SOURCE, {"cover": "blur"})
    settled(obs, SOURCE, lambda image: not raw(stage)(image))
    stays_covered(obs, stage)
    set_filter(obs, SOURCE, {"face_file": str(stage.negative)})
    plays_swapped(obs, running[1], stage)
