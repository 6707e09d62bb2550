"""Head poses, and the shape of a person's face apart from pose and expression.

Convention: "head" coordinates are those of the canonical head (`photo_mesh.HEAD`): centimeters, x right, y
down, z away from the viewer, the nose towards the viewer.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap.photo_mesh import EYES, HEAD, INNER_LIPS, OVAL

Doubles: TypeAlias = npt.NDArray[np.float64]

TO_OUTLINE = np.linalg.norm(HEAD[:, None] - HEAD[None, list(OVAL)], axis=2).min(axis=1)  # cm
# The outline slides over the cheeks when the head turns, so poses are fitted without it.
_INNER = np.flatnonzero(TO_OUTLINE > 1.2)
_INNER_CENTER = HEAD[_INNER].mean(axis=0)
_INNER_HEAD = HEAD[_INNER] - _INNER_CENTER
_INNER_SPREAD = float((_INNER_HEAD**2).sum())
# Lids and lips move with every blink and word; what they do says nothing about the shape.
_RESTLESS = sorted({*INNER_LIPS, *(vertex for eye in EYES for vertex in eye)})

_SMOOTHED_CM = 0.5
_FREE_CM = 2.0  # this far inside the outline the source's shape is taken over in full
_FREE_TO_Y = 3.0  # cm; below, at the mouth, what the expression does is larger than what people differ by
_SLOWEST = 1 / 300  # of a frame's weight in the live person's mean shape
_NOTHING = 1e-6  # far smaller numbers are many times as slow to multiply
_SAME_CM = 0.01  # a mean that moved less than that gives the same shifts


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head lies in a picture: picture = scale * rotation @ head + shift, all in three dimensions."""

    scale: float  # picture pixels per centimeter
    rotation: Doubles  # (3, 3)
    shift: Doubles  # (3,), px

    @property
    def yaw_pitch(self) -> Doubles:
        """Radians (2,); positive: the face looks to the picture's right, and down."""
        ahead = -self.rotation[:, 2]
        return np.array([np.arctan2(ahead[0], -ahead[2]), np.arcsin(np.clip(ahead[1], -1, 1))])


def fit_pose(mesh: npt.NDArray[np.floating]) -> Pose:
    """The pose of a mesh (468, 3): landmarks and depth, px. Least squares (Umeyama 1991)."""
    seen = mesh[_INNER].astype(np.float64)
    mean_seen = np.ones(len(seen)) @ seen / len(seen)
    values, left, right = cv2.SVDecomp((seen - mean_seen).T @ _INNER_HEAD)
    if cv2.determinant(left @ right) < 0:  # no mirrored face
        values[2], left[:, 2] = -values[2], -left[:, 2]
    rotation = np.asarray(left @ right, np.float64)
    scale = cv2.sumElems(values)[0] / _INNER_SPREAD
    return Pose(scale, rotation, mean_seen - scale * rotation @ _INNER_CENTER)


def _egg_normals() -> Doubles:
    around = HEAD - (0.0, 0.0, 4.0)
    around[:, 1] *= 0.55
    return np.asarray(around / np.linalg.norm(around, axis=1, keepdims=True), np.float64)


_EGG_NORMALS = _egg_normals()


def egg_facing(pose: Pose) -> Doubles:
    """Cosines (468,) between the line of sight and an egg around the head: without the nose's own relief."""
    return np.asarray(-(_EGG_NORMALS @ pose.rotation[2]), np.float64)


def to_head(mesh: npt.NDArray[np.floating], pose: Pose) -> Doubles:
    """A mesh (468, 3) in head coordinates."""
    return np.asarray((mesh - pose.shift) @ pose.rotation / max(pose.scale, 1e-9), np.float64)


def _smoothing() -> npt.NDArray[np.float32]:
    """What makes a vertex's shift the mean of its neighbors' (468, 468), without lids and lips."""
    distances = np.linalg.norm(HEAD[:, None] - HEAD[None], axis=2)
    kernel = np.exp(-(distances**2) / (2 * _SMOOTHED_CM**2))
    kernel[:, _RESTLESS] = 0
    weights = kernel / kernel.sum(axis=1, keepdims=True)
    free = np.clip(TO_OUTLINE / _FREE_CM, 0, 1) * np.clip((_FREE_TO_Y - HEAD[:, 1]) / _FREE_CM, 0, 1)
    smoothing = weights * free[:, None]
    smoothing[smoothing < _NOTHING] = 0
    return np.asarray(smoothing, np.float32)


_SMOOTHING = _smoothing()


class ShapeShift:
    """Moves the live face's features to where the source has them; outline and expression stay live.

    The live person's own shape is the mean over the frames so far, frontal ones counting most.
    """

    def __init__(self, source: Doubles) -> None:
        """Takes the source's shape (468, 3) in head coordinates."""
        self._source = source
        self.reset()

    def reset(self) -> None:
        """Forgets the live person."""
        self._mean = np.zeros_like(self._source)
        self._weight = 0.0
        self._shift: npt.NDArray[np.float32] | None = None
        self._shifted_for = self._mean

    def step(self, mesh: npt.NDArray[np.floating], pose: Pose) -> Doubles:
        """The next frame's shifts of all vertices (468, 2), in the mesh's pixels."""
        frontal = max(0.02, float(pose.rotation[2, 2]) ** 4)
        self._weight = min(self._weight + frontal, 1 / _SLOWEST)
        self._mean += (to_head(mesh, pose) - self._mean) * (frontal / self._weight)
        if self._shift is None or np.abs(self._mean - self._shifted_for).max() > _SAME_CM:
            self._shifted_for = self._mean.copy()
            shift = _SMOOTHING @ (self._source - self._mean).astype(np.float32)
            self._shift = shift[:, :2]  # the network's depth is too rough to be turned into the picture
        return np.asarray(self._shift @ pose.rotation[:2, :2].T * pose.scale, np.float64)
