"""Face detectors: a picture of any size in, boxes and five points out.

Both networks see the whole picture letterboxed into their own square input, so a face that fills a large
frame is as easy to find as one in a small frame.
"""

from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.types import Detection, Detector, ImageBGR

Floats = npt.NDArray[np.float32]

_SAME_FACE_IOU = 0.3  # two boxes of one picture that overlap more are one face (both networks' own figure)
_YUNET_STRIDES = (8, 16, 32)
_BLAZE_INPUT = 128
_BLAZE_GRIDS = ((16, 2), (8, 6))  # (cells a side, anchors a cell), as MediaPipe's short-range graph has them
_MOUTH_HALF_WIDTH = 0.4  # of the distance between the eyes; BlazeFace gives the middle of the mouth only


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


class YuNet:
    """ShiqiYu/libfacedetection's network: BGR 0..255, a square input of a fixed size or any size.

    Decoding as in OpenCV's FaceDetectorYN: score = sqrt(class * objectness), positions in strides.
    """

    def __init__(self, network: Network, side_px: int = 320) -> None:
        """Checks inputs and outputs; `side_px` is used where the file leaves the input's size open."""
        self._network = network
        self._input = network.inputs[0].name
        height = network.inputs[0].shape[2]
        self.side_px = height if isinstance(height, int) and height > 0 else side_px
        names = [output.name for output in network.outputs]
        expected = [f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in _YUNET_STRIDES]
        if not set(expected) <= set(names):
            raise UnsupportedModelError(
                f"This is no YuNet detector: expected the outputs {', '.join(expected)}, found "
                f"{', '.join(names)}. Use a YuNet file of 2022 or later."
            )
        self._index = {name: names.index(name) for name in expected}
        self._cells = {stride: _cells(self.side_px // stride) for stride in _YUNET_STRIDES}

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self.side_px)
        planes = np.ascontiguousarray(boxed.transpose(2, 0, 1)[None], dtype=np.float32)
        outputs = self._network.run({self._input: planes})
        parts = [self._decoded(outputs, stride) for stride in _YUNET_STRIDES]
        scores, boxes, points = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        return _best(scores, boxes / scale, points / scale, threshold)

    def _decoded(self, outputs: list[Floats], stride: int) -> tuple[Floats, Floats, Floats]:
        """Scores (N,), boxes (N, 4) and points (N, 5, 2) of one stride, in input pixels."""
        cls, obj, bbox, kps = (
            outputs[self._index[f"{part}_{stride}"]][0] for part in ("cls", "obj", "bbox", "kps")
        )
        cells = self._cells[stride]
        scores = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        centers = cells + bbox[:, :2]
        half = np.exp(np.minimum(bbox[:, 2:], 8)) / 2
        boxes = np.concatenate([centers - half, centers + half], axis=1)
        points = cells[:, None] + kps.reshape(-1, 5, 2)
        return scores, boxes * stride, points * stride


class BlazeFace:
    """MediaPipe's short-range detector: RGB -1..1, 128 px, 896 anchors, six points."""

    side_px = _BLAZE_INPUT

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs."""
        self._network = network
        self._input = network.inputs[0].name
        widths = [output.shape[-1] for output in network.outputs]
        if list(network.inputs[0].shape[1:]) != [_BLAZE_INPUT, _BLAZE_INPUT, 3] or sorted(widths) != [1, 16]:
            raise UnsupportedModelError(
                f"This is no BlazeFace detector: expected a {_BLAZE_INPUT} x {_BLAZE_INPUT} x 3 input and "
                f"outputs of 16 and 1 values per anchor, found {network.inputs[0].shape} and {widths}. "
                "Fetch the default detector again."
            )
        self._regressors, self._scores = widths.index(16), widths.index(1)
        self._anchors = _blaze_anchors()

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, _BLAZE_INPUT)
        tensor = boxed[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
        outputs = self._network.run({self._input: tensor})
        scores = _sigmoid(np.asarray(outputs[self._scores], np.float32).reshape(-1))
        keep = scores >= threshold
        raw = np.asarray(outputs[self._regressors], np.float32).reshape(-1, 8, 2)[keep]
        anchors = self._anchors[keep]
        centers, half = anchors + raw[:, 0], raw[:, 1] / 2
        boxes: Floats = np.concatenate([centers - half, centers + half], axis=1)
        points = _five_of_six(anchors[:, None] + raw[:, 2:])
        return _best(scores[keep], boxes / scale, points / scale, threshold)


def detector_for(network: Network) -> Detector:
    """The detector class that fits a network; raises UnsupportedModelError if none does."""
    if any(output.name == "kps_32" for output in network.outputs):
        return YuNet(network)
    return BlazeFace(network)


def letterbox(image: ImageBGR, side: int) -> tuple[ImageBGR, np.float32]:
    """The picture shrunk or enlarged into the top left of a black square, and the scale that was used.

    Convention: coordinates of the square divided by the scale are coordinates of the picture, up to the half
    pixel by which their pixel centers differ, which is far below a detector's precision.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    boxed = np.zeros((side, side, 3), np.uint8)
    # Shrinking by averaging: small faces in a large frame would drown in aliasing otherwise.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    boxed[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
    return boxed, np.float32(scale)


def overlap(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with others (N, 4), each x0, y0, x1, y1."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(size, 0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def _best(scores: Floats, boxes: Floats, points: Floats, threshold: float) -> list[Detection]:
    """Detections of finite values at or above the threshold, the best of overlapping ones."""
    finite = np.isfinite(scores) & np.isfinite(boxes).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
    order = np.flatnonzero(finite & (np.nan_to_num(scores) >= threshold))
    order = order[np.argsort(-scores[order], kind="stable")]
    found = []
    while len(order):
        first, rest = order[0], order[1:]
        found.append(Detection(boxes[first], points[first], float(scores[first])))
        order = rest[overlap(boxes[first], boxes[rest]) < _SAME_FACE_IOU]
    return found


def _cells(count: int) -> Floats:
    """(count * count, 2): x and y of each cell, row by row."""
    y, x = np.mgrid[:count, :count]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _blaze_anchors() -> Floats:
    """(896, 2): the anchors' centers in input pixels."""
    grids = [
        np.repeat((_cells(count) + 0.5) * (_BLAZE_INPUT / count), each, axis=0)
        for count, each in _BLAZE_GRIDS
    ]
    return np.concatenate(grids).astype(np.float32)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)


def _five_of_six(six: Floats) -> Floats:
    """(N, 5, 2) eyes, nose, mouth corners from (N, 6, 2) eyes, nose, middle of the mouth, ears."""
    across = (six[:, 1] - six[:, 0]) * _MOUTH_HALF_WIDTH
    mouth = six[:, 3]
    return np.stack([six[:, 0], six[:, 1], six[:, 2], mouth - across, mouth + across], axis=1)
