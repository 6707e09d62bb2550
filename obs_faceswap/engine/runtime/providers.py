"""What networks run on. The only file that names ONNX Runtime's execution providers.

A device is named by an id that settings store: “auto”, “cpu”, “cuda”, … and “cuda:1” for a second card.
A card's number is the one its own runtime counts with.
"""

import os
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import ProviderError

AUTO = "auto"
CPU = "cpu"

ProviderList: TypeAlias = list[tuple[str, dict[str, str]]]  # what onnxruntime.InferenceSession takes


@dataclass(frozen=True, slots=True)
class Device:
    """One choice of the Device setting."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class _Provider:
    """An execution provider: its name in ONNX Runtime and what it needs to work well."""

    id: str
    label: str
    ort_name: str
    in_auto: bool = True
    numbered: bool = False  # takes a device_id
    card: str = ""  # the kind of card whose one thread runs all its sessions; empty: they run where called
    memory: str = ""  # ONNX Runtime's name for the card's memory, where inputs and outputs are kept there
    threads: int = 1  # CPU threads for what stays on the CPU
    options: dict[str, str] = field(default_factory=dict)
    capture: dict[str, str] = field(default_factory=dict)  # makes runs one captured CUDA graph
    cache: tuple[str, ...] = ()  # options that take a folder of the cache
    unnumbered: dict[str, str] = field(default_factory=dict)  # instead of a device_id where none is given


# The options are those of https://onnxruntime.ai/docs/execution-providers/, one page for each provider.
# Best first. TensorRT builds an engine for minutes at a network's first use and OpenVINO's gain over the
# plain CPU differs from machine to machine, so “auto” leaves these two to the user's own choice.
_PROVIDERS = (
    _Provider(
        "tensorrt", "NVIDIA TensorRT (slow first start)", "TensorrtExecutionProvider",
        in_auto=False, numbered=True, card="NVIDIA", memory="cuda", threads=2, unnumbered={"device_id": "0"},
        # ONNX Runtime insists on these words. The engine is kept, and what was learned for the next one.
        options={"trt_engine_cache_enable": "True", "trt_timing_cache_enable": "True"},
        cache=("trt_engine_cache_path", "trt_timing_cache_path"),
        capture={"trt_cuda_graph_enable": "True"},
    ),
    _Provider(
        "cuda", "NVIDIA CUDA", "CUDAExecutionProvider",
        numbered=True, card="NVIDIA", memory="cuda", threads=2, unnumbered={"device_id": "0"},
        options={
            # The default search tries every algorithm at a network's first run, for seconds.
            "cudnn_conv_algo_search": "HEURISTIC",
            # The default takes twice as much memory each time, which the game needs.
            "arena_extend_strategy": "kSameAsRequested",
        },
        capture={"enable_cuda_graph": "1"},
    ),
    _Provider(
        "directml", "DirectML (any graphics card)", "DmlExecutionProvider", numbered=True, card="DirectML",
        # A laptop's card 0 is often the slow one that saves power.
        unnumbered={"performance_preference": "high_performance", "device_filter": "gpu"},
    ),
    _Provider(
        "coreml", "Apple CoreML", "CoreMLExecutionProvider",
        options={"ModelFormat": "MLProgram"}, cache=("ModelCacheDirectory",),
    ),
    _Provider(
        "openvino", "Intel OpenVINO", "OpenVINOExecutionProvider", in_auto=False,
        options={"device_type": "AUTO"}, cache=("cache_dir",),
    ),
    _Provider(CPU, "CPU", "CPUExecutionProvider", threads=0),
)  # fmt: skip
_BY_ID = {provider.id: provider for provider in _PROVIDERS}

# DirectML sessions must not run at the same time, whatever threads they belong to.
_DIRECTML_LOCK = threading.Lock()


def devices() -> list[Device]:
    """The choices this machine's ONNX Runtime offers, “auto” first.

    What is listed was built into the installed runtime; whether it works shows when a session is made.
    """
    found = [Device(AUTO, "Automatic")]
    for provider in _available():
        found.append(Device(provider.id, provider.label))
        found.extend(_cards(provider))
    return found


def candidates(device_id: str) -> list[str]:
    """The devices to try in this order: one, or for “auto” the best first and the CPU last.

    Raises:
        ProviderError: no such device is known, or the installed runtime does not have it.
    """
    available = _available()
    if device_id == AUTO:
        return [provider.id for provider in available if provider.in_auto]
    provider = _known(device_id)
    if provider not in available:
        raise ProviderError(_not_available(provider.label, available))
    return [device_id]


def session_arguments(device_id: str, threads: int = 0, captures: bool = False) -> tuple[ProviderList, Any]:
    """The providers list and the onnxruntime.SessionOptions that make a session on one device.

    Args:
        device_id: one device; not “auto”, see `candidates`.
        threads: CPU threads of one network; 0 takes a number that leaves room for OBS and a game.
        captures: whether the session captures its runs as a CUDA graph, see `may_capture`.
    """
    import onnxruntime  # type: ignore[import-untyped]

    provider = _known(device_id)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_of(device_id, threads)
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads gain a little time here and take it from OBS's encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: warnings would fill OBS's log
    if provider.id == "directml":
        options.enable_mem_pattern = False  # DirectML does not support it
    return _provider_list(provider, device_id, captures), options


def prepare(device_id: str) -> None:
    """Loads what a provider needs before its first session: CUDA's libraries from their Python packages."""
    import onnxruntime

    if _known(device_id).id in ("cuda", "tensorrt") and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


