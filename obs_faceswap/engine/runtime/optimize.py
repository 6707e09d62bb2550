"""Makes networks faster on the CPU without changing what they compute, once each.

A network is rewritten (see `rewrites`), run beside the original on the same numbers, and kept in the cache
only where its results agree and it is faster; else the original is used. What is kept is what ONNX Runtime
made of it, so that a start does not repeat that either: a model of 0.7 GB loads in two thirds of the time and
without taking its size in memory a second time. That depends on the processor and on ONNX Runtime's version,
so both are parts of the file's name.
"""

import hashlib
import logging
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import folders
from obs_faceswap.engine.runtime import cancel, providers, rewrites
from obs_faceswap.engine.runtime.weights import LARGE_BYTES, Weights

logger = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_RULES = "1"  # changes when the rules do
_TOLERANCE = 2e-4  # of the largest value of an output, or of 1: a twentieth of a step of 8 bits
_WORTH_IT = 0.97  # of the original's time
_RUNS = 3
_LARGEST_BYTES = 1_500_000_000  # with the weights' new form, below the 2 GB that one ONNX file may have
_CACHE_BYTES = 8_000_000_000  # beyond that, what was not used for longest goes
_ABANDONED_S = 86_400.0
_BESIDE = "session.optimized_model_external_initializers"
_SUFFIX, _SAME = ".onnx", ".same"

_MAKING = threading.Lock()  # one at a time: it takes a core and three times the network's memory


def prepared(path: Path) -> Path:
    """The file to load instead of a network's on the CPU: a faster one from the cache, or the file itself.

    The first time takes about ten times as long as loading the network. A file that cannot be improved is
    used as it is: whoever loads it finds out what is wrong with it. Raises CancelledError.
    """
    errors: tuple[type[Exception], ...] = (ImportError, MemoryError, *providers.runtime_errors())
    try:
        place = _place_of(_digest(path))
        if not _is_known(place):
            with _turn():
                if not _is_known(place):
                    _make(path, place)
        if place.exists():
            os.utime(place)  # for who looks what was used last
            return place
    except errors as error:
        logger.warning("%s is used as it is; it could not be made faster: %s", path.name, error)
    return path


def is_prepared(path: Path) -> bool:
    """Whether `prepared` answers at once."""
    try:
        digest = _known_digest(_note(path))
        return digest is not None and _is_known(_place_of(digest))
    except OSError:
        return True  # there is no cache to look into, so nothing is made either


def _place_of(digest: str) -> Path:
    """Where the faster form of a file lies, if it was made."""
    return folder() / f"{digest}-{_environment()}{_SUFFIX}"


@contextmanager
def _turn() -> Iterator[None]:
    """Waits until nobody else makes one."""
    while not _MAKING.acquire(timeout=0.2):
        cancel.check()
    try:
        yield
    finally:
        _MAKING.release()


def _is_known(place: Path) -> bool:
    return place.exists() or place.with_suffix(_SAME).exists()


def discard(place: Path) -> None:
    """Takes a file out of the cache that does not load."""
    place.unlink(missing_ok=True)


# The cache


def folder() -> Path:
    """Where the faster networks lie."""
    place = folders.cache_dir() / "optimized"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _digest(path: Path) -> str:
    """The hash of a file's content, computed once for each state of the file."""
    note = _note(path)
    if (known := _known_digest(note)) is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    with _beside(note) as new:
        new.write_text(digest, "ascii")
    return digest


def _note(path: Path) -> Path:
    """Where the hash of a file in its present state is noted."""
    stat = path.stat()
    state = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    return folder() / f"{hashlib.sha256(state.encode()).hexdigest()[:32]}.digest"


def _known_digest(note: Path) -> str | None:
    known = note.read_text("ascii") if note.is_file() else ""
    return known if len(known) == 32 else None


