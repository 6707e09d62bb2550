"""Bad input through the worker: what is published, and what the status says."""

from dataclasses import replace

import pytest
from bad_input import WORN, Engine
from engine import test_bad_outputs as outputs
from engine.live.test_faults import Stage
from fake_engine import FakeSwapper, face_at
from stream_engine import work
from worker_stage import loaded, offered

from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.landmarkers import landmarker_for
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live.exchange import key_of, now_ns
from obs_faceswap.engine.live.worker import State
from obs_faceswap.engine.settings import ColorTransfer, Cover, Delay, Settings
from obs_faceswap.engine.types import Shown

PLAIN = Settings(face="Anna", delay=Delay.OFF, color_transfer=ColorTransfer.NONE)
KINDS = list(Shown)


def of_a_detector():
    net = outputs.Network(outputs.DETECTORS["yunet"]())
    engine, broken = Engine(FakeSwapper()), detector_for(net)
    known = engine.detector.detect
    engine.detector.detect = lambda *asked: (broken.detect if net.spoil else known)(*asked)
    return engine, PLAIN, net


def of_a_landmarker():
    net = outputs.Network(outputs.LANDMARKERS["468"]())
    engine, broken = Engine(FakeSwapper()), landmarker_for(net)
    known = engine.mesh.find
    engine.mesh.find = lambda *asked: (broken.find if net.spoil else known)(*asked)
    return engine, PLAIN, net


# A stage, what goes wrong with its network, and what the status says of it.
TOLD = {
    "model": (outputs.dfm, "NaN", "no numbers"),
    "one photo": (outputs.STAGES["inswapper"], "cut", "expected (1, 3, 128, 128)"),
    "animator": (outputs.animator, "infinite", "no numbers"),
    "enhancer": (outputs.enhanced, "NaN", "The enhancer gave values that are no numbers"),
    "occluder": (outputs.STAGES["xseg"], "empty", "The network for occlusion gave (0, 256, 256, 1)"),
    "detector": (of_a_detector, "cut", "The network that finds faces gave something else"),
    "landmarker, wrong shape": (of_a_landmarker, "cut", "The network that follows faces gave something else"),
    "landmarker, no numbers": (of_a_landmarker, "NaN", "No face is seen."),
}


@pytest.mark.parametrize(("make", "wrong", "words"), TOLD.values(), ids=TOLD)
def test_the_status_says_what_is_wrong_and_the_picture_stays_private(make, wrong, words):
    engine, _, net = make()
    engine.faces = [face_at(150, 120)]
    stage = Stage(engine.pipeline, settings=PLAIN)
    assert stage.frames(3)[-1] is Shown.SWAPPED
    net.spoil = outputs.SPOILED[wrong]
    shown = stage.frames(40)
    assert shown[-1] is Shown.COVERED
    assert not {Shown.SWAPPED, Shown.ORIGINAL} & set(shown[10:])
    assert words in stage.line
    assert stage.worker.status().state is State.RUNNING
    net.spoil = None
    assert stage.frames(8)[-1] is Shown.SWAPPED


FRAMES = [
    (PixelFormat.BGR3, 1, 1), (PixelFormat.BGRA, 2, 2), (PixelFormat.Y800, 3, 5), (PixelFormat.NV12, 33, 17),
    (PixelFormat.I420, 16, 8192), (PixelFormat.YUY2, 1, 9), (PixelFormat.RGBA, 640, 2),
]  # fmt: skip


@pytest.mark.parametrize("cover", [cover for cover in Cover if cover is not Cover.ORIGINAL])
def test_frames_of_any_size_and_format_one_after_the_other(cover):
    face = WORN["dfm"]()
    engine = Engine(face.swapper, face.kind)
    engine.faces = [face_at(150, 120)]
    worker, _ = loaded(engine.pipeline, settings=replace(PLAIN, cover=cover))

    def shown(pixel_format, width, height):
        engine.width, engine.height = width, height
        slots = offered(worker._exchange, 90, key_of(pixel_format, width, height))
        work(worker)
        return KINDS[slots.metas[worker._exchange.choose(slots, now_ns())].kind]

    for frame in FRAMES:
        assert shown(*frame) is Shown.COVERED
        assert worker.status().state is State.RUNNING
        assert "No face is seen." in worker.status().line()
    assert [shown(PixelFormat.BGRA, 320, 240) for _ in range(4)][-1] is Shown.SWAPPED
