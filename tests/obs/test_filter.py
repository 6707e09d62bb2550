"""The filter in a running OBS: it is there, it changes the face and nothing else, and every setting acts."""

import time

import obs_driver
import pytest
from obs_driver import (
    FILTER,
    NAME,
    TRACKING_JITTER,
    enable_filter,
    filters,
    largest_change,
    picture,
    set_filter,
    settled,
    wait_for_swaps,
)

from obs_faceswap.engine.settings import OPTIONS
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs
from obs_faceswap.ui.virtual_display import close_window, window_titles

SOURCES = ("Cam", "Picture")  # frames in memory, and on the GPU


@pytest.fixture(scope="module")
def shown(stage, script, tmp_path_factory):
    """(OBS, report) with the filter saved on both kinds of source; only one of them is shown at a time."""
    report = obs_driver.Report(tmp_path_factory.mktemp("report") / "report.json")
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        wait_for_swaps(obs, report)
        yield obs, report


@pytest.fixture(params=SOURCES)
def source(request):
    return request.param


@pytest.fixture
def fresh(shown, stage, source):
    """(OBS, source) with the default settings and the negative on."""
    obs, _ = shown
    set_filter(obs, source, {"face_file": str(stage.negative)}, overlay=False)
    settled(obs, source, lambda image: not obs_driver.is_raw(image, stage.image, stage.inner_box))
    return obs, source


def original(obs, source):
    """The source without its filter."""
    enable_filter(obs, source, False)
    image = settled(obs, source)
    enable_filter(obs, source, True)
    return image


def test_obs_knows_the_filter_and_its_defaults(shown):
    obs, _ = shown
    answer = obs.request("GetSourceFilterDefaultSettings", {"filterKind": FILTER})
    assert answer["defaultFilterSettings"] == pytest.approx({o.key: o.default for o in OPTIONS})


def test_the_saved_filter_came_back(shown, source):
    obs, _ = shown
    assert filters(obs, source) == [(NAME, FILTER)]
    assert f"Source ID '{FILTER}' not found" not in obs.log()


def test_only_the_face_changes(fresh, stage):
    obs, source = fresh
    swapped, untouched = settled(obs, source), original(obs, source)
    x0, y0, x1, y1 = stage.face_box
    inside = swapped[y0:y1, x0:x1] != untouched[y0:y1, x0:x1]
    assert (swapped != untouched).sum() == inside.sum()
    a, b, c, d = stage.inner_box
    change = abs(swapped[b:d, a:c].astype(int) - untouched[b:d, a:c])
    assert change.mean() > 20


def test_it_can_be_removed_and_added_again(fresh, stage):
    obs, source = fresh
    swapped = settled(obs, source)
    for _ in range(3):
        obs.request("RemoveSourceFilter", {"sourceName": source, "filterName": NAME})
        assert filters(obs, source) == []
        settled(obs, source, lambda image: obs_driver.is_raw(image, stage.image, stage.face_box))
        settings = {"face_file": str(stage.negative)}
        asked = {"sourceName": source, "filterName": NAME, "filterKind": FILTER, "filterSettings": settings}
        obs.request("CreateSourceFilter", asked)
        again = settled(obs, source, lambda image: not obs_driver.is_raw(image, stage.image, stage.inner_box))
    assert abs(again.astype(int) - swapped).mean() < 1


def test_its_panel_opens_and_closes_while_it_works(fresh):
    obs, source = fresh
    title = f"Filters for '{source}'"
    for _ in range(3):
        obs.request("OpenInputFiltersDialog", {"inputName": source})
        obs.wait_for(lambda: any(title in known for known in window_titles(obs.display)), "the panel", 15.0)
        assert close_window(obs.display, title)
        obs.wait_for(lambda: not any(title in known for known in window_titles(obs.display)), "its end", 15.0)
    assert "Traceback" not in obs.log()


