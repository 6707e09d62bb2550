"""Sessions: bad files, providers that fail, and what is really in use."""

import threading

import numpy as np
import onnxruntime
import pytest
import tiny_networks
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine import providers
from obs_faceswap.engine.errors import ModelError, ModelMissingError, ProviderError, UnsupportedModelError
from obs_faceswap.engine.session import Session, TensorInfo, probe

DOUBLE = tiny_networks.double()
ONES = {"input": np.ones((1, 3), np.float32)}


@pytest.fixture
def offers(monkeypatch):
    """Makes ONNX Runtime claim to have CUDA, and its sessions use what the test says or fail as it says."""
    real = onnxruntime.InferenceSession

    class Stand:
        """A session on the CPU that calls itself what it is told to."""

        def __init__(self, source, options, providers, enable_fallback):
            assert enable_fallback == 0
            self._asked = providers[0][0]
            if self._asked in Stand.fails_to_load:
                raise RuntimeError("CUDA failure 100: no device")
            self._session = real(source, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return [name for name in (self._asked, "CPUExecutionProvider") if name not in Stand.leaves_out]

        def run(self, names, feeds):
            if self._asked in Stand.fails_to_run:
                raise RuntimeError("CUDA failure 700: illegal address")
            return self._session.run(names, feeds)

        def __getattr__(self, name):
            return getattr(self._session, name)

    Stand.fails_to_load, Stand.leaves_out, Stand.fails_to_run = set(), set(), set()
    names = ["CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Stand)
    return Stand


def test_a_network_runs_and_describes_itself():
    session = Session(DOUBLE)
    assert session.inputs == session.inputs[:1] == (TensorInfo("input", (1, 3), "float32"),)
    assert [info.name for info in session.outputs] == ["output"]
    np.testing.assert_array_equal(session.run(ONES)[0], [[2, 2, 2]])


def test_a_network_is_read_from_a_file(tmp_path):
    path = tmp_path / "ünï cödé.onnx"
    path.write_bytes(DOUBLE)
    np.testing.assert_array_equal(Session(path).run(ONES)[0], [[2, 2, 2]])


def test_a_file_may_disappear_while_it_is_in_use(tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(DOUBLE)
    session = Session(path)
    path.unlink()
    np.testing.assert_array_equal(session.run(ONES)[0], [[2, 2, 2]])


def test_a_free_axis_is_a_text():
    assert Session(tiny_networks.dfm()).inputs[0].shape == ("N", 64, 64, 3)


def test_the_plain_runtime_uses_the_cpu_without_a_notice():
    session = Session(DOUBLE)
    assert (session.provider, session.notice) == ("cpu", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelMissingError, match=r"gone\.onnx"):
        Session(tmp_path / "gone.onnx")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ModelMissingError):
        Session(tmp_path)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(UnsupportedModelError, match="0 bytes"):
        Session(path)


@pytest.mark.parametrize(
    "content", [b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(5000), b"<html></html>"]
)
def test_what_is_no_network_is_refused(content):
    with pytest.raises(UnsupportedModelError, match="ONNX"):
        Session(content)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DOUBLE) - 1))
def test_any_cut_off_network_gives_a_model_error(length):
    with pytest.raises(ModelError):
        Session(DOUBLE[:length])


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_any_cut_off_dfm_gives_a_model_error(part):
    network = tiny_networks.dfm(morph=True)
    with pytest.raises(ModelError):
        Session(network[: int(part * len(network))])


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"other": np.ones((1, 3), np.float32)},
        {"input": np.ones((1, 4), np.float32)},
        {"input": np.ones((1, 3), np.float64)},
    ],
)
def test_inputs_that_do_not_fit_are_refused(feeds):
    session = Session(DOUBLE)
    with pytest.raises(UnsupportedModelError, match="cannot compute"):
        session.run(feeds)


def test_closing_twice_is_fine_and_running_after_it_is_not():
    session = Session(DOUBLE)
    session.close()
    session.close()
    with pytest.raises(ModelError, match="closed"):
        session.run(ONES)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ProviderError, match="offers: auto, "):
        Session(DOUBLE, "coreml" if "CoreMLExecutionProvider" not in _built_in() else "cuda")


def test_automatic_takes_the_best(offers):
    session = Session(DOUBLE)
    assert (session.provider, session.notice) == ("cuda", "")


@pytest.mark.parametrize("fault", ["fails_to_load", "leaves_out", "fails_to_run"])
def test_automatic_falls_back_and_says_so(offers, fault):
    setattr(offers, fault, {"CUDAExecutionProvider", "DmlExecutionProvider"})
    session = Session(DOUBLE)
    assert session.provider == "cpu"
    assert "NVIDIA CUDA" in session.notice
    assert "DirectML" in session.notice
    assert session.notice.endswith("CPU is used instead.")
    np.testing.assert_array_equal(session.run(ONES)[0], [[2, 2, 2]])


def test_automatic_takes_the_second_best_and_says_so(offers):
    offers.fails_to_load = {"CUDAExecutionProvider"}
    session = Session(DOUBLE)
    assert session.provider == "directml"
    assert "CUDA failure 100" in session.notice


@pytest.mark.parametrize("fault", ["fails_to_load", "leaves_out", "fails_to_run"])
def test_a_chosen_device_never_falls_back(offers, fault):
    setattr(offers, fault, {"CUDAExecutionProvider"})
    with pytest.raises(ProviderError, match="NVIDIA CUDA"):
        Session(DOUBLE, "cuda")


def test_a_bad_file_is_the_files_fault_on_any_device(offers):
    with pytest.raises(UnsupportedModelError):
        Session(b"no network")


def test_a_device_that_stops_in_the_middle_is_reported_as_that(offers):
    session = Session(DOUBLE, "cuda")
    offers.fails_to_run = {"CUDAExecutionProvider"}
    with pytest.raises(ProviderError, match="stopped working"):
        session.run(ONES)


def test_directml_runs_one_network_at_a_time(offers, monkeypatch):
    sessions = [Session(DOUBLE, "directml"), Session(DOUBLE, "directml:1")]
    held = []
    monkeypatch.setattr(
        offers, "run", lambda *_: held.append(providers.run_lock("directml").locked()) or [np.zeros(1)]
    )
    threads = [threading.Thread(target=session.run, args=(ONES,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [True, True]


def test_a_network_of_free_size_is_not_warmed_up():
    nodes = [tiny_networks.helper.make_node("Relu", ["input"], ["output"])]
    network = tiny_networks.model(nodes, {"input": (1, 3, "H", "W")}, {"output": (1, 3, "H", "W")})
    assert Session(network).run({"input": np.ones((1, 3, 2, 5), np.float32)})[0].shape == (1, 3, 2, 5)


def test_probing_a_working_device_says_nothing_and_a_missing_one_why(offers):
    assert probe("cpu") == ""
    assert probe("cuda") == ""
    assert "offers: auto" in probe("coreml")
    offers.fails_to_load = {"CUDAExecutionProvider"}
    assert "CUDA failure 100" in probe("cuda")


def _built_in():
    return onnxruntime.get_available_providers()
