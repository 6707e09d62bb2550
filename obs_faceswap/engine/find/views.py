"""The parts and turns of a picture that a detector looks at, so that small and lying faces are found too."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.detectors.decode import decoding
from obs_faceswap.engine.types import Detection, Detector, Points

Floats = npt.NDArray[np.float32]

_SMALLEST_TILE_PX = 360  # the smallest faces found in it have 15 px (YuNet) to 45 px (BlazeFace)
_NARROWEST_PX = 64  # a face in a narrower strip is too small for the hundreds of tiles of a long one
_TILE_STEP = 0.75  # of a tile's side


@dataclass(frozen=True, slots=True)
class View:
    """A part of the picture, turned by quarters, for the detector to look at."""

    x0: int
    y0: int
    x1: int
    y1: int
    quarters: int = 0  # counterclockwise


def views_of(width: int, height: int) -> list[View]:
    """The whole picture, then its parts and turns, each as often as it is worth."""
    turned = [View(0, 0, width, height, quarters) for quarters in (1, 3, 2)]
    large, side = [], min(width, height)
    if max(width, height) > side * 4 / 3 and side >= _NARROWEST_PX:
        large = _tiles(width, height, side)
    small = _tiles(width, height, side // 2) if side // 2 >= _SMALLEST_TILE_PX else []
    return [View(0, 0, width, height), *large, *turned, *small]


def around(box: Floats, margin: float, width: int, height: int) -> View:
    """The part of the picture around a box."""
    x0, y0, x1, y1 = box
    x0, y0 = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    return View(x0, y0, max(x0 + 1, min(width, int(x1 + margin))), max(y0 + 1, min(height, int(y1 + margin))))


def _tiles(width: int, height: int, side: int) -> list[View]:
    return [View(x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin so that they overlap and reach both ends."""
    count = 1 + math.ceil((length - side) / (side * _TILE_STEP))
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def detected(picture: Picture, view: View, detector: Detector, threshold: float) -> list[Detection]:
    """Detections in a view, in picture pixels."""
    longest = max(view.x1 - view.x0, view.y1 - view.y0)
    part, factor = picture.reduced((view.x0, view.y0, view.x1, view.y1), longest / detector.side_px)
    part = np.ascontiguousarray(np.rot90(part, view.quarters), np.uint8)
    with decoding("finds faces"):
        found = detector.detect(part, threshold)
    return [_moved(detection, view, part.shape[:2], factor) for detection in found]


def _moved(detection: Detection, view: View, shape: tuple[int, ...], factor: int) -> Detection:
    """A detection of a view (of the given shape, so many times smaller) in picture pixels."""
    start = np.array([view.x0, view.y0], np.float32)
    corners = _unturned(detection.bbox_xyxy.reshape(2, 2), view.quarters, shape) * factor + start
    kps = _unturned(detection.kps, view.quarters, shape) * factor + start
    return Detection(np.concatenate([corners.min(axis=0), corners.max(axis=0)]), kps, detection.score)


def _unturned(points: Points, quarters: int, shape: tuple[int, ...]) -> Points:
    """Points (N, 2) of a picture of that shape before it was turned counterclockwise."""
    (height, width), (x, y) = shape, points.T
    if quarters == 1:
        x, y = height - 1 - y, x
    elif quarters == 2:
        x, y = width - 1 - x, height - 1 - y
    elif quarters == 3:
        x, y = y, width - 1 - x
    return np.stack([x, y], axis=1)