CHANGES = {
    "opacity": 0.3,
    "color_transfer": "none",
    "face_scale": 0.8,
    "offset_x": 0.1,
    "offset_y": -0.1,
    "mask_erode": 20,
    "mask_blur": 60,
    "coverage": 3.5,
    "align_x": 0.15,
    "align_y": 0.15,
    "morph": 0.1,
    "two_pass": "on",
    "presharpen": 10.0,
    "pre_gamma_red": 3.0,
    "pre_gamma_green": 3.0,
    "pre_gamma_blue": 3.0,
    "post_gamma_red": 3.0,
    "post_gamma_green": 3.0,
    "post_gamma_blue": 3.0,
    "face_type": "head",
    "align_mode": "box",
    "head_mode": "on",
    "exclude_moving_parts": "off",
}
PHOTO_CHANGES = {"keep_mouth": "no", "keep_eyes": "yes"}


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_acts_at_once(fresh, key):
    obs, source = fresh
    if key != "color_transfer":  # it takes away much of what gamma changes
        set_filter(obs, source, {"color_transfer": "none"})
        time.sleep(0.5)
    before = settled(obs, source)
    set_filter(obs, source, {key: CHANGES[key]})
    settled(obs, source, lambda image: largest_change(image, before) > 3 * TRACKING_JITTER)


@pytest.mark.parametrize("key", PHOTO_CHANGES)
def test_a_photo_faces_setting_acts_at_once(fresh, stage, key):
    obs, source = fresh
    negative = settled(obs, source)
    set_filter(obs, source, {"face_file": str(stage.worn_picture)})
    before = settled(obs, source, lambda image: largest_change(image, negative) > 3 * TRACKING_JITTER)
    set_filter(obs, source, {key: PHOTO_CHANGES[key]})
    settled(obs, source, lambda image: largest_change(image, before) > 2 * TRACKING_JITTER)


# Where the settings are tried that this file leaves out.
ELSEWHERE = {
    "test_policies.py": {"face", "cover", "other_faces", "device", "detection_threshold", "smoothing"},
    "test_trouble.py": {"face_file"},
    "test_live.py": {"detector_device", "landmarks_device", "target", "target_fps", "reprojection", "delay"},
    "test_live.py, with delay": {"delay_ms"},
    "test_sound.py": {"sync_audio"},
    "this file, below": {"debug_view"},
    "the engine's own tests, with networks made there": {
        *("network", "pixel_boost", "relative_power", "occlusion", "occlusion_network", "occlusion_device"),
        *("enhancer", "enhancer_blend", "enhancer_weight", "enhancer_device"),
        *(f"region_{part}" for part in ("skin", "brows", "eyes", "glasses", "nose", "mouth", "lips")),
    },
    "the engine's own tests, with several people": {
        *("who", "sort_by", "face_number", "max_faces", "min_face", "person_name"),
        *("recognizer", "recognizer_device"),
        *(f"{key}_{number}" for key in ("person", "face") for number in range(1, 5)),
    },
    "the engine's own tests, with other detectors": {
        *("detector", "detection_size", "search_every", "landmarker"),
    },
    "the engine's own tests, with masks and faces that show it": {
        *("freeze_rotation", "interpolation", "blending", "mask_source", "mask_celeb", "mask_landmarks"),
        *("mask_top", "mask_right", "mask_bottom", "mask_left"),
        *("camera_match", "sharpen", "median_blur", "degrade_bicubic", "color_compression"),
    },
}


def test_every_setting_has_a_test():
    assert {o.key for o in OPTIONS} == {*CHANGES, *PHOTO_CHANGES}.union(*ELSEWHERE.values())


@pytest.mark.parametrize("source", ["Cam"])
def test_the_debug_view_leaves_the_picture_while_obs_records(fresh, source):
    obs, _ = fresh
    below = slice(-20, None)  # the face
    plain = settled(obs, source)[below]

    def is_drawn():
        return largest_change(picture(obs, source)[below], plain) > 3 * TRACKING_JITTER

    assert not is_drawn()
    set_filter(obs, source, {"debug_view": "preview"})
    obs.wait_for(is_drawn, "the debug view", 30.0)
    obs.start_recording()
    try:
        obs.wait_for(lambda: not is_drawn(), "a picture without it", 30.0)
    finally:
        obs.stop_recording().unlink()
    obs.wait_for(is_drawn, "the debug view after the recording", 30.0)
