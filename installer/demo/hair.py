"""Grows hair: scalp hair fixed to the skull, eyebrows fixed to the moving skin.

Strands are (S, P, 3) points in head coordinates, root first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from head import HeadModel, Points
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from paint import FrontPlane, above_hairline, brow_outline, step
from people import Person

Strands = npt.NDArray[np.float64]  # (S, P, 3), cm
_SKULL_CENTER = np.array([0.0, 5.0, 0.0])
_BUN = np.array([0.0, 16.4, -6.5])


@dataclass(frozen=True, slots=True)
class Roots:
    """Points on the skin: triangle numbers (S,) and barycentric weights (S, 3)."""

    triangle: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    def on(self, model: HeadModel, points: Points) -> npt.NDArray[np.float64]:
        """Their places on a head with these points, (S, 3)."""
        return np.einsum("sk,skd->sd", self.weights, points[model.tri[self.triangle]])

    def normals(self, model: HeadModel, points: Points) -> npt.NDArray[np.float64]:
        """The outward unit normals of their triangles, (S, 3)."""
        a, b, c = (points[model.tri[self.triangle][:, k]] for k in range(3))
        return unit(np.cross(b - a, c - a))

    def keep(self, mask: npt.NDArray[np.bool_]) -> Roots:
        """Only the roots where the mask holds."""
        return Roots(self.triangle[mask], self.weights[mask])


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The vectors at length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def scatter(model: HeadModel, materials: tuple[str, ...], count: int, rng: np.random.Generator) -> Roots:
    """Random roots, even by area over the generic head."""
    numbers = model.triangles(*materials)
    a, b, c = (model.neutral[model.tri[numbers][:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(numbers, count, p=area / area.sum())
    u, v = np.sqrt(rng.uniform(size=count)), rng.uniform(size=count)
    return Roots(chosen, np.stack([1 - u, u * (1 - v), u * v], 1))


def scalp(model: HeadModel, person: Person, points: Points, count: int, seed: int) -> Strands:
    """The person's scalp hair."""
    rng = np.random.default_rng(seed)
    roots = scatter(model, ("M_Face", "M_BackHead"), count * 4, rng)
    generic = roots.on(model, model.neutral)
    margin = above_hairline(generic)
    visible = (generic[:, 1] > -8.0) & (np.linalg.norm(generic - _SKULL_CENTER, axis=1) > 6.5)
    margin = margin + rng.normal(0, 0.22, len(margin))
    # Hair combed back shows its first, thin rows; short hair falls over them.
    thick = margin / 1.8 + 0.06 if person.hair == "pulled_back" else margin / 0.9 + 0.12
    dense = rng.uniform(size=len(margin)) < np.clip(thick, 0.0, 1.0) ** 1.2
    keep = (margin > 0) & visible & dense
    roots, margin = roots.keep(keep), margin[keep]
    if person.hair == "pulled_back":
        return _pulled_back(model, points, roots, rng)
    return _short(model, points, roots, margin, rng)


def _short(
    model: HeadModel, points: Points, roots: Roots, margin: npt.NDArray[np.float64], rng: np.random.Generator
) -> Strands:
    """A short cut: longer on top and swept to one side, tapered at the sides."""
    start, normal = roots.on(model, points), roots.normals(model, points)
    place = roots.on(model, model.neutral)
    top = step(7.5, 11.5, place[:, 1] + 0.25 * np.clip(-place[:, 2], 0, 4)).astype(np.float64)
    front = step(3.0, 9.0, place[:, 2]).astype(np.float64)
    length = 0.45 + 0.25 * np.clip(margin, 0, 4) + top * (1.6 + 1.3 * front)
    length *= rng.uniform(0.7, 1.2, len(start))
    side = np.sign(place[:, 0])[:, None] * np.array([0.12, -1.0, -0.45])
    swept = np.array([0.75, 0.25, -0.65])
    comb = unit(side * (1 - top[:, None]) + swept * top[:, None])
    lift = (0.35 + 0.75 * top * (0.5 + 0.5 * front))[:, None]
    first = unit(normal * lift + comb * (1.15 - 0.55 * top[:, None]) + rng.normal(0, 0.13, start.shape))
    return _clump(_arc(start, first, comb, length, 0.75, 7), 420, 0.75, rng)


