"""What is proposed by which times, and that everything is measured on every device."""

from dataclasses import replace

import pytest
import tiny_networks

from obs_faceswap.engine.errors import FaceError, ModelMissingError, ProviderError
from obs_faceswap.engine.live import autotune as autotune_module
from obs_faceswap.engine.live import scene
from obs_faceswap.engine.live.autotune import Stage, StoppedError, Timing, autotune, propose
from obs_faceswap.engine.runtime import providers, session
from obs_faceswap.engine.runtime.providers import Device
from obs_faceswap.engine.settings import Settings, with_texts
from obs_faceswap.engine.store import models
from obs_faceswap.engine.store.own_networks import OwnNetwork, Role

CPU, CARD, OTHER = "cpu", "cuda", "coreml"


def timings(swap, landmarks=None, detector=None, rest=3.0, **more):
    """Times by device; a text is the problem there."""
    found = []
    for stage, times in (
        (Stage.SWAP, swap),
        (Stage.LANDMARKS, landmarks or {CPU: 2.0}),
        (Stage.DETECTOR, detector or {CPU: 3.0}),
        (Stage.REST, {CPU: rest}),
        *((Stage(name), times) for name, times in more.items()),
    ):
        for device, ms in times.items():
            known = isinstance(ms, float)
            found.append(Timing(stage, device, ms if known else None, "" if known else ms))
    return tuple(found)


def proposed(*arguments, settings=None, **more):
    return propose(timings(*arguments, **more), settings or Settings())


@pytest.mark.parametrize(
    ("times", "device"),
    [
        ({CPU: 60.0}, CPU),
        ({CPU: 60.0, CARD: 6.0}, CARD),
        ({CPU: 6.0, CARD: 6.0}, CPU),
        ({CPU: 6.0, CARD: 5.0}, CPU),  # not worth a card that a game needs
        ({CPU: 60.0, CARD: "its driver is too old"}, CPU),
        ({CPU: 60.0, CARD: 6.0, "directml": 5.0}, "directml"),
    ],
)
def test_a_stage_runs_where_it_is_clearly_fastest(times, device):
    assert proposed(times).settings["device"] == device


def test_what_follows_the_swap_is_said_as_the_same_device():
    found = proposed({CPU: 60.0, CARD: 6.0}, {CPU: 8.0, CARD: 1.0}, {CPU: 3.0, CARD: 2.9}).settings
    assert found["landmarks_device"] == "same"
    assert found["detector_device"] == CPU


def test_whatever_else_has_a_device_is_placed():
    found = proposed(
        {CPU: 60.0, CARD: 6.0},
        occlusion={CPU: 9.0, CARD: 3.0},
        recognizer={CPU: 5.0, CARD: 5.0},
        enhancer={CPU: 900.0, CARD: 90.0, OTHER: 30.0},
    )
    devices = {key: value for key, value in found.settings.items() if key.endswith("_device")}
    assert devices == {
        "landmarks_device": CPU, "detector_device": CPU, "occlusion_device": "same",
        "recognizer_device": "same", "enhancer_device": OTHER,
    }  # fmt: skip
    assert with_texts(Settings(), found.settings).enhancer_device == OTHER
    assert "Occlusion: NVIDIA CUDA, 3.0 ms; CPU takes 9.0 ms." in found.reasons
    assert found.reasons[-1].startswith("A frame needs 43.7 ms, 7.7 ms of it without its swap")
    found = proposed({CPU: 60.0}, occlusion={CPU: 9.0}, settings=Settings(occlusion="network"))
    assert "16.0 ms of it without its swap" in found.reasons[-1]  # a network is run for each frame


def test_who_tells_people_apart_follows_who_finds_them():
    cards = {"detector": {CPU: 3.0, CARD: 1.0}, "recognizer": {CPU: 9.0, CARD: 1.0}}
    assert proposed({CPU: 6.0}, **cards).settings["recognizer_device"] == "same"
    cards["detector"] = {CPU: 1.0, CARD: 1.0}
    assert proposed({CPU: 6.0}, **cards).settings["recognizer_device"] == CARD


@pytest.mark.parametrize(
    ("swap", "rest", "reprojection", "target"),
    [
        (10.0, 3.0, "auto", "off"),  # 17 of 33 ms
        (28.0, 3.0, "yes", "smooth"),  # 35 ms
        (200.0, 3.0, "yes", "smooth"),
        (10.0, 60.0, "yes", "smooth"),
    ],
)
def test_a_machine_that_is_too_slow_gets_reprojection_and_a_target(swap, rest, reprojection, target):
    found = proposed({CPU: swap}, rest=rest)
    assert (found.settings["reprojection"], found.settings["target"]) == (reprojection, target)


def test_the_frame_rate_that_is_asked_for_counts():
    assert proposed({CPU: 40.0}, settings=Settings(target_fps=15)).settings["target"] == "off"
    assert proposed({CPU: 10.0}, settings=Settings(target_fps=60)).settings["target"] == "smooth"


def test_each_decision_has_its_figures():
    reasons = proposed({CPU: 60.0, CARD: 6.0}, {CPU: 2.0, CARD: "no memory"}).reasons
    assert reasons[0] == "Swap: NVIDIA CUDA, 6.0 ms; CPU takes 60.0 ms."
    assert reasons[1] == "Landmarks: CPU, 2.0 ms; no other device can do it."
    assert reasons[3].startswith("A frame needs 13.0 ms, 7.0 ms of it without its swap; at 30 frames")


