"""Where hands are, so that a hand before the face stays in front of it.

MediaPipe's two networks: one finds palms in a square of the picture, the other 21 points of a hand in a
square around it. As with faces, a hand that was found is followed by its own points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture, inverted
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    cells,
    overlap,
    overlap_of,
    refuse,
    sigmoid,
)
from obs_faceswap.engine.find.landmarks import crop_matrix
from obs_faceswap.engine.types import Mask, Matrix, Points

_POINTS = 21
_PALM_SIDE = 192
_PALM_GRIDS = ((24, 2), (12, 6))  # (cells a side, anchors a cell), MediaPipe's palm_detection_gpu graph
_PALM_ANCHORS = 2016
_PALM_SCORE = 0.5
_SAME_PALM = 0.3
_MOST_HANDS = 2
_FARTHEST = 10  # sides of a network's picture; what lies farther away is nonsense

# palm_detection_detection_to_roi and hand_landmark_landmarks_to_roi: sides in parts of the box, and how far
# the square lies towards the fingers.
_PALM_TO_HAND, _PALM_SHIFT = 2.6, 0.5
_FOLLOW_SCALE, _FOLLOW_SHIFT = 2.0, 0.1
_WRIST, _MIDDLE = 0, 9
_PALM_WRIST, _PALM_MIDDLE = 0, 2
_PALM_OF_HAND = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)

_PRESENCE = 0.5
# Before a hand counts, for as long as it is followed. Measured: what was taken for a hand on bare faces had
# up to 0.88, and hands before faces have 0.9 to 0.99.
_SURE = 0.9
_SEARCH_EVERY_NS = 150_000_000
_TIPS, _BEFORE_TIPS = [4, 8, 12, 16, 20], [3, 7, 11, 15, 19]
_TIP_LONGER = 0.45  # of the last bone: the network sees tips too low, most of all when they point up
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_PALM = (0, 1, 5, 9, 13, 17)
_ACROSS = (5, 17)
_FINGER_PER_LENGTH, _FINGER_PER_WIDTH = 0.25, 0.36  # of the palm, wrist to middle finger and across


@dataclass(frozen=True, slots=True)
class _Square:
    center: npt.NDArray[np.float64]
    side: float
    roll: float
    is_sure: bool = False  # whether a hand was surely there


class Hands:
    """The hands of one stream."""

    def __init__(self, palms: Network, hands: Network) -> None:
        """Takes both networks; raises UnsupportedModelError when their shapes are others."""
        shapes = sorted(tuple(output.shape[1:]) for output in palms.outputs)
        if shapes != [(_PALM_ANCHORS, 1), (_PALM_ANCHORS, 18)]:
            refuse("palm", palms, f"outputs (1, {_PALM_ANCHORS}, 18) and (1, {_PALM_ANCHORS}, 1)")
        widths = [output.shape[-1] for output in hands.outputs]
        if widths[:2] != [3 * _POINTS, 1]:
            raise UnsupportedModelError(
                f"This is no network of hands: expected outputs of {3 * _POINTS} and 1 values first, found "
                f"{widths}. Choose another file."
            )
        self._palms, self._hands = palms, hands
        self._side = int(hands.inputs[0].shape[1])
        self._boxes = [output.shape[-1] for output in palms.outputs].index(18)
        self._anchors = _anchors()
        self._followed: list[_Square] = []
        self._searched_ns: int | None = None

    def find(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, timestamp_ns: int
    ) -> list[Points]:
        """The points (21, 2) of up to two hands, picture pixels: the wrist, then four of each finger.

        New ones are looked for now and then.

        Args:
            picture: the picture.
            center_xy: the middle of the square in which hands matter, picture pixels.
            side_px: its side.
            timestamp_ns: the picture's time.
        """
        center = np.asarray(center_xy, np.float64)
        squares = [one for one in self._followed if np.abs(one.center - center).max() <= side_px / 2]
        if len(squares) < _MOST_HANDS and self._is_due(timestamp_ns):
            self._searched_ns = timestamp_ns
            squares += self._search(picture, center, side_px)
        found: list[Points] = []
        self._followed = []
        for square in squares:
            points, presence = self._look(picture, square)
            if presence >= _PRESENCE and not any(_overlaps(points, other) for other in found):
                found.append(points)
                self._followed.append(_next_square(points, square.is_sure or presence >= _SURE))
        del found[_MOST_HANDS:], self._followed[_MOST_HANDS:]
        return [points for points, now in zip(found, self._followed, strict=True) if now.is_sure]

    def _is_due(self, timestamp_ns: int) -> bool:
        last = self._searched_ns
        return last is None or not 0 <= timestamp_ns - last < _SEARCH_EVERY_NS

    def _search(self, picture: Picture, center: npt.NDArray[np.float64], side_px: float) -> list[_Square]:
        """Squares around the palms in a square, best first."""
        matrix = crop_matrix(center, side_px / _PALM_SIDE, 0.0, _PALM_SIDE)
        crop = picture.sample(matrix, _PALM_SIDE)
        outputs = self._palms.run({self._palms.inputs[0].name: _rgb(crop)})
        scores = sigmoid(outputs[1 - self._boxes].reshape(-1))
        raw = np.asarray(outputs[self._boxes], np.float32).reshape(-1, 9, 2)
        chosen = np.flatnonzero(scores >= _PALM_SCORE)
        is_sound = (np.abs(raw[chosen]) < _FARTHEST * _PALM_SIDE).all(axis=(1, 2))  # neither NaN nor infinite
        chosen = chosen[is_sound]
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
        return [_palm_square(one, matrix) for one in _apart(raw[chosen], self._anchors[chosen])]

    def _look(self, picture: Picture, square: _Square) -> tuple[Points, float]:
        """The points of the hand in a square, and presence; 0 for nonsense."""
        matrix = crop_matrix(square.center, square.side / self._side, square.roll, self._side)
        outputs = self._hands.run({self._hands.inputs[0].name: _rgb(picture.sample(matrix, self._side))})
        points = np.asarray(outputs[0], np.float32).reshape(_POINTS, 3)[:, :2]
        presence = float(outputs[1].reshape(-1)[0])
        if not (np.abs(points) < _FARTHEST * self._side).all():
            return np.zeros((_POINTS, 2), np.float32), 0.0
        return inverted(points - 0.5, matrix), presence


def drawn(hands: Sequence[Points], size: int, matrix: Matrix) -> Mask:
    """A mask (size, size) of hands (21, 2) in picture pixels; `matrix` takes the picture to the mask."""
    mask = np.zeros((size, size), np.uint8)
    for hand in hands:
        points = hand @ matrix[:, :2].T + matrix[:, 2]
        width = _finger_width(points)
        points[_TIPS] += (points[_TIPS] - points[_BEFORE_TIPS]) * _TIP_LONGER
        fixed = np.round(np.clip(points, -4.0 * size, 5.0 * size)).astype(np.int32)
        cv2.fillConvexPoly(mask, cv2.convexHull(fixed[list(_PALM)]), 255)
        cv2.polylines(mask, [fixed[list(_PALM)]], True, 255, width)
        for finger in _FINGERS:
            cv2.polylines(mask, [fixed[list(finger)]], False, 255, width)
    return mask * np.float32(1 / 255)


def _finger_width(points: Points) -> int:
    """A finger's width in pixels: by the palm's length or width, whichever is less foreshortened."""
    length = float(np.linalg.norm(points[_MIDDLE] - points[_WRIST]))
    across = float(np.linalg.norm(points[_ACROSS[0]] - points[_ACROSS[1]]))
    return max(1, round(max(length * _FINGER_PER_LENGTH, across * _FINGER_PER_WIDTH)))


def _rgb(crop_bgr: npt.NDArray[np.uint8]) -> Floats:
    return cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2RGB)[None] / np.float32(255)


def _anchors() -> Floats:
    grids = [
        np.repeat((cells(count, count) + 0.5) * (_PALM_SIDE / count), each, axis=0)
        for count, each in _PALM_GRIDS
    ]
    return np.concatenate(grids).astype(np.float32)


def _apart(raw: Floats, anchors: Floats) -> list[Floats]:
    """The best of overlapping palms, each as (9, 2): center, size, seven points in input pixels."""
    moved = raw + anchors[:, None]
    moved[:, 1] = raw[:, 1]
    half = moved[:, 1] / 2
    boxes = np.concatenate([moved[:, 0] - half, moved[:, 0] + half], axis=1)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not kept or float(overlap(boxes[index], boxes[kept]).max()) < _SAME_PALM:
            kept.append(index)
    return [moved[index] for index in kept[:_MOST_HANDS]]


def _palm_square(palm: Floats, matrix: Matrix) -> _Square:
    points = inverted(palm[2:], matrix).astype(np.float64)
    box = inverted(np.stack([palm[0] - palm[1] / 2, palm[0] + palm[1] / 2]), matrix).astype(np.float64)
    up = points[_PALM_MIDDLE] - points[_PALM_WRIST]
    side = float((box[1] - box[0]).max())
    return _square(box.mean(axis=0), side, up, _PALM_TO_HAND, _PALM_SHIFT)


def _next_square(points: Points, is_sure: bool) -> _Square:
    """Where to look for a hand that was here."""
    palm = points[list(_PALM_OF_HAND)].astype(np.float64)
    up = points[_MIDDLE].astype(np.float64) - points[_WRIST]
    roll = _roll(up)
    turn = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    upright = palm @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    center = turn.T @ ((low + high) / 2)
    square = _square(center, float((high - low).max()), up, _FOLLOW_SCALE, _FOLLOW_SHIFT)
    return replace(square, is_sure=is_sure)


def _square(
    center: npt.NDArray[np.float64], side: float, up: npt.NDArray[np.float64], scale: float, shift: float
) -> _Square:
    length = max(float(np.linalg.norm(up)), 1e-6)
    return _Square(center + up / length * (shift * side), scale * max(side, 1.0), _roll(up))


def _roll(up: npt.NDArray[np.float64]) -> float:
    """How far a hand with its fingers along `up` is turned clockwise, radians."""
    return math.atan2(float(up[0]), float(-up[1]))


def _overlaps(points: Points, other: Points) -> bool:
    boxes = [np.concatenate([one.min(axis=0), one.max(axis=0)]) for one in (points, other)]
    return overlap_of(boxes[0], boxes[1]) > 0.5
