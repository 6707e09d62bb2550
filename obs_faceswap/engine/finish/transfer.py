"""Color transfers: how the colors of one face become those of another's light.

Which there are is DeepFaceLab's list (core/imagelib/color_transfer.py and its merger's settings), for its
users know them by name. All work on some hundred samples of a face, BGR 0..255, and give one affine change of
colors, and curves where an affine change cannot say it:

- RCT: Reinhard, Ashikhmin, Gooch, Shirley: Color Transfer between Images, 2001; here in CIE Lab.
- LCT: both covariances made the same by their symmetric roots, which turns colors more than need be.
- MKL: F. Pitié, A. Kokaram: The Linear Monge-Kantorovitch Linear Colour Mapping, 2007: of all affine changes
  with that result the one that moves colors least.
- SOT: F. Pitié, A. Kokaram, R. Dahyot: Automated Colour Grading Using Colour Distribution Transfer, 2007,
  in its sliced form: samples are sorted along many directions, one after the other.
- Histogram: each channel's distribution becomes the other's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.settings import ColorTransfer

Doubles: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = npt.NDArray[Any]  # (N, 3), BGR, 0..255

_MOST_GAIN = 2.0  # hair or a hand in the mask widens the spread, and a flat face is mostly noise

# Ridge of fits and of covariances, a variance in squared 8-bit levels: a face of one color keeps its small
# differences.
_RIDGE = 4.0

_ONE = np.eye(3)
_LEVELS = (np.arange(17) + 0.5) / 17  # of a distribution: coarser than single samples, which tremble
_DIRECTIONS = 8  # triples of them: more change the colors of faces by less than a level
_SLICED = 192  # samples that are sorted, of all
_BYTES = np.arange(256, dtype=np.float64)
# Columns of four, as OpenCV has scalars.
_LOW_LAB, _HIGH_LAB = np.array([[0.0], [-127], [-127], [0]]), np.array([[100.0], [127], [127], [0]])


@dataclass(frozen=True, slots=True)
class Samples:
    """What a face's colors are taken from.

    Attributes:
        bgr: (N, 3), 0..255.
        lab: the same in CIE Lab (N, 3); L is 0..100.
    """

    bgr: Values
    lab: npt.NDArray[np.float32]

    @classmethod
    def of(cls, bgr: Values) -> Self:
        """Samples (N, 3) of blue, green, red, 0..255."""
        return cls(bgr, lab_of(bgr))


@dataclass(frozen=True, slots=True)
class Change:
    """A change of colors: an affine one, then curves.

    Attributes:
        tone: (3, 4) of blue, green, red, 0..255.
        curves: (256, 3), what each value of each channel becomes, 0..255; None leaves them.
    """

    tone: Doubles
    curves: Doubles | None = None

    def towards(self, other: "Change", part: float) -> "Change":
        """The change that lies `part` (0..1) of the way to another of the same kind."""
        curves = other.curves
        if curves is not None and self.curves is not None:
            curves = self.curves + part * (curves - self.curves)
        return Change(self.tone + part * (other.tone - self.tone), curves)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One way to transfer colors.

    Attributes:
        measure: samples to the figures that it is made from, a vector of fixed length.
        change: the change that takes samples of the first figures to the second ones.
        from_samples: whether it depends on the samples as much as on the figures; then the change itself is
            what has to be kept steady in time, else the figures.
    """

    measure: Callable[[Samples], Doubles]
    change: Callable[[Samples, Doubles, Doubles], Change]
    from_samples: bool = False


def lab_of(values: Values) -> npt.NDArray[np.float32]:
    """Colors in CIE Lab (N, 3); L is 0..100."""
    scaled = values.astype(np.float32)[None] * np.float32(1 / 255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2Lab)[0], np.float32)


def mean_of(values: Values) -> Sequence[float]:
    """The mean of colors (N, 3); several times as fast as NumPy's own over so narrow an array."""
    return cv2.mean(values[None])[:3]


def _lab_statistics(samples: Samples) -> Doubles:
    """Means and deviations of L, a, b."""
    return np.concatenate([part[:, 0] for part in cv2.meanStdDev(samples.lab[None])])


def _reinhard(samples: Samples, own: Doubles, wanted: Doubles) -> Change:
    change = np.zeros((3, 4))
    figures = zip(*own.reshape(2, 3).tolist(), *wanted.reshape(2, 3).tolist(), strict=True)
    for row, (mean, spread, new_mean, new_spread) in enumerate(figures):
        gain = min(new_spread / max(spread, 1e-3), _MOST_GAIN)
        change[row, row], change[row, 3] = gain, new_mean - gain * mean
    target = cv2.min(cv2.max(cv2.transform(samples.lab[None], change), _LOW_LAB), _HIGH_LAB)
    return Change(_fitted(samples.bgr, cv2.cvtColor(target, cv2.COLOR_Lab2BGR)[0] * 255, _RIDGE))


def _covariance(samples: Samples) -> Doubles:
    """Means and covariances of blue, green, red, (12,)."""
    values = samples.bgr.astype(np.float64)
    mean = mean_of(values)
    spread = values - mean
    return np.concatenate([mean, (spread.T @ spread / len(values)).ravel()])


