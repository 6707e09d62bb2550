"""Sessions: bad files, providers that fail, and what is really in use."""

import threading

import numpy as np
import onnxruntime
import pytest
import tiny_networks
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.errors import ModelError, ModelMissingError, ProviderError, UnsupportedModelError
from obs_faceswap.engine.runtime import optimize, providers, runners
from obs_faceswap.engine.runtime import session as session_module
from obs_faceswap.engine.runtime.pool import Pool
from obs_faceswap.engine.runtime.session import Session, TensorInfo, probe, shared

DOUBLE = tiny_networks.double()
ONES = {"input": np.ones((1, 3), np.float32)}


REAL_SESSION = onnxruntime.InferenceSession


class StandIn:
    """A session on the CPU that calls itself what it is told to, and fails as it is told to."""

    def __init__(self, source, options, providers, enable_fallback):
        assert enable_fallback == 0
        self.made.append(self)
        self._asked = providers[0][0]
        if providers[0][1].get("enable_cuda_graph") and not self.captures:
            raise RuntimeError("not all nodes are on CUDA")
        if self._asked in self.fails_to_load:
            raise RuntimeError("CUDA failure 100: no device")
        self._session = REAL_SESSION(source, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return [name for name in (self._asked, "CPUExecutionProvider") if name not in self.leaves_out]

    def run(self, names, feeds):
        self._starts()
        return self._session.run(names, feeds)

    def run_with_iobinding(self, binding):
        self._starts()
        if not self.frozen:
            self._session.run_with_iobinding(binding)

    def _starts(self):
        self.ran_on.append(threading.current_thread().name)
        if self._asked in self.fails_to_run:
            raise RuntimeError("CUDA failure 700: illegal address")

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.fixture
def offers(monkeypatch):
    """Makes ONNX Runtime claim to have CUDA, and its sessions use what the test says or fail as it says."""
    StandIn.fails_to_load, StandIn.leaves_out, StandIn.fails_to_run = set(), set(), set()
    StandIn.made, StandIn.ran_on, StandIn.memory = [], [], []
    StandIn.captures, StandIn.frozen = True, False
    on_card = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def on_the_cpu(shape, kind, memory, card):
        StandIn.memory.append((memory, card))
        return on_card(shape, kind, "cpu", 0)

    names = ["CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", StandIn)
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", on_the_cpu)
    monkeypatch.setattr(runners, "OWNERS", runners.Owners())
    return StandIn


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


# Graphics cards


@pytest.mark.parametrize(("device", "card"), [("cuda", 0), ("cuda:1", 1)])
def test_inputs_and_outputs_are_kept_on_the_card(offers, device, card):
    session = Session(DOUBLE, device)
    assert offers.memory == [("cuda", card)] * 2
    np.testing.assert_array_equal(session.run(ONES)[0], [[2, 2, 2]])
    np.testing.assert_array_equal(session.run({"input": ONES["input"] * 3})[0], [[6, 6, 6]])
    turned = np.ones((3, 1), np.float32).T * np.float32(2)
    np.testing.assert_array_equal(session.run({"input": turned})[0], [[4, 4, 4]])
    session.close()


@pytest.mark.parametrize("device", ["cpu", "directml"])
def test_elsewhere_nothing_is_kept(offers, device):
    Session(DOUBLE, device).close()
    assert offers.memory == []


@pytest.mark.parametrize("fault", [{"captures": False}, {"frozen": True}])
def test_a_network_that_cannot_be_captured_runs_without(offers, fault, monkeypatch):
    for name, value in fault.items():
        setattr(offers, name, value)
    asked = []
    real = providers.session_arguments
    monkeypatch.setattr(providers, "session_arguments", lambda *given: asked.append(given[2]) or real(*given))
    session = Session(DOUBLE, "cuda")
    assert asked == [True, False]
    offers.frozen = False
    np.testing.assert_array_equal(session.run(ONES)[0], [[2, 2, 2]])
    session.close()


def test_with_a_second_input_nothing_is_captured(offers):
    session = Session(tiny_networks.dfm(morph=True), "cuda")
    assert offers.memory == []
    assert len(offers.made) == 2
    session.close()


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"other": np.ones((1, 3), np.float32)},
        {"input": np.ones((1, 4), np.float32)},
        {"input": np.ones((1, 3), np.float64)},
    ],
)
def test_inputs_that_do_not_fit_are_refused_on_a_card_too(offers, feeds):
    session = Session(DOUBLE, "cuda")
    with pytest.raises(UnsupportedModelError, match="cannot compute"):
        session.run(feeds)
    session.close()


