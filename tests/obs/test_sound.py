"""A chosen sound follows the delay in a real OBS, and the user's own offset comes back from every end."""

import json
import wave

import obs_driver
import pytest
from obs_driver import FILTER, NAME, enable_filter, set_filter

from obs_faceswap.ui.obs_config import Collection, media_source
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

OWN_MS, DELAY_MS = 40, 300  # nine frames of a clip with thirty a second
ABOUT_MS = 16  # half a frame
MIC = "Mic"


@pytest.fixture(scope="module")
def mic(tmp_path_factory):
    """An audio source whose sync offset is the user's own."""
    path = tmp_path_factory.mktemp("sound") / "mic.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * 8000 * 20))
    return {**media_source(MIC, path), "sync": OWN_MS * 1_000_000}


@pytest.fixture
def collection(stage, script, mic):
    """A clip with a face and the filter, and a sound that was chosen in it."""
    settings = {
        "face_file": str(stage.negative), "delay": "fixed", "delay_ms": DELAY_MS, "sync_audio": MIC,
    }  # fmt: skip
    return Collection([mic, stage.cam(settings)], script)


def offset_ms(obs, name=MIC):
    return obs.request("GetInputAudioSyncOffset", {"inputName": name})["inputAudioSyncOffset"]


def is_about(found_ms, wanted_ms):
    """Whether an offset is right; the camera's period is measured, and small corrections are left out."""
    return abs(found_ms - wanted_ms) <= (0 if wanted_ms < DELAY_MS else ABOUT_MS)


def wait_for_offset(obs, wanted_ms, name=MIC):
    obs.wait_for(lambda: is_about(offset_ms(obs, name), wanted_ms), f"an offset of {wanted_ms} ms", 90.0)


def saved(obs):
    """The scene collection as OBS saved it last."""
    path = obs.folder / f"config/obs-studio/basic/scenes/{obs.name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def sources_of(stored):
    """The sources of a stored collection, but for the scenes."""
    return [source for source in stored["sources"] if source["id"] != "scene"]


def saved_offset_ms(stored):
    return next(source["sync"] for source in stored["sources"] if source["name"] == MIC) / 1e6


def test_the_offset_is_the_users_after_every_end(collection):
    with ThrowawayObs(collection) as obs:
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        enable_filter(obs, "Cam", False)
        wait_for_offset(obs, OWN_MS)
        enable_filter(obs, "Cam", True)
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        set_filter(obs, "Cam", {"delay_ms": 2 * DELAY_MS})
        wait_for_offset(obs, OWN_MS + 2 * DELAY_MS)
        set_filter(obs, "Cam", {"sync_audio": ""})
        wait_for_offset(obs, OWN_MS)
        set_filter(obs, "Cam", {"sync_audio": MIC})
        wait_for_offset(obs, OWN_MS + 2 * DELAY_MS)
        obs.request("SetInputName", {"inputName": MIC, "newInputName": "Voice"})
        changed = {"inputName": "Voice", "inputAudioSyncOffset": offset_ms(obs, "Voice") + 25}
        obs.request("SetInputAudioSyncOffset", changed)  # as the user does in OBS's audio properties
        set_filter(obs, "Cam", {"delay_ms": DELAY_MS})
        wait_for_offset(obs, OWN_MS + 25 + DELAY_MS, "Voice")
        asked = {"sourceName": "Cam", "filterName": NAME}
        settings = obs.request("GetSourceFilter", asked)["filterSettings"]
        assert settings["sync_audio"] == "Voice"
        obs.request("RemoveSourceFilter", asked)
        wait_for_offset(obs, OWN_MS + 25, "Voice")
        assert obs.quit() == 0
        assert "Traceback" not in obs.log()


def test_a_reload_of_the_script_does_not_add_up(collection):
    with ThrowawayObs(collection) as obs:
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        obs_driver.open_scripts(obs)
        obs_driver.reload_script(obs)
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        enable_filter(obs, "Cam", False)
        wait_for_offset(obs, OWN_MS)


def test_without_the_script_the_offset_is_the_users(collection):
    with ThrowawayObs(collection) as obs:
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        obs_driver.open_scripts(obs)
        obs_driver.remove_script(obs)
        wait_for_offset(obs, OWN_MS)
        assert obs.quit() == 0
        assert saved_offset_ms(saved(obs)) == OWN_MS
        assert "Traceback" not in obs.log()


def test_two_filters_with_one_sound(collection, stage):
    other = {**collection.sources[1]["filters"][0]["settings"], "delay_ms": 2 * DELAY_MS}
    both = Collection([*collection.sources, stage.cam(other, name="Second")], collection.script)
    with ThrowawayObs(both) as obs:
        wait_for_offset(obs, OWN_MS + 2 * DELAY_MS)
        obs.request("RemoveSourceFilter", {"sourceName": "Second", "filterName": NAME})
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        enable_filter(obs, "Cam", False)
        wait_for_offset(obs, OWN_MS)


@pytest.mark.parametrize("end", ["quit", "kill"])
def test_the_next_start_gives_back_what_was_saved(collection, end):
    with ThrowawayObs(collection) as obs:
        wait_for_offset(obs, OWN_MS + DELAY_MS)
        # OBS saves when something changes, the offset among it.
        obs.request("CreateScene", {"sceneName": "Another"})
        obs.wait_for(
            lambda: is_about(saved_offset_ms(saved(obs)), OWN_MS + DELAY_MS), "the offset to be saved", 30.0
        )
        if end == "kill":
            obs.kill()
        else:
            assert obs.quit() == 0
        left = sources_of(saved(obs))
    cam = next(source for source in left if source["name"] == "Cam")
    assert cam["filters"][0]["id"] == FILTER
    with ThrowawayObs(Collection(left, collection.script)) as obs:
        wait_for_offset(obs, OWN_MS + DELAY_MS)  # the user's own and the delay, once
        enable_filter(obs, "Cam", False)
        wait_for_offset(obs, OWN_MS)
    cam["filters"][0]["enabled"] = False
    with ThrowawayObs(Collection(left, collection.script)) as obs:
        wait_for_offset(obs, OWN_MS)
