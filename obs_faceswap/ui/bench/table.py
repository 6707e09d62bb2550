"""Figures as text."""

import json
from collections.abc import Iterator
from typing import Any

from obs_faceswap.ui.bench.plan import Figures
from obs_faceswap.ui.bench.run import SECTIONS

_NARROWEST = 9


def table(figures: Figures) -> str:
    """All sections, one below the other; rows of the same kind share their head."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    for name, section in SECTIONS.items():
        if name in figures:
            lines += ["", f"{name}: {section.title}", *_section(figures[name])]
    return "\n".join(lines)


def _section(figures: Figures) -> Iterator[str]:
    rows = list(_rows(figures))
    label_width = max(len(label) for label, _ in rows) + 2
    head: tuple[str, ...] = ()
    for label, cells in rows:
        if tuple(cells) != head:
            head = tuple(cells)
            yield " " * label_width + "".join(name.rjust(_width(name)) for name in head)
        yield label.ljust(label_width) + "".join(
            _text(value).rjust(_width(name)) for name, value in cells.items()
        )


def _rows(figures: Figures, label: str = "") -> Iterator[tuple[str, Figures]]:
    """The innermost figures, each with the way to it as a label."""
    cells = {name: value for name, value in figures.items() if not isinstance(value, dict)}
    if cells:
        yield label, cells
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{label} {name}".strip())


def _width(name: str) -> int:
    return max(_NARROWEST, len(name)) + 2


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else json.dumps(value).strip('"')