@pytest.mark.parametrize(("device", "names"), [("tensorrt", ["N"]), ("cuda", [])])
def test_an_engine_is_built_for_one_picture_before_the_first_run(offers, monkeypatch, device, names):
    fixed = []

    class Options(onnxruntime.SessionOptions):
        def add_free_dimension_override_by_name(self, name, size):
            fixed.append(name)
            super().add_free_dimension_override_by_name(name, size)

    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    with pytest.raises(UnsupportedModelError if device == "cpu" else ProviderError):
        Session(b"no network", device)
    session = Session(tiny_networks.dfm(), device)
    assert sorted(set(fixed)) == names
    assert session.inputs[0].shape[1:] == (64, 64, 3)
    session.close()


@pytest.mark.parametrize(("device", "alone"), [("directml", True), ("cuda", False)])
def test_a_session_is_made_beside_running_ones_where_the_device_allows_it(offers, device, alone, monkeypatch):
    made_on = []
    real = offers.__init__

    def make(self, *arguments, **options):
        made_on.append(threading.current_thread() is not threading.main_thread())
        real(self, *arguments, **options)

    monkeypatch.setattr(offers, "__init__", make)
    Session(DOUBLE, device).close()
    assert made_on == [alone]


# Shared sessions


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(optimize, "prepared", lambda path: path)  # see test_optimize.py
    path = tmp_path / "network.onnx"
    path.write_bytes(DOUBLE)
    return path


def closed(*sessions):
    for session in sessions:
        session.close()


def test_who_asks_for_the_same_network_shares_it(offers, file):
    first, second = shared(file), shared(file)
    assert len(offers.made) == 1
    first.close()
    np.testing.assert_array_equal(second.run(ONES)[0], [[2, 2, 2]])
    with pytest.raises(ModelError, match="closed"):
        first.run(ONES)
    closed(first, second, second)
    closed(shared(file))
    assert len(offers.made) == 2  # the last user freed it


def test_automatic_shares_with_who_names_the_device(offers, file):
    closed(*[shared(file, device) for device in ("auto", "cuda", "auto")])
    assert len(offers.made) == 1


@pytest.mark.parametrize("other", [{"device": "directml"}, {"threads": 2}, {"device": "cuda:1"}])
def test_another_device_or_number_of_threads_is_another_session(offers, file, other):
    closed(shared(file, "cuda", 1), shared(file, **({"device": "cuda", "threads": 1} | other)))
    both = shared(file, "cuda", 1), shared(file, **({"device": "cuda", "threads": 1} | other))
    assert len(offers.made) == 4
    closed(*both)


def test_a_file_that_was_written_again_is_another_network(file):
    before = shared(file)
    file.write_bytes(tiny_networks.double((1, 4)))
    after = shared(file)
    assert (before.inputs[0].shape, after.inputs[0].shape) == ((1, 3), (1, 4))
    closed(before, after)