def _arc(
    start: Points, first: Points, later: Points, length: npt.NDArray[np.float64], bend: float, count: int
) -> Strands:
    """Strands that leave along `first` and bend towards `later`."""
    t = np.linspace(0.0, 1.0, count)[None, :, None]
    way = first[:, None] * t + bend * t * t * (later - first)[:, None]
    return start[:, None] + way * length[:, None, None]


def _clump(strands: Strands, groups: int, amount: float, rng: np.random.Generator) -> Strands:
    """Draw the tips of neighboring strands together, as locks."""
    roots = strands[:, 0]
    centers = rng.choice(len(roots), min(groups, len(roots)), replace=False)
    nearest = np.empty(len(roots), np.int64)
    for low in range(0, len(roots), 2000):
        part = roots[low : low + 2000]
        distance = ((part[:, None] - roots[centers][None]) ** 2).sum(-1)
        nearest[low : low + 2000] = centers[distance.argmin(1)]
    t = np.linspace(0.0, 1.0, strands.shape[1])[None, :, None] ** 1.5
    frizz = np.cumsum(rng.normal(0, 0.016, strands.shape), axis=1) * t
    return strands + (strands[nearest] - strands) * t * amount + frizz


def _pulled_back(model: HeadModel, points: Points, roots: Roots, rng: np.random.Generator) -> Strands:
    """Hair combed close to the skull towards a bun at the back, and the bun."""
    start = roots.on(model, points)
    skull = _tree(model, points)
    count = 16
    along = np.linspace(0.0, 1.0, count) ** 0.85
    aim = unit(_BUN - _SKULL_CENTER)
    direction = unit(start - _SKULL_CENTER)
    spread = rng.normal(0, 0.06, (len(start), 3))
    ways = unit(
        direction[:, None] * (1 - along)[None, :, None] + (aim + spread)[:, None] * along[None, :, None]
    )
    height = (0.15 + 0.55 * rng.uniform(size=len(start)) ** 1.5)[:, None] * np.minimum(along * 2.5, 1.0)[None]
    radius = np.linalg.norm(start - _SKULL_CENTER, axis=1)
    strands = np.empty((len(start), count, 3))
    strands[:, 0] = start
    for k in range(1, count):
        reach = _reach(skull, ways[:, k], radius)
        strands[:, k] = _SKULL_CENTER + ways[:, k] * (reach + height[:, k])[:, None]
    strands = _clump(strands, 700, 0.35, rng)
    return np.concatenate([strands, _bun(2500, count, rng)])


def _tree(model: HeadModel, points: Points) -> BVHTree:
    """The skin as a search tree."""
    numbers = model.triangles("M_Face", "M_BackHead")
    return BVHTree.FromPolygons(points.tolist(), model.tri[numbers].tolist())


