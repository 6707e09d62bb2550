"""What the doctor finds, and what it advises."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_networks

from obs_faceswap.engine import faces, folders
from obs_faceswap.engine.errors import ModelMissingError, ProviderError
from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.native import Found
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store import models
from obs_faceswap.ui import doctor, own_findings
from obs_faceswap.ui.doctor import Level


@pytest.fixture
def versions(monkeypatch):
    """Which packages are installed: {name: version}."""
    known: dict[str, str] = {}
    monkeypatch.setattr(doctor, "version_of", known.get)
    return known


def levels(findings):
    return [finding.level for finding in findings]


def test_a_complete_set_of_packages_is_fine(versions):
    versions.update(dict.fromkeys(doctor.NEEDED, "1.0"))
    assert set(levels(doctor.check_packages())) == {Level.OK}


def test_a_missing_package_is_named(versions):
    versions.update(dict.fromkeys(doctor.NEEDED, "1.0"))
    del versions["av"]
    wrong = [finding for finding in doctor.check_packages() if finding.level is Level.WRONG]
    assert [("av" in finding.text, bool(finding.fix)) for finding in wrong] == [(True, True)]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ([], Level.WRONG),
        (["onnxruntime"], Level.OK),
        (["onnxruntime-gpu"], Level.OK),
        (["onnxruntime", "onnxruntime-gpu"], Level.WRONG),
        (["onnxruntime-directml", "onnxruntime-gpu", "onnxruntime"], Level.WRONG),
    ],
)
def test_exactly_one_runtime_is_right(versions, installed, expected):
    versions.update(dict.fromkeys(installed, "1.23"))
    (finding,) = doctor.check_runtime_wheels()
    assert finding.level is expected
    if len(installed) > 1:
        assert all(name in finding.fix for name in installed)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ([], Level.WRONG),
        (["opencv-python-headless"], Level.OK),
        (["opencv-python"], Level.NOTE),
        (["opencv-python", "opencv-python-headless"], Level.WRONG),
    ],
)
def test_the_headless_opencv_alone_is_right(versions, installed, expected):
    versions.update(dict.fromkeys(installed, "4.12"))
    (finding,) = doctor.check_opencv()
    assert finding.level is expected
    assert bool(finding.fix) is (expected is not Level.OK)


def test_an_old_python_is_wrong(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 9, "final", 0))
    assert levels(doctor.check_python()) == [Level.WRONG]


def test_the_cpu_works_here():
    assert any("CPU works" in finding.text for finding in doctor.check_devices())


@pytest.fixture
def fake_gpu(monkeypatch):
    """A device beside the CPU; the returned list says what it answers or raises."""
    answers = []
    listed = [
        providers.Device("auto", "Automatic"),
        providers.Device("cpu", "CPU"),
        providers.Device("gpu", "GPU"),
    ]
    monkeypatch.setattr(providers, "devices", lambda: listed)

    def computed(device, feeds):
        answer = answers[0] if device == "gpu" else np.zeros(3)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(doctor, "_computed", computed)
    return answers


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (np.full(3, 0.001), Level.OK, "works"),
        (np.full(3, 0.5), Level.NOTE, "other numbers"),
        (np.full(3, np.nan), Level.NOTE, "other numbers"),
        (ProviderError("No driver."), Level.NOTE, "No driver."),
    ],
)
def test_a_device_is_compared_with_the_cpu(fake_gpu, answer, expected, words):
    fake_gpu.append(answer)
    gpu = [finding for finding in doctor.check_devices() if "GPU" in finding.text]
    assert levels(gpu) == [expected]
    assert words in gpu[0].text


def test_the_probe_network_computes_something():
    session = Session(doctor.probe_network(), "cpu")
    (output,) = session.run({"input": np.ones((1, 3, 32, 32), np.float32)})
    session.close()
    assert output.shape == (1, 4, 16, 16)
    assert output.std() > 0.01


def test_missing_networks_are_wrong_and_present_ones_fine(home, monkeypatch, tmp_path):
    assert levels(doctor.check_weights()) == [Level.WRONG, Level.WRONG]
    (tmp_path / "network.onnx").write_bytes(doctor.probe_network())
    monkeypatch.setattr(models, "find", lambda name, models_from=None: tmp_path / "network.onnx")
    monkeypatch.setattr(providers, "candidates", lambda device: ["cpu"])
    found = list(doctor.check_weights())
    assert levels(found) == [Level.OK, Level.OK]
    assert all(finding.text.endswith("network.onnx, runs on CPU") for finding in found)


def test_installed_faces_are_named(home):
    assert levels(doctor.check_faces()) == [Level.NOTE]
    folders.faces_dir().mkdir(parents=True)
    (folders.faces_dir() / "Anna.png").write_bytes(b"picture")
    (finding,) = doctor.check_faces()
    assert (finding.level, "Anna" in finding.text) == (Level.OK, True)
    assert faces.installed()[0].name == "Anna"


def test_a_missing_obs_is_a_note(monkeypatch):
    monkeypatch.setattr(doctor, "find_obs", lambda: None)
    assert levels(doctor.check_obs()) == [Level.NOTE]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="OBS is linked with Python on Linux only")
@pytest.mark.parametrize(
    ("linked", "expected"),
    [
        (f"libpython3.{sys.version_info.minor}.so.1.0 => /usr/lib", Level.OK),
        ("libpython3.99.so.1.0 => /usr/lib", Level.NOTE),
        ("libc.so.6", Level.NOTE),
    ],
)
def test_the_embedded_python_is_compared_with_this_one(monkeypatch, tmp_path, linked, expected):
    program = tmp_path / "obs"
    answers = {"--version": "OBS Studio - 31.0.0", "ldd": linked}
    monkeypatch.setattr(doctor, "find_obs", lambda: program)
    monkeypatch.setattr(
        doctor, "_output", lambda command: next(text for key, text in answers.items() if key in command)
    )
    found = list(doctor.check_obs())
    assert levels(found) == [Level.OK, expected]
    assert "31.0.0" in found[0].text


def test_the_script_is_found_where_the_installer_puts_it(home):
    assert levels(doctor.check_script()) == [Level.NOTE]
    script = folders.data_dir() / "obs" / "obs_faceswap_filter.py"
    script.parent.mkdir(parents=True)
    script.write_text("")
    assert levels(doctor.check_script()) == [Level.OK]


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def broken():
        raise ModelMissingError("gone")
        yield

    monkeypatch.setattr(doctor, "check_python", broken)
    first = next(iter(doctor.examine()))
    assert (first.level, "gone" in first.text) == (Level.WRONG, True)


@pytest.fixture
def own(home):
    """Puts networks into the user's folder; says what the doctor finds there."""
    folder = home / "data" / "networks"
    folder.mkdir(parents=True)

    def found(**contents):
        for name, content in contents.items():
            (folder / f"{name}.onnx").write_bytes(content)
        return list(own_findings.check_networks())

    return found


