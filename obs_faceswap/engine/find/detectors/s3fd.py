"""S3FD, DeepFaceLab's detector: boxes only."""

import numpy as np

from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    best,
    cells,
    exponential,
    letterbox,
    planes,
)
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.types import Detection, ImageBGR

_MEAN_BGR = (104.0, 117.0, 123.0)
_STRIDES = (4, 8, 16, 32, 64, 128)
_ANCHOR = 4  # an anchor's side in strides
_CENTER_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


class S3fd(Planar):
    """BGR 0..255 minus (104, 117, 123); six pairs of class (2 values a cell) and position (4 values a cell).

    The values stand in the first axis after the batch or in the last one; classes are probabilities or come
    before their softmax: files differ in both.
    """

    title = "S3FD"
    expected = "an input (1, 3, H, W) and six pairs of outputs of 2 and 4 values a cell"

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        shapes = [tuple(output.shape) for output in network.outputs]
        pairs = zip(shapes, (2, 4) * len(_STRIDES), strict=False)
        return len(shapes) == 2 * len(_STRIDES) and all(
            len(shape) == 4 and values in (shape[1], shape[3]) for shape, values in pairs
        )

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        outputs = self._network.run({self._input: planes(boxed - np.array(_MEAN_BGR, np.float32))})
        parts = [
            _decoded(classes, positions, stride)
            for classes, positions, stride in zip(outputs[::2], outputs[1::2], _STRIDES, strict=True)
        ]
        scores, boxes = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        return best(scores, boxes / scale, None, threshold)


def _decoded(classes: Floats, positions: Floats, stride: int) -> tuple[Floats, Floats]:
    """Scores (N,) and boxes (N, 4) of one stride, in input pixels."""
    classes, positions = _last(classes, 2), _last(positions, 4)
    rows, columns = classes.shape[:2]
    centers = (cells(columns, rows) + 0.5) * stride
    side = _ANCHOR * stride
    moves = positions.reshape(-1, 4)
    centers = centers + moves[:, :2] * (_CENTER_VARIANCE * side)
    half = side * exponential(moves[:, 2:] * _SIZE_VARIANCE) / 2
    boxes = np.concatenate([centers - half, centers + half], axis=1).astype(np.float32)
    return _probabilities(classes.reshape(-1, 2)), boxes


def _last(values: Floats, count: int) -> Floats:
    """One picture's maps (h, w, count), wherever the values stand."""
    first = np.asarray(values, np.float32)[0]
    return first if first.shape[-1] == count else np.asarray(first.transpose(1, 2, 0), np.float32)


def _probabilities(classes: Floats) -> Floats:
    """How likely each cell (N, 2) holds a face."""
    if np.allclose(classes.sum(axis=1), 1, atol=1e-3) and classes.min() >= 0:
        return np.asarray(classes[:, 1], np.float32)
    return np.asarray(1 / (1 + np.exp(np.clip(classes[:, 0] - classes[:, 1], -80, 80))), np.float32)
