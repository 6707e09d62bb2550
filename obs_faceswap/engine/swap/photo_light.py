"""Giving a swapped face the scene's brightness and tint."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import ImageBGR, Mask, Tone

Floats: TypeAlias = npt.NDArray[np.float32]

_FLOOR = 6.0  # of 255, added to both sides: black has no color to match
_LEAST, _MOST = 0.15, 5.0
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)  # BT.601, of blue, green and red
_FOLLOW = 0.35  # of the way to a new frame's figures


def luma(picture: ImageBGR | Floats) -> Floats:
    """Brightness (H, W) of a BGR picture."""
    return np.asarray(picture @ _LUMA, np.float32)


class LightMatch:
    """Gives the swap the live face's mean brightness and tint, steady in time.

    Brightness by a factor, so that light and dark parts keep their ratio; tint by a shift, so that a source
    with hardly any blue does not get it all in one place.
    """

    def __init__(self) -> None:
        self._match: Floats | None = None

    def reset(self) -> None:
        """Forgets the past: another face or scene."""
        self._match = None

    def step(self, swapped: ImageBGR, live: ImageBGR, mask: Mask) -> Tone:
        """How the next frame's swap has to be changed.

        Args:
            swapped: (H, W, 3), the swap; it may be coarse.
            live: (H, W, 3), the live face.
            mask: (H, W), which part of both is measured.
        """
        wanted = _measured(swapped, live, mask)
        if self._match is not None:
            wanted = self._match + (wanted - self._match) * np.float32(_FOLLOW)
        self._match = wanted
        gain, shift = float(wanted[0]), wanted[1:]
        return np.column_stack([np.eye(3) * gain, shift])


def _measured(swapped: ImageBGR, live: ImageBGR, mask: Mask) -> Floats:
    """A factor for all colors and what to add to blue, green and red then: (4,)."""
    weight = mask.ravel() / max(float(mask.sum()), 1e-6)
    mean_swapped, mean_live = (
        weight @ picture.reshape(-1, 3).astype(np.float32) for picture in (swapped, live)
    )
    gain = np.clip((mean_live @ _LUMA + _FLOOR) / (mean_swapped @ _LUMA + _FLOOR), _LEAST, _MOST)
    return np.concatenate([[gain], mean_live - mean_swapped * gain]).astype(np.float32)