def by_name(findings):
    return {finding.text.split()[2]: finding for finding in findings}


def test_networks_of_the_users_own_are_told_with_what_they_take(own):
    findings = own(
        finder=tiny_networks.yunet(side=160), points=tiny_networks.mesh(), xseg=tiny_networks.xseg(),
        bisenet=tiny_networks.parser(), w600k_r50=tiny_networks.recognizer(), lia=tiny_networks.animator(),
        small=tiny_networks.recognizer(128), gfpgan=tiny_networks.enhancer(256),
        inswapper_128=tiny_networks.one_photo(128, emap=np.eye(512, dtype=np.float32)),
        crossface_ghost=tiny_networks.converter(), ghost_1=tiny_networks.one_photo(256),
    )  # fmt: skip
    assert levels(findings) == [Level.OK] * 11
    found = by_name(findings)
    assert found["w600k_r50"].text.endswith("(1, 512); loads")
    assert "(detector): takes input (1, 3, 160, 160), gives " in found["finder"].text
    assert "and 9 more; loads" in found["finder"].text


def test_what_a_network_of_the_users_own_lacks_is_told(own):
    found = by_name(own(ghost_1=tiny_networks.one_photo(256), uniface=tiny_networks.one_photo(256)))
    assert set(levels(found.values())) == {Level.NOTE}
    assert "needs a recognition network as well" in found["ghost_1"].text
    assert "looks like a uniface network" in found["uniface"].text


def test_a_cut_off_network_and_one_of_no_use_are_told(own):
    whole = tiny_networks.enhancer(256)
    found = own(gfpgan=whole[: len(whole) // 2], other=tiny_networks.double())
    assert levels(found) == [Level.NOTE] * 2
    assert all("is no network that is known here" in finding.text for finding in found)


def test_without_networks_nothing_is_said_of_them(own):
    assert own() == []


@pytest.mark.parametrize("reason", ["", "The native library is missing: x.so"])
def test_it_says_which_half_of_the_filter_is_used(monkeypatch, reason):
    library = SimpleNamespace(path=Path("obs_faceswap-linux-x86_64.so"))
    monkeypatch.setattr(native, "find", lambda: Found(None if reason else library, reason))
    (finding,) = doctor.check_native()
    assert finding.level is (Level.NOTE if reason else Level.OK)
    assert (reason or "obs_faceswap-linux-x86_64.so") in finding.text
