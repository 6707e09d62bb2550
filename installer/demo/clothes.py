"""A round-necked top: a surface from the neck over the shoulders, with a ribbed collar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from head import HeadModel, Points
from paint import cloud

_ANGLES = 144
_NECK_Z = -2.2  # cm, the middle of the neck at collar height


def collar_height(places: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The height of the collar around the neck, cm: low at the throat, high at the nape."""
    front = (places[..., 2] - _NECK_Z) / np.maximum(np.hypot(places[..., 0], places[..., 2] - _NECK_Z), 1e-6)
    return -12.6 - 1.9 * np.maximum(front, 0.0) ** 1.5 + 0.6 * np.maximum(-front, 0.0)


def _neck_ring(model: HeadModel, neutral: Points) -> npt.NDArray[np.float64]:
    """The person's neck at collar height, (A, 3), by direction around the neck."""
    numbers = model.vertices("M_Face", "M_BackHead")
    generic = model.neutral[numbers]
    near = np.abs(generic[:, 1] - collar_height(generic)) < 0.35
    ring = neutral[numbers[near]]
    where = np.arctan2(generic[near][:, 0], generic[near][:, 2] - _NECK_Z)
    angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    closeness = np.exp(-((np.angle(np.exp(1j * (where[None] - angles[:, None]))) / 0.12) ** 2))
    rough = (closeness @ ring) / closeness.sum(1, keepdims=True)
    waves = np.fft.rfft(rough, axis=0)
    waves[7:] = 0.0  # a knitted edge has no corners
    return np.fft.irfft(waves, _ANGLES, axis=0)


# Below the collar: drop (cm), half width, half depth of the body.
_BODY = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.5, 1.6, 1.0],
        [1.3, 4.4, 2.0],
        [2.4, 8.0, 2.9],
        [3.8, 11.2, 3.6],
        [5.6, 13.2, 4.3],
        [8.0, 14.3, 5.0],
        [11.0, 14.9, 6.0],
        [16.0, 15.2, 7.0],
        [24.0, 15.2, 7.4],
        [34.0, 15.0, 7.4],
    ]
)
# The collar itself: (outward, upward) cm from the neck ring, a rolled rib of cloth.
_RIB = np.array(
    [
        [-0.15, -0.6],
        [0.05, 0.2],
        [0.15, 0.55],
        [0.38, 0.75],
        [0.62, 0.55],
        [0.74, 0.1],
        [0.80, -0.5],
        [0.78, -0.75],
    ]
)


def sweater(
    model: HeadModel, neutral: Points
) -> tuple[Points, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Points (N, 3), four-cornered faces (F, 4) and corner uv (F * 4, 2); u runs around, v down."""
    ring = _neck_ring(model, neutral)
    angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    out = np.stack([np.sin(angles), np.zeros(_ANGLES), np.cos(angles)], 1)
    rings = [ring + out * a + np.array([0.0, b, 0.0]) for a, b in _RIB]
    edge = rings[-1]
    fine = np.linspace(0.0, 1.0, 60) ** 1.3 * _BODY[-1, 0]
    wide, deep = (np.interp(fine, _BODY[:, 0], _BODY[:, k]) for k in (1, 2))
    wide, deep = (np.convolve(np.pad(k, 3, mode="edge"), np.ones(7) / 7, "valid") for k in (wide, deep))
    folds = cloud(256, 26, 7) + 0.5 * cloud(256, 11, 8)
    for number, (drop, w, d) in enumerate(zip(fine, wide, deep, strict=True)):
        grow = np.stack([np.sin(angles) * w, np.full(_ANGLES, -drop), np.cos(angles) * d], 1)
        crease = folds[(number * 3) % 256, (np.arange(_ANGLES) * 256 // _ANGLES)]
        crease = 0.16 * min(1.0, number / 12) * (crease + np.roll(crease, 1) + np.roll(crease, -1)) / 3
        rings.append(edge + grow + out * crease[:, None])
    return _grid(np.stack(rings))


def _grid(rings: npt.NDArray[np.float64]) -> tuple[Points, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """A closed band of faces through (R, A, 3) rings."""
    rows, columns = rings.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    faces = np.stack([index[:-1], right[:-1], right[1:], index[1:]], -1).reshape(-1, 4)
    r, c = np.mgrid[: rows - 1, :columns]
    corners = [(c, r), (c + 1, r), (c + 1, r + 1), (c, r + 1)]
    uv = np.stack([np.stack([a / columns, b / rows], -1) for a, b in corners], -2)
    return rings.reshape(-1, 3), faces[:, ::-1], uv.reshape(-1, 4, 2)[:, ::-1].reshape(-1, 2)
