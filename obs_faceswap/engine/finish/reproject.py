"""A swap of an earlier frame, moved to where the face is now: what a slow network is shown with in between.

A similarity between both frames' landmarks follows the head's shift, size and roll. What is left, a head that
turns or a jaw that drops, is followed by a smooth field.
"""

from dataclasses import replace
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import similarity
from obs_faceswap.engine.crop.mask import enlarged, hull
from obs_faceswap.engine.settings import Keep, Settings
from obs_faceswap.engine.swap.photo_draw import kept
from obs_faceswap.engine.types import AlignedFace, Mask, Points, SwappedFace

Floats: TypeAlias = npt.NDArray[np.float32]

_CELLS = 40  # a side of the field: an eye is two of them high
_SIGMAS = (1.0, 8.0)  # cells: near points say where to, and where there are none far ones do
_FAR_WEIGHT = 0.02  # of a cell's points, about: the far field counts only where none are near
_ROUNDS = 2  # the second one follows what the first one smoothed away
_ROUGH = 64  # cells a side are enough to say how much is hidden
_MOST_BARE = 0.1  # of the part of the outline that was hidden; more must not come out from under the swap


def reprojected(
    swapped: SwappedFace, old: AlignedFace, new: AlignedFace, settings: Settings
) -> SwappedFace | None:
    """A swap made of an earlier frame's crop as a swap of a new frame's crop.

    Args:
        swapped: what a swapper made of `old`; crop and mask have its size.
        old: the crop that was swapped.
        new: the same person's crop now, of any size.
        settings: `keep_mouth` and `keep_eyes` are used where the swap's crop holds live parts; these are the
            new crop's then.

    Returns:
        Crop and mask of the new crop's size; None if the live face would come out from under the mask.
    """
    size, old_size = new.warp.size, old.warp.size
    source = _sources(old.landmarks, new.landmarks, size)
    mask = _taken(enlarged(swapped.mask, old_size), source)
    before = hidden(swapped.mask, old.landmarks, old_size)
    if hidden(mask, new.landmarks, size) < (1 - _MOST_BARE) * before:
        return None
    crop = _taken(swapped.crop, source, cv2.BORDER_REPLICATE)
    if swapped.alpha is None:
        return replace(swapped, crop=crop, mask=mask)
    alpha = _taken(swapped.alpha, source)
    mouth, eyes = settings.keep_mouth is not Keep.NO, settings.keep_eyes is Keep.YES
    return replace(swapped, crop=crop, mask=mask, alpha=_without(alpha, new.landmarks, mouth, eyes))


def without_kept(mask: Mask, landmarks: Points, settings: Settings) -> Mask:
    """A finished mask (S, S) with holes where the user's own mouth or eyes are asked for."""
    return _without(mask, landmarks, settings.keep_mouth is Keep.YES, settings.keep_eyes is Keep.YES)


def _without(mask: Mask, landmarks: Points, mouth: bool, eyes: bool) -> Mask:
    if not (mouth or eyes):
        return mask
    size = mask.shape[0]
    return np.asarray(mask * (1 - kept(landmarks, (size, size), mouth, eyes)), np.float32)


def _taken(
    picture: npt.NDArray[Any], source: tuple[Floats, Floats], border: int = cv2.BORDER_CONSTANT
) -> Any:
    """The pixels of a picture that lie at x and y."""
    return cv2.remap(picture, *source, cv2.INTER_LINEAR, borderMode=border)


def hidden(mask: Mask, landmarks: Points, size: int) -> float:
    """How much of a face's outline (in pixels of a crop of side `size`) a mask covers, 0..1."""
    step = max(1, len(mask) // _ROUGH)
    rough = mask[step // 2 :: step, step // 2 :: step]
    outline = hull((landmarks + 0.5) * np.float32(len(rough) / size) - 0.5, len(rough))
    area = cv2.sumElems(outline)[0]
    return cv2.sumElems(rough * outline)[0] / area if area else 0.0


def _sources(old: Points, new: Points, size: int) -> tuple[Floats, Floats]:
    """For each pixel of the new crop x and y (size, size) of the same skin in the old one."""
    base = similarity(new, old)
    rest = old - (new @ base[:, :2].T + base[:, 2])
    # Cell c has its center at (c + 0.5) * size / cells - 0.5, as enlarging by OpenCV has it.
    fields = _fields((new + 0.5) * np.float32(_CELLS / size) - 0.5, rest)
    along = np.arange(size, dtype=np.float32)
    return (
        _enlarged(fields[0], size) + (along * base[0, 0] + (along * base[0, 1] + base[0, 2])[:, None]),
        _enlarged(fields[1], size) + (along * base[1, 0] + (along * base[1, 1] + base[1, 2])[:, None]),
    )


def _enlarged(field: Floats, size: int) -> Floats:
    return np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _fields(points: Points, wanted: Points) -> Floats:
    """Two smooth fields (2, cells, cells) that come close to the values wanted (N, 2) at points, in cells."""
    at = np.clip(points, 0, _CELLS - 1).astype(np.float32)
    fields, rest = np.zeros((2, _CELLS, _CELLS), np.float32), wanted.astype(np.float32)
    x, y = np.ascontiguousarray(at.T)
    for _ in range(_ROUNDS):
        fields += _smoothed(at, rest)
        rest = wanted - np.column_stack([_taken(field, (x, y)).ravel() for field in fields])
    return fields


def _smoothed(at: Points, values: Points) -> Floats:
    """The means (2, cells, cells) of the values near each cell, or far from it where none are near."""
    sums = np.zeros((_CELLS, _CELLS, 3), np.float32)
    cells = np.round(at).astype(np.intp)
    np.add.at(sums, (cells[:, 1], cells[:, 0]), np.column_stack([values, np.ones(len(values))]))
    near, far = (np.asarray(cv2.GaussianBlur(sums, (0, 0), sigma), np.float32) for sigma in _SIGMAS)
    total = near + far * np.float32(_FAR_WEIGHT)
    means = total[..., :2] / np.maximum(total[..., 2:], 1e-9)
    return np.asarray(means.transpose(2, 0, 1), np.float32)
