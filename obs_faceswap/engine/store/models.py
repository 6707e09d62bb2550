"""The store of networks: finds them on this machine, fetches them once, and checks every byte.

`find` never downloads, so the filter may call it inside OBS; `fetch` does, and is for the installer and the
commands. Both look first in a folder of the user's own, then in the cache that all of them share.
A file appears in the cache only when it is complete and checked: it is written beside its place and moved.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import ChecksumError, ModelError, ModelMissingError
from obs_faceswap.engine.store import download, registry
from obs_faceswap.engine.store.download import Progress
from obs_faceswap.engine.store.registry import Archive, Kind, Model, Source, Wheel

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "OBS_FACESWAP_MODELS"  # a folder of the user's own files, tried first
DEFAULTS = ("blazeface_short", "facemesh_468", "iris_64", "palm_192", "hand_224")  # what a fresh machine gets
DETECTORS = ("yunet", "blazeface_short")  # preferred first

_CONVERTER = "tflite-1"  # changes when the converter writes another network from the same file
_TOLERANCE = 0.05  # of a converted network's outputs; they agree to 0.001, a wrong operator gives whole units
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Installed:
    """What is remembered of a file in the cache, so that no start reads all of it again."""

    size: int
    mtime_ns: int
    sha256: str
    made_from: str  # the source's SHA-256, and how it was converted


def find(name: str, models_from: Path | None = None) -> Path:
    """A network's ONNX file on this machine; nothing is downloaded.

    Args:
        name: the registry's name, e.g. “facemesh_468”.
        models_from: a folder tried first; then the one named by OBS_FACESWAP_MODELS, then the cache.

    Raises:
        ModelMissingError: the network is in none of them.
        ChecksumError: the file in the cache is not the one that was put there.
        ModelError: the name is unknown, or a given folder cannot be read.
    """
    model = entry(name)
    for folder in own_folders(models_from):
        if own := _local_network(model, folder):
            return own
    if installed := _installed(model):
        return installed
    raise ModelMissingError(f"The network {name} ({model.title}) is not on this machine. {_advice(model)}")


def find_detector(models_from: Path | None = None) -> Path:
    """The best face detector on this machine; raises as `find` does."""
    for name in DETECTORS[:-1]:
        try:
            return find(name, models_from)
        except ModelMissingError:
            continue
    return find(DETECTORS[-1], models_from)


def fetch(name: str, models_from: Path | None = None, progress: Progress | None = None) -> Path:
    """A network's ONNX file, downloaded and converted first where that is needed.

    Raises:
        ModelMissingError: the network has no address, the download failed, or this is OBS's own process.
        ChecksumError: what arrived is not what the registry promises.
        ModelError: a folder cannot be read or written, for one because the disk is full.
    """
    model, report = entry(name), progress or _silent
    try:
        return find(name, models_from)
    except (ModelMissingError, ChecksumError):
        logger.info("Fetching %s", name)
    with _download_folder() as work:
        for source in model.sources:
            if _install(model, source, models_from, work, report):
                return find(name, models_from)
    raise ModelMissingError(f"The network {name} ({model.title}) cannot be fetched. {_advice(model)}")


def fetch_defaults(models_from: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """All networks of a fresh machine; raises as `fetch` does."""
    return [fetch(name, models_from, progress) for name in DEFAULTS]


def entry(name: str) -> Model:
    """A network's registry entry; raises ModelError for an unknown name."""
    known = registry.models()
    if name not in known:
        raise ModelError(f"There is no network “{name}”. Use one of: {', '.join(known)}.")
    return known[name]


def store_dir() -> Path:
    """Where fetched networks lie."""
    return folders.cache_dir() / "models"


# The user's own files


def own_folders(models_from: Path | None) -> list[Path]:
    """The folders of the user's own files, tried first; raises ModelError if one is not there."""
    variable = os.environ.get(FOLDER_VARIABLE, "")
    own = [models_from] if models_from else []
    own += [Path(variable).expanduser()] if variable else []
    for folder in own:
        if not folder.is_dir():
            raise ModelError(
                f"The model folder {folder} is not there. Correct --models-from or {FOLDER_VARIABLE}."
            )
    return own


