"""The figures of a clip, from what was seen in its frames. Pure functions on small arrays.

docs/quality.md says what each one means to a user.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import ImageBGR, Points, Shown
from obs_faceswap.ui.quality.seen import Seen

Doubles = npt.NDArray[np.float64]

_CHANGED = 3  # levels that a pixel has to differ by to count as changed
_BARE = 0.5  # a frame in which less than this part of the face is changed shows the live one
_EYES = (33, 263)
_STILL, _FAST = 25, 75  # percentiles of speed: the stillest and the fastest quarter of the frames
_LONGEST_LAG = 8  # frames, in which a lag is looked for
_LAG_STEP = 0.1  # frames


def is_bare(seen: Seen) -> bool:
    """Whether a frame shows the live face: it was let through, or most of the face is as it was."""
    if seen.shown is Shown.ORIGINAL:
        return seen.face is not None
    if seen.before is None or seen.after is None or seen.shown is Shown.COVERED:
        return False  # a cover of one color, as the sky, is as it was
    apart = np.abs(seen.after.astype(np.int16) - seen.before).max(axis=2)
    inner = seen.inner
    return bool(inner.any() and float((apart[inner] >= _CHANGED).mean()) < _BARE)


def seam(seen: Seen) -> float:
    """How much steeper brightness is along the swap's edge than it was, 8-bit levels a pixel."""
    if seen.before is None or seen.after is None:
        return 0.0
    steeper = _steepness(seen.after) - _steepness(seen.before)
    return float(np.maximum(steeper[seen.ring], 0).mean()) if seen.ring.any() else 0.0


def mismatch(seen: Seen) -> float:
    """How much farther the face's color is from the neck's than the live face's was, in Lab units."""
    if seen.before is None or seen.after is None or not seen.neck.any() or not seen.inner.any():
        return 0.0
    neck = _mean_lab(seen.before, seen.neck)
    live, worn = (np.linalg.norm(_mean_lab(one, seen.inner) - neck) for one in (seen.before, seen.after))
    return float(worn - live)


def mean_color(image: ImageBGR, where: npt.NDArray[np.bool_]) -> Doubles:
    """Mean L, a, b of a part of a picture; L is 0..100."""
    return _mean_lab(image, where)


def sharpness(seen: Seen) -> float | None:
    """How many times sharper the swap is than the live face was; None if that cannot be told."""
    if seen.live_texture is None or seen.worn_texture is None:
        return None
    return seen.worn_texture.over(seen.live_texture)


def grain(seen: Seen) -> float | None:
    """How much more noise the swap has than the live face had, levels; None if that cannot be told."""
    if seen.live_texture is None or seen.worn_texture is None:
        return None
    return seen.worn_texture.grain - seen.live_texture.grain


def typical_ratio(ratios: Sequence[float]) -> float | None:
    """The ratio in the middle of ratios; None of none."""
    return float(np.exp(np.median(np.log(ratios)))) if ratios else None


def flicker(values: Sequence[float] | Doubles, numbers: Sequence[int]) -> float:
    """How much a figure jumps up and down from frame to frame, whatever its slow course is.

    The root mean square of the second difference of frames that follow each other, over the square root of
    6, which makes it the deviation of independent noise.
    """
    turns = _turns(np.asarray(values, np.float64), numbers)
    return float(np.sqrt((turns**2).mean() / 6)) if len(turns) else 0.0


def jitter(tracks: Sequence[Points], numbers: Sequence[int]) -> float:
    """The same of landmarks on the stillest quarter of the frames, in percent of the eyes' distance."""
    if len(tracks) < 3:
        return 0.0
    points = np.stack(tracks).astype(np.float64)
    turns, speed = _turns(points, numbers), _speeds(points, numbers)
    if not len(turns):
        return 0.0
    still = speed <= np.percentile(speed, _STILL)
    eyes = float(np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=1).mean())
    return float(100 * np.sqrt((turns[still] ** 2).sum(axis=-1).mean() / 6) / eyes)