def test_who_asks_while_it_loads_waits_for_it(offers, file):
    sessions = []
    threads = [threading.Thread(target=lambda: sessions.append(shared(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(offers.made) == 1
    closed(*sessions)


def test_a_load_that_failed_is_tried_again(offers, file):
    offers.fails_to_load = {"CUDAExecutionProvider"}
    with pytest.raises(ProviderError):
        shared(file, "cuda")
    offers.fails_to_load = set()
    closed(shared(file, "cuda"))
    assert runners.OWNERS.count == 0


def test_after_a_device_failed_new_sessions_are_made_on_it(offers, file):
    first, second = shared(file, "cuda"), shared(file, "cuda")
    offers.fails_to_run = {"CUDAExecutionProvider"}
    with pytest.raises(ProviderError, match="stopped working"):
        first.run(ONES)
    offers.fails_to_run = set()
    third = shared(file, "cuda")
    assert len(offers.made) == 2
    closed(first, second)
    np.testing.assert_array_equal(third.run(ONES)[0], [[2, 2, 2]])
    fourth = shared(file, "cuda")
    assert len(offers.made) == 2
    closed(third, fourth)


def test_a_network_that_computes_nonsense_is_loaded_anew(offers, file):
    first, other = shared(file, "cuda"), shared(file, "cuda:1")
    first.distrust()
    second = shared(file, "cuda")
    assert len(offers.made) == 3
    closed(first, shared(file, "cuda:1"), other)
    np.testing.assert_array_equal(second.run(ONES)[0], [[2, 2, 2]])
    assert len(offers.made) == 3
    closed(second)
    second.distrust()


@pytest.fixture
def own_pool(monkeypatch):
    """A pool without the networks that other tests may have left in use."""
    monkeypatch.setattr(session_module, "_POOL", Pool())


def test_a_face_worn_a_moment_ago_needs_no_load(offers, file, own_pool):
    always = shared(file, "cpu", 2)  # another network in use, as the one that finds faces
    first = shared(file, "cuda", keep=True)
    first.close()
    assert len(offers.made) == 2
    with pytest.raises(ModelError, match="closed"):
        first.run(ONES)
    again = shared(file, "cuda", keep=True)
    assert len(offers.made) == 2
    np.testing.assert_array_equal(again.run(ONES)[0], [[2, 2, 2]])
    closed(again, always)
    assert runners.OWNERS.count == 0  # with the last network in use the kept ones go
    closed(shared(file, "cuda"))
    assert len(offers.made) == 3


def test_a_kept_network_that_computed_nonsense_is_not_given_out_again(offers, file, own_pool):
    always = shared(file, "cpu", 2)
    first = shared(file, "cuda", keep=True)
    first.distrust()
    first.close()
    closed(shared(file, "cuda", keep=True), always)
    assert len(offers.made) == 3


def test_an_input_that_does_not_fit_costs_nobody_the_session(offers, file):
    first = shared(file, "cpu")
    with pytest.raises(UnsupportedModelError):
        first.run({})
    second = shared(file, "cpu")
    assert len(offers.made) == 1
    closed(first, second)


def test_a_missing_shared_file_is_named(tmp_path):
    with pytest.raises(ModelMissingError, match=r"gone\.onnx"):
        shared(tmp_path / "gone.onnx")


@pytest.mark.parametrize("device", ["cuda", "directml"])
def test_a_card_has_one_thread_that_ends_with_its_last_session(offers, file, device):
    sessions = [shared(file, device), Session(DOUBLE, device)]
    threads = [threading.Thread(target=session.run, args=(ONES,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(offers.ran_on)) == 1
    assert offers.ran_on[0].startswith("face swap ")
    assert runners.OWNERS.count == 1
    closed(*sessions)
    assert runners.OWNERS.count == 0


def test_two_cards_have_two_threads_and_two_names_of_one_card_one(offers, file):
    sessions = [shared(file, device) for device in ("cuda", "cuda:0", "cuda:1")]
    assert len(set(offers.ran_on)) == 2
    closed(*sessions)


def test_the_cpu_runs_where_it_is_called(offers, file):
    session = shared(file, "cpu")
    assert set(offers.ran_on) == {threading.current_thread().name}
    closed(session)


def test_sessions_run_from_many_threads_give_each_its_own_result(file):
    session, wrong = shared(file, "cpu"), []

    def use(number):
        feeds = {"input": np.full((1, 3), number, np.float32)}
        wrong.extend(number for _ in range(50) if (session.run(feeds)[0] != 2 * number).any())

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    closed(session)


def _built_in():
    return onnxruntime.get_available_providers()