def _local_network(model: Model, folder: Path) -> Path | None:
    """The best of a model's known ONNX files in a folder, whatever it is called there."""
    for source in model.sources:
        if source.archive is None and (path := _by_hash(folder, source.size, source.sha256)):
            return path
    for source in model.sources:
        path = folder / Path(source.file).name
        if source.kind is Kind.LOCAL and path.is_file():
            logger.warning("%s is not the file the registry knows (other SHA-256); it is not used", path)
    return None


def _by_hash(folder: Path, size: int, sha256: str) -> Path | None:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size == size)
        return next((path for path in files if _sha256(path) == sha256), None)
    except OSError as error:
        raise ModelError(f"The model folder {folder} cannot be read ({error}). Choose another.") from error


# The cache


def _installed(model: Model) -> Path | None:
    """The cached file, if there is one made from a source the registry still names."""
    path, record = _place(model), _read_record(model)
    if record is None or not path.is_file() or record.made_from not in map(_maker, model.sources):
        return None
    stat = path.stat()
    if (stat.st_size, stat.st_mtime_ns) == (record.size, record.mtime_ns):
        return path
    if stat.st_size != record.size or _sha256(path) != record.sha256:
        raise ChecksumError(f"{path} was changed after it was put there. {_advice(model)}")
    _write_record(model, record.sha256, record.made_from)  # copied or restored, but whole
    return path


def _place(model: Model) -> Path:
    return store_dir() / f"{model.name}.onnx"


def _record_place(model: Model) -> Path:
    return store_dir() / f"{model.name}.json"


