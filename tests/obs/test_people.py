"""Several people in a real OBS: all are swapped, each with their own face, and enrolled by a button."""

import time

import cv2
import numpy as np
import obs_driver
import pytest
import tiny_networks
from obs_driver import NAME, is_raw, set_filter, settled, wait_for_swaps
from obs_panel import Panel

from obs_faceswap.ui.obs_config import Collection, image_source
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

GREEN = (20, 230, 20)


@pytest.fixture(scope="module")
def shown(stage, script, tmp_path_factory):
    """(OBS, report, panel) with a picture of two people, the left one swapped, and a recognition network."""
    folder = tmp_path_factory.mktemp("people")
    report, home = obs_driver.Report(folder / "report.json"), folder / "home"
    obs_driver.lend_networks(home)
    for name in ("faces", "networks"):
        (home / "data" / name).mkdir(parents=True)
    green = np.full((64, 64, 3), GREEN, np.float32) / 255
    (home / "data/faces/Negative.dfm").write_bytes(stage.negative.read_bytes())
    (home / "data/faces/Green.dfm").write_bytes(tiny_networks.dfm(64, face=green))
    (home / "data/networks/tells.onnx").write_bytes(tiny_networks.recognizer(128))
    (folder / "panel").mkdir()
    panel = Panel(folder / "panel")
    settings = {"face": "Negative", "sort_by": "left_right", "color_transfer": "none"}
    source = image_source("Two", stage.two_faces, [obs_driver.face_swap(settings)])
    environment = report.environment | {"OBS_FACESWAP_HOME": str(home)}
    with ThrowawayObs(Collection([source], script, [panel.script]), environment=environment) as obs:
        wait_for_swaps(obs, report)
        yield obs, report, panel


def halves(image):
    return image[:, :320], image[:, 320:]


@pytest.fixture
def seen(stage):
    """What each half of a picture shows in the middle of its face."""
    x0, y0, x1, y1 = stage.inner_box
    box = (x0 - 160, y0, x1 - 160, y1)
    untouched = halves(cv2.imread(str(stage.two_faces)))

    def what(image, raw):
        middle = image[box[1] : box[3], box[0] : box[2]].reshape(-1, 3).astype(int)
        if is_raw(image, raw, box):
            return "raw"
        if np.abs(np.median(middle, axis=0) - GREEN).max() < 40:
            return "green"
        negative = 255 - raw[box[1] : box[3], box[0] : box[2]].reshape(-1, 3).astype(int)
        return "negative" if np.corrcoef(middle.ravel(), negative.ravel())[0, 1] > 0.5 else "covered"

    return lambda image: [what(half, raw) for half, raw in zip(halves(image), untouched, strict=True)]


def test_one_face_is_swapped_and_the_other_covered(shown, seen):
    obs, _, _ = shown
    settled(obs, "Two", lambda image: seen(image) == ["negative", "covered"])
    set_filter(obs, "Two", {"face_number": 2})
    settled(obs, "Two", lambda image: seen(image) == ["covered", "negative"])


def test_all_faces_are_swapped(shown, seen):
    obs, _, _ = shown
    set_filter(obs, "Two", {"who": "all"})
    settled(obs, "Two", lambda image: seen(image) == ["negative", "negative"])


def test_each_person_wears_their_own_face(shown, seen):
    obs, _, _ = shown
    rows = {"who": "known", "person_1": "*", "person_2": "*", "face_2": "Green"}
    set_filter(obs, "Two", rows | {"recognizer": "off"})
    settled(obs, "Two", lambda image: seen(image) == ["negative", "green"], timeout_s=60.0)


def test_the_button_enrolls_who_is_swapped(shown):
    obs, report, panel = shown
    set_filter(obs, "Two", {"who": "known", "person_1": "*", "person_name": "Anna", "recognizer": ""})
    wait_for_swaps(obs, report)
    assert panel.choices(obs, "Two", NAME, "person_1") == ["", "*"]
    panel.press(obs, "Two", NAME, "enroll")
    end = time.monotonic() + 30
    while "Enrolled “Anna”" not in report.read().get("status", ""):
        assert time.monotonic() < end, report.read().get("status")
        time.sleep(0.5)
    assert panel.choices(obs, "Two", NAME, "person_1") == ["", "*", "Anna"]
    assert "Traceback" not in obs.log()
