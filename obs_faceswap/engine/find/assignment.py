"""Who wears which face, as the settings say. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from obs_faceswap.engine.choices import Who
from obs_faceswap.engine.settings import Settings

SLOTS = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """One row of the table.

    Attributes:
        number: 1..SLOTS.
        person: an enrolled person's name, or ANYBODY.
        face: an installed face; empty: the one that is worn anyway.
    """

    number: int
    person: str
    face: str


def slots_of(settings: Settings) -> Sequence[Slot]:
    """The rows that are used, where each person wears their own face."""
    if settings.who is not Who.KNOWN:
        return ()
    rows = [
        Slot(number, getattr(settings, f"person_{number}"), getattr(settings, f"face_{number}"))
        for number in range(1, SLOTS + 1)
    ]
    return [row for row in rows if row.person]


def wearing(settings: Settings, slot: Slot) -> Settings:
    """The settings with that row's face as the one that is worn."""
    return replace(settings, face=slot.face, face_file="") if slot.face else settings
