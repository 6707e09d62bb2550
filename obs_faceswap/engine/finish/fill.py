"""A swap that is a whole picture: it takes the frame's place."""

import numpy as np

from obs_faceswap.engine.finish.merge import merge
from obs_faceswap.engine.finish.still import hide
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, Mask, SwappedFace, Warp


def fill(frame: Frame, swapped: SwappedFace, settings: Settings) -> bool:
    """Changes the frame's planes to the picture, as large as it fits, on black; whether any of it shows.

    Args:
        frame: nothing of it stays.
        swapped: the picture, in that part of the crop where the mask is not 0.
        settings: size, place and opacity are used; opacity is over black.
    """
    hide(frame)
    warp = _fitting(frame, swapped.mask)
    return merge(frame, swapped, warp, swapped.mask, settings) is not None


def _fitting(frame: Frame, mask: Mask) -> Warp:
    """The crop that has the mask's part in the middle of the frame.

    The centers of its outermost pixels lie on the frame's border: beyond them it would fade to black.
    """
    x, y = (np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (0, 1))
    scale = max(max(int(np.ptp(x)), 1) / frame.width, max(int(np.ptp(y)), 1) / frame.height)
    left, top = x.mean() - scale * (frame.width - 1) / 2, y.mean() - scale * (frame.height - 1) / 2
    return Warp(np.array([[scale, 0, left], [0, scale, top]], np.float32), mask.shape[0])
