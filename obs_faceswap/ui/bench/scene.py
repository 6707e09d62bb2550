"""Frames to measure with: one face or several of a chosen size, swaying a little as live ones do."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, ImageBGR, Plane

FPS = 30
STEP_NS = 1_000_000_000 // FPS
_SWAY_PX = 6
_AROUND = 0.9  # of the face's size is shown to each side of its middle
_COLUMNS = 4  # of faces


@dataclass(frozen=True, slots=True)
class Subject:
    """A face in a picture: the middle and the longer side of the box of its landmarks, px."""

    image: ImageBGR
    center_xy: tuple[float, float]
    size_px: float

    @classmethod
    def find(cls, picture: Path, engine: Pipeline, settings: Settings) -> "Subject":
        """Finds the face as the engine does, and closes the engine.

        Raises:
            MediaError: the picture cannot be read, or shows no face that can be swapped.
        """
        image = read_picture(picture)
        height, width = image.shape[:2]
        frame = Frame(PixelFormat.BGR3, width, height, (image.copy().reshape(height, -1),))
        try:
            result = engine.process(frame, settings)
        finally:
            engine.close()
        if not result.faces:
            raise MediaError(f"The picture was not swapped. {result.notice} Give another one with --picture.")
        points = result.faces[0].landmarks
        low, high = points.min(axis=0), points.max(axis=0)
        x, y = ((low + high) / 2).tolist()
        return cls(image, (x, y), float((high - low).max()))

    def scene(self, size_wh: tuple[int, int], face_px: float, faces: int = 1) -> ImageBGR:
        """A picture (H, W, 3) of the face, so large and so often, on a blurred ground."""
        width, height = size_wh
        small = cv2.resize(self.image, (8, 8), interpolation=cv2.INTER_AREA)
        ground = np.asarray(cv2.resize(small, size_wh), np.uint8)
        patch, (x, y) = self._patch()
        scale = face_px / self.size_px
        columns = min(faces, _COLUMNS)
        rows = -(-faces // columns)
        for number in range(faces):
            row, column = divmod(number, columns)
            to_x, to_y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
            matrix = np.array([[scale, 0, to_x - x * scale], [0, scale, to_y - y * scale]])
            cv2.warpAffine(patch, matrix, size_wh, dst=ground, borderMode=cv2.BORDER_TRANSPARENT)
        return ground

    def _patch(self) -> tuple[ImageBGR, tuple[float, float]]:
        """The part of the picture that shows the face, and the face's middle in it."""
        x, y = self.center_xy
        x0, y0 = (max(0, round(v - _AROUND * self.size_px)) for v in (x, y))
        x1, y1 = (round(v + _AROUND * self.size_px) for v in (x, y))
        return self.image[y0:y1, x0:x1], (x - x0, y - y0)


class Stream:
    """A webcam's I420 frames, for ever: what the engine gets is a copy of its own, as from the exchange.

    Two frames share its memory by turns, so a frame stays until the next one is finished.
    """

    def __init__(self, image: ImageBGR, frames: int = 12) -> None:
        """Makes the frames of one period of the swaying; the picture has even sides."""
        self._size_wh = image.shape[1], image.shape[0]
        turns = np.arange(frames) * 2 * np.pi / frames
        self._sources = [i420(np.roll(image, round(_SWAY_PX * np.sin(turn)), axis=1)) for turn in turns]
        self._copies = [np.empty_like(self._sources[0]) for _ in range(2)]
        self._planes = [planes_of(copy, *self._size_wh) for copy in self._copies]
        self._number = 0

    def next(self) -> Frame:
        """The next frame; the memory of the one before the last is used again."""
        number, self._number = self._number, self._number + 1
        self._copies[number % 2][:] = self._sources[number % len(self._sources)]
        planes, timestamp_ns = self._planes[number % 2], number * STEP_NS
        return Frame(PixelFormat.I420, *self._size_wh, planes, timestamp_ns=timestamp_ns, stays=True)


def i420(image: ImageBGR) -> npt.NDArray[np.uint8]:
    """All planes of a picture one after the other, flat."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)


def planes_of(flat: npt.NDArray[np.uint8], width: int, height: int) -> tuple[Plane, ...]:
    """The three planes of a flat I420 picture."""
    luma, chroma = width * height, width * height // 4
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )
