"""Making a swapped face as sharp and as grainy as the camera's own picture.

Sharpness is told by how a picture's detail is shared out between two bands: a picture that is out of focus,
or was enlarged, has little in the finer one, whatever it shows. Grain is told by J. Immerkær's measure (Fast
Noise Variance Estimation, Computer Vision and Image Understanding 64, 1996), of the calmest parts.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import extent
from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.blend import blend_luma
from obs_faceswap.engine.finish.pixels import COMPONENTS, Roi
from obs_faceswap.engine.types import Frame, Points

Luma: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

_MEASURED_EVERY_S = 0.2
_SMOOTHING_S = 0.5  # cameras focus about that fast
_LONGEST_GAP_S = 1.0
_ROUNDS = 4  # at the start; later one a measurement

_PART = 0.3  # of the face's box on each side of its middle: there is nothing but face
_LARGEST, _SMALLEST = 72, 16  # px, half of the side of what is measured

_SIGMAS = (1.0, math.sqrt(3), math.sqrt(12))  # px; one after the other they make 1, 2 and 4
_NOISE = (0.669, 0.0251, 0.0063)  # what of white noise's variance is in the bands between: sums of squares
_LEAST_DETAIL = 0.25  # squared levels: a face with less in the coarser band has no detail to judge by
_ALMOST_NONE = 0.01  # the same of a fine band, which a soft picture leaves empty
_MOST_NOISE = 0.5  # of a band's variance, or it says nothing

_CALM = 20  # percentile of the blocks' noise: skin, not lashes
_CALM_PART = 0.87  # of noise that is the same everywhere
_BLOCK = 8
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_TO_SIGMA = math.sqrt(math.pi / 2) / 6

_MOST_BLUR, _MOST_SHARPENING = 4.0, 1.0  # square of a sigma in px; parts of the detail that are added
_NO_CORRECTION = 0.05
_STEP = 0.8  # of the error a measurement corrects

_MOST_GRAIN = 8.0  # levels
_LEAST_GRAIN = 0.4  # less is not seen
_STILL_PART = 0.4  # of the grain that has to change between frames, or it stands still
_TILE, _TILE_GRAIN = 320, 24.0  # px, levels
_WATCHED = 24  # px


@dataclass(frozen=True, slots=True)
class Texture:
    """How sharp and how grainy a picture is.

    Attributes:
        sharpness: detail of a pixel or two over detail twice as coarse, without the grain; None if there is
            too little detail or too much grain to tell.
        coarse_sharpness: the same of detail that is twice as coarse.
        grain: deviation of the noise, levels.
    """

    sharpness: float | None
    coarse_sharpness: float | None
    grain: float

    def over(self, other: "Texture") -> float | None:
        """How many times sharper than another picture; by finer detail if both have it."""
        pairs = (
            (self.sharpness, other.sharpness),
            (self.coarse_sharpness, other.coarse_sharpness),
        )
        return next((mine / theirs for mine, theirs in pairs if mine and theirs), None)


def texture_of(luma: npt.NDArray[Any]) -> Texture:
    """Measures a picture (H, W) that shows nothing but a face, at least 32 pixels wide and high."""
    values = luma.astype(np.float32)
    grain = _grain_of(values)
    bands = []
    for sigma, noise in zip(_SIGMAS, _NOISE, strict=True):
        soft = np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
        band = values - soft
        band -= cv2.GaussianBlur(band, (0, 0), sigma)  # twice, or what is coarser would show through
        bands.append(_detail(band, noise * grain**2))
        values = soft
    fine, middle, coarse = bands
    return Texture(_ratio(fine, middle), _ratio(middle, coarse), grain)


def _detail(band: Floats, noise: float) -> float | None:
    """The variance of a band without its noise; None if that is most of it."""
    variance = cv2.norm(band) ** 2 / band.size
    if noise > max(_MOST_NOISE * variance, _ALMOST_NONE):
        return None
    return max(variance - noise, _ALMOST_NONE)


def _ratio(fine: float | None, coarse: float | None) -> float | None:
    if fine is None or coarse is None or coarse < _LEAST_DETAIL:
        return None
    return math.sqrt(fine / coarse)


def _grain_of(values: Floats) -> float:
    steps = np.abs(cv2.filter2D(values, cv2.CV_32F, _IMMERKAER))
    blocks = (max(1, values.shape[1] // _BLOCK), max(1, values.shape[0] // _BLOCK))
    means = cv2.resize(steps, blocks, interpolation=cv2.INTER_AREA)
    return float(np.percentile(means, _CALM)) * _TO_SIGMA / _CALM_PART


@dataclass(frozen=True, slots=True)
class Correction:
    """What makes a swap fit.

    Attributes:
        sharpen: parts of the detail that are added; below 0, minus the square of a blur's sigma in px.
        grain: deviation of the noise that is added, levels.
    """

    sharpen: float = 0.0
    grain: float = 0.0

    def of(self, luma: Luma, offset: tuple[int, int]) -> Luma:
        """A picture (H, W) as it is to be shown; the offset says which part of the grain it gets."""
        if self.sharpen < -_NO_CORRECTION:
            luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), math.sqrt(-self.sharpen)), np.uint8)
        elif self.sharpen > _NO_CORRECTION:
            soft = cv2.GaussianBlur(luma, (5, 5), _SIGMAS[0])
            luma = np.asarray(cv2.addWeighted(luma, 1 + self.sharpen, soft, -self.sharpen, 0), np.uint8)
        if self.grain < _LEAST_GRAIN:
            return luma
        part = self.grain / _TILE_GRAIN
        noise = _noise(luma.shape, offset)
        return np.asarray(cv2.addWeighted(luma, 1, noise, part, -128 * part), np.uint8)

    @property
    def is_nothing(self) -> bool:
        """Whether it changes nothing."""
        return abs(self.sharpen) <= _NO_CORRECTION and self.grain < _LEAST_GRAIN

    def towards(self, other: "Correction", part: float) -> "Correction":
        """The correction that lies `part` (0..1) of the way to another."""
        return Correction(
            self.sharpen + part * (other.sharpen - self.sharpen),
            self.grain + part * (other.grain - self.grain),
        )

    def after(self, live: Texture, shown: Texture, own_grain: float, most_sharpening: float) -> "Correction":
        """What to try next.

        Args:
            live: of the camera's picture.
            shown: of the swap with this correction.
            own_grain: of the swap with its sharpness corrected, but no grain added.
            most_sharpening: parts of the detail that may be added.
        """
        sharpen = self.sharpen
        sharper = live.over(shown)
        if sharper is not None:
            sharpen += _STEP * math.log(sharper)
        missing = math.sqrt(max(live.grain**2 - own_grain**2, 0.0))
        return Correction(min(max(sharpen, -_MOST_BLUR), most_sharpening), min(missing, _MOST_GRAIN))


def _noise(shape: tuple[int, ...], offset: tuple[int, int]) -> Luma:
    y, x = offset
    rows, columns = shape[0] + y, shape[1] + x
    return np.tile(_GRAIN, (-(-rows // _TILE), -(-columns // _TILE)))[y:rows, x:columns]


def _grain_tile() -> Luma:
    """Noise around 128, with less of the coarse kind, as sensors' noise looks once it is sharpened."""
    white = np.random.default_rng(0).normal(size=(_TILE, _TILE)).astype(np.float32)
    wrapped = cv2.copyMakeBorder(white, 8, 8, 8, 8, cv2.BORDER_WRAP)
    blue = (wrapped - 0.5 * cv2.GaussianBlur(wrapped, (0, 0), 2))[8:-8, 8:-8]
    return np.clip(128 + blue * (_TILE_GRAIN / _grain_of(blue)), 0, 255).round().astype(np.uint8)