def _reach(tree: BVHTree, ways: Points, fallback: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far the outside of the skull is from its center in each direction, cm."""
    center = Vector(_SKULL_CENTER)
    result = fallback.copy()
    for row, way in enumerate(ways):
        far = Vector(_SKULL_CENTER + way * 30.0)
        hit = tree.ray_cast(far, center - far)[0]
        if hit is not None:
            result[row] = (hit - center).length
    return result


def _bun(count: int, points: int, rng: np.random.Generator) -> Strands:
    """Strands wound around a ball."""
    axis = unit(rng.normal(0, 0.4, (count, 3)) + np.array([0.0, 0.8, -0.4]))
    side = unit(np.cross(axis, rng.normal(size=(count, 3))))
    other = np.cross(axis, side)
    angle = np.linspace(0, 2.6, points)[None, :, None] + rng.uniform(0, 6.28, (count, 1, 1))
    tilt = rng.uniform(-0.9, 0.9, (count, 1, 1))
    ring = np.cos(tilt) * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None])
    return _BUN + rng.uniform(2.2, 3.1, (count, 1, 1)) * (ring + np.sin(tilt) * axis[:, None])


@dataclass(frozen=True, slots=True)
class Brows:
    """Eyebrow hairs: roots on the skin and offsets in each root's own frame, (S, P, 3)."""

    roots: Roots
    offsets: Strands

    def on(self, model: HeadModel, points: Points) -> Strands:
        """The hairs on a head with these points."""
        start, normal = self.roots.on(model, points), self.roots.normals(model, points)
        frame = _frames(model, points, self.roots, normal)
        return start[:, None] + np.einsum("spk,skd->spd", self.offsets, frame)


def _frames(model: HeadModel, points: Points, roots: Roots, normal: Points) -> npt.NDArray[np.float64]:
    """An orthonormal frame (side, up, out) for each root, (S, 3, 3), that follows the skin."""
    a, b = (points[model.tri[roots.triangle][:, k]] for k in range(2))
    edge = unit(b - a)
    a0, b0 = (model.neutral[model.tri[roots.triangle][:, k]] for k in range(2))
    rest = unit(b0 - a0)
    out0 = roots.normals(model, model.neutral)
    side0 = unit(np.cross(np.array([0.0, 1.0, 0.0]), out0))
    # The side direction keeps its angle to the triangle's first edge while the skin moves.
    along, across = (rest * side0).sum(1), (np.cross(out0, rest) * side0).sum(1)
    side = unit(edge * along[:, None] + np.cross(normal, edge) * across[:, None])
    return np.stack([side, np.cross(normal, side), normal], 1)


def brows(model: HeadModel, person: Person, seed: int) -> Brows:
    """The person's eyebrows."""
    rng = np.random.default_rng(seed)
    plane = FrontPlane(model)
    roots = scatter(model, ("M_Face",), 90000, rng)
    place = roots.on(model, model.neutral)
    inside = np.maximum(*(plane.sample(plane.polygon(brow_outline(model, r, person)), place) for r in (0, 1)))
    thin = np.interp(np.abs(place[:, 0]), [0.9, 1.9, 4.8, 6.0], [0.25, 1.0, 1.0, 0.6])
    keep = (place[:, 2] > 6) & (rng.uniform(size=len(inside)) < thin * step(-0.05, 0.16, inside))
    keep &= (place[:, 1] > 4.0) & (place[:, 1] < 8.0)
    roots, place = roots.keep(keep), place[keep]
    return Brows(roots, _brow_offsets(place, person, rng))


def _brow_offsets(place: Points, person: Person, rng: np.random.Generator) -> Strands:
    """Hairs stand up near the nose and lie along the brow towards the temple."""
    outward = np.sign(place[:, 0])
    along = np.clip((np.abs(place[:, 0]) - 1.1) / 4.6, 0.0, 1.0)  # 0 = nose, 1 = temple
    middle = 6.0 + 0.25 * np.sin(along * np.pi) - 0.7 * along**3
    angle = np.interp(along, [0, 0.15, 0.5, 1.0], [1.15, 0.75, 0.25, -0.35])
    angle = angle - 0.5 * np.clip(place[:, 1] - middle + 0.15, -0.5, 0.5) + rng.normal(0, 0.13, len(place))
    way = np.stack([np.cos(angle) * outward, np.sin(angle), np.full_like(angle, 0.18)], 1)
    lay = np.stack([np.cos(angle * 0.5) * outward, np.sin(angle * 0.5), np.full_like(angle, 0.03)], 1)
    length = rng.uniform(0.35, 0.72, len(place)) * (0.8 + 0.2 * person.brow_thickness)
    return _arc(np.zeros_like(place), unit(way), unit(lay), length, 0.7, 5)