def lag(tracks: Sequence[Points], raws: Sequence[Points], numbers: Sequence[int]) -> float:
    """By how many frames the landmarks follow behind those of each frame alone, where the head moves fast."""
    smooth, raw = (np.stack(one).astype(np.float64).mean(axis=1) for one in (tracks, raws))
    if len(smooth) < 3 * _LONGEST_LAG or np.any(np.diff(numbers) != 1):
        return float("nan")
    speed = np.linalg.norm(np.gradient(raw, axis=0), axis=1)
    fast = speed >= np.percentile(speed, _FAST)
    fast[:_LONGEST_LAG] = False
    at = np.arange(len(raw), dtype=np.float64)
    lags = np.arange(-1, _LONGEST_LAG, _LAG_STEP)
    errors = []
    for late in lags:
        moved = np.stack([np.interp(at - late, at, raw[:, axis]) for axis in (0, 1)], axis=1)
        errors.append(float(((moved - smooth)[fast] ** 2).sum(axis=1).mean()))
    return round(float(lags[int(np.argmin(errors))]), 3)


def agreement(live: Sequence[Doubles], worn: Sequence[Doubles]) -> float:
    """How well expressions (N, 52) of the swap follow those of the live face: their correlation in time.

    Each expression counts by how much the live face makes use of it.
    """
    one, other = (np.asarray(values, np.float64) - np.mean(values, axis=0) for values in (live, worn))
    spread = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    use = one.std(axis=0)
    known = spread > 1e-9
    if not known.any():
        return float("nan")
    correlation = (one * other).sum(axis=0)[known] / spread[known]
    return float(np.average(correlation, weights=use[known]))


def remaining(seen: Sequence[Seen]) -> float:
    """How much of the difference to the exact result a swap leaves, over the swapped frames; 0 is perfect.

    Difference is 1 minus the correlation of brightness inside the face.
    """
    with_swap, without = [], []
    for one in seen:
        if (
            one.shown is Shown.SWAPPED
            and one.before is not None
            and one.after is not None
            and one.exact is not None
        ):
            with_swap.append(_apart(one.after, one.exact, one.inner))
            without.append(_apart(one.before, one.exact, one.inner))
    return float(np.mean(with_swap) / np.mean(without)) if with_swap else float("nan")


def _apart(picture: ImageBGR, exact: ImageBGR, where: npt.NDArray[np.bool_]) -> float:
    return 1 - float(np.corrcoef(_luma(picture)[where], _luma(exact)[where])[0, 1])


def _luma(picture: ImageBGR) -> Doubles:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float64)


def _steepness(picture: ImageBGR) -> Doubles:
    luma = _luma(picture)
    return np.hypot(cv2.Sobel(luma, cv2.CV_64F, 1, 0) / 8, cv2.Sobel(luma, cv2.CV_64F, 0, 1) / 8)


def _mean_lab(picture: ImageBGR, where: npt.NDArray[np.bool_]) -> Doubles:
    pixels = picture[where][None] * np.float32(1 / 255)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2Lab)[0].mean(axis=0), np.float64)


def _turns(values: Doubles, numbers: Sequence[int]) -> Doubles:
    """Second differences of values whose three frames follow each other."""
    together = np.diff(numbers, 2) == 0 if len(numbers) > 2 else np.zeros(0, np.bool_)
    together &= np.diff(numbers)[1:] == 1 if len(numbers) > 2 else together
    return np.asarray(np.diff(values, 2, axis=0)[together] if len(together) else values[:0])


def _speeds(points: Doubles, numbers: Sequence[int]) -> Doubles:
    """How fast the middle of the face moves over the three frames of each of `_turns`."""
    together = (np.diff(numbers, 2) == 0) & (np.diff(numbers)[1:] == 1)
    middle = points.mean(axis=1)
    return np.asarray(np.linalg.norm(middle[2:] - middle[:-2], axis=1)[together])