def _linear(samples: Samples, own: Doubles, wanted: Doubles) -> Change:
    mine, theirs = _root(_spread(own)), _root(_spread(wanted))
    return _moved_by(theirs @ np.linalg.inv(mine), own, wanted)


def _monge_kantorovitch(samples: Samples, own: Doubles, wanted: Doubles) -> Change:
    root = _root(_spread(own))
    inverse = np.linalg.inv(root)
    return _moved_by(inverse @ _root(root @ _spread(wanted) @ root) @ inverse, own, wanted)


def _spread(figures: Doubles) -> Doubles:
    return figures[3:].reshape(3, 3) + _RIDGE * np.eye(3)


def _root(matrix: Doubles) -> Doubles:
    """The symmetric root of a symmetric matrix that is not negative."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-9))) @ vectors.T)


def _moved_by(linear: Doubles, own: Doubles, wanted: Doubles) -> Change:
    """The affine change with (about) that linear part that takes one mean to the other."""
    linear = _limited(linear)
    return Change(np.column_stack([linear, wanted[:3] - linear @ own[:3]]))


def _limited(linear: Doubles) -> Doubles:
    """The same, but nothing is spread too far."""
    left, gains, right = np.linalg.svd(linear)
    return np.asarray((left * np.minimum(gains, _MOST_GAIN)) @ right)


def _quantiles(values: Values) -> Doubles:
    """The levels of each channel's distribution, one channel after the other."""
    return np.quantile(values, _LEVELS, axis=0).T.ravel()


def _distributions(samples: Samples) -> Doubles:
    return _quantiles(samples.bgr)


def _by_histogram(samples: Samples, own: Doubles, wanted: Doubles) -> Change:
    pairs = zip(own.reshape(3, -1), wanted.reshape(3, -1), strict=True)
    return Change(np.eye(3, 4), np.stack([_curve(*pair) for pair in pairs], axis=1))


def _curve(own: Doubles, wanted: Doubles) -> Doubles:
    """The rising curve (256,) that takes one distribution's levels to another's."""
    own = own + 1e-6 * np.arange(len(own))  # levels of a flat face may be the same
    inside = np.interp(_BYTES, own, wanted)
    beyond = np.minimum(_BYTES - own[0], 0) + np.maximum(_BYTES - own[-1], 0)
    steps = np.clip(np.diff(inside + beyond), 0, _MOST_GAIN)
    curve = np.concatenate([[0.0], np.cumsum(steps)])
    middle = len(own) // 2
    return np.asarray(curve + wanted[middle] - np.interp(own[middle], _BYTES, curve))


def _sliced_figures(samples: Samples) -> Doubles:
    """The samples themselves, as many of them as are sorted."""
    at = np.linspace(0, len(samples.bgr) - 1, _SLICED).round().astype(int)
    return np.asarray(samples.bgr[at].astype(np.float64).ravel())


def _sliced(samples: Samples, own: Doubles, wanted: Doubles) -> Change:
    before, after = own.reshape(-1, 3), wanted.reshape(-1, 3)
    moved = before.copy()
    for turn in _TURNS:
        here, there = moved @ turn, after @ turn
        order, target = np.argsort(here, axis=0), np.sort(there, axis=0)
        np.put_along_axis(here, order, target, axis=0)
        moved = here @ turn.T
    linear = _limited(_fitted(before, moved, _RIDGE)[:, :3])
    tone = np.column_stack([linear, moved.mean(0) - linear @ before.mean(0)])
    toned = before @ tone[:, :3].T + tone[:, 3]
    return Change(tone, _by_histogram(samples, _quantiles(toned), _quantiles(moved)).curves)


def _turns() -> list[Doubles]:
    """Turned axes, the same ones always; the first are the channels' own."""
    random = np.random.default_rng(0)
    others = [np.linalg.qr(random.normal(size=(3, 3)))[0] for _ in range(_DIRECTIONS - 1)]
    return [np.eye(3), *others]


_TURNS = _turns()


def _fitted(before: Values, after: Values, ridge: float) -> Doubles:
    """The affine (3, 4) in BGR that comes closest to a change of colors, (N, 3) each, 0..255.

    A face's colors lie close together, where Lab is nearly linear; so one matrix does what a conversion of
    every pixel to Lab and back would, twenty times as fast.
    """
    both = np.empty((6, len(before)))  # the colors, and their changes
    both[:3] = before.T
    np.subtract(after.T, both[:3], out=both[3:])
    means = cv2.reduce(both, 1, cv2.REDUCE_AVG)
    both -= means
    products = both[:3] @ both.T
    heavy = products[:, :3] + ridge * len(before) * _ONE
    slope = cv2.solve(heavy, products[:, 3:], flags=cv2.DECOMP_CHOLESKY)[1].T + _ONE
    return np.hstack([slope, means[:3] + means[3:] - slope @ means[:3]])


TRANSFERS: dict[ColorTransfer, Transfer] = {
    ColorTransfer.RCT: Transfer(_lab_statistics, _reinhard),
    ColorTransfer.LCT: Transfer(_covariance, _linear),
    ColorTransfer.MKL: Transfer(_covariance, _monge_kantorovitch),
    ColorTransfer.SOT: Transfer(_sliced_figures, _sliced, from_samples=True),
    ColorTransfer.HISTOGRAM: Transfer(_distributions, _by_histogram),
}
