"""Making a swapped face take on the colors of the scene."""

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import ImageBGR, Mask, SwappedFace, Tone

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]

_SAMPLE_SIDE = 36  # statistics are taken on crops about that small; pixel noise is averaged away before
_AVERAGED = 4  # pixels a side that make a sample
_FEWEST_SAMPLES = 16
_INSIDE = 0.5  # DeepFaceLive's FaceMerger takes mask values above this as face

_SMOOTHING_S = 0.3  # follows a screen's light on the face, but no flicker of single frames
_LONGEST_GAP_S = 1.0  # later than this the scene may be another
_CUT = 20.0  # Lab units between two frames' mean colors that only a cut or a switched light makes

_MOST_GAIN = 2.0  # hair or a hand in the mask widens the spread, and a flat face is mostly noise

# Ridge of the fit, as a variance in squared 8-bit levels: a face of one color keeps its small differences.
_RIDGE = 4.0


@dataclass(frozen=True, slots=True)
class LabStatistics:
    """Mean and standard deviation of L, a, b over a face; L is 0..100."""

    mean: Doubles  # (3,)
    deviation: Doubles  # (3,)

    def towards(self, other: "LabStatistics", part: float) -> "LabStatistics":
        """The statistics that lie `part` (0..1) of the way to others."""
        return LabStatistics(
            self.mean + part * (other.mean - self.mean),
            self.deviation + part * (other.deviation - self.deviation),
        )


class ColorMatch:
    """Reinhard's color transfer in Lab, over the face only and steady in time.

    The statistics of the live and of the swapped face follow the frames with a time constant of 0.3 s; after
    a cut (a jump in color, or a gap in time) they start anew.
    """

    def __init__(self) -> None:
        self._scene: LabStatistics | None = None
        self._swapped: LabStatistics | None = None
        self._seen_ns = 0

    def reset(self) -> None:
        """Forgets the past: another face, another source, or another target."""
        self._scene = self._swapped = None

    def match(self, swapped: SwappedFace, scene: ImageBGR, timestamp_ns: int) -> SwappedFace:
        """The swapped face in the live crop's colors.

        Args:
            swapped: the mask says where both crops show the face.
            scene: (S, S, 3), the live crop, of the same size.
            timestamp_ns: the frame's time.

        Returns:
            The same with another tone; a mask that holds next to nothing gives `swapped` itself.
        """
        seen = _around(swapped.mask, len(scene))
        scene_samples = _sampled(scene[seen.there])
        inside = seen.at(scene_samples.shape)
        if cv2.countNonZero(inside) < _FEWEST_SAMPLES:
            return swapped
        samples = _shown(swapped, scene_samples, seen.there)
        swapped_lab = _lab(samples)
        self._follow(statistics(_lab(scene_samples), inside), statistics(swapped_lab, inside), timestamp_ns)
        if self._scene is None or self._swapped is None:
            return swapped
        target = transferred(swapped_lab, self._swapped, self._scene)
        chosen = inside > 0
        matrix = _fitted(samples[chosen], cv2.cvtColor(target, cv2.COLOR_Lab2BGR)[chosen] * 255)
        return replace(swapped, tone=_one_after_the_other(swapped.tone, matrix))

    def _follow(self, scene: LabStatistics, swapped: LabStatistics, timestamp_ns: int) -> None:
        gap_s = (timestamp_ns - self._seen_ns) / 1e9
        self._seen_ns = timestamp_ns
        past_scene, past_swapped = self._scene, self._swapped
        if past_scene is None or past_swapped is None or not 0 <= gap_s <= _LONGEST_GAP_S:
            self._scene, self._swapped = scene, swapped
            return
        part = 1 - math.exp(-gap_s / _SMOOTHING_S)
        self._scene = scene if _is_cut(past_scene, scene) else past_scene.towards(scene, part)
        self._swapped = swapped if _is_cut(past_swapped, swapped) else past_swapped.towards(swapped, part)


def statistics(lab: Floats, inside: npt.NDArray[np.uint8]) -> LabStatistics:
    """Statistics of a Lab picture (H, W, 3) where `inside` (H, W) is not 0."""
    mean, deviation = cv2.meanStdDev(lab, mask=inside)
    return LabStatistics(np.asarray(mean[:, 0], np.float64), np.asarray(deviation[:, 0], np.float64))


def transferred(lab: Floats, own: LabStatistics, wanted: LabStatistics) -> Floats:
    """A Lab picture (H, W, 3) with its statistics moved to those wanted, inside Lab's ranges."""
    gain = np.minimum(wanted.deviation / np.maximum(own.deviation, 1e-3), _MOST_GAIN)
    moved = (lab - own.mean) * gain + wanted.mean
    return np.clip(moved, (0, -127, -127), (100, 127, 127)).astype(np.float32)


def _is_cut(past: LabStatistics, now: LabStatistics) -> bool:
    return float(np.linalg.norm(now.mean - past.mean)) > _CUT


@dataclass(frozen=True, slots=True)
class _Seen:
    """The part of a crop around its mask, and the mask there."""

    there: tuple[slice, slice]  # of the crop's rows and columns
    mask: Mask

    def at(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Whether each of so many samples (rows, columns) shows the face."""
        size_wh = (shape[1], shape[0])
        return (cv2.resize(self.mask, size_wh, interpolation=cv2.INTER_AREA) > _INSIDE).astype(np.uint8)


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
    factor = max(1, round(max(rows, columns) / _SAMPLE_SIDE))
    factor = min(factor, rows, columns)
    skipped = max(1, factor // _AVERAGED)
    high, wide, start = rows // factor, columns // factor, skipped // 2
    used = picture[start : high * factor : skipped, start : wide * factor : skipped]
    return cv2.resize(used, (wide, high), interpolation=cv2.INTER_AREA)


def _lab(bgr: ImageBGR) -> Floats:
    return np.asarray(cv2.cvtColor(bgr * np.float32(1 / 255), cv2.COLOR_BGR2Lab), np.float32)


def _fitted(before: npt.ArrayLike, after: npt.ArrayLike) -> Doubles:
    """The affine (3, 4) in BGR that comes closest to a change of colors, (N, 3) each, 0..255.

    A face's colors lie close together, where Lab is nearly linear; so one matrix does what a conversion of
    every pixel to Lab and back would, twenty times as fast.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    center, change = before.mean(0), after - before
    spread = before - center
    ridge = _RIDGE * len(before) * np.eye(3)
    slope = np.linalg.solve(spread.T @ spread + ridge, spread.T @ (change - change.mean(0))).T + np.eye(3)
    return np.column_stack([slope, after.mean(0) - slope @ center])
