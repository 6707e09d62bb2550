"""Which devices are offered, tried and configured how, on runtimes with and without graphics cards."""

import threading

import onnxruntime
import pytest

from obs_faceswap.engine.errors import ProviderError
from obs_faceswap.engine.runtime import providers

ALL = [
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "DmlExecutionProvider",
    "CoreMLExecutionProvider",
    "OpenVINOExecutionProvider",
    "AzureExecutionProvider",
    "CPUExecutionProvider",
]


@pytest.fixture
def runtime(monkeypatch):
    """Sets what the installed ONNX Runtime claims to offer."""

    def offer(*names):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))

    offer(*ALL)
    return offer


def test_the_plain_runtime_offers_the_cpu(runtime):
    runtime("AzureExecutionProvider", "CPUExecutionProvider")
    assert [device.id for device in providers.devices()] == ["auto", "cpu"]
    assert providers.candidates("auto") == ["cpu"]


def test_all_devices_are_offered_with_labels(runtime):
    found = {device.id: device.label for device in providers.devices()}
    assert list(found) == ["auto", "tensorrt", "cuda", "directml", "coreml", "openvino", "cpu"]
    assert all(found.values())


def test_automatic_ends_with_the_cpu(runtime):
    assert providers.candidates("auto") == ["cuda", "directml", "coreml", "cpu"]


def test_several_cards_are_offered_one_by_one(runtime, monkeypatch):
    class Card:
        ep_name = "CUDAExecutionProvider"

    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [Card(), Card()], raising=False)
    ids = [device.id for device in providers.devices()]
    assert ids[ids.index("cuda") :][:4] == ["cuda", "cuda:0", "cuda:1", "directml"]
    assert providers.label_of("cuda:1") == "NVIDIA CUDA, card 1"


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cpu"])
def test_a_chosen_device_is_the_only_candidate(runtime, device):
    assert providers.candidates(device) == [device]


def test_a_device_that_is_not_built_in_is_refused_naming_the_others(runtime):
    runtime("DmlExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(ProviderError, match=r"NVIDIA CUDA .*offers: auto, directml, cpu"):
        providers.candidates("cuda")


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:1", "auto:1"])
def test_an_unknown_device_is_refused(runtime, device):
    with pytest.raises(ProviderError, match="There is no device"):
        providers.candidates(device)


def test_every_session_is_sequential_quiet_and_does_not_spin(runtime, home):
    for device in ("tensorrt", "cuda", "directml", "coreml", "openvino", "cpu"):
        _, options = providers.session_arguments(device)
        assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert options.intra_op_num_threads >= 1
        assert options.log_severity_level == 3


def test_memory_patterns_are_off_on_directml_alone(runtime):
    assert not providers.session_arguments("directml")[1].enable_mem_pattern
    assert providers.session_arguments("cpu")[1].enable_mem_pattern


def test_the_card_number_reaches_the_provider(runtime):
    assert providers.session_arguments("directml:2")[0] == [("DmlExecutionProvider", {"device_id": "2"})]
    [(_, options)] = providers.session_arguments("cuda:1")[0]
    assert options["device_id"] == "1"


def test_directml_without_a_number_takes_the_fast_card(runtime):
    [(_, options)] = providers.session_arguments("directml")[0]
    assert options["performance_preference"] == "high_performance"
    assert "device_id" not in options


def test_tensorrt_keeps_its_engines_in_the_cache_and_leaves_the_rest_to_cuda(runtime, home):
    (first, options), (second, _) = providers.session_arguments("tensorrt:1")[0]
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["device_id"] == "1"
    assert options["trt_engine_cache_enable"] == "True"  # the word ONNX Runtime insists on
    assert options["trt_timing_cache_enable"] == "True"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"]
    assert options["trt_engine_cache_path"].startswith(str(home / "cache"))
    assert (home / "cache" / "tensorrt").is_dir()


@pytest.mark.parametrize(("device", "option"), [("coreml", "ModelCacheDirectory"), ("openvino", "cache_dir")])
def test_what_a_provider_compiles_is_kept(runtime, home, device, option):
    [(_, options)] = providers.session_arguments(device)[0]
    assert options[option] == str(home / "cache" / device)
    assert (home / "cache" / device).is_dir()


def test_cuda_searches_briefly_and_takes_no_more_memory_than_it_needs(runtime):
    [(_, options)] = providers.session_arguments("cuda")[0]
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert "enable_cuda_graph" not in options


@pytest.mark.parametrize(
    ("device", "option"), [("cuda", "enable_cuda_graph"), ("tensorrt", "trt_cuda_graph_enable")]
)
def test_a_captured_graph_is_asked_for(runtime, home, device, option):
    assert providers.may_capture(device)
    assert option in providers.session_arguments(device, captures=True)[0][0][1]


@pytest.mark.parametrize("device", ["cpu", "directml", "coreml", "openvino"])
def test_other_devices_capture_nothing(device):
    assert not providers.may_capture(device)


def test_only_directml_loads_alone():
    assert [
        device for device in ("cpu", "cuda", "directml:1", "coreml") if providers.loads_alone(device)
    ] == ["directml:1"]


def test_given_threads_are_used(runtime):
    assert providers.session_arguments("cpu", 3)[1].intra_op_num_threads == 3


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (4, 1), (6, 2), (12, 4), (64, 4)])
def test_threads_leave_room_for_obs(monkeypatch, processors, threads):
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert providers.default_threads() == threads


@pytest.mark.parametrize(("processors", "budget"), [(1, 1), (2, 1), (4, 2), (6, 4), (16, 10)])
def test_networks_together_leave_a_third_of_the_processors(monkeypatch, processors, budget):
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert providers.thread_budget() == budget


def test_a_card_is_the_same_whichever_provider_drives_it():
    assert providers.card_of("tensorrt:0") == providers.card_of("cuda") == providers.card_of("cuda:0")
    assert len({providers.card_of(device) for device in ("cuda", "cuda:1", "directml")}) == 3


def test_directml_has_one_lock_for_all_cards_and_others_have_none():
    first, second = providers.run_lock("directml"), providers.run_lock("directml:1")
    assert first is second
    assert isinstance(first, type(threading.Lock()))
    with providers.run_lock("cpu"), providers.run_lock("cpu"):
        pass  # two at once


def test_a_broken_runtime_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ProviderError, match="Run the installer again"):
        providers.devices()
