"""Figures as text."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from obs_faceswap.ui.bench.plan import Figures
from obs_faceswap.ui.bench.run import SECTIONS

_NARROWEST = 9
_MOST_ALONE = 8  # columns of a table of one row; more are written below each other


def table(figures: Figures) -> str:
    """All sections, one below the other; rows of the same kind share their head."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()]
    for name, section in SECTIONS.items():
        if name in figures:
            lines += ["", f"{name}: {section.title}", *_section(figures[name])]
    return "\n".join(lines)


def _section(figures: Figures) -> Iterator[str]:
    for head, group in groupby(_rows(figures), lambda row: tuple(row[1])):
        rows = list(group)
        if len(rows) == 1 and len(head) > _MOST_ALONE:
            label, cells = rows[0]
            yield from (f"{label} {name}".strip().ljust(30) + _text(value) for name, value in cells.items())
        else:
            yield from _grid(head, rows)


def _grid(head: tuple[str, ...], rows: list[tuple[str, Figures]]) -> Iterator[str]:
    label_width = max(len(label) for label, _ in rows) + 2
    yield " " * label_width + "".join(name.rjust(_width(name)) for name in head)
    for label, cells in rows:
        line = (_text(value).rjust(_width(name)) for name, value in cells.items())
        yield label.ljust(label_width) + "".join(line)


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
