"""ONNX Runtime sessions: a checked file, a device that really works, named inputs and outputs.

All streams that run the same file in the same way share one session, see `shared`.
"""

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import ModelError, ModelMissingError, ProviderError, UnsupportedModelError
from obs_faceswap.engine.runtime import binding, cancel, optimize, providers
from obs_faceswap.engine.runtime.binding import Binding
from obs_faceswap.engine.runtime.pool import Pool, Use
from obs_faceswap.engine.runtime.runners import runner_for

logger = logging.getLogger(__name__)

Array: TypeAlias = npt.NDArray[Any]

_SHORT_S = 0.02  # runs below this do not wait for the long ones of others

_NUMPY_NAMES = {"float": "float32", "double": "float64"}  # others are called alike, e.g. tensor(int64)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: its name, its shape (a text or -1 for a free axis) and its numpy dtype's name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Session:
    """A network ready to run, from any thread.

    Loading also runs the network once, on zeros, where the input's shape is fixed: a provider that loads
    but cannot compute is found out here and not in the middle of a stream.

    Attributes:
        inputs: the network's inputs, in its own order.
        outputs: the network's outputs, in its own order.
        provider: the device really in use, e.g. “cpu” or “cuda:1”; `providers.label_of` names it for users.
        notice: empty, or the sentence that says which better device failed and why the CPU is used.
        to_improve: the file of which a faster form may be made, see `shared`.
    """

    def __init__(self, model: Path | bytes, device: str = providers.AUTO, threads: int = 0) -> None:
        """Loads a network for this user alone.

        Args:
            model: an ONNX file, or its content.
            device: a device id of `providers.devices()`; “auto” takes the best that works.
            threads: CPU threads; 0 takes a number that leaves room for OBS.

        Raises:
            ModelMissingError: there is no such file.
            UnsupportedModelError: the file is empty, cut off, or no ONNX network.
            ProviderError: the device is not available or does not work; never for “auto” while the CPU works.
        """
        self._hold(*_first_that_works(device, lambda candidate: _alone(model, candidate, threads)))

    def _hold(self, use: "Use[_Loaded]", notice: str) -> None:
        self._use: Use[_Loaded] | None = use
        self.notice, self.to_improve = notice, use.loaded.to_improve
        self._label, self.provider = use.loaded.label, use.loaded.device
        self.inputs, self.outputs = use.loaded.inputs, use.loaded.outputs

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """All outputs for the given inputs.

        Raises:
            UnsupportedModelError: the inputs do not fit the network, or it cannot compute them.
            ProviderError: the device stopped working. What is loaded afterwards makes new sessions on it.
            ModelError: the session is closed.
        """
        use = self._use
        if use is None:
            raise ModelError(f"{self._label} is closed. Load it again.")
        try:
            return use.loaded.run(feeds)
        except ProviderError:
            _POOL.forget(lambda key, _: key[3] == self.provider)
            raise

    def distrust(self) -> None:
        """Gives the network to nobody new: it computes nonsense, so who loads it next gets another one."""
        use = self._use
        if use is not None:
            _POOL.forget(lambda _, loaded: loaded is use.loaded)

    def close(self) -> None:
        """Frees the network with its last user; may be called twice."""
        use, self._use = self._use, None
        if use is not None:
            use.end()


def shared(
    path: Path, device: str = providers.AUTO, threads: int = 0, keep: bool = False, at_once: bool = False
) -> Session:
    """A session for one more user of a file; all who ask for the same file, device and threads share one.

    Each user closes their own; the last one frees the network. Raises as `Session` does.

    Args:
        path: the file.
        device: as for `Session`.
        threads: as for `Session`.
        keep: whether it stays loaded a while after its last user, see `pool`.
        at_once: whether it is used as it is where a faster form of it has to be made first: then its
            `to_improve` says so, and after `optimize.prepared` and `renew` new sessions have that form.
    """
    _checked(path)

    def take(candidate: str) -> Use[_Loaded]:
        return _POOL.take(
            path, candidate, threads, lambda: _loaded_fast(path, candidate, threads, at_once), keep
        )

    session = Session.__new__(Session)
    session._hold(*_first_that_works(device, take))
    return session


def renew(path: Path) -> None:
    """Gives nobody new a network that was loaded before its faster form was there."""
    _POOL.forget(lambda _, loaded: loaded is not None and loaded.to_improve == path)


def probe(device: str) -> str:
    """Empty when a small network runs on a device, else the sentence that says what is wrong."""
    try:
        session = Session(_probe_network(), device)
    except (ProviderError, ModelError) as error:
        return str(error)
    session.close()
    return ""


