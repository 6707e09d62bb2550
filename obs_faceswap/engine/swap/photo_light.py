"""Giving a swapped face the scene's light: brightness and color, coarse over the face."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import ImageBGR, Mask

Floats: TypeAlias = npt.NDArray[np.float32]

_GRID = 32  # light is measured on so many cells a side
_SIGMA = 2.6  # of the Gaussian that smooths it, cells: a third of a face
_FLOOR = 6.0  # of 255, added to both sides: black has no color to match
_LEAST, _MOST = 0.15, 5.0
_LOCAL_LEAST, _LOCAL_MOST = 0.6, 1.6  # of the whole face's gain: light, not beards and shadows of hair
_FOLLOW = 0.35  # of the way to a new frame's gains


class LightMatch:
    """Multiplies the swap by the coarse ratio of live to swapped, steady in time."""

    def __init__(self) -> None:
        self._gains: Floats | None = None

    def reset(self) -> None:
        """Forgets the past: another face or scene."""
        self._gains = None

    def match(self, swapped: ImageBGR, live: ImageBGR, mask: Mask) -> ImageBGR:
        """The swapped crop (S, S, 3) in the light of the live one."""
        gains = _gains(_cells(swapped), _cells(live), _cells(mask))
        if self._gains is not None:
            gains = self._gains + (gains - self._gains) * _FOLLOW
        self._gains = np.asarray(gains, np.float32)
        size = swapped.shape[:2]
        wide = cv2.resize(self._gains, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(swapped, wide, dtype=cv2.CV_8U), np.uint8)


def _cells(picture: ImageBGR | Mask) -> Floats:
    return np.asarray(cv2.resize(picture, (_GRID, _GRID), interpolation=cv2.INTER_AREA), np.float32)


def _gains(swapped: Floats, live: Floats, mask: Floats) -> Floats:
    """Live over swapped, (GRID, GRID, 3)."""
    weight = mask[..., None] + 1e-6
    total = weight.sum()
    mean_live, mean_swapped = ((picture * weight).sum((0, 1)) / total for picture in (live, swapped))
    overall = np.clip((mean_live + _FLOOR) / (mean_swapped + _FLOOR), _LEAST, _MOST)
    local = (_coarse(live * weight) + _FLOOR * _coarse(weight)) / (
        _coarse(swapped * weight) + _FLOOR * _coarse(weight)
    )
    return np.clip(local, overall * _LOCAL_LEAST, overall * _LOCAL_MOST).astype(np.float32)


def _coarse(picture: Floats) -> Floats:
    smooth = cv2.GaussianBlur(picture, (0, 0), _SIGMA)
    return np.asarray(smooth.reshape(_GRID, _GRID, -1), np.float32)