@cache
def _environment() -> str:
    """What a kept file depends on, as a part of its name."""
    import onnxruntime  # type: ignore[import-untyped]

    what = f"{_RULES} {onnxruntime.__version__} {platform.machine()} {_processor()}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's abilities, or its name where the system does not tell them."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text("utf-8", "replace").splitlines() if information.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A path in a folder of its own to write to; the file is moved to its place when it is complete.

    Others may do the same at the same time: the last one wins, and all of them write the same.
    """
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making-") as work:
        new = Path(work) / place.name
        yield new
        if new.exists():
            new.replace(place)


def _make(path: Path, place: Path) -> None:
    """Puts a faster network, or the note that there is none, into the cache."""
    _make_room(path.stat().st_size)
    with _beside(place) as new:
        logger.info("Looking for a faster form of %s; this takes up to a minute, once", path.name)
        began = time.monotonic()
        ratio = _improve(path, new) if path.stat().st_size <= _LARGEST_BYTES else None
        if ratio is None:
            new.unlink(missing_ok=True)
            place.with_suffix(_SAME).touch()
        else:
            took = time.monotonic() - began
            logger.info("%s takes %.0f %% of its time now (%.0f s to find out)", path.name, 100 * ratio, took)


def _make_room(wanted: int) -> None:
    """Deletes what was not used for longest, and what was never finished."""
    for left, state in _by_age("making-*"):
        if time.time() - state.st_mtime > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    kept = _by_age(f"*{_SUFFIX}")
    total = wanted + sum(state.st_size for _, state in kept)
    for file, state in kept:
        if total <= _CACHE_BYTES:
            break
        total -= state.st_size
        file.unlink(missing_ok=True)


def _by_age(pattern: str) -> list[tuple[Path, os.stat_result]]:
    """What lies in the cache, the oldest first. Others may take something away at the same time."""
    found = []
    for path in folder().glob(pattern):
        with suppress(FileNotFoundError):
            found.append((path, path.stat()))
    return sorted(found, key=lambda one: one[1].st_mtime)


# Making one


def _improve(path: Path, new: Path) -> float | None:
    """Writes a faster network; its time over the original's, or None where there is nothing to gain."""
    original = _session(path)
    feeds = _feeds(original)
    if feeds is None:
        return None
    free = {side for value in original.get_inputs() for side in value.shape if isinstance(side, str)}
    expected, original_s = _run(original, feeds)
    cancel.check()
    del original  # a large one and its copies would not fit beside each other everywhere
    with tempfile.TemporaryDirectory(dir=new.parent, prefix="parts-") as parts:
        network = _changed(path, free, Path(parts))
        if network is None:
            return None
        better = _session(network, saved=new)
    cancel.check()
    found, better_s = _run(better, feeds)
    if not (error := _error(expected, found)) <= _TOLERANCE:  # also refuses NaN
        text = "A faster form of %s gives other numbers (off by %.2g, %.2g is allowed) and is not used"
        logger.warning(text, path.name, error, _TOLERANCE)
        return None
    return better_s / original_s if better_s <= _WORTH_IT * original_s else None


def _changed(path: Path, free: set[str], folder: Path) -> Path | None:
    """A network with all rewrites, written into a folder; None when none applies."""
    import onnx

    plain, changed = folder / "plain.onnx", folder / "changed.onnx"
    _session(path, saved=plain, fixed=free)
    cancel.check()
    model = onnx.load(plain, load_external_data=False)
    weights = Weights(folder)
    graph = rewrites.Graph.of(model, rewrites.shapes_of(model), weights)
    if not rewrites.rewrite(graph):
        return None
    graph.put_back()
    cancel.check()
    weights.write(model, changed)
    return changed


def _session(model: Path, saved: Path | None = None, fixed: set[str] | None = None) -> Any:
    """A session with one thread.

    Args:
        model: an ONNX file.
        saved: where ONNX Runtime writes what it made of the network.
        fixed: names of free sides that become 1; what is saved then is what every machine may load, with its
            large constants in a file beside it.
    """
    import onnxruntime

    _, options = providers.session_arguments(providers.CPU, threads=1)
    if saved is not None:
        options.optimized_model_filepath = str(saved)
    if fixed is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        for name in fixed:
            options.add_free_dimension_override_by_name(name, 1)
        for key, value in (("file_name", "weights.bin"), ("min_size_in_bytes", str(LARGE_BYTES))):
            options.add_session_config_entry(f"{_BESIDE}_{key}", value)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _feeds(session: Any) -> Arrays | None:
    """Random inputs, 0..1; None for a network with other inputs than floats, or of free size."""
    numbers, feeds = np.random.default_rng(5), {}
    for value in session.get_inputs():
        sides = [1 if isinstance(side, str) and not index else side for index, side in enumerate(value.shape)]
        if value.type != "tensor(float)" or not all(isinstance(side, int) for side in sides):
            return None
        feeds[value.name] = numbers.random(sides, np.float32)
    return feeds


def _error(expected: list[npt.NDArray[Any]], found: list[npt.NDArray[Any]]) -> float:
    """The largest difference, as a part of its output's largest value or of 1; NaN where there is one."""
    errors = [
        np.abs(a - b).max(initial=0.0) / max(1.0, float(np.abs(a).max(initial=0.0)))
        for a, b in zip(expected, found, strict=True)
    ]
    return float(np.max(errors))


def _run(session: Any, feeds: Arrays) -> tuple[list[npt.NDArray[Any]], float]:
    """The results, and the shortest of some runs in seconds of this thread, which does all of the work."""
    shortest = np.inf
    for _ in range(_RUNS):
        start = time.thread_time()
        outputs: list[npt.NDArray[Any]] = session.run(None, feeds)
        shortest = min(shortest, time.thread_time() - start)
    return outputs, shortest
