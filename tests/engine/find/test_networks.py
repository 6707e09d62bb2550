"""Which networks find faces and tell people apart, as the settings choose them."""

from dataclasses import replace

import pytest
import tiny_networks

from obs_faceswap.engine.errors import ModelMissingError, UnsupportedModelError
from obs_faceswap.engine.find import networks
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.detectors.blazeface import BlazeFace
from obs_faceswap.engine.find.detectors.yunet import YuNet
from obs_faceswap.engine.find.five_points import FivePoints
from obs_faceswap.engine.find.landmarkers import landmarker_for
from obs_faceswap.engine.find.landmarks import FaceMesh
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.find.recognize import fingerprint
from obs_faceswap.engine.live.loader import needs
from obs_faceswap.engine.runtime.onnx_contract import contract_of
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings, Who
from obs_faceswap.engine.store.face_networks import is_detector, is_landmarker

CPU = Settings(device="cpu")


@pytest.fixture
def folder(home, tmp_path, monkeypatch):
    """The user's networks; the default ones are small."""
    defaults = {"detector": tiny_networks.blazeface(), "facemesh_468": tiny_networks.mesh()}
    for name, content in defaults.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)

    def find(name, models_from):
        if name not in defaults:
            raise ModelMissingError(f"{name} is not here.")
        return tmp_path / f"{name}.onnx"

    monkeypatch.setattr(networks.models, "find_detector", lambda models_from: find("detector", None))
    monkeypatch.setattr(networks.models, "find", find)
    made = home / "data" / "networks"
    made.mkdir(parents=True)
    for name, content in {
        "my_yunet": tiny_networks.yunet(side=160),
        "my_mesh": tiny_networks.mesh(size=128),
        "small": tiny_networks.recognizer(128),
        "w600k_r50": tiny_networks.recognizer(512),
        "inswapper_128": tiny_networks.one_photo(128),
    }.items():
        (made / f"{name}.onnx").write_bytes(content)
    return made


@pytest.fixture
def load(folder):
    """Loads networks and closes them at the end."""
    loaded = []

    def call(settings=CPU):
        loaded.append(Networks(settings))
        return loaded[-1]

    yield call
    for each in loaded:
        each.close()


def recognizer_of(loaded):
    return loaded.finder._identities._network


def test_by_themselves_the_default_ones_are_used(load):
    finder = load().finder
    assert isinstance(finder._detector, BlazeFace)
    assert finder._mesh._side == 192


def test_a_detector_of_the_users_own(load):
    finder = load(replace(CPU, detector="my_yunet")).finder
    assert isinstance(finder._detector, YuNet)
    assert finder._detector.side_px == 160


def test_a_landmarker_of_the_users_own(load):
    finder = load(replace(CPU, landmarker="my_mesh")).finder
    assert finder._mesh._side == 128


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"detector": "my_mesh"}, "one that finds faces is needed"),
        ({"landmarker": "my_yunet"}, "one that finds the points of a face is needed"),
        ({"recognizer": "inswapper_128"}, "one that tells people apart is needed"),
    ],
)
def test_a_network_for_something_else_is_refused(load, chosen, said):
    with pytest.raises(UnsupportedModelError, match=said):
        load(replace(CPU, **chosen))


def test_a_network_that_is_not_there_is_named(load):
    with pytest.raises(ModelMissingError, match=r"no network “gone”.*my_yunet"):
        load(replace(CPU, detector="gone"))


@pytest.mark.parametrize(
    ("chosen", "length"),
    [
        ({}, 128),
        ({"who": Who.KNOWN}, 128),
        ({"recognizer": "w600k_r50"}, 512),
        ({"recognizer": "off"}, None),
        ({"recognizer": "off", "who": Who.KNOWN}, None),
    ],
)
def test_what_tells_people_apart(load, chosen, length):
    loaded = load(replace(CPU, **chosen))
    found = recognizer_of(loaded)
    assert (found and found._session.outputs[0].shape[-1]) == length
    assert loaded.finder._identities.is_on is (length is not None)
    assert ("No recognition network" in loaded.notice) is (length is None and "who" in chosen)


def test_a_detector_can_follow_faces_too(load):
    loaded = load(replace(CPU, detector="my_yunet", landmarker="detector"))
    assert isinstance(loaded.finder._mesh, FivePoints)
    assert loaded.finder._mesh._detector is loaded.finder._detector
    assert loaded.stages["faces followed"] == loaded.stages["faces found"] == loaded.provider


@pytest.mark.parametrize(
    ("chosen", "device"),
    [
        ({}, "one"),
        ({"detector_device": "two"}, "two"),
        ({"detector_device": "two", "recognizer_device": "three"}, "three"),
    ],
)
def test_what_tells_people_apart_follows_what_finds_them(load, monkeypatch, chosen, device):
    real = networks.shared

    def on_the_cpu(path, name):
        session = real(path, "cpu")
        session.provider = name
        return session

    monkeypatch.setattr(networks, "shared", on_the_cpu)
    assert load(Settings(device="one", **chosen)).stages["people told apart"] == device


def test_a_large_one_is_taken_for_names_alone(load, folder):
    (folder / "small.onnx").unlink()
    assert recognizer_of(load()) is None
    assert recognizer_of(load(replace(CPU, who=Who.KNOWN))) is not None


