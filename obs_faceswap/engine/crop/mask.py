"""Masks in crop space: hull, erosion, box, soft edge."""

from collections.abc import Iterator
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import Mask, Points

Box: TypeAlias = tuple[float, float, float, float]

_SIGMA_PER_BLUR = 0.25  # DeepFaceLive's FaceMerger: the Gaussian's sigma is a quarter of the blur setting
_WIDEST_SIGMA = 8.0  # px; wider Gaussians run on a smaller mask, where the difference cannot be seen
_POINT_BITS = 4  # fillConvexPoly's fractional bits


def finish(mask: Mask, erode_percent: float, blur_percent: float, box: Box = (0, 0, 0, 0)) -> Mask:
    """A swapper's mask made smaller and soft, and faded out before the crop's border.

    DeepFaceLive's rule for its CPU, in whole crop pixels: a 3x3 ellipse (a cross) eroded half as many times
    as the erode setting says, everything nearer to the border than half the blur set to 0, and a Gaussian of
    a quarter of the blur. What lies outside the crop counts as 0. A box cuts more away on a side.

    Args:
        mask: (S, S), 0..1; not changed.
        erode_percent: -50..50 of the crop's side; below 0 the mask grows.
        blur_percent: 0..100 of the crop's side.
        box: how far the border lies inside at the top, right, bottom and left, 0..50 percent of the side.

    Returns:
        (S, S), 0..1, a new array.
    """
    size = mask.shape[0]
    erode = round(erode_percent * size / 100)
    blur = round(blur_percent * size / 100)
    finished = _grown_or_shrunk(mask, erode) if erode else mask.copy()
    _clear_border(finished, [max(blur // 2, round(side * size / 100)) for side in box])
    return _softened(finished, blur * _SIGMA_PER_BLUR) if blur else finished


def enlarged(mask: Mask, size: int) -> Mask:
    """A mask at a larger side."""
    if len(mask) == size:
        return mask
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def hull(points: Points, size: int) -> Mask:
    """The convex hull of points (N, 2) in crop pixels as a mask (size, size), with a smooth edge.

    Points may lie outside; fewer than three, all in one place, or no numbers give an empty mask.
    """
    mask = np.zeros((size, size), np.uint8)
    if len(points) >= 3 and np.isfinite(points).all():
        # Far outside is as good as outside, and fits the fixed-point coordinates.
        near = np.clip(points, -2.0 * size, 3.0 * size).astype(np.float32)
        corners = cv2.convexHull(near)
        if corners is not None:  # OpenCV 5 gives None for points all in one place
            fixed = np.round(corners * (1 << _POINT_BITS)).astype(np.int32)
            cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, _POINT_BITS)
    return mask * np.float32(1 / 255)


def _grown_or_shrunk(mask: Mask, erode: int) -> Mask:
    change = cv2.erode if erode > 0 else cv2.dilate
    for step in _doubling_steps(max(1, abs(erode) // 2)):
        moved = change(mask, _star(step), borderType=cv2.BORDER_CONSTANT, borderValue=0.0)
        mask = np.asarray(moved, np.float32)
    return mask


def _doubling_steps(radius: int) -> Iterator[int]:
    """Arms of the stars that make, one after the other, what `radius` crosses make: a diamond."""
    done = 0
    while done < radius:
        step = min(max(done, 1), radius - done)
        yield step
        done += step


def _star(arm: int) -> npt.NDArray[np.uint8]:
    """A kernel of five points: the center and one at the end of each arm."""
    star = np.zeros((2 * arm + 1, 2 * arm + 1), np.uint8)
    star[arm, arm] = star[0, arm] = star[-1, arm] = star[arm, 0] = star[arm, -1] = 1
    return star


def _clear_border(mask: Mask, widths: list[int]) -> None:
    """Sets what is nearer to a side (top, right, bottom, left) than so many pixels to 0."""
    size = len(mask)
    top, right, bottom, left = widths
    mask[:top] = mask[max(size - bottom, 0) :] = 0
    mask[:, :left] = mask[:, max(size - right, 0) :] = 0


def _softened(mask: Mask, sigma: float) -> Mask:
    factor = max(1, int(sigma / _WIDEST_SIGMA) + 1) if sigma > _WIDEST_SIGMA else 1
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
    size = mask.shape[0]
    small_size = max(1, round(size / factor))
    small = cv2.resize(mask, (small_size, small_size), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma * small_size / size, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
