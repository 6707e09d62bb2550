"""The networks a user brings: told by their inputs and outputs, listed, found, and missed in plain words."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_networks
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.errors import ModelError, ModelMissingError, UnsupportedModelError
from obs_faceswap.engine.runtime.onnx_contract import contract_of
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store import own_networks
from obs_faceswap.engine.store.own_networks import OwnNetwork, Role, converter_for, recognizer_for

NETWORKS = {
    "inswapper_128": tiny_networks.one_photo(128),
    "uniface_256": tiny_networks.one_photo(256, (1, 3, 256, 256)),
    "hyperswap_1a": tiny_networks.one_photo(256, mask=np.ones((256, 256))),
    "generator": tiny_networks.animator(),
    "w600k_r50": tiny_networks.recognizer(),
    "crossface_ghost": tiny_networks.converter(),
    "xseg_1": tiny_networks.xseg(),
    "bisenet": tiny_networks.parser(),
    "hair": tiny_networks.hair(),
    "yunet": tiny_networks.yunet(),
    "blazeface": tiny_networks.blazeface(),
    "facemesh": tiny_networks.mesh(),
    "mobilefacenet": tiny_networks.recognizer(128),
    "gfpgan_1.4": tiny_networks.enhancer(512),
    "gpen_bfr_256": tiny_networks.enhancer(256),
    "codeformer": tiny_networks.enhancer(512, weight=np.float64),
}
ROLES = {
    "inswapper_128": Role.SWAPPER, "uniface_256": Role.SWAPPER, "hyperswap_1a": Role.SWAPPER,
    "generator": Role.ANIMATOR, "w600k_r50": Role.RECOGNIZER, "crossface_ghost": Role.CONVERTER,
    "xseg_1": Role.OCCLUDER, "bisenet": Role.PARSER, "hair": Role.OCCLUDER,
    "yunet": Role.DETECTOR, "blazeface": Role.DETECTOR, "facemesh": Role.LANDMARKER,
    "mobilefacenet": Role.SMALL_RECOGNIZER, "gfpgan_1.4": Role.ENHANCER, "gpen_bfr_256": Role.ENHANCER,
    "codeformer": Role.ENHANCER,
}  # fmt: skip
USELESS = {
    "a model": tiny_networks.dfm(),
    "a model with masks like an XSeg": tiny_networks.dfm(256),
    "an enhancer of a size that no face has": tiny_networks.enhancer(300),
    "a text": b"no network at all",
    "nothing": b"",
    "zeros": bytes(2000),
}


@pytest.fixture
def folder(home) -> Path:
    """The folder of networks, with one of each in it."""
    made = home / "data" / "networks"
    made.mkdir(parents=True)
    for name, content in NETWORKS.items():
        (made / f"{name}.onnx").write_bytes(content)
    return made


@pytest.mark.parametrize(
    "content",
    [*NETWORKS.values(), tiny_networks.yunet(), tiny_networks.dfm(morph=True), tiny_networks.mesh()],
)
def test_a_contract_is_what_the_runtime_says(tmp_path, content):
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    session, contract = Session(content, "cpu"), contract_of(path)
    for infos, found in ((session.inputs, contract.inputs), (session.outputs, contract.outputs)):
        told = {
            info.name: tuple(-1 if isinstance(side, str) else side for side in info.shape) for info in infos
        }
        assert found == told


def test_weights_that_are_listed_as_inputs_are_none(tmp_path):
    made = onnx.load_from_string(tiny_networks.double())
    made.graph.input.append(onnx.helper.make_tensor_value_info("two", onnx.TensorProto.FLOAT, ()))
    path = tmp_path / "old.onnx"
    path.write_bytes(made.SerializeToString())
    assert list(contract_of(path).inputs) == ["input"]


@given(st.data())
def test_what_is_cut_off_or_broken_is_no_error(tmp_path_factory, data):
    content = bytearray(NETWORKS["crossface_ghost"])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("broken") / "network.onnx"
    path.write_bytes(content)
    assert own_networks.role_of(path) in {None, *Role}


def test_each_network_is_told_by_its_inputs_and_outputs(folder):
    for name, content in USELESS.items():
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "notes.txt").write_text("mine")
    assert {network.name: network.role for network in own_networks.installed()} == ROLES


def test_without_a_folder_there_are_none(home):
    assert own_networks.installed() == []


def test_a_file_that_was_replaced_is_read_anew(folder):
    path = folder / "generator.onnx"
    assert own_networks.role_of(path) is Role.ANIMATOR
    path.write_bytes(NETWORKS["inswapper_128"])
    assert own_networks.role_of(path) is Role.SWAPPER


def test_a_network_is_found_by_its_name_and_by_its_path(folder, tmp_path):
    other = tmp_path / "elsewhere.onnx"
    other.write_bytes(NETWORKS["generator"])
    assert own_networks.find("uniface_256").path == folder / "uniface_256.onnx"
    assert own_networks.find(str(other)) == OwnNetwork("elsewhere", other, Role.ANIMATOR)


def test_a_folder_of_the_command_line_is_looked_in_as_well(folder, tmp_path):
    (tmp_path / "mine.onnx").write_bytes(NETWORKS["generator"])
    assert own_networks.find("mine", [tmp_path]).path == tmp_path / "mine.onnx"


def test_a_network_that_is_missing_is_said_where_to_put(folder):
    with pytest.raises(
        ModelMissingError, match=r"“uniface”. Installed are: .*uniface_256.* Put its .*networks"
    ):
        own_networks.find("uniface")


def test_a_helper_is_nothing_to_wear_a_face_through(folder):
    with pytest.raises(UnsupportedModelError, match="w600k_r50 is a recognizer"):
        own_networks.find("w600k_r50")


def test_a_network_is_found_for_its_own_use_alone(folder):
    occluders = own_networks.OCCLUDERS
    assert own_networks.find("bisenet", roles=occluders).role is Role.PARSER
    with pytest.raises(UnsupportedModelError, match="xseg_1 is a network that tells what lies before a face"):
        own_networks.find("xseg_1")
    with pytest.raises(UnsupportedModelError, match="here an XSeg"):
        own_networks.find("inswapper_128", roles=occluders)
    with pytest.raises(ModelMissingError, match="Installed are: bisenet, hair, xseg_1"):
        own_networks.find("gone", roles=occluders)


@pytest.mark.parametrize("content", USELESS.values(), ids=USELESS.keys())
def test_a_file_of_no_use_is_refused(tmp_path, home, content):
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"file\.onnx is no network that is of use"):
        own_networks.find(str(path))
    with pytest.raises(UnsupportedModelError):
        own_networks.add(path)
    assert own_networks.installed() == []


def test_of_several_recognition_networks_the_usual_one_is_taken(folder):
    for name in ("aaa", "arcface"):
        (folder / f"{name}.onnx").write_bytes(NETWORKS["w600k_r50"])
    network = own_networks.find("inswapper_128")
    assert recognizer_for(network).stem == "w600k_r50"
    (folder / "w600k_r50.onnx").unlink()
    assert recognizer_for(network).stem == "arcface"
    (folder / "arcface.onnx").unlink()
    assert recognizer_for(network).stem == "aaa"
    (folder / "aaa.onnx").unlink()
    with pytest.raises(
        ModelMissingError, match=r"needs a recognition network .*w600k_r50. Put it into .*networks"
    ):
        recognizer_for(network)


def test_what_lies_beside_a_network_belongs_to_it(home, tmp_path):
    for name in ("ghost_1_256", "w600k_r50", "crossface_ghost"):
        content = NETWORKS["inswapper_128"] if name == "ghost_1_256" else NETWORKS[name]
        (tmp_path / f"{name}.onnx").write_bytes(content)
    network = own_networks.find(str(tmp_path / "ghost_1_256.onnx"))
    assert recognizer_for(network) == tmp_path / "w600k_r50.onnx"
    assert converter_for(network, "ghost") == tmp_path / "crossface_ghost.onnx"


def test_a_converter_is_told_by_its_name(folder):
    network = own_networks.find("inswapper_128")
    assert converter_for(network, "ghost").stem == "crossface_ghost"
    with pytest.raises(ModelMissingError, match=r"called crossface_simswap. Put it into"):
        converter_for(network, "simswap_unofficial")
    (folder / "arcface_converter_simswap.onnx").write_bytes(NETWORKS["crossface_ghost"])
    assert converter_for(network, "simswap_unofficial").stem == "arcface_converter_simswap"


def test_a_network_is_added_once(home, tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(NETWORKS["generator"])
    added = own_networks.add(path)
    assert added.path.read_bytes() == NETWORKS["generator"]
    assert own_networks.installed() == [added]
    with pytest.raises(ModelError, match="called “mine” already"):
        own_networks.add(path)
    assert own_networks.add(path, "other").name == "other"
    for bad in ("../x", ".x", "a/b"):
        with pytest.raises(ModelError, match="cannot be a network's name"):
            own_networks.add(path, bad)
    with pytest.raises(ModelMissingError, match="There is no file"):
        own_networks.add(tmp_path / "gone.onnx")
