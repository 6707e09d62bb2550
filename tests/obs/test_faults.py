"""An engine that fails while it works: the picture follows the policy, it recovers by itself and says so."""

import time
from functools import partial

import faulty_networks
import numpy as np
import onnxruntime
import pytest
from faulty_networks import ILL, WELL
from obs_driver import detail, is_raw, picture, set_filter, wait_for_swaps
from obs_watch import Heartbeat

from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs

SOURCES = ("Cam", "Picture")  # frames in memory, and on the GPU
STALL_S = 10.0
RECOVERS_WITHIN_S = 90.0  # the longest wait between two attempts, and a busy machine
_TRIED_TURNS = 20_000


def _turns(seconds):
    """How many turns of the stalling network take so long on this machine."""
    network = onnxruntime.InferenceSession(faulty_networks.stalling(_TRIED_TURNS))
    face = np.full((1, 128, 128, 3), 0.5, np.float32)
    start = time.perf_counter()
    network.run(None, {"in_face:0": face, "morph_value:0": np.float32([ILL])})
    return int(_TRIED_TURNS * seconds / (time.perf_counter() - start))


NETWORKS = {
    "raises": lambda: faulty_networks.raising(),
    "NaN": lambda: faulty_networks.without_numbers(),
    "stalls": lambda: faulty_networks.stalling(_turns(STALL_S)),
}
SAYS = {"raises": "cannot compute", "NaN": "no numbers", "stalls": "not answered"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """{what goes wrong: file}."""
    folder = tmp_path_factory.mktemp("faulty")
    for name, network in NETWORKS.items():
        (folder / f"{name}.dfm").write_bytes(network())
    return {name: folder / f"{name}.dfm" for name in NETWORKS}


@pytest.fixture(params=SOURCES)
def source(request):
    return request.param


def worn(stage, source, settings):
    """The one source of a kind with the filter."""
    return stage.cam(settings) if source == "Cam" else stage.still(settings)


def status(report):
    return report.read().get("status", "")


def is_over(complaint, told):
    """Whether a complaint is gone, or told as the past."""
    return complaint not in told or "works again" in told


def is_covered(image, stage):
    return not is_raw(image, stage.image, stage.inner_box) and detail(image) < detail(stage.image) / 2


def never_raw(obs, report, stage, source, condition, what, timeout_s=RECOVERS_WITHIN_S):
    """Waits for a condition while OBS draws on and no picture shows the live face."""
    heart, end = Heartbeat(obs), time.monotonic() + timeout_s
    while not condition():
        heart.beat()
        assert not is_raw(picture(obs, source), stage.image, stage.inner_box)
        assert time.monotonic() < end, f"waited for {what}; the status is “{status(report)}”"
        time.sleep(0.1)


@pytest.mark.parametrize("fault", NETWORKS)
def test_a_network_that(fault, source, faces, stage, script, report):
    settings = {"face_file": str(faces[fault]), "morph": WELL, "cover": "freeze_blur"}
    collection = Collection([worn(stage, source, settings)], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        until = partial(never_raw, obs, report, stage, source)
        wait_for_swaps(obs, report)
        set_filter(obs, source, {"morph": ILL})
        until(lambda: is_covered(picture(obs, source), stage), "the cover")
        until(lambda: SAYS[fault] in status(report), "the complaint")
        swapped = report.count("frames_swapped")
        set_filter(obs, source, {"morph": WELL})
        until(lambda: report.count("frames_swapped") > swapped + 10, "swapped frames")
        until(lambda: is_over(SAYS[fault], status(report)), "the end of the complaint")
        assert report.count("frames_raw") == 0
        assert obs.quit() == 0


def _remove(face):
    face.unlink()


def _replace_by_a_text(face):
    face.write_text("This is a text.")


@pytest.mark.parametrize("spoil", [_remove, _replace_by_a_text])
def test_a_face_whose_file_is_spoiled_while_it_is_worn(spoil, source, stage, script, report, tmp_path):
    """What is loaded goes on; another device needs the file again, and gets it once it is back."""
    face = tmp_path / "short-lived.dfm"
    face.write_bytes(stage.negative.read_bytes())
    collection = Collection([worn(stage, source, {"face_file": str(face)})], script)
    with ThrowawayObs(collection, environment=report.environment) as obs:
        until = partial(never_raw, obs, report, stage, source)
        wait_for_swaps(obs, report)
        spoil(face)
        set_filter(obs, source, {"device": "cpu"})
        until(lambda: face.name in status(report), "the complaint")
        swapped = report.count("frames_swapped")
        until(lambda: report.count("frames_swapped") > swapped + 5, "swapped frames")
        face.write_bytes(stage.negative.read_bytes())
        until(lambda: face.name not in status(report), "the end of the complaint")
        assert report.count("frames_raw") == 0
        assert obs.quit() == 0
