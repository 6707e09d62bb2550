"""One ONNX Runtime session: a checked file, a device that really works, named inputs and outputs."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import providers
from obs_faceswap.engine.errors import ModelError, ModelMissingError, ProviderError, UnsupportedModelError

Array: TypeAlias = npt.NDArray[Any]

_NUMPY_NAMES = {"float": "float32", "double": "float64"}  # others are called alike, e.g. tensor(int64)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: its name, its shape (a text or -1 for a free axis) and its numpy dtype's name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Session:
    """A network ready to run. It belongs to the thread that runs it.

    Loading also runs the network once, on zeros, where the input's shape is fixed: a provider that loads
    but cannot compute is found out here and not in the middle of a stream.

    Attributes:
        inputs: the network's inputs, in its own order.
        outputs: the network's outputs, in its own order.
        provider: the device really in use, e.g. “cpu” or “cuda:1”; `providers.label_of` names it for users.
        notice: empty, or the sentence that says which better device failed and why the CPU is used.
    """

    def __init__(self, model: Path | bytes, device: str = providers.AUTO, threads: int = 0) -> None:
        """Loads a network.

        Args:
            model: an ONNX file, or its content.
            device: a device id of `providers.devices()`; “auto” takes the best that works.
            threads: CPU threads; 0 takes a number that leaves room for OBS.

        Raises:
            ModelMissingError: there is no such file.
            UnsupportedModelError: the file is empty, cut off, or no ONNX network.
            ProviderError: the device is not available or does not work; never for “auto” while the CPU works.
        """
        self._label = model.name if isinstance(model, Path) else "The network"
        self.provider, self.notice, self._session = _open_best(model, self._label, device, threads)
        self.inputs = tuple(_info(value) for value in self._session.get_inputs())
        self.outputs = tuple(_info(value) for value in self._session.get_outputs())

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """All outputs for the given inputs.

        Raises:
            UnsupportedModelError: the inputs do not fit the network, or it cannot compute them.
            ProviderError: the device stopped working.
            ModelError: the session is closed.
        """
        if self._session is None:
            raise ModelError(f"{self._label} is closed. Load it again.")
        try:
            return _run(self._session, self.provider, feeds)
        except _ort_errors() as error:
            raise _run_error(self._label, self.provider, error) from error

    def close(self) -> None:
        """Frees the network; may be called twice."""
        self._session = None


def probe(device: str) -> str:
    """Empty when a small network runs on a device, else the sentence that says what is wrong."""
    try:
        session = Session(_probe_network(), device)
    except (ProviderError, ModelError) as error:
        return str(error)
    session.close()
    return ""


def _open_best(model: Path | bytes, label: str, device: str, threads: int) -> tuple[str, str, Any]:
    """The device in use, a notice, and the ONNX Runtime session."""
    source = _checked(model)
    failures = []
    for candidate in providers.candidates(device):
        try:
            session = _open(source, label, candidate, threads)
        except ProviderError as error:
            if device != providers.AUTO:
                raise
            failures.append(str(error))
        else:
            return candidate, _notice(failures, candidate), session
    raise ProviderError(" ".join(failures) or "ONNX Runtime offers no device. Run the installer again.")


def _notice(failures: list[str], used: str) -> str:
    return " ".join([*failures, f"{providers.label_of(used)} is used instead."]) if failures else ""


def _checked(model: Path | bytes) -> str | bytes:
    """What ONNX Runtime may load; refuses what it would report badly."""
    if isinstance(model, bytes):
        size, name = len(model), "The network"
    else:
        if not model.is_file():
            raise ModelMissingError(f"There is no model file {model}. Choose another, or put it back.")
        size, name = model.stat().st_size, str(model)
    if not size:
        raise UnsupportedModelError(f"{name} is empty: 0 bytes. Copy or fetch the file again.")
    return model if isinstance(model, bytes) else str(model)


def _open(source: str | bytes, label: str, device: str, threads: int) -> Any:
    """An ONNX Runtime session on exactly this device.

    A failure is the file's fault on the CPU, which every network can run on, and the device's elsewhere.
    """
    import onnxruntime  # type: ignore[import-untyped]

    providers.prepare(device)
    provider_list, options = providers.session_arguments(device, threads)
    try:
        # Without the flag a failing provider would be replaced by the CPU behind our back.
        session = onnxruntime.InferenceSession(source, options, providers=provider_list, enable_fallback=0)
        _require_provider(session, device)
        _warm_up(session, device)
    except _ort_errors() as error:
        raise _load_error(label, device, error) from error
    return session


def _require_provider(session: Any, device: str) -> None:
    """ONNX Runtime leaves a provider out when its libraries do not load, and says so in its log only."""
    if providers.ort_name(device) not in session.get_providers():
        raise ProviderError(
            f"{providers.label_of(device)} did not load; its driver or libraries are missing or of another "
            f"version. Run `obs-faceswap doctor`, or choose another device."
        )


def _warm_up(session: Any, device: str) -> None:
    feeds = {}
    for info in map(_info, session.get_inputs()):
        if any(isinstance(side, str) for side in info.shape[1:]):
            return  # free height or width: only the caller knows a size that works
        shape = [side if isinstance(side, int) else 1 for side in info.shape]  # a free batch is one
        feeds[info.name] = np.zeros(shape, info.dtype)
    _run(session, device, feeds)


def _run(session: Any, device: str, feeds: dict[str, Array]) -> list[Array]:
    with providers.run_lock(device):
        outputs: list[Array] = session.run(None, feeds)
    return outputs


def _info(value: Any) -> TensorInfo:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple("?" if side is None else side for side in value.shape)
    return TensorInfo(value.name, shape, _NUMPY_NAMES.get(kind, kind))


def _load_error(label: str, device: str, error: Exception) -> Exception:
    reason = _reason(error)
    if providers.family(device) == providers.CPU:
        return UnsupportedModelError(
            f"{label} is no usable ONNX network, or the file is cut off ({reason}). "
            "Copy or fetch the file again, or choose another."
        )
    return ProviderError(
        f"{providers.label_of(device)} cannot run {label} ({reason}). Choose another device."
    )


def _run_error(label: str, device: str, error: Exception) -> Exception:
    reason = _reason(error)
    if isinstance(error, ValueError) or providers.family(device) == providers.CPU:
        return UnsupportedModelError(f"{label} cannot compute this input ({reason}). Choose another model.")
    return ProviderError(
        f"{providers.label_of(device)} stopped working while it ran {label} ({reason}). "
        "Press Refresh, or choose another device."
    )


def _reason(error: Exception) -> str:
    """ONNX Runtime's words without its prefix, one line."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    return " ".join(text.split())[:300].rstrip(" .")


@cache
def _ort_errors() -> tuple[type[Exception], ...]:
    """Everything ONNX Runtime raises: its own errors have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

    own = [
        value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    return (*own, RuntimeError, ValueError, OSError)


@cache
def _probe_network() -> bytes:
    """A convolution: every provider has it, and on NVIDIA it needs cuDNN as the real networks do."""
    import onnx

    make = onnx.helper
    values = [
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 1, 8, 8))
        for name in ("input", "output")
    ]
    weights = make.make_tensor("weights", onnx.TensorProto.FLOAT, (1, 1, 1, 1), [1.0])
    node = make.make_node("Conv", ["input", "weights"], ["output"])
    graph = make.make_graph([node], "probe", values[:1], values[1:], [weights])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=7)
    return bytes(model.SerializeToString())