_GRAIN = _grain_tile()


class CameraMatch:
    """The correction of one face's swaps, steady in time; call `look`, then put the swap into the frame, then
    call `correct`.

    It is measured five times a second and followed slowly; but for the first time, the live face in one frame
    and the swap in the next, so that no frame takes long. The grain stands still as long as the camera's
    does: in a still picture, or one that is shown twice.

    Attributes:
        sharpens: whether a swap that is softer than the live face is sharpened; may be changed at any time.
    """

    def __init__(self) -> None:
        self.sharpens = True
        self._wanted: Correction | None = None
        self._now = Correction()
        self._measured_ns = self._seen_ns = 0
        self._place: Roi | None = None
        self._live: Texture | None = None  # until the swap is compared with it
        self._is_fresh = False  # it is this frame's
        self._watched: tuple[Roi, Luma] | None = None
        self._random = Random(1)
        self._offset = (0, 0)

    def look(self, frame: Frame, landmarks: Points) -> None:
        """Notes what the live face is like.

        Args:
            frame: before anything is changed.
            landmarks: the face's, (468, 2) in frame pixels.
        """
        self._place, self._is_fresh = middle_of(frame, landmarks), False
        if self._place is None:
            return
        self._move_grain(frame, self._place)
        gap_s = (frame.timestamp_ns - self._seen_ns) / 1e9
        if not 0 <= gap_s <= _LONGEST_GAP_S:
            self._wanted = None
        since_s = (frame.timestamp_ns - self._measured_ns) / 1e9
        if self._wanted is None or since_s >= _MEASURED_EVERY_S:
            self._live, self._is_fresh = texture_of(luma_of(frame, self._place)), True
            self._measured_ns = frame.timestamp_ns
        part = 1 - math.exp(-max(gap_s, 0) / _SMOOTHING_S)
        if self._wanted is not None:
            self._now = self._now.towards(self._wanted, part)
        self._seen_ns = frame.timestamp_ns

    def compare(self, frame: Frame) -> bool:
        """Whether the swap that lies in its frame now has to be corrected."""
        if self._place is None:
            return False
        if self._live is not None and (self._wanted is None or not self._is_fresh):
            self._measure(luma_of(frame, self._place), self._live)
            self._live = None
        return not self._now.is_nothing

    def correct(self, frame: Frame, roi: Roi, weights: Luma) -> None:
        """Corrects a swap that lies in its frame.

        Args:
            frame: its planes are changed.
            roi: upright region of the swap.
            weights: (h, w), how much of the swap is in each pixel.
        """
        if self.compare(frame):
            _change(frame, roi, weights, self._now, self._offset)

    def _measure(self, swapped: Luma, live: Texture) -> None:
        is_first = self._wanted is None
        wanted = Correction() if self._wanted is None else self._wanted
        for _ in range(_ROUNDS if is_first else 1):
            toned = Correction(wanted.sharpen).of(swapped, self._offset)
            shown = texture_of(toned)
            wanted = wanted.after(live, shown, shown.grain, _MOST_SHARPENING if self.sharpens else 0.0)
        self._wanted = wanted
        if is_first:
            self._now = wanted

    def _move_grain(self, frame: Frame, place: Roi) -> None:
        """Draws the grain anew if the camera's has changed since the frame before."""
        if self._watched is not None:
            where, before = self._watched
            now = luma_of(frame, where) if where[2] <= frame.width and where[3] <= frame.height else None
            changed = 255.0 if now is None else cv2.norm(now, before, cv2.NORM_L1) / now.size
            if changed > _STILL_PART * self._now.grain:
                self._offset = (self._random.randrange(_TILE), self._random.randrange(_TILE))
        x, y = place[0], place[1]
        watched = (x, y, x + _WATCHED, y + _WATCHED)
        self._watched = watched, luma_of(frame, watched).copy()


