"""Networks of every stage give nonsense: frames stay valid and private, the status says why, all recovers."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_networks
from bad_input import SPOILED, Engine, Network
from engine.find import test_detectors, test_hands, test_landmarkers
from fake_engine import FakeSwapper, face_at

from obs_faceswap.engine.crop.occluders import FaceNetwork, HandsBefore
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.landmarkers import landmarker_for
from obs_faceswap.engine.find.recognize import Recognizer
from obs_faceswap.engine.finish.enhance import Enhanced, Enhancer
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import ColorTransfer, Cover, Settings, Who
from obs_faceswap.engine.swap.animate import Animator
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.swap.one_photo import FAMILIES, OnePhotoSwapper, Source
from obs_faceswap.engine.types import Shown

FACE = face_at(150, 120)
PLAIN = Settings(color_transfer=ColorTransfer.NONE)


def network(content, well=list) -> Network:
    return Network(Session(content, "cpu", threads=1), well)


def mirrored(outputs):
    """A small network that gives its input back would show the live face."""
    return [outputs[0][:, :, :, ::-1], *outputs[1:]]


# --- the stages: an engine, its settings, and the network that a test spoils ---


def dfm(**more):
    net = network(tiny_networks.dfm(64, **more))
    return Engine(DfmSwapper(net), FaceKind.DFM), PLAIN, net


def one_photo(family, boost=1):
    side = {"blendswap": 112, "uniface": 256}.get(family.name)
    shape = (1, 3, side, side) if family.source is Source.PICTURE else (1, 512)
    mask = np.ones((128, 128)) if family.name == "hyperswap" else None
    net = network(tiny_networks.one_photo(128, shape, mask), mirrored)
    swapper = OnePhotoSwapper(net, family, np.zeros(shape, np.float32), boost)
    return Engine(swapper), Settings(color_transfer=ColorTransfer.NONE, pixel_boost=boost), net


def animator():
    net = network(tiny_networks.animator(64))
    picture = np.random.default_rng(9).integers(0, 40, (64, 64, 3), np.uint8)
    return Engine(Animator(net, picture)), PLAIN, net


def enhanced(weight=None):
    net = network(tiny_networks.enhancer(256, weight))
    return Engine(Enhanced(FakeSwapper(), Enhancer(net))), PLAIN, net


SWAPPERS = {
    "dfm": dfm,
    "dfm with morph": lambda: dfm(morph=True),
    "animator": animator,
    "enhancer": enhanced,
    "enhancer with a number": lambda: enhanced(np.float32),
    "pixel boost": lambda: one_photo(FAMILIES[0], 2),
} | {family.name: lambda family=family: one_photo(family) for family in FAMILIES}


def occluder(content):
    net = network(content)
    return Engine(FakeSwapper(), occluder=FaceNetwork(net)), PLAIN, net


def hands(spoils_palms):
    palms, hand = Network(test_hands.palms((20, 170))), Network(test_hands.hand_network())
    return Engine(FakeSwapper(), occluder=HandsBefore(palms, hand)), PLAIN, palms if spoils_palms else hand


OCCLUDERS = {
    "xseg": lambda: occluder(tiny_networks.xseg()),
    "face": lambda: occluder(tiny_networks.xseg(name="image_input")),
    "parser": lambda: occluder(tiny_networks.parser()),
    "hair": lambda: occluder(tiny_networks.hair()),
    "palms": lambda: hands(True),
    "hands": lambda: hands(False),
}


def recognizer(length):
    net = network(tiny_networks.recognizer(length))
    settings = Settings(color_transfer=ColorTransfer.NONE, who=Who.CHOSEN)
    return Engine(FakeSwapper(), recognizer=Recognizer(net)), settings, net


RECOGNIZERS = {"recognizer 512": lambda: recognizer(512), "recognizer 128": lambda: recognizer(128)}
STAGES = SWAPPERS | OCCLUDERS | RECOGNIZERS


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_network_that_gives_nonsense_costs_only_its_frames(stage):
    engine, settings, net = stage()
    engine.faces = [FACE]
    assert engine.shows(settings, 2)[-1] is Shown.SWAPPED
    for name, spoil in SPOILED.items():
        net.spoil = spoil
        result = engine.show(replace(settings, cover=Cover.BLUR))
        assert result.shown is Shown.SWAPPED or result.notice, name
        net.spoil = None
        assert engine.show(settings).shown is Shown.SWAPPED, name  # what was frozen returns at once


# --- who finds faces ---

DETECTORS = {
    name: lambda made=made: made()[1]
    for name, made in test_detectors.FAMILIES.items()
} | {
    "yunet": lambda: Session(tiny_networks.yunet([(16, 170, 0.9, 0.9, (0, 0, 1, 1), (0,) * 10)]), "cpu", 1),
    "blazeface": lambda: Session(tiny_networks.blazeface([(300, 5.0, (0,) * 16)]), "cpu", 1),
}  # fmt: skip
LANDMARKERS = {
    "68": test_landmarkers.points68,
    "fan": test_landmarkers.fan,
    "106": test_landmarkers.points106,
    "478": test_landmarkers.mesh478,
    "468": lambda: Session(tiny_networks.mesh(), "cpu", 1),
}


@pytest.mark.parametrize("made", DETECTORS.values(), ids=DETECTORS)
def test_a_detector_that_gives_nonsense_finds_nobody(made):
    net = Network(made())
    engine, broken = Engine(FakeSwapper()), detector_for(net)
    engine.faces = [FACE]
    engine.show(PLAIN)
    for name, net.spoil in SPOILED.items():
        engine.detector.other = broken
        engine.show(replace(PLAIN, cover=Cover.BLUR))
        engine.detector.other = None
        assert engine.show(PLAIN).shown is Shown.SWAPPED, name


@pytest.mark.parametrize("made", LANDMARKERS.values(), ids=LANDMARKERS)
def test_a_landmarker_that_gives_nonsense_follows_nobody(made):
    net = Network(made())
    engine, broken = Engine(FakeSwapper()), landmarker_for(net)
    engine.faces = [FACE]
    engine.show(PLAIN)
    for name, net.spoil in SPOILED.items():
        engine.mesh.other = broken
        result = engine.show(replace(PLAIN, cover=Cover.BLUR))
        assert result.shown is Shown.SWAPPED or result.notice, name
        engine.mesh.other = None
        assert engine.show(PLAIN).shown is Shown.SWAPPED, name
