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
class Source:
    """One file a network can be had from."""

    kind: Kind
    file: str  # local: the usual file name; wheel: the member's path; https: the address
    size: int  # bytes
    sha256: str
    origin: str = ""
    wheel: Wheel | None = None


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
        found = [_model(entry, wheels) for entry in content["model"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The model registry is damaged ({error!r}). Run the installer again.") from error
    return {model.name: model for model in found}


def _model(entry: dict[str, Any], wheels: dict[str, Wheel]) -> Model:
    return Model(
        name=entry["name"],
        title=entry["title"],
        author=entry["author"],
        licence=entry["licence"],
        sources=tuple(_source(source, wheels) for source in entry["source"]),
        inputs=tuple(_tensor(tensor) for tensor in entry["input"]),
        outputs=tuple(_tensor(tensor) for tensor in entry["output"]),
    )


def _source(entry: dict[str, Any], wheels: dict[str, Wheel]) -> Source:
    kind = Kind(entry["kind"])
    if kind is Kind.HTTPS and not entry["file"].startswith("https://"):
        raise ValueError(f"{entry['file']} is no https address")
    if len(bytes.fromhex(entry["sha256"])) != 32:
        raise ValueError(f"{entry['file']} has no SHA-256")
    wheel = wheels[entry["wheel"]] if kind is Kind.WHEEL else None
    return Source(kind, entry["file"], entry["size"], entry["sha256"], entry.get("origin", ""), wheel)


def _tensor(entry: dict[str, Any]) -> Tensor:
    lists = {key: tuple(entry[key]) for key in ("shape", "range", "expected") if key in entry}
    return Tensor(name=entry["name"], meaning=entry["meaning"], **lists)
