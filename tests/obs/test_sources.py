"""Sources of other kinds and numbers: 10 bits, transparency, two scenes, hidden ones, several filters."""

import time

import av
import cv2
import numpy as np
import obs_driver
import pytest
from obs_driver import (
    FILTER,
    NAME,
    Report,
    enable_filter,
    face_swap,
    is_raw,
    picture,
    settled,
    wait_for_swaps,
)
from obs_panel import Panel
from obs_watch import cpu_s, resident_mb
from onnx import helper
from tiny_networks import model

from obs_faceswap.ui.obs_config import PROGRAM_SCENE, Collection, image_source, media_source
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

MB = 1 << 20
HEAVY_SIDE = 5000  # the root of the number of weights: 100 MB of them
WATCHED_S = 6.0


def in_ten_bits(path, image, count=60):
    """A clip of 10-bit frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        for _ in range(count):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        container.mux(stream.encode())
    return path


def test_ten_bit_frames_are_hidden_and_it_is_said(stage, script, report, tmp_path):
    clip = in_ten_bits(tmp_path / "ten.mkv", stage.image)
    worn = [face_swap({"face_file": str(stage.negative)})]
    collection = Collection([media_source("Ten bits", clip, worn)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        obs.wait_for(lambda: "pixel format" in report.read().get("status", ""), "the status", 60.0)
        for _ in range(5):
            image = picture(obs, "Ten bits")
            assert np.ptp(image, axis=(0, 1)).max() <= 2  # one dark color
            assert image.max() < 40
            time.sleep(0.1)
        enable_filter(obs, "Ten bits", False)
        settled(obs, "Ten bits", lambda image: image.mean() > 40)  # the clip itself can be shown


@pytest.fixture
def cut_out(stage, tmp_path):
    """The stage's picture with a gradient of transparency; a file and (360, 640, 4)."""
    alpha = np.full(stage.image.shape[:2], 255, np.uint8)
    alpha[:, :80], alpha[:, 80:120] = 0, 128
    path = tmp_path / "cut-out.png"
    cv2.imwrite(str(path), np.dstack([stage.image, alpha]))
    return path, alpha


def with_alpha(obs, name):
    """What a source looks like, (H, W, 4)."""
    return cv2.imdecode(np.frombuffer(obs.screenshot(name), np.uint8), cv2.IMREAD_UNCHANGED)


def test_transparency_is_kept(stage, script, report, cut_out):
    path, alpha = cut_out
    worn = [face_swap({"face_file": str(stage.negative)})]
    with ThrowawayObs(
        Collection([image_source("Cut out", path, worn)], script), environment=report.environment
    ) as obs:
        wait_for_swaps(obs, report)
        swapped = settled(obs, "Cut out", lambda image: not is_raw(image, stage.image, stage.inner_box))
        assert np.abs(with_alpha(obs, "Cut out")[..., 3].astype(int) - alpha).max() <= 1
        enable_filter(obs, "Cut out", False)
        untouched = settled(obs, "Cut out")
        x0, _, _, _ = stage.face_box
        assert np.abs(swapped[:, :x0].astype(int) - untouched[:, :x0]).max() <= 2


@pytest.fixture(scope="module")
def shown(stage, script, tmp_path_factory):
    """(OBS, report, panel, home) with one source of each kind; the second one is hidden."""
    folder = tmp_path_factory.mktemp("sources")
    report, home = Report(folder / "report.json"), folder / "home"
    (folder / "panel").mkdir()
    panel = Panel(folder / "panel")
    worn = {"face_file": str(stage.negative)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script, [panel.script])
    environment = report.environment | {"OBS_FACESWAP_HOME": str(home)}
    obs_driver.lend_networks(home)
    with ThrowawayObs(collection, environment=environment) as obs:
        wait_for_swaps(obs, report)
        yield obs, report, panel, home


def show(obs, *names):
    """Shows these sources of the program's scene and hides the others."""
    for item in obs.request("GetSceneItemList", {"sceneName": PROGRAM_SCENE})["sceneItems"]:
        visible = item["sourceName"] in names
        chosen = {"sceneName": PROGRAM_SCENE, "sceneItemId": item["sceneItemId"]}
        obs.request("SetSceneItemEnabled", {**chosen, "sceneItemEnabled": visible})


def counted(obs, report, seconds=WATCHED_S):
    """(frames the filters got, frames OBS drew, OBS's processor seconds) in a while."""

    def now():
        return report.count("frames_in"), obs.request("GetStats")["renderTotalFrames"], cpu_s(obs.pid)

    time.sleep(2.5)  # until what was shown or hidden has settled, and reports say so
    before = now()
    time.sleep(seconds)
    return [after - early for after, early in zip(now(), before, strict=True)]