def family(device_id: str) -> str:
    """The device id without a card's number: “cuda” for “cuda:1”."""
    return _known(device_id).id


def ort_name(device_id: str) -> str:
    """ONNX Runtime's name for a device's provider."""
    return _known(device_id).ort_name


def label_of(device_id: str) -> str:
    """The name a user reads, e.g. “NVIDIA CUDA, card 1”."""
    if device_id == AUTO:
        return "Automatic"
    label, number = _known(device_id).label, device_id.partition(":")[2]
    return f"{label}, card {number}" if number else label


def run_lock(device_id: str) -> AbstractContextManager[Any]:
    """What to hold while a session runs: one lock for the whole process on DirectML, nothing elsewhere."""
    return _DIRECTML_LOCK if _known(device_id).id == "directml" else nullcontext()


def has_owner_thread(device_id: str) -> bool:
    """Whether all sessions of a device have to be made, run and freed by one thread."""
    return bool(_known(device_id).card)


def memory_of(device_id: str) -> tuple[str, int]:
    """ONNX Runtime's name for a card's memory and the card's number; no name where nothing is kept there."""
    number = device_id.partition(":")[2] or "0"
    return _known(device_id).memory, int(number)


def may_capture(device_id: str) -> bool:
    """Whether a device can run a network as one captured CUDA graph."""
    return bool(_known(device_id).capture)


def builds_engines(device_id: str) -> bool:
    """Whether a device compiles a network for minutes: at once for fixed shapes, else in the first run."""
    return _known(device_id).id == "tensorrt"


def loads_alone(device_id: str) -> bool:
    """Whether nothing else may use a device while a session is made on it.

    Since onnxruntime-directml 1.18 threads that use several sessions crash (microsoft/onnxruntime#20713), on
    some cards with the device gone for the whole process (immich-app/immich#31469).
    """
    return _known(device_id).id == "directml"


def card_of(device_id: str) -> str:
    """The card behind a device id, whichever provider drives it, e.g. “NVIDIA 0”."""
    provider = _known(device_id)
    number = device_id.partition(":")[2] or provider.unnumbered.get("device_id", "")
    return f"{provider.card} {number}".strip()


def threads_of(device_id: str, threads: int = 0) -> int:
    """The CPU threads of one session on a device; 0 takes a number that leaves room for OBS and a game."""
    return threads or _known(device_id).threads or default_threads()


def default_threads() -> int:
    """CPU threads for one network: a third of the processors this process may use, 1 to 4.

    OBS encodes and composes on the same machine, and the networks here are small: a fifth thread costs
    more in hand-over than it brings.
    """
    return min(max(usable_processors() // 3, 1), 4)


def thread_budget() -> int:
    """CPU threads for the networks of all streams together: two thirds of the processors, at least 1."""
    return max(usable_processors() * 2 // 3, 1)


def usable_processors() -> int:
    """Processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def runtime_errors() -> tuple[type[Exception], ...]:
    """Everything ONNX Runtime raises: its own errors have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

    own = [
        value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    return (*own, RuntimeError, ValueError, OSError)


def _available() -> list[_Provider]:
    """Providers of the installed runtime, best first. Raises ProviderError when it cannot be imported."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ProviderError(
            f"ONNX Runtime, which runs the networks, cannot be loaded ({error}). Run the installer again."
        ) from error
    built_in = set(onnxruntime.get_available_providers())
    return [provider for provider in _PROVIDERS if provider.ort_name in built_in]


def _known(device_id: str) -> _Provider:
    name, colon, number = device_id.partition(":")
    provider = _BY_ID.get(name)
    if provider is None or (colon and not (provider.numbered and number.isdecimal())):
        known = ", ".join(_BY_ID)
        raise ProviderError(f"There is no device “{device_id}”. Use {AUTO} or one of: {known}.")
    return provider


def _not_available(label: str, available: list[_Provider]) -> str:
    choices = ", ".join([AUTO, *(provider.id for provider in available)])
    return (
        f"{label} is not part of the installed ONNX Runtime, which offers: {choices}. "
        "Choose one of these, or run the installer with the wheel that has it."
    )


def _cards(provider: _Provider) -> list[Device]:
    """Each card by itself, where the runtime counts more than one."""
    import onnxruntime

    if not provider.numbered or not hasattr(onnxruntime, "get_ep_devices"):
        return []
    count = sum(device.ep_name == provider.ort_name for device in onnxruntime.get_ep_devices())
    ids = [f"{provider.id}:{number}" for number in range(count)] if count > 1 else []
    return [Device(device_id, label_of(device_id)) for device_id in ids]


def _provider_list(provider: _Provider, device_id: str, captures: bool) -> ProviderList:
    number = device_id.partition(":")[2]
    card = {"device_id": number} if number else provider.unnumbered
    options = provider.options | _cached(provider) | (provider.capture if captures else {}) | card
    if provider.id != "tensorrt":
        return [(provider.ort_name, options)]
    # What TensorRT cannot run goes to CUDA, before the CPU.
    return [(provider.ort_name, options), (_BY_ID["cuda"].ort_name, dict(card))]


def _cached(provider: _Provider) -> dict[str, str]:
    """Where a provider keeps what it builds of a network, so that only the first start is slow."""
    if not provider.cache:
        return {}
    folder = folders.cache_dir() / provider.id
    folder.mkdir(parents=True, exist_ok=True)
    return dict.fromkeys(provider.cache, str(folder))
