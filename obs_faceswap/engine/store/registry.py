"""Reads models/registry.toml: which networks there are, where each comes from, what it takes and gives."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from obs_faceswap.engine.errors import ModelError

_BESIDE_PACKAGE = Path(__file__).parents[2] / "models" / "registry.toml"  # installed
_IN_CHECKOUT = Path(__file__).parents[3] / "models" / "registry.toml"


class Kind(StrEnum):
    """Where a source's file lies."""

    LOCAL = "local"
    WHEEL = "wheel"
    ARCHIVE = "archive"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class Wheel:
    """One fixed wheel of a Python package."""

    name: str
    package: str
    version: str
    platform: str
    python: str
    abi: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Archive:
    """One fixed zip archive at an address."""

    name: str
    address: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """One file a network can be had from."""

    kind: Kind
    file: str  # local: the usual file name; wheel, archive: the member's path; https: the address
    size: int  # bytes
    sha256: str
    origin: str = ""
    archive: Wheel | Archive | None = None  # what a member lies in


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output a network must have."""

    name: str
    shape: tuple[int, ...]  # -1: free
    meaning: str
    range: tuple[float, float] = (0.0, 1.0)  # of an input's values
    expected: tuple[float, ...] = ()  # evenly spaced numbers of an output for the stored input


@dataclass(frozen=True, slots=True)
class Model:
    """One network of the registry."""

    name: str
    title: str
    author: str
    licence: str
    sources: tuple[Source, ...]  # in the order they are tried
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@cache
def models() -> Mapping[str, Model]:
    """All networks by name, in the registry's order."""
    path = _BESIDE_PACKAGE if _BESIDE_PACKAGE.is_file() else _IN_CHECKOUT
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"The model registry cannot be read ({error}). Run the installer again.") from error


def parse(text: str) -> dict[str, Model]:
    """The networks of a registry's text; raises ModelError naming what is wrong with it."""
    try:
        content = tomllib.loads(text)
        wheels = {entry["name"]: Wheel(**entry) for entry in content.get("wheel", [])}
        archives = {entry["name"]: _archive(entry) for entry in content.get("archive", [])}
        found = [_model(entry, wheels, archives) for entry in content["model"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The model registry is damaged ({error!r}). Run the installer again.") from error
    return {model.name: model for model in found}


def _archive(entry: dict[str, Any]) -> Archive:
    _require_address(entry["address"])
    return Archive(**entry)


def _require_address(text: str) -> None:
    if not text.startswith("https://"):
        raise ValueError(f"{text} is no https address")


def _model(entry: dict[str, Any], wheels: dict[str, Wheel], archives: dict[str, Archive]) -> Model:
    return Model(
        name=entry["name"],
        title=entry["title"],
        author=entry["author"],
        licence=entry["licence"],
        sources=tuple(_source(source, wheels, archives) for source in entry["source"]),
        inputs=tuple(_tensor(tensor) for tensor in entry["input"]),
        outputs=tuple(_tensor(tensor) for tensor in entry["output"]),
    )


def _source(entry: dict[str, Any], wheels: dict[str, Wheel], archives: dict[str, Archive]) -> Source:
    kind = Kind(entry["kind"])
    if kind is Kind.HTTPS:
        _require_address(entry["file"])
    if len(bytes.fromhex(entry["sha256"])) != 32:
        raise ValueError(f"{entry['file']} has no SHA-256")
    archive: Wheel | Archive | None = None
    if kind in (Kind.WHEEL, Kind.ARCHIVE):
        archive = (wheels if kind is Kind.WHEEL else archives)[entry[kind]]
    return Source(kind, entry["file"], entry["size"], entry["sha256"], entry.get("origin", ""), archive)


def _tensor(entry: dict[str, Any]) -> Tensor:
    lists = {key: tuple(entry[key]) for key in ("shape", "range", "expected") if key in entry}
    return Tensor(name=entry["name"], meaning=entry["meaning"], **lists)