def _read_record(model: Model) -> Installed | None:
    try:
        return Installed(**json.loads(_record_place(model).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # no record, no trust: the network is fetched again


def _write_record(model: Model, sha256: str, made_from: str) -> None:
    stat = _place(model).stat()
    record = Installed(stat.st_size, stat.st_mtime_ns, sha256, made_from)
    _write(_record_place(model), json.dumps(asdict(record)).encode())


def _maker(source: Source) -> str:
    return f"{source.sha256} {_CONVERTER}" if source.archive is not None else source.sha256


def _keep(model: Model, network: bytes, source: Source) -> None:
    """Puts a checked network into the cache."""
    _write(_place(model), network)
    _write_record(model, hashlib.sha256(network).hexdigest(), _maker(source))


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _download_folder() -> Iterator[Path]:
    """A folder for downloads on the cache's own disk, gone afterwards."""
    with _disk_errors(store_dir()):
        store_dir().mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix="fetch-", dir=store_dir())
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "Free some space" if error.errno == errno.ENOSPC else "Allow writing there"
        raise ModelError(f"{path} cannot be written ({error.strerror}). {advice} and try again.") from error


# Getting files


def _install(model: Model, source: Source, models_from: Path | None, work: Path, report: Progress) -> bool:
    """Puts a model into the cache from one source; false where that source has nothing to get."""
    if source.kind is Kind.HTTPS:
        path = download.https_file(source.file, source.sha256, work, report)
        _require(path.read_bytes(), source.size, source.sha256, source.file)
        _keep(model, path.read_bytes(), source)
        return True
    if source.archive is None:
        return False
    for folder in own_folders(models_from):
        if member := _by_hash(folder, source.size, source.sha256):
            _convert(model, source, member.read_bytes(), report)
            return True
    _install_from(source.archive, _get_archive(source.archive, models_from, work, report), report)
    return True


def _install_from(archive: Wheel | Archive, path: Path, report: Progress) -> None:
    """Installs every network of an archive at once: nobody should download it twice."""
    with zipfile.ZipFile(path) as members:
        for model in registry.models().values():
            for source in model.sources:
                if source.archive == archive:
                    _convert(model, source, members.read(source.file), report)


def _convert(model: Model, source: Source, content: bytes, report: Progress) -> None:
    from obs_faceswap.engine.store import tflite_convert

    report(f"Converting {model.name}", 0.0)
    _require(content, source.size, source.sha256, source.file)
    network = tflite_convert.convert(content)
    check(model, network)
    _keep(model, network, source)
    report(f"Converting {model.name}", 1.0)


def _get_archive(archive: Wheel | Archive, models_from: Path | None, work: Path, report: Progress) -> Path:
    for folder in own_folders(models_from):
        if own := _by_hash(folder, archive.size, archive.sha256):
            return own
    if isinstance(archive, Wheel):
        path = download.wheel_file(archive, work, report)
    else:
        path = download.https_file(archive.address, archive.sha256, work, report)
    if path.stat().st_size != archive.size or _sha256(path) != archive.sha256:
        raise ChecksumError(_not_as_promised(path.name, path.stat().st_size, archive.size))
    return path


# Checking


def check(model: Model, network: bytes) -> None:
    """Holds a network against its registry entry: names, shapes, and the stored outputs of a stored input.

    Raises:
        ModelError: it is not the network the entry describes.
    """
    from obs_faceswap.engine.runtime.session import Session

    session = Session(network, "cpu", threads=1)
    try:
        _require_contract(model, session)
        if any(tensor.expected for tensor in model.outputs):
            feeds = {tensor.name: _stored_input(tensor.shape, tensor.range) for tensor in model.inputs}
            _require_outputs(model, session.run(feeds))
    finally:
        session.close()


def _require_contract(model: Model, session: Any) -> None:
    for wanted, found in ((model.inputs, session.inputs), (model.outputs, session.outputs)):
        expected = [(tensor.name, tensor.shape) for tensor in wanted]
        given = [(tensor.name, tensor.shape) for tensor in found]
        if not _fit(expected, given):
            raise ModelError(
                f"{model.name} has other inputs or outputs than its registry entry: expected {expected}, "
                f"found {given}. Report this as a bug."
            )


def _fit(expected: list[tuple[str, Any]], given: list[tuple[str, Any]]) -> bool:
    """Whether names and shapes agree; an expected side of -1 takes any."""
    if [(name, len(shape)) for name, shape in expected] != [(name, len(shape)) for name, shape in given]:
        return False
    sides = [pair for (_, a), (_, b) in zip(expected, given, strict=True) for pair in zip(a, b, strict=True)]
    return all(wanted in (-1, found) for wanted, found in sides)


def _require_outputs(model: Model, outputs: list[Any]) -> None:
    import numpy as np

    for tensor, values in zip(model.outputs, outputs, strict=True):
        picked = np.linspace(0, values.size - 1, len(tensor.expected)).round().astype(int)
        error = np.abs(values.ravel()[picked] - np.array(tensor.expected)).max(initial=0.0)
        if not error <= _TOLERANCE:  # also refuses NaN
            raise ModelError(
                f"The network {model.name} gives wrong numbers: {tensor.name} is off by {error:.3g}, at most "
                f"{_TOLERANCE} is expected. Report this, with your versions of onnx and onnxruntime."
            )


def _stored_input(shape: tuple[int, ...], limits: tuple[float, float]) -> Any:
    """What the registry stores outputs for: a picture (1, H, W, C) of slow waves within the limits, or a row.

    A row of points (1, N, 2) is a picture of one line.
    """
    import numpy as np

    y, x, c = np.meshgrid(*map(np.arange, (1, *shape[1:])[-3:]), indexing="ij")
    waves = np.sin(0.11 * x + 0.07 * y + c) * np.cos(0.05 * y - 0.03 * x)
    low, high = limits
    return (low + (high - low) * (0.5 + 0.5 * waves)).astype(np.float32).reshape(shape)


def _require(content: bytes, size: int, sha256: str, name: str) -> None:
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise ChecksumError(_not_as_promised(name, len(content), size))


def _not_as_promised(name: str, found: int, expected: int) -> str:
    return (
        f"{name} is not the file the registry knows: {expected} bytes and its SHA-256 were expected, {found} "
        "bytes and perhaps another SHA-256 found. Try again; if it stays so, see docs/models.md."
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _advice(model: Model) -> str:
    if any(source.kind is not Kind.LOCAL for source in model.sources):
        if model.name in DEFAULTS:
            return "Run the installer again, or `obs-faceswap models fetch`."
        return f"Run: obs-faceswap models fetch {model.name}"
    return f"Put its file into a folder named by --models-from or {FOLDER_VARIABLE}; see docs/models.md."


def _silent(_what: str, _fraction: float) -> None:
    return