def middle_of(frame: Frame, landmarks: Points) -> Roi | None:
    """The middle of a face, an upright region; None if the face is too small or lies outside."""
    if not cv2.checkRange(landmarks)[0]:
        return None
    low, high = extent(landmarks)
    half = np.minimum((high - low) * _PART, _LARGEST)
    if half.min() < _SMALLEST:
        return None
    center = (low + high) / 2
    roi = pixels.region(frame, (center - half).tolist(), (center + half).tolist())
    if roi is None or roi[2] - roi[0] < 2 * _SMALLEST or roi[3] - roi[1] < 2 * _SMALLEST:
        return None
    return roi


def luma_of(frame: Frame, roi: Roi) -> Luma:
    """Brightness in a region, in stored rows."""
    stored = pixels.flipped(frame, roi)
    components = COMPONENTS.get(frame.format)
    if components is not None:
        return np.asarray(pixels.load(frame, components[0], stored), np.uint8)
    samples = pixels.pixels_of(frame, stored)
    return np.asarray(cv2.transform(samples, _GRAY[:, : samples.shape[2]]), np.uint8)


# Whether red or blue comes first makes no difference here.
_GRAY = np.array([[0.25, 0.5, 0.25, 0.0]], np.float32)


def _change(frame: Frame, roi: Roi, weights: Luma, correction: Correction, offset: tuple[int, int]) -> None:
    old, stored = luma_of(frame, roi), pixels.flipped(frame, roi)
    new = correction.of(old, offset)
    rows = np.ascontiguousarray(weights[::-1]) if frame.flip else weights
    if frame.format in COMPONENTS:
        blend_luma(frame, stored, new, rows)
        return
    change = cv2.multiply(cv2.subtract(new, old, dtype=cv2.CV_16S), rows, scale=1 / 255, dtype=cv2.CV_16S)
    samples = pixels.pixels_of(frame, stored)
    nothing = [np.zeros_like(change)] * (samples.shape[2] - 3)
    samples[...] = cv2.add(samples, cv2.merge([change, change, change, *nothing]), dtype=cv2.CV_8U)
