"""What is shown without a swap, which face is worn, and the settings that need a picture of their own."""

import cv2
import numpy as np
import obs_driver
import pytest
from obs_driver import (
    FILTER,
    NAME,
    TRACKING_JITTER,
    detail,
    face_swap,
    is_raw,
    largest_change,
    picture,
    set_filter,
    settled,
)

from obs_faceswap.engine import folders
from obs_faceswap.ui.obs_config import Collection, image_source, media_source
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

ROOMS = ("Room on film", "Room")  # frames in memory, and on the GPU


@pytest.fixture(scope="module")
def home(stage, tmp_path_factory):
    """A home of the project with two installed faces and the user's networks."""
    folder = tmp_path_factory.mktemp("home")
    faces = folder / "data/faces"
    faces.mkdir(parents=True)
    (faces / "Negative.dfm").write_bytes(stage.negative.read_bytes())
    (faces / "Photo.jpg").write_bytes(stage.worn_picture.read_bytes())
    (folder / "cache").symlink_to(folders.cache_dir())
    return folder


@pytest.fixture(scope="module")
def shown(stage, script, home, tmp_path_factory):
    """(OBS, report) with sources of every kind, each with the filter; a test shows the one it needs."""
    folder = tmp_path_factory.mktemp("policies")
    report = obs_driver.Report(folder / "report.json")
    empty = cv2.imread(str(stage.empty_picture))
    room = obs_driver.write_clip(folder / "room.mp4", [empty] * 300)
    worn = [face_swap({"face": "Negative"})]
    sources = [
        media_source("Room on film", room, worn),
        image_source("Room", stage.empty_picture, worn),
        image_source("Two", stage.two_faces, worn),
        stage.cam({"face": "Negative"}),
    ]
    environment = {"OBS_FACESWAP_HOME": str(home), **report.environment}
    with ThrowawayObs(Collection(sources, script), environment=environment) as obs:
        yield obs, report


@pytest.fixture
def show(shown):
    """Shows one source and hides the others, so that one engine has the machine; returns OBS."""
    obs, _ = shown
    scene = obs.request("GetCurrentProgramScene")["currentProgramSceneName"]
    items = obs.request("GetSceneItemList", {"sceneName": scene})["sceneItems"]

    def only(name):
        for item in items:
            chosen = {"sceneName": scene, "sceneItemId": item["sceneItemId"]}
            obs.request("SetSceneItemEnabled", {**chosen, "sceneItemEnabled": item["sourceName"] == name})
        return obs

    return only


@pytest.fixture(params=ROOMS)
def room(request):
    return request.param


def test_hiding_shows_nothing(show, room):
    obs = show(room)
    set_filter(obs, room, {"cover": "hide"})
    settled(obs, room, lambda image: image.max() <= 2)


def test_show_original_shows_it(show, room, stage):
    obs = show(room)
    set_filter(obs, room, {"cover": "original"})
    untouched = cv2.imread(str(stage.empty_picture))
    settled(obs, room, lambda image: np.abs(image.astype(int) - untouched).mean() < 3)


@pytest.mark.parametrize("cover", ["blur", "freeze_blur"])
def test_blurring_leaves_no_detail(show, room, stage, cover):
    obs = show(room)
    set_filter(obs, room, {"cover": cover})
    untouched = cv2.imread(str(stage.empty_picture))
    image = settled(obs, room, lambda image: detail(image) < detail(untouched) / 4)
    assert abs(image.mean() - untouched.mean()) < 20  # still the picture's colors, not a black one


def halves(image):
    return image[:, :320], image[:, 320:]


def test_other_faces_are_left_or_covered(show, stage):
    obs = show("Two")
    untouched = halves(cv2.imread(str(stage.two_faces)))
    x0, y0, x1, y1 = stage.inner_box
    box = (x0 - 160, y0, x1 - 160, y1)

    def raw_halves(image):
        return sum(is_raw(half, other, box) for half, other in zip(halves(image), untouched, strict=True))

    set_filter(obs, "Two", {"other_faces": "leave"})
    settled(obs, "Two", lambda image: raw_halves(image) == 1)
    set_filter(obs, "Two", {"other_faces": "cover"})
    settled(obs, "Two", lambda image: raw_halves(image) == 0)


def test_a_high_threshold_finds_no_face(show, stage):
    """A face that is followed stays found, so the filter starts anew."""
    obs = show("Cam")
    obs.request("RemoveSourceFilter", {"sourceName": "Cam", "filterName": NAME})
    settings = {"face": "Negative", "detection_threshold": 1.0, "cover": "hide"}
    asked = {"sourceName": "Cam", "filterName": NAME, "filterKind": FILTER, "filterSettings": settings}
    obs.request("CreateSourceFilter", asked)
    settled(obs, "Cam", lambda image: image.max() <= 2)
    set_filter(obs, "Cam", {"detection_threshold": 0.5})
    settled(obs, "Cam", lambda image: image.max() > 100)


def test_an_installed_face_is_worn_by_its_name(show, stage):
    obs = show("Cam")
    set_filter(obs, "Cam", {"face": "Negative"}, overlay=False)
    negative = settled(obs, "Cam", lambda image: not is_raw(image, stage.image, stage.inner_box))
    set_filter(obs, "Cam", {"face": "Photo"})
    settled(obs, "Cam", lambda image: largest_change(image, negative) > 5 * TRACKING_JITTER)


def test_the_device_in_use_is_reported(show, shown):
    obs = show("Cam")
    set_filter(obs, "Cam", {"face": "Negative", "device": "cpu"}, overlay=False)
    obs.wait_for(lambda: shown[1].read().get("provider") == "cpu", "the provider", 30.0)


def test_a_device_that_is_not_there_is_said(show, shown, stage):
    obs = show("Cam")
    set_filter(obs, "Cam", {"face": "Negative", "device": "no-such-device"}, overlay=False)
    obs.wait_for(lambda: "no-such-device" in shown[1].read().get("status", ""), "the status", 30.0)
    assert not is_raw(picture(obs, "Cam"), stage.image, stage.inner_box)
    set_filter(obs, "Cam", {"device": "auto"})
    obs.wait_for(lambda: "no-such-device" not in shown[1].read().get("status", ""), "the status", 30.0)


def trembling(obs, source, count=24):
    """How much a face worn on a still picture trembles, in levels."""
    return np.std([picture(obs, source).astype(float) for _ in range(count)], axis=0).mean()


def test_smoothing_steadies_the_face(show, shown):
    obs, report = show("Cam"), shown[1]
    seen = {}
    for smoothing in (0, 100):
        set_filter(obs, "Cam", {"face": "Photo", "keep_eyes": "no", "smoothing": smoothing}, overlay=False)
        obs.wait_for(lambda: "Photo" in report.read().get("status", ""), "the photo", 30.0)
        obs_driver.wait_for_swaps(obs, report, more=40)
        seen[smoothing] = trembling(obs, "Cam")
    assert seen[100] < 0.7 * seen[0]
