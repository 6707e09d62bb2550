"""A simple room for the background: shelves, a window, a lamp, a plant, far out of focus."""

from __future__ import annotations

import bpy
import numpy as np
from materials import linear, principled
from people import Rgb
from stage import add_mesh, area_light

_BOX = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
_BOOKS: tuple[Rgb, ...] = (
    (0.62, 0.22, 0.16),
    (0.16, 0.32, 0.42),
    (0.85, 0.72, 0.48),
    (0.22, 0.40, 0.30),
    (0.80, 0.48, 0.18),
    (0.88, 0.86, 0.80),
    (0.30, 0.20, 0.30),
    (0.15, 0.16, 0.20),
)


def _paint(color: Rgb, glow: float = 0.0) -> bpy.types.Material:
    """A matte color, or a glowing one."""
    return principled(
        "paint",
        {
            "Base Color": linear(color),
            "Roughness": 0.7,
            "Emission Color": linear(color),
            "Emission Strength": glow,
        },
    )


def _box(
    low: tuple[float, float, float], high: tuple[float, float, float], material: bpy.types.Material
) -> None:
    """An upright box between two corners (head coordinates, cm)."""
    corners = np.array(
        [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    )
    thing = add_mesh("box", corners, _BOX)
    thing.data.shade_flat()
    thing.data.materials.append(material)


def _shelves(rng: np.random.Generator) -> None:
    """Two boards of books along the left of the picture."""
    wood = _paint((0.45, 0.29, 0.17))
    books = [_paint(color) for color in _BOOKS]
    for y in (-32.0, 10.0, 52.0, 94.0):
        _box((-190, y, -258), (-52, y + 3.5, -226), wood)
        x = -186.0
        while x < -62 and y < 90:
            width = float(rng.uniform(3, 8))
            if rng.uniform() < 0.86:
                height = float(rng.uniform(20, 32))
                _box(
                    (x, y + 3.5, -255),
                    (x + width - 0.4, y + 3.5 + height, -230),
                    books[rng.integers(len(books))],
                )
            x += width
    for x in (-192.0, -52.0):
        _box((x, -120, -258), (x + 4, 130, -226), wood)


def _window() -> None:
    """A bright window with a frame, at the right of the picture."""
    glass, frame = _paint((0.80, 0.90, 1.0), glow=3.2), _paint((0.85, 0.84, 0.82))
    _box((92, -20, -259), (190, 110, -258), glass)
    for x in (88.0, 138.0, 188.0):
        _box((x, -24, -258), (x + 5, 114, -252), frame)
    for y in (-24.0, 44.0, 110.0):
        _box((88, y, -258), (193, y + 5, -252), frame)


def _lamp() -> None:
    """A warm shade on a stand."""
    _box((44, 8, -222), (70, 34, -200), _paint((1.0, 0.72, 0.38), glow=4.0))
    _box((56, -120, -212), (58, 8, -210), _paint((0.12, 0.11, 0.10)))


def _plant(rng: np.random.Generator) -> None:
    """Leaves around a stem."""
    green = [_paint(c) for c in ((0.10, 0.26, 0.12), (0.16, 0.36, 0.16), (0.24, 0.44, 0.20))]
    for number in range(70):
        base = np.array([-34.0, -28.0, -205.0]) + rng.normal(0, [9, 13, 6])
        way = rng.normal((0.0, 0.9, 0.0), 1.0)
        way = way / np.linalg.norm(way) * rng.uniform(8, 16)
        side = np.cross(way, rng.normal(size=3))
        side = side / np.linalg.norm(side) * 2.6
        leaf = add_mesh(
            "leaf",
            np.array([base, base + way / 2 + side, base + way, base + way / 2 - side]),
            np.array([[0, 1, 2, 3]]),
        )
        leaf.data.materials.append(green[number % 3])
    _box((-44, -80, -214), (-24, -44, -196), _paint((0.75, 0.42, 0.28)))


def build(seed: int = 4) -> None:
    """Put the room on the stage."""
    rng = np.random.default_rng(seed)
    wall = _paint((0.47, 0.50, 0.50))
    _box((-400, -150, -262), (400, 250, -260), wall)
    _box((-400, -152, -262), (400, -150, 200), _paint((0.40, 0.30, 0.22)))
    _shelves(rng)
    _window()
    _lamp()
    _plant(rng)
    _box((8, 34, -259), (40, 78, -257), _paint((0.82, 0.74, 0.60)))
    _box((12, 38, -257), (36, 74, -256), _paint((0.70, 0.32, 0.22)))
    area_light("ceiling", (0, 200, -120), (0, 0, -220), 120, 260, (1.0, 0.92, 0.82))
