"""What goes wrong is said, the picture stays covered, and OBS goes on."""

import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import obs_driver
import pytest
from obs_driver import is_raw, picture, set_filter, wait_for_swaps

import obs_faceswap
from obs_faceswap.ui import materials
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

MISSING = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"


def stays_covered(obs, stage, source, seconds=1.5):
    """For a while, no picture of the source shows the face or any detail of its own."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        image = picture(obs, source)
        assert not is_raw(image, stage.image, stage.inner_box)
        time.sleep(0.1)


def test_without_its_packages_the_filter_covers_and_says_so(stage, report, tmp_path, leaks_without):
    """Only the package itself is there; whatever else it asks for cannot be imported."""
    package = tmp_path / "alone"
    shutil.copytree(Path(obs_faceswap.__file__).parent, package / "obs_faceswap")
    for name in ("numpy", "cv2", "onnxruntime", "onnx", "pooch"):
        (package / f"{name}.py").write_text(MISSING)
    script = materials.write_script(tmp_path / "script", [package])
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        obs.wait_for(lambda: "numpy" in report.read().get("status", ""), "the status", 30.0)
        for source in ("Cam", "Picture"):
            assert obs_driver.filters(obs, source)
            stays_covered(obs, stage, source)
            assert obs_driver.detail(picture(obs, source)) < obs_driver.detail(stage.image) / 2
        assert report.count("frames_raw") == 0
        assert obs.quit() == 0
        assert obs.leaks() <= leaks_without


@pytest.fixture(scope="module")
def shown(stage, script, tmp_path_factory):
    report = obs_driver.Report(tmp_path_factory.mktemp("report") / "report.json")
    worn = {"face_file": str(stage.negative)}
    with ThrowawayObs(Collection([stage.cam(worn)], script), environment=report.environment) as obs:
        wait_for_swaps(obs, report)
        yield obs, report


def _text(folder):
    path = folder / "no-network.dfm"
    path.write_text("This is a text.")
    return path


def _truncated(folder, stage):
    path = folder / "half.dfm"
    path.write_bytes(stage.negative.read_bytes()[:1000])
    return path


def _empty_room(folder):
    path = folder / "empty-room.png"
    cv2.imwrite(str(path), np.full((360, 640, 3), 90, np.uint8))
    return path


BAD_FACES = {
    "missing": lambda folder, stage: folder / "nobody.png",
    "a text": lambda folder, stage: _text(folder),
    "truncated": _truncated,
    "a picture without a face": lambda folder, stage: _empty_room(folder),
}


@pytest.mark.parametrize("kind", BAD_FACES)
def test_a_bad_face_is_named_and_the_old_one_goes_on(shown, stage, tmp_path, kind):
    obs, report = shown
    bad = BAD_FACES[kind](tmp_path, stage)
    set_filter(obs, "Cam", {"face_file": str(bad)})
    obs.wait_for(lambda: bad.stem in report.read().get("status", ""), "the status", 30.0)
    stays_covered(obs, stage, "Cam")
    set_filter(obs, "Cam", {"face_file": str(stage.negative)})
    obs.wait_for(lambda: bad.stem not in report.read().get("status", ""), "the good face", 30.0)
    wait_for_swaps(obs, report)


def test_starting_with_a_bad_face_covers(stage, script, report, tmp_path):
    worn = {"face_file": str(_text(tmp_path))}
    collection = Collection([stage.cam(worn), stage.still(worn)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        obs.wait_for(lambda: "no-network" in report.read().get("status", ""), "the status", 60.0)
        for source in ("Cam", "Picture"):
            stays_covered(obs, stage, source)
        assert obs.quit() == 0


HAMMER = """
import threading
import obspython as obs

stop = threading.Event()
count = 0

def hammer():
    global count
    while not stop.is_set():
        data = obs.obs_data_create_from_json('{"a": 1}')
        obs.obs_data_set_int(data, "b", count)
        obs.obs_data_release(data)
        count += sum(range(200))

def script_load(settings):
    for _ in range(2):
        threading.Thread(target=hammer, daemon=True).start()

def script_unload():
    stop.set()
"""


def test_beside_another_busy_script(stage, script, report, tmp_path, leaks_without):
    busy = tmp_path / "another_busy_script.py"
    busy.write_text(HAMMER)
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script, more_scripts=[busy])
    with ThrowawayObs(collection, environment=report.environment) as obs:
        wait_for_swaps(obs, report, more=10)
        for source in ("Cam", "Picture"):
            stays_covered(obs, stage, source)
        assert obs.quit() == 0
        assert obs.leaks() <= leaks_without
