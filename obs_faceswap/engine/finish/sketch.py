"""Drawing on a frame of any pixel format, for people who look at how the engine works."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.blend import blend_bgr
from obs_faceswap.engine.finish.pixels import Roi
from obs_faceswap.engine.types import Frame, ImageBGR, Points

Color: TypeAlias = tuple[int, int, int]  # blue, green, red, 0..255

GREEN, AMBER, RED = (110, 220, 90), (50, 180, 255), (90, 90, 250)
CYAN, MAGENTA = (235, 205, 60), (235, 110, 245)
WHITE, GRAY, DARK = (245, 245, 245), (170, 170, 170), (34, 30, 28)
SHADE = 0.65  # the light that is taken from what lies behind text

_POINT_BITS = 3  # OpenCV draws at fractions of a pixel given as whole numbers
_FAR_PX = 1 << 15  # beyond any frame, and small enough for these
_FULL = 255


class Lettering:
    """Text of one size, in the typeface that OpenCV brings along.

    Attributes:
        size_px: the letters' size.
        line_px: from one line to the next.
    """

    def __init__(self, size_px: int) -> None:
        self.size_px, self.line_px = size_px, round(1.35 * size_px)
        self._face = cv2.FontFace("sans")

    def width(self, text: str) -> int:
        """How wide a text is, in pixels."""
        left, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), self._face, self.size_px)
        return int(left + wide)

    def fitting(self, text: str, width: int) -> str:
        """As much of a text as fits into so many pixels; what is cut off is an ellipsis."""
        if self.width(text) <= width:
            return text
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            fits, too_long = (
                (middle, too_long) if self.width(f"{text[:middle]}…") <= width else (fits, middle)
            )
        return f"{text[:fits].rstrip()}…" if fits else ""

    def wrapped(self, text: str, width: int, lines: int) -> list[str]:
        """A text in at most so many lines of so many pixels."""
        rows: list[str] = []
        words = text.split()
        while words and len(rows) < lines - 1:
            count = len(words)
            while count > 1 and self.width(" ".join(words[:count])) > width:
                count -= 1
            rows.append(self.fitting(" ".join(words[:count]), width))
            words = words[count:]
        return [*rows, self.fitting(" ".join(words), width)] if words else rows

    def write(self, picture: ImageBGR, text: str, left: int, top: int, color: Color) -> None:
        """Writes a line into a picture, which it may leave."""
        cv2.putText(picture, text, (left, top + self.size_px), color, self._face, self.size_px)


class Sketch:
    """A region of a frame to draw on; `put` writes what was drawn, and nothing else.

    Positions are those of the frame; what lies outside the region is not drawn.
    """

    def __init__(self, frame: Frame, roi: Roi) -> None:
        """Takes a region that is not empty and lies in the frame; raises ValueError for others."""
        self._frame, self._roi = frame, roi
        self._before = pixels.to_bgr(frame, roi)
        self._picture = self._before.copy()

    def put(self) -> None:
        """Writes what was drawn into the frame."""
        change = cv2.absdiff(self._picture, self._before)
        kept = cv2.inRange(change, (0, 0, 0), (0, 0, 0))
        blend_bgr(self._frame, self._roi, self._picture, (kept == 0).astype(np.float32))

    def line(self, points: Points, color: Color, width: int, closed: bool = False) -> None:
        """Joins points (N, 2)."""
        cv2.polylines(
            self._picture, [self._fixed(points)], closed, color, width, cv2.LINE_AA, _POINT_BITS
        )  # fmt: skip

    def dots(self, points: Points, color: Color, side: int) -> None:
        """Small squares at points (N, 2)."""
        corner = np.round(self._moved(points) - (side - 1) / 2).astype(int)
        height, width = self._picture.shape[:2]
        for down in range(side):
            for right in range(side):
                x, y = corner[:, 0] + right, corner[:, 1] + down
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                self._picture[y[inside], x[inside]] = color

    def tint(self, outlines: Sequence[Points], color: Color, part: float) -> None:
        """Gives what lies inside outlines a part of a color, 0..1."""
        inside = np.zeros(self._picture.shape[:2], np.uint8)
        cv2.fillPoly(inside, [self._fixed(points) for points in outlines], _FULL, cv2.LINE_AA, _POINT_BITS)
        there = inside > _FULL // 2
        self._picture[there] = self._picture[there] * (1 - part) + np.array(color) * part

    def darken(self, box: Roi, part: float) -> None:
        """Takes a part of its light from a box, 0..1."""
        there = self._inside(box)
        self._picture[there] = cv2.convertScaleAbs(self._picture[there], alpha=1 - part)

    def bar(self, box: Roi, color: Color) -> None:
        """Fills a box."""
        self._picture[self._inside(box)] = color

    def lay(self, picture: ImageBGR, left: int, top: int) -> None:
        """Lays a picture on the region, which must hold it."""
        height, width = picture.shape[:2]
        self._picture[self._inside((left, top, left + width, top + height))] = picture

    def write(self, lettering: Lettering, text: str, left: int, top: int, color: Color) -> None:
        """Writes a line."""
        lettering.write(self._picture, text, left - self._roi[0], top - self._roi[1], color)

    def _inside(self, box: Roi) -> tuple[slice, slice]:
        left, top = self._roi[:2]
        x0, y0, x1, y1 = (max(v, 0) for v in (box[0] - left, box[1] - top, box[2] - left, box[3] - top))
        return slice(y0, y1), slice(x0, x1)

    def _moved(self, points: Points) -> npt.NDArray[np.float64]:
        return np.clip(np.asarray(points, np.float64) - self._roi[:2], -_FAR_PX, _FAR_PX)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        return np.round(self._moved(points) * (1 << _POINT_BITS)).astype(np.int32)