def test_the_proposal_can_be_set():
    texts = proposed({CPU: 60.0, CARD: 6.0}, {CPU: 1.0, CARD: 9.0}).settings
    assert with_texts(Settings(), texts).device == CARD


@pytest.fixture
def networks(home, monkeypatch, tmp_path):
    """Tiny networks for faces and none for hands, a tiny model to wear, and runs that are over at once."""

    def find(name, models_from=None):
        if name != "facemesh_468":
            raise ModelMissingError(f"{name} is not here.")
        return tmp_path / "mesh"

    (tmp_path / "detector").write_bytes(tiny_networks.yunet())
    (tmp_path / "mesh").write_bytes(tiny_networks.mesh())
    (tmp_path / "worn.dfm").write_bytes(tiny_networks.dfm(64))
    monkeypatch.setattr(models, "find_detector", lambda models_from: tmp_path / "detector")
    monkeypatch.setattr(models, "find", find)
    monkeypatch.setattr(autotune_module, "_RUNS", (2, 3))
    return Settings(face_file=str(tmp_path / "worn.dfm"))


@pytest.fixture
def other(monkeypatch):
    """A second device that runs the detector and fails at the rest."""
    real = session._open

    def opened(source, label, device, *more):
        if device == OTHER and "detector" not in label:
            raise ProviderError("It ran out of memory.")
        return real(source, label, CPU, *more)

    monkeypatch.setattr(session, "_open", opened)
    monkeypatch.setattr(providers, "candidates", lambda device: [device])
    offered = [
        Device("auto", "Automatic"),
        Device("tensorrt", "TensorRT"),
        Device(OTHER, "CoreML"),
        Device(CPU, "CPU"),
    ]
    monkeypatch.setattr(providers, "devices", lambda: offered)


def test_everything_is_measured_on_the_processor(networks, monkeypatch):
    monkeypatch.setattr(providers, "devices", lambda: [Device("auto", "Automatic"), Device(CPU, "CPU")])
    parts = []
    found = autotune(networks, None, lambda what, part: parts.append((what, part)))
    assert [timing.stage for timing in found.timings] == ["detector", "landmarks", "swap", "rest"]
    assert all(timing.ms is not None and timing.ms > 0 for timing in found.timings)
    assert parts == [
        ("detector on CPU", 0.0), ("landmarks on CPU", 0.25), ("swap on CPU", 0.5), ("rest on CPU", 0.75),
    ]  # fmt: skip


def test_the_users_own_networks_are_measured_too(networks, home, monkeypatch):
    folder = home / "data" / "networks"
    folder.mkdir(parents=True)
    files = {
        "xseg": tiny_networks.xseg(), "arcface": tiny_networks.recognizer(),
        "gfpgan": tiny_networks.enhancer(256), "finder": tiny_networks.yunet(side=160),
        "points": tiny_networks.mesh(size=128),
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.onnx").write_bytes(content)
    monkeypatch.setattr(providers, "devices", lambda: [Device(CPU, "CPU")])
    monkeypatch.setattr(models, "find_detector", None)  # the user's own is taken
    settings = replace(
        networks, detector="finder", landmarker="points", recognizer="arcface", enhancer="gfpgan",
        occlusion="network", occlusion_network="xseg",
    )  # fmt: skip
    monkeypatch.setattr(scene.Scene, "_rest", scene.Scene._landmarks)
    found = autotune(settings)
    assert [timing.stage for timing in found.timings] == list(Stage)
    assert all(timing.ms for timing in found.timings)


def test_a_detector_that_follows_faces_counts_for_each_frame(networks):
    settings = replace(networks, landmarker="detector")
    assert Stage.LANDMARKS not in scene.Scene(settings, None).stages
    known = tuple(timing for timing in timings({CPU: 10.0}) if timing.stage is not Stage.LANDMARKS)
    assert "8.0 ms of it without its swap" in propose(known, settings).reasons[-1]


def test_an_animated_picture_is_not_enhanced(networks, monkeypatch):
    animator = OwnNetwork("lia", networks.face_file, Role.ANIMATOR)
    monkeypatch.setattr(scene.own_networks, "find", lambda *_given: animator)
    settings = replace(networks, network="lia", enhancer="gfpgan")
    assert Stage.ENHANCER not in scene.Scene(settings, None).stages


def test_a_network_that_is_missing_is_told_before_anything_is_measured(networks):
    with pytest.raises(ModelMissingError, match="nothing"):
        autotune(replace(networks, enhancer="nothing"))


def test_a_device_that_fails_is_said_and_not_taken(networks, other):
    found = autotune(networks)
    known = {(timing.stage, timing.device): timing for timing in found.timings}
    assert known[Stage.DETECTOR, OTHER].ms is not None
    assert "out of memory" in known[Stage.SWAP, OTHER].problem
    assert known[Stage.SWAP, "tensorrt"].ms is None
    assert found.settings["device"] == CPU


def test_it_stops_between_two_measurements(networks):
    asked = []

    def is_stopped():
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(StoppedError):
        autotune(networks, is_stopped=is_stopped)
    assert len(asked) == 2


def test_a_face_that_is_not_there_is_the_users_to_know(networks):
    with pytest.raises(FaceError):
        autotune(replace(networks, face_file="nobody.dfm"))
