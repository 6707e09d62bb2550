"""The 3D head: one generic mesh, bent into a person and into an expression.

Convention: centimeters, x to the person's left, y up, z out of the face; the generic head faces +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # (N, 3), cm
Faces = npt.NDArray[np.int64]  # (T, 3), vertex numbers

# The neck turns with the head above the upper height and rests on the shoulders below the lower one.
_NECK_TOP, _NECK_BASE = -7.5, -15.5
_NECK_PIVOT = np.array([0.0, -7.0, -0.5])


@dataclass(frozen=True, slots=True)
class HeadModel:
    """The arrays of the head file (ICT-FaceKit light, 40 identity modes, 57 expression shapes).

    Attributes:
        neutral: (N, 3) the generic head, cm.
        tri, tri_uv: (T, 3) corners as vertex and as texture-coordinate numbers.
        uv: (M, 2) texture coordinates; each material has a unit square of its own.
        tri_material: (T,) index into `materials`.
        identity, expression: (K, N, 3) offsets for a weight of 1, cm.
    """

    neutral: Points
    tri: Faces
    tri_uv: Faces
    uv: npt.NDArray[np.float64]
    tri_material: npt.NDArray[np.int64]
    materials: tuple[str, ...]
    identity: npt.NDArray[np.float32]
    expression: dict[str, npt.NDArray[np.float32]]
    landmarks: npt.NDArray[np.int64]

    def triangles(self, *names: str) -> npt.NDArray[np.int64]:
        """The numbers of the triangles with one of these materials."""
        wanted = [self.materials.index(name) for name in names]
        return np.flatnonzero(np.isin(self.tri_material, wanted))

    def vertices(self, *names: str) -> npt.NDArray[np.int64]:
        """The numbers of the vertices with one of these materials."""
        return np.unique(self.tri[self.triangles(*names)])


def load(path: Path) -> HeadModel:
    """Read the head file.

    Raises:
        FileNotFoundError: there is no such file.
        KeyError: the file is not a head of this kind.
    """
    with np.load(path) as file:
        identity = file["id_q"].astype(np.float32) * file["id_scale"][:, None, None]
        shapes = file["expr_q"].astype(np.float32) * file["expr_scale"][:, None, None]
        return HeadModel(
            neutral=file["neutral"].astype(np.float64),
            tri=file["tri"].astype(np.int64),
            tri_uv=file["tri_uv"].astype(np.int64),
            uv=file["uv"].astype(np.float64),
            tri_material=file["tri_material"].astype(np.int64),
            materials=tuple(str(name) for name in file["material_names"]),
            identity=identity.astype(np.float32),
            expression={
                str(n): s.astype(np.float32) for n, s in zip(file["expr_names"], shapes, strict=True)
            },
            landmarks=file["landmarks68"].astype(np.int64),
        )


def person(model: HeadModel, seed: int, strength: float, tweaks: dict[int, float]) -> Points:
    """The neutral head of an invented person: random identity weights, some of them set by hand."""
    weights = np.random.default_rng(seed).normal(0.0, strength, len(model.identity))
    for mode, weight in tweaks.items():
        weights[mode] = weight
    return model.neutral + np.tensordot(weights, model.identity, 1)


def express(model: HeadModel, neutral: Points, weights: dict[str, float]) -> Points:
    """The head with an expression: `weights` is 0..1 for each named shape."""
    points = neutral.copy()
    for name, weight in weights.items():
        if weight:
            points += weight * model.expression[name]
    return points


def neck_weight(generic: Points) -> npt.NDArray[np.float64]:
    """How much of the head's turn each vertex follows, 0..1, judged on the generic head."""
    height = np.clip((generic[:, 1] - _NECK_BASE) / (_NECK_TOP - _NECK_BASE), 0.0, 1.0)
    return height * height * (3.0 - 2.0 * height)


def rotation(yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    """The (3, 3) matrix of a head turn: degrees, yaw to the person's left, pitch down, roll to their left."""
    y, p, r = np.radians([yaw, pitch, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def turn(points: Points, weight: npt.NDArray[np.float64], yaw: float, pitch: float, roll: float) -> Points:
    """The head turned on its neck: full weight turns fully, weight 0 stays on the shoulders."""
    levels = np.linspace(0.0, 1.0, 17)
    turned = np.stack(
        [(points - _NECK_PIVOT) @ rotation(yaw * k, pitch * k, roll * k).T + _NECK_PIVOT for k in levels]
    )
    position = weight * (len(levels) - 1)
    low = np.minimum(position.astype(np.int64), len(levels) - 2)
    share = (position - low)[:, None]
    rows = np.arange(len(points))
    return turned[low, rows] * (1.0 - share) + turned[low + 1, rows] * share


def rigid(yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    """The (4, 4) matrix of the same turn for what is fixed to the skull (hair, eyes)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(yaw, pitch, roll)
    matrix[:3, 3] = _NECK_PIVOT - matrix[:3, :3] @ _NECK_PIVOT
    return matrix
