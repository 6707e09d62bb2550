"""The people whom a recognition network knows by name. Standard library only.

Of a person nothing is kept but the network's numbers: no picture, no crop. Each is one JSON file in
`folders.people_dir()`, readable by its user alone.
"""

import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import PeopleError

_SUFFIX = ".json"
_FORBIDDEN = '<>:"/\\|?*'  # in a file name on Windows
_DIGITS = 6
_UNNAMED = "Person"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled.

    Attributes:
        name: what the user calls them.
        network: which recognition network made the numbers; those of others cannot be compared.
        embedding: of length 1.
        looks: how many pictures they are the mean of.
    """

    name: str
    network: str
    embedding: tuple[float, ...]
    looks: int = 1


def enrolled() -> list[Person]:
    """Everybody, sorted by name; a file that holds nobody is left out."""
    found = (_read(path) for path in _files())
    return sorted((person for person in found if person is not None), key=lambda one: one.name.casefold())


def names() -> list[str]:
    """The names of everybody, sorted, without reading who they are."""
    return sorted((path.stem for path in _files()), key=str.casefold)


def free_name() -> str:
    """A name for somebody who was given none."""
    taken = {name.casefold() for name in names()}
    return next(name for n in range(1, len(taken) + 2) if (name := f"{_UNNAMED} {n}").casefold() not in taken)


def enroll(name: str, network: str, embedding: Sequence[float]) -> Person:
    """Remembers somebody; a name that is there already is known better by one more picture.

    Args:
        name: what to call them.
        network: which recognition network it was.
        embedding: what that gave.

    Raises:
        PeopleError: the name cannot be one, or is somebody's of another network, or writing failed.
    """
    _require_name(name)
    known = _read(_file_of(name))
    if known is not None and known.network != network:
        raise PeopleError(
            f"“{name}” was enrolled with another recognition network. Remove “{name}” first, or give another "
            "name."
        )
    looks = known.looks if known is not None else 0
    old = known.embedding if known is not None else (0.0,) * len(embedding)
    mean = [a * looks + b for a, b in zip(old, _normed(embedding), strict=True)]
    person = Person(name, network, _normed(mean), looks + 1)
    _write(person)
    return person


def rename(name: str, new: str) -> None:
    """Gives somebody another name; raises PeopleError."""
    _require_name(new)
    person = _read(_file_of(name))
    if person is None:
        raise PeopleError(_unknown(name))
    if _file_of(new).exists():
        raise PeopleError(f"There is somebody called “{new}” already. Give another name.")
    _write(Person(new, person.network, person.embedding, person.looks))
    remove(name)


def remove(name: str) -> None:
    """Forgets somebody; raises PeopleError."""
    try:
        _file_of(name).unlink()
    except FileNotFoundError:
        raise PeopleError(_unknown(name)) from None
    except OSError as error:
        raise PeopleError(f"“{name}” cannot be removed ({error.strerror}). Try again.") from error


def _files() -> list[Path]:
    try:
        entries = list(folders.people_dir().iterdir())
    except OSError:
        return []  # nobody is enrolled yet
    return [path for path in entries if path.suffix == _SUFFIX and not path.name.startswith(".")]


def _file_of(name: str) -> Path:
    return folders.people_dir() / f"{name}{_SUFFIX}"


def _read(path: Path) -> Person | None:
    try:
        held = json.loads(path.read_text("utf-8"))
        numbers = tuple(float(number) for number in held["embedding"])
        person = Person(path.stem, str(held["network"]), _normed(numbers), max(1, int(held["looks"])))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return person


def _write(person: Person) -> None:
    """Writes beside the place and moves, so that no half file is ever read."""
    folder = folders.people_dir()
    held = asdict(person) | {"embedding": [round(number, _DIGITS) for number in person.embedding]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(prefix=".adding-", dir=folder)  # readable by its user alone
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(held, file)
        Path(made).replace(_file_of(person.name))
    except OSError as error:
        raise PeopleError(
            f"{folder} cannot be written ({error.strerror or error}). Free some space and try again."
        ) from error


def _normed(numbers: Sequence[float]) -> tuple[float, ...]:
    """The numbers with length 1; raises ValueError for none, or what are no numbers."""
    length = math.sqrt(sum(number * number for number in numbers))
    if not 0 < length < math.inf:
        raise ValueError("no direction")
    return tuple(number / length for number in numbers)


def _require_name(name: str) -> None:
    bad = set(name) & set(_FORBIDDEN)
    if not name.strip() or name != name.strip() or name.startswith(".") or bad or not name.isprintable():
        raise PeopleError(
            f"“{name}” cannot be a person's name. Use a text without a leading dot and without {_FORBIDDEN}"
        )


def _unknown(name: str) -> str:
    known = ", ".join(names()) or "nobody"
    return f"Nobody is enrolled as “{name}”. Known are: {known}."
