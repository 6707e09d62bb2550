"""Making a swapped face take on the colors of the scene, by one of the transfers, steady in time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.finish.pixels import averaged
from obs_faceswap.engine.finish.transfer import TRANSFERS, Change, Samples, mean_of
from obs_faceswap.engine.settings import ColorTransfer
from obs_faceswap.engine.types import ImageBGR, Mask, SwappedFace, Tone

Doubles: TypeAlias = npt.NDArray[np.float64]

_SAMPLE_SIDE = 36  # statistics are taken on crops about that small; pixel noise is averaged away before
_AVERAGED = 4  # pixels a side that make a sample
_FEWEST_SAMPLES = 16
_INSIDE = 0.5  # DeepFaceLive's FaceMerger takes mask values above this as face

_SMOOTHING_S = 0.3  # follows a screen's light on the face, but no flicker of single frames
_LONGEST_GAP_S = 1.0  # later than this the scene may be another
_CUT = 20.0  # Lab units between two frames' mean colors that only a cut or a switched light makes


@dataclass(frozen=True, slots=True)
class _Side:
    """What is known of the live face, or of the swapped one.

    Attributes:
        mean: of L, a and b; a jump tells a cut.
        figures: what the transfer wants to know.
    """

    mean: Sequence[float]
    figures: Doubles

    def is_cut_from(self, past: "_Side") -> bool:
        return math.dist(self.mean, past.mean) > _CUT

    def after(self, past: "_Side | None", part: float) -> "_Side":
        """What to go on with: all of the new, or a part of the way to it."""
        if past is None or self.is_cut_from(past):
            return self
        mean = [old + part * (new - old) for old, new in zip(past.mean, self.mean, strict=True)]
        return _Side(mean, past.figures + part * (self.figures - past.figures))


class ColorMatch:
    """A color transfer over the face only, steady in time.

    What it is made from follows the frames with a time constant of 0.3 s; after a cut (a jump in color, or a
    gap in time) it starts anew. What lies outside the mask never counts, unlike in DeepFaceLive's RCT, whose
    statistics hold the pixels that its mask made black.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the past: another face, another source, or another target."""
        self._kind: ColorTransfer | None = None
        self._scene: _Side | None = None
        self._swapped: _Side | None = None
        self._change: Change | None = None
        self._seen_ns = 0

    def match(
        self,
        swapped: SwappedFace,
        scene: ImageBGR,
        timestamp_ns: int,
        kind: ColorTransfer = ColorTransfer.RCT,
    ) -> SwappedFace:
        """The swapped face in the live crop's colors.

        Args:
            swapped: the mask says where both crops show the face.
            scene: (S, S, 3), the live crop, of the same size.
            timestamp_ns: the frame's time.
            kind: the transfer.

        Returns:
            The same with another tone, or with another crop where the transfer needs curves; with NONE, or
            a mask that holds next to nothing, `swapped` itself.
        """
        if kind is ColorTransfer.NONE:
            return swapped
        seen = _around(swapped.mask, len(scene))
        scene_samples = _sampled(scene[seen.there])
        inside = seen.at(scene_samples.shape)
        if len(inside) < _FEWEST_SAMPLES:
            return swapped
        samples = _shown(swapped, scene_samples, seen.there)
        own, wanted = (
            Samples.of(one.reshape(-1, 3).take(inside, axis=0)) for one in (samples, scene_samples)
        )
        change = self._followed(kind, own, wanted, timestamp_ns)
        toned = replace(swapped, tone=_one_after_the_other(swapped.tone, change.tone))
        return toned if change.curves is None else _curved(toned, change.curves, seen.there)

    def _followed(self, kind: ColorTransfer, samples: Samples, scene: Samples, timestamp_ns: int) -> Change:
        """The change for this frame, some of the way from the past."""
        transfer, part = TRANSFERS[kind], self._part(kind, timestamp_ns)
        part_of_figures = 1.0 if transfer.from_samples else part
        sides = [_Side(mean_of(one.lab), transfer.measure(one)) for one in (samples, scene)]
        pasts = self._swapped, self._scene
        is_new = any(past is None or now.is_cut_from(past) for now, past in zip(sides, pasts, strict=True))
        own, wanted = (now.after(past, part_of_figures) for now, past in zip(sides, pasts, strict=True))
        self._swapped, self._scene = own, wanted
        change = transfer.change(samples, own.figures, wanted.figures)
        if transfer.from_samples and self._change is not None and not is_new:
            change = self._change.towards(change, part)
        self._change = change
        return change

    def _part(self, kind: ColorTransfer, timestamp_ns: int) -> float:
        """How much of the way to a new frame's figures is gone; all of it if the past does not count."""
        gap_s = (timestamp_ns - self._seen_ns) / 1e9
        if kind is not self._kind or not 0 <= gap_s <= _LONGEST_GAP_S:
            self.reset()
        self._kind, self._seen_ns = kind, timestamp_ns
        return 1 - math.exp(-gap_s / _SMOOTHING_S) if self._scene is not None else 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """The part of a crop around its mask, and the mask there."""

    there: tuple[slice, slice]  # of the crop's rows and columns
    mask: Mask

    def at(self, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
        """Which of so many samples (rows, columns), counted row by row, show the face."""
        size_wh = (shape[1], shape[0])
        return np.flatnonzero(cv2.resize(self.mask, size_wh, interpolation=cv2.INTER_AREA) > _INSIDE)


def _around(mask: Mask, size: int) -> _Seen:
    """What of a crop of side `size` a mask (M, M) shows; all of it if it shows nothing."""
    x, y, width, height = cv2.boundingRect((mask > _INSIDE).view(np.uint8))
    if not width:
        x, y, width, height = 0, 0, len(mask), len(mask)
    scale = size / len(mask)
    rows, columns = (
        slice(int(first * scale), math.ceil((first + count) * scale))
        for first, count in ((y, height), (x, width))
    )
    return _Seen((rows, columns), mask[y : y + height, x : x + width])


def _shown(swapped: SwappedFace, scene: ImageBGR, there: tuple[slice, slice]) -> ImageBGR:
    """A swap's samples as they will be seen among the live crop's samples."""
    samples = _sampled(swapped.crop[there])
    if swapped.tone is not None:
        samples = np.asarray(cv2.transform(samples, swapped.tone), np.uint8)
    if swapped.alpha is None:
        return samples
    alpha = _sampled(swapped.alpha[there])
    return np.asarray(cv2.blendLinear(samples, scene, alpha, 1 - alpha), np.uint8)


def _curved(swapped: SwappedFace, curves: Doubles, there: tuple[slice, slice]) -> SwappedFace:
    """A swap whose tone and curves are put into its crop, where the face is."""
    part = swapped.crop[there]
    if swapped.tone is not None:
        part = np.asarray(cv2.transform(part, swapped.tone), np.uint8)
    crop = swapped.crop.copy()
    crop[there] = cv2.LUT(part, np.clip(curves.round(), 0, 255).astype(np.uint8)[None])
    return replace(swapped, crop=crop, tone=None)


def _one_after_the_other(first: Tone | None, second: Doubles) -> Tone:
    """Two affine changes of colors as one."""
    if first is None:
        return second
    linear = second[:, :3]
    return np.hstack([linear @ first[:, :3], linear @ first[:, 3:] + second[:, 3:]])


def _sampled(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A picture made smaller by a whole number; a rest at two borders is left out.

    Of large pictures only every so many pixels are looked at: what is left averages their noise away.
    """
    rows, columns = picture.shape[:2]
    factor = min(max(1, round(max(rows, columns) / _SAMPLE_SIDE)), rows, columns)
    skipped = max(1, round(factor / _AVERAGED))
    if skipped > 1:  # so that it can be averaged by halves
        factor = min(skipped * _AVERAGED, rows, columns)
    high, wide, start = rows // factor, columns // factor, skipped // 2
    used = picture[start : high * factor : skipped, start : wide * factor : skipped]
    return averaged(used, (wide, high))
