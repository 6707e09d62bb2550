"""Each value of each setting beside each value of every other, on frames as they should be."""

import itertools

import numpy as np
import pytest
import tiny_networks
from bad_input import VALUES, WORN, Engine, Late, checked, guarded_frame
from fake_engine import face_at

from obs_faceswap.engine.crop.occluders import FaceNetwork
from obs_faceswap.engine.finish.enhance import Enhanced, Enhancer
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Shown

# What is tried besides the settings.
_SCENE = {
    "worn": list(WORN),
    "pixel_format": list(PixelFormat),
    "flip": [False, True],
    "late": [False, True],  # the second frame shows the swap of the first
    "is_enhanced": [False, True],
}
# At other values nobody is swapped, and nothing else would be tried.
_SEEN = {"min_face": [0.0, 10.0], "face_number": [1.0], "detection_threshold": [0.5, 0.01]}
FACTORS = {key: values for key, values in (VALUES | _SEEN | _SCENE).items() if len(values) > 1}
_MOST_ROWS = 250


def rows():
    """Choices for all factors in which each pair of values occurs; greedy, with a random order of factors."""
    random, counts = np.random.default_rng(0), [len(values) for values in FACTORS.values()]
    starts = np.concatenate([[0], np.cumsum(counts)])
    owner = np.repeat(np.arange(len(counts)), counts)
    left = owner[:, None] != owner  # pairs of values that did not occur yet
    while left.any():
        row = np.full(len(counts), -1)
        for factor in (int(owner[left.any(axis=1)][0]), *random.permutation(len(counts)).tolist()):
            own = slice(starts[factor], starts[factor + 1])
            if row[factor] < 0:
                gain = left[own][:, row[row >= 0]].sum(axis=1) + left[own].any(axis=1) * 0.5
                row[factor] = starts[factor] + int(gain.argmax())
        left[np.ix_(row, row)] = False
        yield {key: values[row[n] - starts[n]] for n, (key, values) in enumerate(FACTORS.items())}


@pytest.fixture(scope="module")
def worn():
    enhancer = Enhancer(Session(tiny_networks.enhancer(256), "cpu", 1))
    made = {kind: make() for kind, make in WORN.items()}
    return {
        (kind, is_enhanced): (
            Enhanced(face.swapper, enhancer) if is_enhanced and not face.fills_frame else face.swapper,
            face.kind,
        )
        for (kind, face), is_enhanced in itertools.product(made.items(), (False, True))
    }


def test_every_pair_of_values_works(worn):
    tried = list(rows())
    parser = FaceNetwork(Session(tiny_networks.xseg(), "cpu", 1))
    shown = []
    for row in tried:
        scene = {key: row.pop(key) for key in _SCENE}
        settings = Settings(**row)
        swapper, kind = worn[scene["worn"], scene["is_enhanced"]]
        engine = Engine(swapper, kind, occluder=parser)
        engine.faces = [face_at(150, 120, 110)]
        pipeline = Late(engine.pipeline) if scene["late"] else engine.pipeline
        for number in range(2):
            frame, buffers = guarded_frame((320, 240), scene["pixel_format"], number, scene["flip"])
            result = checked(pipeline, frame, buffers, settings, engine.faces, is_opaque=False)
            # A model that is shown black, by its gamma, may give black.
            assert result.fault is None or "black face" in str(result.fault), (scene, row)
        shown.append(result.shown)
    assert len(tried) <= _MOST_ROWS
    assert shown.count(Shown.SWAPPED) > len(shown) / 2


def test_the_rows_hold_every_pair():
    tried = list(rows())
    for (one, ones), (other, others) in itertools.combinations(FACTORS.items(), 2):
        assert {(row[one], row[other]) for row in tried} == set(itertools.product(ones, others))