class _Loaded:
    """A network on one device, and the runner that does its work."""

    def __init__(self, source: str | bytes, label: str, device: str, threads: int) -> None:
        self.label, self.device = label, device
        self._runner = runner_for(device, providers.threads_of(device, threads))
        self.to_improve: Path | None = None
        self._shortest_s = math.inf
        self._session: Any = None
        self._binding: Binding | None = None
        try:
            if not self._load_captured(source, threads):
                self._load(source, threads)
            self._warm_up()
        except BaseException:
            self.close()
            raise

    def _load(self, source: str | bytes, threads: int, captures: bool = False) -> None:
        self._session = session = self._runner.load(
            lambda: _open(source, self.label, self.device, threads, captures)
        )
        self.inputs = tuple(_info(value) for value in session.get_inputs())
        self.outputs = tuple(_info(value) for value in session.get_outputs())
        memory, card = providers.memory_of(self.device)
        if not memory or not binding.suits(session):
            return
        try:
            self._binding = self._runner.call(lambda: Binding(session, memory, card), is_long=True)
        except providers.runtime_errors() as error:
            raise _load_error(self.label, self.device, error) from error

    def _load_captured(self, source: str | bytes, threads: int) -> bool:
        """Whether the network runs as a captured graph now.

        Which networks can shows only when one tries: all of it has to run on the card.
        """
        if not providers.may_capture(self.device):
            return False
        try:
            self._load(source, threads, captures=True)
            session, bound = self._session, self._binding
            if bound and self._runner.call(lambda: binding.replays(bound, session), is_long=True):
                return True
        except (ProviderError, *providers.runtime_errors()) as error:  # type: ignore[misc]  # a tuple of classes
            logger.debug("%s runs without a captured graph: %s", self.label, error)
        self._runner.call(self._free, is_long=False)
        return False

    def _warm_up(self) -> None:
        feeds = {}
        for info in self.inputs:
            if any(isinstance(side, str) for side in info.shape[1:]):
                return  # free height or width: only the caller knows a size that works
            shape = [side if isinstance(side, int) else 1 for side in info.shape]  # a free batch is one
            feeds[info.name] = np.zeros(shape, info.dtype)
        try:
            self._call(feeds)
        except providers.runtime_errors() as error:
            raise _load_error(self.label, self.device, error) from error

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """All outputs for the given inputs; may be called from any thread."""
        try:
            return self._call(feeds)
        except providers.runtime_errors() as error:
            raise _run_error(self.label, self.device, error) from error

    def _call(self, feeds: dict[str, Array]) -> list[Array]:
        session = self._session
        if session is None:
            raise ModelError(f"{self.label} is closed. Load it again.")
        return self._runner.call(lambda: self._timed(session, feeds), self._shortest_s > _SHORT_S)

    def _timed(self, session: Any, feeds: dict[str, Array]) -> list[Array]:
        start = time.perf_counter()
        bound = self._binding
        outputs: list[Array] = bound.run(feeds) if bound else session.run(None, feeds)
        self._shortest_s = min(self._shortest_s, time.perf_counter() - start)
        return outputs

    def close(self) -> None:
        """Frees the network, on the device's own thread where it has one."""
        self._runner.call(self._free, is_long=False)
        self._runner.close()

    def _free(self) -> None:
        self._session = self._binding = None


def _alone(model: Path | bytes, device: str, threads: int) -> Use[_Loaded]:
    """A network for one user."""
    label = model.name if isinstance(model, Path) else "The network"
    loaded = _Loaded(_checked(model), label, device, threads)
    return Use(loaded, loaded.close)


def _loaded_fast(path: Path, device: str, threads: int, at_once: bool) -> _Loaded:
    """A network in the form that suits the device."""
    if providers.family(device) != providers.CPU:
        return _Loaded(str(path), path.name, device, threads)
    if at_once and not optimize.is_prepared(path):
        loaded = _Loaded(str(path), path.name, device, threads)
        loaded.to_improve = path
        return loaded
    best = optimize.prepared(path)
    cancel.check()
    try:
        return _Loaded(str(best), path.name, device, threads)
    except UnsupportedModelError:
        if best == path:
            raise
        logger.warning("The faster form of %s was damaged and is made anew at the next start", path.name)
        optimize.discard(best)
        return _Loaded(str(path), path.name, device, threads)


_POOL: Pool[_Loaded] = Pool()


def _first_that_works(device: str, take: Callable[[str], Use[_Loaded]]) -> tuple[Use[_Loaded], str]:
    """A network on the chosen device or the best that works, and a notice about better ones that do not."""
    failures = []
    for candidate in providers.candidates(device):
        try:
            use = take(candidate)
        except ProviderError as error:
            if device != providers.AUTO:
                raise
            failures.append(str(error))
        else:
            return use, _notice(failures, candidate)
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


def _open(source: str | bytes, label: str, device: str, threads: int, captures: bool) -> Any:
    """An ONNX Runtime session on exactly this device.

    A failure is the file's fault on the CPU, which every network can run on, and the device's elsewhere.
    """
    import onnxruntime  # type: ignore[import-untyped]

    providers.prepare(device)
    provider_list, options = providers.session_arguments(device, threads, captures)
    if providers.builds_engines(device):
        for name in _free_batches(source):
            options.add_free_dimension_override_by_name(name, 1)
    try:
        # Without the flag a failing provider would be replaced by the CPU behind our back.
        session = onnxruntime.InferenceSession(source, options, providers=provider_list, enable_fallback=0)
        _require_provider(session, device)
    except providers.runtime_errors() as error:
        raise _load_error(label, device, error) from error
    return session


def _free_batches(source: str | bytes) -> set[str]:
    """Names of the free first sides of a network's inputs; none for a file that cannot be read."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
    except (DecodeError, OSError):
        return set()  # ONNX Runtime says what is wrong with it
    firsts = [list(value.type.tensor_type.shape.dim)[:1] for value in model.graph.input]
    return {side.dim_param for sides in firsts for side in sides if side.dim_param}


def _require_provider(session: Any, device: str) -> None:
    """ONNX Runtime leaves a provider out when its libraries do not load, and says so in its log only."""
    if providers.ort_name(device) not in session.get_providers():
        raise ProviderError(
            f"{providers.label_of(device)} did not load; its driver or libraries are missing or of another "
            f"version. Run `obs-faceswap doctor`, or choose another device."
        )


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
