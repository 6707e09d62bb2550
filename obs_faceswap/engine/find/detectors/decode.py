"""What the decoders share: fitting a picture into the input, boxes that overlap, grids of cells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.types import Detection, ImageBGR

Floats = npt.NDArray[np.float32]

_SIDE_STEP = 32  # which those take multiples of
_FARTHEST_PX = 1e6  # what lies farther away, or is no number, is nonsense
# Crowds have fewer; a network that sees faces everywhere must not hold up the stream.
_MOST_CANDIDATES, _MOST_FACES = 1000, 200
_SAME_FACE_IOU = 0.3  # two boxes of one picture that overlap more are one face (most networks' own figure)

# Where eyes, nose and mouth lie in a box from the brows to the chin, for networks that give no points.
_POINTS_IN_BOX = np.array([(0.31, 0.36), (0.69, 0.36), (0.5, 0.58), (0.34, 0.78), (0.66, 0.78)], np.float32)


class Network(Protocol):
    """What is used of an ONNX Runtime session."""

    @property
    def inputs(self) -> Any:
        """Descriptions with name and shape."""
        ...

    @property
    def outputs(self) -> Any:
        """Descriptions with name and shape."""
        ...

    def run(self, feeds: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs, in the order of `outputs`."""
        ...


def size_of(sides: Sequence[Any], side_px: int) -> tuple[int, int]:
    """Width and height of an input whose shape's last two sides these are; free ones become `side_px`."""
    fallback = max(1, round(side_px / _SIDE_STEP)) * _SIDE_STEP
    height, width = (side if isinstance(side, int) and side > 0 else fallback for side in sides)
    return width, height


def refuse(name: str, network: Network, expected: str) -> None:
    """Raises UnsupportedModelError that says what a network of this name has and what this one has."""
    found = [(value.name, tuple(value.shape)) for value in (*network.inputs, *network.outputs)]
    raise UnsupportedModelError(f"This is no {name} detector: expected {expected}, found {found}.")


@contextmanager
def decoding(task: str) -> Iterator[None]:
    """While a network's answer is decoded: nonsense overflows in silence, and is found to be none at the end.

    Raises UnsupportedModelError, with what the network is for, where the answer is of another shape than it
    should be.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except (IndexError, ValueError) as error:
        raise UnsupportedModelError(
            f"The network that {task} gave something else than it should ({error}). Choose another."
        ) from error


def letterbox(image: ImageBGR, size_wh: tuple[int, int]) -> tuple[ImageBGR, np.float32]:
    """The picture shrunk or enlarged into the top left of a black picture, and the scale that was used.

    Convention: coordinates there divided by the scale are coordinates of the picture, up to the half pixel by
    which their pixel centers differ, which is far below a detector's precision.
    """
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    boxed = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    # Shrinking by averaging: small faces in a large frame would drown in aliasing otherwise. Down to a half
    # the two nearest pixels are all there are, in an eighth of the time.
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    boxed[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
    return boxed, np.float32(scale)


def planes(picture: npt.NDArray[Any]) -> Floats:
    """A picture (H, W, 3) as an input (1, 3, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)


def overlap(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with others (N, 4), each x0, y0, x1, y1."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(size, 0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def overlap_of(box: Floats, other: Floats) -> float:
    """Intersection over union of two boxes (4,), each x0, y0, x1, y1."""
    (x0, y0, x1, y1), (left, top, right, bottom) = box.tolist(), other.tolist()
    shared = max(min(x1, right) - max(x0, left), 0.0) * max(min(y1, bottom) - max(y0, top), 0.0)
    union = (x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - shared
    return float(shared / max(union, 1e-6))


def best(
    scores: Floats, boxes: Floats, points: Floats | None, threshold: float, same_iou: float = _SAME_FACE_IOU
) -> list[Detection]:
    """Detections of sound values at or above the threshold, the best of overlapping ones first.

    Args:
        scores: (N,).
        boxes: (N, 4), x0, y0, x1, y1.
        points: (N, 5, 2); None: the usual places in the box.
        threshold: 0..1.
        same_iou: boxes that overlap more are one face.
    """
    if points is None:
        points = points_in(boxes)
    near = (np.abs(boxes) < _FARTHEST_PX).all(axis=1) & (np.abs(points) < _FARTHEST_PX).all(axis=(1, 2))
    order = np.flatnonzero(near & (scores >= threshold) & (scores < np.inf))
    order = order[np.argsort(-scores[order], kind="stable")][:_MOST_CANDIDATES]
    found: list[Detection] = []
    while len(order) and len(found) < _MOST_FACES:
        first, rest = order[0], order[1:]
        found.append(Detection(boxes[first], points[first], float(scores[first])))
        order = rest[overlap(boxes[first], boxes[rest]) < same_iou] if len(rest) else rest
    return found


def points_in(boxes: Floats) -> Floats:
    """(N, 5, 2): where eyes, nose and mouth of an upright face lie in boxes (N, 4)."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    return np.asarray(low + _POINTS_IN_BOX * (high - low), np.float32)


def cells(columns: int, rows: int) -> Floats:
    """(columns * rows, 2): x and y of each cell, row by row."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def sigmoid(logits: npt.NDArray[Any]) -> Floats:
    """0..1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)


def exponential(logs: npt.NDArray[Any]) -> Floats:
    """Sizes from their logarithms; bounded, so that no nonsense of a network becomes infinite."""
    return np.asarray(np.exp(np.minimum(logs, 8)), np.float32)