def test_refresh_lists_a_new_face(shown, stage):
    obs, _, panel, home = shown
    assert "Later" not in panel.choices(obs, "Cam", NAME, "face")
    faces = home / "data/faces"
    faces.mkdir(parents=True, exist_ok=True)
    (faces / "Later.dfm").write_bytes(stage.negative.read_bytes())
    panel.press(obs, "Cam", NAME, "refresh")
    assert "Later" in panel.choices(obs, "Cam", NAME, "face")


@pytest.mark.parametrize("name", ["Cam", "Picture"])
def test_a_source_in_two_scenes_is_processed_once(shown, name):
    obs, report, _, _ = shown
    show(obs, name)
    other = f"Another with {name}"
    obs.request("CreateScene", {"sceneName": other})
    obs.request("CreateSceneItem", {"sceneName": other, "sourceName": name})
    nested = {"sceneName": PROGRAM_SCENE, "sourceName": other}
    item = obs.request("CreateSceneItem", nested)["sceneItemId"]
    frames, drawn, _ = counted(obs, report)
    obs.request("RemoveSceneItem", {"sceneName": PROGRAM_SCENE, "sceneItemId": item})
    assert 0.5 * drawn < frames < 1.5 * drawn


@pytest.mark.parametrize("name", ["Cam", "Picture"])
def test_a_hidden_source_costs_next_to_nothing(shown, stage, name):
    """The engine's work is the measure: its processor time while the source is seen."""
    obs, report, _, _ = shown
    cost = {}
    for visible in (True, False):
        show(obs, *([name] if visible else []))
        for is_on in (True, False):
            enable_filter(obs, name, is_on)
            swapped = report.count("frames_swapped")
            cost[visible, is_on] = counted(obs, report)[2]
            if not visible:
                assert report.count("frames_swapped") - swapped <= 60  # what the last reports were behind
        enable_filter(obs, name, True)
    show(obs, "Cam", "Picture")
    print({str(key): round(value, 2) for key, value in cost.items()})
    seen, hidden = (cost[visible, True] - cost[visible, False] for visible in (True, False))
    assert hidden < seen / 4


def heavy_dfm():
    """A .dfm with a hundred megabytes of weights and little to compute: the negative plus their zeros."""
    face, mask = (1, 64, 64, 3), (1, 64, 64, 1)
    nodes = [
        helper.make_node("ReduceMean", ["in_face:0"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["mean", "one_by_one"], ["scalar"]),
        helper.make_node("MatMul", ["scalar", "row"], ["vector"]),
        helper.make_node("MatMul", ["vector", "weights"], ["product"]),
        helper.make_node("ReduceSum", ["product"], ["zero"], keepdims=0),
        helper.make_node("Sub", ["one", "in_face:0"], ["negative"]),
        helper.make_node("Add", ["negative", "zero"], ["out_celeb_face:0"]),
        helper.make_node("Identity", ["mask"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["mask"], ["out_celeb_face_mask:0"]),
    ]
    constants = {
        "one": np.float32(1),
        "one_by_one": np.array([1, 1], np.int64),
        "row": np.ones((1, HEAVY_SIDE), np.float32),
        "weights": np.zeros((HEAVY_SIDE, HEAVY_SIDE), np.float32),
        "mask": np.ones(mask, np.float32),
    }
    outputs = {"out_face_mask:0": mask, "out_celeb_face:0": face, "out_celeb_face_mask:0": mask}
    return model(nodes, {"in_face:0": face}, outputs, constants)


def swapped_by(obs, report, names):
    """Waits until each of these sources has shown a swapped face."""
    for name in names:
        show(obs, name)
        wait_for_swaps(obs, report)
    show(obs, *names)


def at_rest_mb(obs):
    """The least memory in ten seconds: a faster form of a network takes some only while it is looked for."""
    seen = []
    for _ in range(20):
        time.sleep(0.5)
        seen.append(resident_mb(obs.pid))
    return min(seen)


def test_four_filters_share_their_networks(stage, script, report, tmp_path):
    face = tmp_path / "heavy.dfm"
    face.write_bytes(heavy_dfm())
    weights_mb = face.stat().st_size / MB
    settings = {"face_file": str(face)}
    names = [f"Cam {number}" for number in range(4)]
    sources = [stage.cam(settings, names[0]), *(stage.cam(name=name) for name in names[1:])]
    with ThrowawayObs(Collection(sources, script), environment=report.environment) as obs:
        swapped_by(obs, report, names[:1])
        one_mb = at_rest_mb(obs)
        for name in names[1:]:
            asked = {"sourceName": name, "filterName": NAME, "filterKind": FILTER}
            obs.request("CreateSourceFilter", {**asked, "filterSettings": settings})
        swapped_by(obs, report, names)
        four_mb = at_rest_mb(obs)
        print({"weights": weights_mb, "one filter": one_mb, "four filters": four_mb})
        assert four_mb - one_mb < weights_mb
