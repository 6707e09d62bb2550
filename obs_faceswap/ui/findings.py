"""What the doctor says: one line of its report."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"  # works, but worth knowing
    WRONG = "wrong"  # something needed is missing or broken


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    level: Level
    text: str
    fix: str = ""


Findings: TypeAlias = Iterator[Finding]