def test_each_recognition_network_calls_itself_otherwise(folder):
    names = {fingerprint(path) for path in folder.iterdir()}
    assert len(names) == len(list(folder.iterdir()))
    again = folder / "again.onnx"
    again.write_bytes((folder / "small.onnx").read_bytes())
    assert fingerprint(again) == fingerprint(folder / "small.onnx")


def test_the_window_is_that_of_a_network_that_takes_any_size(tmp_path):
    path = tmp_path / "free.onnx"
    path.write_bytes(tiny_networks.yunet(side=None))
    session = Session(path, "cpu")
    assert [detector_for(session, side).side_px for side in (0, 480, 1000)] == [320, 480, 992]
    path.write_bytes(tiny_networks.blazeface())
    assert detector_for(Session(path, "cpu"), 480).side_px == 128  # it has a size of its own


def test_the_window_reaches_the_detector(load, folder):
    (folder / "my_yunet.onnx").write_bytes(tiny_networks.yunet(side=None))
    assert load(replace(CPU, detector="my_yunet", detection_size=640)).finder._detector.side_px == 640


@pytest.mark.parametrize(
    "change",
    [
        {"detector": "a"}, {"landmarker": "a"}, {"detection_size": 480}, {"recognizer": "a"},
        {"who": Who.KNOWN}, {"who": Who.KNOWN, "person_1": "*", "face_1": "a"},
    ],
)  # fmt: skip
def test_what_an_engine_is_bound_to_has_it_loaded_anew(change):
    assert needs(Settings(**change)) != needs(Settings())


@pytest.mark.parametrize(
    "change", [{"who": Who.ALL}, {"sort_by": "center"}, {"face_number": 2}, {"person_1": "*", "face_1": "a"}]
)
def test_what_a_running_engine_can_do_loads_nothing(change):
    assert needs(Settings(**change)) == needs(Settings())


def test_a_name_in_a_row_loads_nothing():
    rows = Settings(who=Who.KNOWN, person_1="*", face_1="a")
    assert needs(rows) == needs(replace(rows, person_1="Anne"))


FAMILIES = {
    "yunet": tiny_networks.yunet(), "blazeface": tiny_networks.blazeface(), "mesh": tiny_networks.mesh(),
    "dfm": tiny_networks.dfm(), "swapper": tiny_networks.one_photo(), "xseg": tiny_networks.xseg(),
    "parser": tiny_networks.parser(), "hair": tiny_networks.hair(), "animator": tiny_networks.animator(),
    "recognizer": tiny_networks.recognizer(),
    "scrfd": tiny_networks.answering((1, 3, 64, 64), [(128, 1), (32, 1), (8, 1), (128, 4), (32, 4), (8, 4)]),
    "yolo5face": tiny_networks.answering((1, 3, 64, 64), [(1, 48, 8, 8), (1, 48, 4, 4), (1, 48, 2, 2)]),
    "centerface": tiny_networks.answering((1, 3, 64, 64), [(1, c, 16, 16) for c in (1, 2, 2, 10)]),
    "s3fd": tiny_networks.answering(
        (1, 3, 256, 256), [(1, c, 256 // s, 256 // s) for s in (4, 8, 16, 32, 64, 128) for c in (2, 4)]
    ),
    "ultraface": tiny_networks.answering((1, 3, 240, 320), [(1, 4420, 2), (1, 4420, 4)]),
    "68 points": tiny_networks.answering((1, 3, 160, 160), [(1, 143)]),
    "106 points": tiny_networks.answering((1, 3, 192, 192), [(1, 212)]),
    "heat maps": tiny_networks.answering((1, 3, 256, 256), [(1, 68, 3)]),
}  # fmt: skip
DETECTORS = {"yunet", "blazeface", "scrfd", "yolo5face", "centerface", "s3fd", "ultraface"}
LANDMARKERS = {"mesh", "68 points", "106 points", "heat maps"}


def accepts(make, session):
    try:
        return bool(make(session))
    except UnsupportedModelError:
        return False


@pytest.mark.parametrize("name", FAMILIES)
def test_the_list_agrees_with_the_classes_that_run_the_networks(tmp_path, name):
    path = tmp_path / "network.onnx"
    path.write_bytes(FAMILIES[name])
    contract, session = contract_of(path), Session(path, "cpu")
    assert is_detector(contract) is (name in DETECTORS)
    assert is_landmarker(contract) is (name in LANDMARKERS)
    if len(session.inputs) == 1 and len(session.inputs[0].shape) == 4:
        assert accepts(detector_for, session) is (name in DETECTORS)
        assert accepts(landmarker_for, session) is (name in LANDMARKERS)


@pytest.mark.shared
def test_real_networks_are_told_as_their_classes_do(shared):
    for path in sorted((shared / "models").glob("*.onnx")):
        session = Session(path, "cpu")
        contract = contract_of(path)
        if len(session.inputs[0].shape) == 4:
            assert is_detector(contract) is accepts(detector_for, session), path.name
            assert is_landmarker(contract) is accepts(landmarker_for, session), path.name


def test_a_mesh_with_irises_follows_faces_too():
    assert FaceMesh.counts([1, 3 * 478]) == 3 * 478
