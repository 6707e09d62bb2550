"""The scene's light and the live expression's shadows, measured so that it does not matter whose face it is.

Two ratios on the canonical face, multiplied onto the source. The first is the live person's brightness now
to the same person's mean: turning to the light, frowning, smiling. The second is how much brighter one half
of the mean is than the other, to the same of the source: light from one side.
"""

from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.types import ImageBGR

Floats: TypeAlias = npt.NDArray[np.float32]

_GRID = 128  # texels a side, 0.2 cm each
_DRAWN = 64  # a side, of the mesh's places: straight lines between its vertices need no more
_SIGMA = 0.7  # texels
_FLOOR = 8.0  # of 255: black has no shading
_LEAST, _MOST = 0.7, 1.4
_FRAMES_TO_TRUST = 2.0  # of which the mean is made before half of the ratio is used
_SLOWEST = 1 / 300  # of a frame's weight in the mean
_ENOUGH = 0.5  # of a frame's weight, for a texel's mean to be used
_LEAST_SEEN = 0.05  # of all texels, for one half to be compared with the other
_INNER = 0.6  # of the way to the texture's edge: further out hair casts its own shadows
_UNSURE = 0.2  # slopes are known to about that: no two halves of a face are quite alike
_SLOPE_EVERY = 4  # frames: it comes of a mean that changes slowly
_STEEPEST = 1.0  # from the middle to the texture's edge
_ACROSS = np.tile(np.linspace(-1, 1, _GRID, dtype=np.float32), (_GRID, 1))
_SEEN = 0.25  # cosine to the line of sight below which the live face shows nothing to go by


class Shading:
    """Keeps the mean and gives the ratio to it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the live person."""
        self._mean = np.zeros((_GRID, _GRID), np.float32)
        self._weight = np.zeros((_GRID, _GRID), np.float32)
        self._sides = np.ones((_GRID, _GRID), np.float32)
        self._frames = 0

    def step(
        self, crop: ImageBGR, live: Floats, facing: npt.NDArray[np.float64], source_slope: float
    ) -> Floats:
        """The next frame's ratio (GRID, GRID).

        Args:
            crop: the live crop.
            live: (468, 2 or more), its mesh, px.
            facing: (468,), cosines between the face and the line of sight.
            source_slope: `side_slope` of the source.
        """
        luma, seen = _unwrapped(crop, live, facing)
        self._weight = np.minimum(self._weight + seen, 1 / _SLOWEST)
        self._mean += (luma - self._mean) * seen / np.maximum(self._weight, 1e-3)
        ratio = np.clip((luma + _FLOOR) / (self._mean + _FLOOR), _LEAST, _MOST)
        trust = seen * _trusted() * self._weight / (self._weight + _FRAMES_TO_TRUST)
        change = 1 + (ratio - 1) * trust
        if self._frames % _SLOPE_EVERY == 0:
            slope = side_slope(self._mean, self._weight > _ENOUGH) - source_slope
            slope = np.sign(slope) * max(abs(slope) - _UNSURE, 0.0)
            self._sides = np.exp(slope * _ACROSS)
        self._frames += 1
        return np.asarray(change * self._sides, np.float32)


def side_slope(luma: Floats, known: npt.NDArray[np.bool_]) -> float:
    """How the logarithm of brightness rises from a face's left half (in pictures) to its right one.

    Both halves of a face are alike but for the light, so a texel is compared with its mirror image.

    Args:
        luma: (N, N), on the canonical face.
        known: which of it counts; both halves have to.
    """
    across = _resized(_ACROSS, len(luma))
    both = known & known[:, ::-1] & (_resized(_trusted(), len(luma)) > 0.5) & (np.abs(across) < _INNER)
    if both.mean() < _LEAST_SEEN:
        return 0.0
    difference = np.log((luma + _FLOOR) / (luma[:, ::-1] + _FLOOR))[both] / 2
    slope = float(across[both] @ difference / (across[both] @ across[both]))
    return float(np.clip(slope, -_STEEPEST, _STEEPEST))


def _resized(field: Floats, side: int) -> Floats:
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _unwrapped(crop: ImageBGR, live: Floats, facing: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Brightness and visibility (0..1) of the live face on the canonical one."""
    values = mesh.with_rim(np.column_stack([live[:, :2], np.clip(facing * 4 - 4 * _SEEN, 0, 1)]))
    at = mesh.texture_points(_DRAWN)
    places, drawn = mesh.drawn(at, np.zeros(len(at), np.float32), values, (_DRAWN, _DRAWN))
    # They go on a little outside the face, so that enlarging them mixes in nothing foreign.
    wide = cv2.copyTo(places, drawn, cv2.dilate(places, np.ones((3, 3), np.uint8)))
    wide = cv2.resize(wide, (_GRID, _GRID), interpolation=cv2.INTER_LINEAR)
    x, y, seen = (np.asarray(part, np.float32) for part in cv2.split(wide))
    seen = np.clip(seen, 0, 1)
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    smooth = cv2.GaussianBlur(gray, (0, 0), max(0.5, crop.shape[0] / 200))
    luma = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), _SIGMA), np.float32), seen


@lru_cache(maxsize=1)
def _trusted() -> Floats:
    """0 at eyes and between the lips, which change for other reasons, and beyond the face; elsewhere 1."""
    points = mesh.texture_points(_GRID)
    shown, _ = mesh.texture_map(_GRID)
    trusted = (shown >= 0).astype(np.float32)
    for ring in (*mesh.EYES, mesh.INNER_LIPS):
        outline = cv2.convexHull(np.round(points[list(ring)] * 16).astype(np.int32))
        cv2.fillPoly(trusted, [outline], 0, shift=4)
    inside = cv2.erode(trusted, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 1.0), np.float32)
