"""A frame as an upright BGR picture, of which only what somebody looks at is computed.

Finding a face takes small pictures of large parts, swapping one takes a large picture of a small part; the
whole frame in full size is of use to nobody and would cost more than all the rest.
"""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.pixels import Roi
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import Frame, ImageBGR, Matrix, Points

_TILE = 32  # px; tiles are converted once, where somebody asks for one of their pixels
_KERNEL = 2  # pixels that cubic interpolation reaches to each side
_AROUND = 16  # a crop's surroundings are a part of that of its sides: other crops of the face lie there
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # what chroma of half the size can be averaged by too


class Picture:
    """One frame's pixels. Belongs to one thread, and is of use while the frame's planes are as they came."""

    def __init__(self, frame: Frame, last: "Picture | None" = None) -> None:
        """Computes nothing yet.

        Args:
            frame: any of the twelve formats; its planes must not change while the picture is used.
            last: a picture that is not used any more, whose memory is taken over where it fits.
        """
        self.frame = frame
        self.width, self.height = frame.width, frame.height
        self._small: dict[int, tuple[Roi, ImageBGR]] = {}  # by factor: what was averaged down last
        shape = (frame.height, frame.width, 3)
        self._is_bgr = frame.format is PixelFormat.BGR3 and not frame.flip
        self._done = np.zeros((-(-frame.height // _TILE), -(-frame.width // _TILE)), np.bool_)
        if self._is_bgr:
            self._pixels = _rows_of(frame)
        elif last is not None and not last._is_bgr and last._pixels.shape == shape:
            self._pixels = last._pixels
        else:
            self._pixels = np.empty(shape, np.uint8)

    @classmethod
    def of(cls, image_bgr: ImageBGR) -> "Picture":
        """A picture (H, W, 3) that is already one, such as a still."""
        height, width = image_bgr.shape[:2]
        plane = np.ascontiguousarray(image_bgr).reshape(height, width * 3)
        return cls(Frame(PixelFormat.BGR3, width, height, (plane,)))

    def bgr(self, roi: Roi | None = None) -> ImageBGR:
        """A part of the picture, in full size: a view of memory that the next picture may take over."""
        x0, y0, x1, y1 = roi or (0, 0, self.width, self.height)
        if not self._is_bgr:
            self._convert(x0 // _TILE, y0 // _TILE, -(-x1 // _TILE), -(-y1 // _TILE))
        return self._pixels[y0:y1, x0:x1]

    def _convert(self, left: int, top: int, right: int, bottom: int) -> None:
        """Converts those of some tiles that are not yet, and perhaps some that lie between them."""
        y, x = np.nonzero(~self._done[top:bottom, left:right])
        if not len(y):
            return
        x0, y0 = (left + int(x.min())) * _TILE, (top + int(y.min())) * _TILE
        x1 = min((left + int(x.max()) + 1) * _TILE, self.width)
        y1 = min((top + int(y.max()) + 1) * _TILE, self.height)
        pixels.to_bgr(self.frame, (x0, y0, x1, y1), self._pixels[y0:y1, x0:x1])
        self._done[top:bottom, left:right] = True

    def reduced(self, roi: Roi, finer: float) -> tuple[ImageBGR, int]:
        """A part of the picture, averaged down from the camera's samples, and by how much.

        Args:
            roi: the part; a rest of less than a small pixel at its right and bottom is left out.
            finer: how many times smaller it may be at most; one of a few factors below that is taken.
        """
        x0, y0, x1, y1 = roi
        factor = _factor(min(finer, x1 - x0, y1 - y0))
        if factor == 1:
            return self.bgr(roi), 1
        return pixels.reduced(self.frame, roi, factor), factor

    def sample(self, matrix: Matrix, side: int, interpolation: int = cv2.INTER_LINEAR) -> ImageBGR:
        """A square crop of `side` pixels by an affine (2, 3) from picture to crop, without aliasing.

        Where the crop is less than half as fine as the picture, what it shows is averaged down first; beyond
        the picture its border is repeated.
        """
        if self._is_copied(matrix):
            return self.rectangle(-int(matrix[0, 2]), -int(matrix[1, 2]), side, side).copy()
        (a, b, _), (c, d, _) = matrix.tolist()
        finer = 1 / max(math.sqrt(abs(a * d - b * c)), 1e-6)
        wanted = _halvings(finer)
        part, factor = self._averaged(roi := self._shown(matrix, side, wanted), wanted)
        moved = _moved(matrix, roi, factor)
        if factor == 1 and interpolation != cv2.INTER_LINEAR:
            return _warped(part, moved, side, interpolation)
        # OpenCV interpolates four channels faster than three.
        crop = _warped(cv2.cvtColor(part, cv2.COLOR_BGR2BGRA), moved, side, cv2.INTER_LINEAR)
        return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGRA2BGR), np.uint8)

    def _averaged(self, roi: Roi, finer: int) -> tuple[ImageBGR, int]:
        """A part of the picture as from `reduced`, with its surroundings averaged down only once."""
        if _factor(min(finer, roi[2] - roi[0], roi[3] - roi[1])) != finer or finer == 1:
            return self.reduced(roi, finer)
        step = 2 * finer
        around, small = self._small.get(finer, ((0, 0, 0, 0), None))
        if small is None or not _holds(around, roi):
            more = (roi[2] - roi[0]) // _AROUND // step * step
            around = self._clipped((roi[0] - more, roi[1] - more, roi[2] + more, roi[3] + more))
            small, _ = self.reduced(around, finer)
            self._small[finer] = around, small
        x0, y0, x1, y1 = (
            (place - start) // finer for place, start in zip(roi, (*around[:2], *around[:2]), strict=True)
        )
        return small[y0:y1, x0:x1], finer

    def _clipped(self, roi: Roi) -> Roi:
        x0, y0, x1, y1 = roi
        return max(x0, 0), max(y0, 0), min(x1, self.width), min(y1, self.height)

    @staticmethod
    def _is_copied(matrix: Matrix) -> bool:
        """Whether an affine moves by whole pixels and does nothing else."""
        (a, b, x), (c, d, y) = matrix.tolist()
        return bool((a, b, c, d) == (1, 0, 0, 1) and x == round(x) and y == round(y))

    def rectangle(self, x0: int, y0: int, width: int, height: int) -> ImageBGR:
        """A part in the picture's own pixels, which may reach beyond it: there its border is repeated.

        A view as from `bgr`, or a new picture.
        """
        left, right = _inside(x0, width, self.width)
        top, bottom = _inside(y0, height, self.height)
        part = self.bgr((left, top, right, bottom))
        if part.shape[:2] == (height, width):
            return part
        across = np.clip(np.arange(x0, x0 + width), left, right - 1) - left
        down = np.clip(np.arange(y0, y0 + height), top, bottom - 1) - top
        return part[down][:, across]

    def write(self, x0: int, y0: int, out: ImageBGR) -> None:
        """Writes what `rectangle` gives; what lies within the picture is not kept for others."""
        height, width = out.shape[:2]
        roi = x0, y0, x0 + width, y0 + height
        if self._is_bgr or self._clipped(roi) != roi:
            out[:] = self.rectangle(x0, y0, width, height)
        else:
            pixels.to_bgr(self.frame, roi, out)

    def _shown(self, matrix: Matrix, side: int, finer: float) -> Roi:
        """The part of the picture that a crop shows, and a margin; never empty, in whole small pixels."""
        last, margin = side - 1, _KERNEL * max(1.0, finer)
        step = 2 * _factor(finer)  # chroma begins there too, and a still face is averaged alike in all frames
        corners = inverted([(0, 0), (last, 0), (0, last), (last, last)], matrix).T.tolist()
        (x0, x1), (y0, y1) = (
            _stretch(min(places) - margin, max(places) + margin + 1, limit, step)
            for places, limit in zip(corners, (self.width, self.height), strict=True)
        )
        return x0, y0, x1, y1

    def thumbnail(self, size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The whole picture's brightness, tiny and rough: of some rows and columns only."""
        step = max(1, min(self.width, self.height) // 90)
        rough = np.ascontiguousarray(pixels.brightness(self.frame)[::step, ::step])
        return np.asarray(cv2.resize(rough, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _inside(start: int, length: int, limit: int) -> tuple[int, int]:
    """What of a stretch lies in 0..limit; the nearest one pixel if nothing does."""
    first = min(max(start, 0), limit - 1)
    return first, max(min(start + length, limit), first + 1)


def _stretch(low: float, high: float, limit: int, step: int) -> tuple[int, int]:
    """What of a stretch lies in 0..limit, in whole steps; never empty."""
    first = int(min(max(low, 0.0), limit - 1.0)) // step * step
    last = -(-int(min(max(high, 1.0), float(limit))) // step) * step
    return first, min(max(last, first + 1), limit)


def inverted(points: npt.ArrayLike, matrix: Matrix) -> Points:
    """The points (N, 2) that an affine (2, 3) takes to the ones given."""
    (a, b, x), (c, d, y) = matrix.tolist()
    back = np.array([[d, -c], [-b, a]]) / (a * d - b * c)  # to be multiplied from the right
    return np.asarray((np.asarray(points, np.float64) - (x, y)) @ back, np.float32)


def extent(points: Points) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The least and the largest x and y of points (N, 2), (2,) each; they have to be numbers."""
    low, high = (cv2.reduce(points, 0, how)[0] for how in (cv2.REDUCE_MIN, cv2.REDUCE_MAX))
    return np.asarray(low, np.float32), np.asarray(high, np.float32)


def _holds(outer: Roi, inner: Roi) -> bool:
    """Whether a region lies within another one."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def _factor(most: float) -> int:
    """The largest of the factors that is not above `most`; at least 1."""
    return max((factor for factor in _FACTORS if factor <= most), default=1)


def _warped(part: npt.NDArray[Any], matrix: Matrix, side: int, interpolation: int) -> ImageBGR:
    crop = cv2.warpAffine(part, matrix, (side, side), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def _halvings(finer: float) -> int:
    """The power of two that a picture so many times finer than a crop is averaged down by.

    The nearest: halving is several times as fast as other factors, and a crop a little finer than what it is
    taken from loses less than one much coarser.
    """
    return 1 << math.floor(math.log2(finer) + 0.3) if finer >= 2 else 1


def _rows_of(frame: Frame) -> ImageBGR:
    """A BGR frame's own plane as a picture, (H, W, 3)."""
    return frame.planes[0][:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _moved(matrix: Matrix, roi: Roi, factor: int) -> Matrix:
    """An affine from the picture as one from a part of it that was averaged down."""
    (a, b, x), (c, d, y) = matrix.tolist()
    # Small pixel u has its center at start + u * factor in the picture.
    left, top = (start + (factor - 1) / 2 for start in roi[:2])
    rows = (a * factor, b * factor, a * left + b * top + x), (c * factor, d * factor, c * left + d * top + y)
    return np.array(rows, np.float32)
