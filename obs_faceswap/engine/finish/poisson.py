"""Seamless blending: the light along a mask's edge is taken from the frame and spread over the face.

OpenCV's seamless cloning (Perez, Gangnet and Blake, Poisson Image Editing, 2003) solves that for every pixel.
What it changes is smooth, so it is solved on a small picture and added to the large one.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.settings import Blending, Settings
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace

_SIDE = 128  # px; a face of this size takes some milliseconds
_MARGIN = 2  # px that the equation's border takes
_FEWEST = 64  # pixels that are worth it


def seamless(swapped: SwappedFace, aligned: AlignedFace, mask: Mask, settings: Settings) -> SwappedFace:
    """The swap as it fits into its frame, if the settings ask for that.

    Args:
        swapped: the crop; its tone is put into it.
        aligned: the frame's own crop.
        mask: (M, M), what `merge` gets.
        settings: `blending`, and where the face is moved to.
    """
    if settings.blending is not Blending.POISSON:
        return swapped
    side = min(_SIDE, aligned.warp.size)
    inside = _inside(mask, swapped.alpha, side)
    if cv2.countNonZero(inside) < _FEWEST:
        return swapped
    crop = swapped.crop
    if swapped.tone is not None:
        crop = np.asarray(cv2.transform(crop, swapped.tone), np.uint8)
    small, live = _resized(crop, side), _resized(_under(aligned.crop, settings), side)
    x, y, width, height = cv2.boundingRect(inside)
    center = (x + width // 2, y + height // 2)
    cloned = cv2.seamlessClone(small, live, inside, center, cv2.NORMAL_CLONE)
    change = cv2.subtract(cloned, small, dtype=cv2.CV_16S)
    moved = cv2.add(crop, _resized(change, len(crop)), dtype=cv2.CV_8U)
    return replace(swapped, crop=np.asarray(moved, np.uint8), tone=None)


def _inside(mask: Mask, alpha: Mask | None, side: int) -> npt.NDArray[np.uint8]:
    """Where most of a crop is put back, (side, side), 255 or 0."""
    weights = _resized(mask, side)
    if alpha is not None:
        weights = weights * _resized(alpha, side)
    inside = (weights > 0.5).astype(np.uint8) * np.uint8(255)
    inside[:_MARGIN] = inside[-_MARGIN:] = 0
    inside[:, :_MARGIN] = inside[:, -_MARGIN:] = 0
    return np.asarray(inside, np.uint8)


def _under(live: ImageBGR, settings: Settings) -> ImageBGR:
    """The part of the live crop that the moved and scaled face will cover."""
    moved = settings.offset_x, settings.offset_y
    if settings.face_scale == 1 and moved == (0, 0):
        return live
    size, scale = len(live), settings.face_scale
    middle = (size - 1) / 2
    shift = [middle * (1 - scale) + part * size for part in moved]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    under = cv2.warpAffine(live, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(under, np.uint8)


def _resized(picture: npt.NDArray[Any], side: int) -> Any:
    if len(picture) == side:
        return picture
    how = cv2.INTER_AREA if side < len(picture) else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=how)
