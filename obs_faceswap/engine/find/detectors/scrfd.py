"""SCRFD of insightface: box and, in most files, five points."""

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    best,
    cells,
    letterbox,
    planes,
)
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.types import Detection, ImageBGR

_MEAN, _SCALE = 127.5, 128.0  # insightface, model_zoo/scrfd.py
_STRIDES = (8, 16, 32)
_ANCHORS = 2  # in each cell, at the same place
_SAME_FACE_IOU = 0.4
_WIDTHS = ([1, 4], [1, 4, 10])


class Scrfd(Planar):
    """RGB (value - 127.5) / 128; for each stride scores, distances to the box's sides, and perhaps points.

    All scores come first, then all boxes, then all points; each (N, values) or (1, N, values), in strides.
    """

    title = "SCRFD"
    expected = "an input (1, 3, H, W) and three outputs each of 1, 4 and perhaps 10 values"

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        widths = [output.shape[-1] for output in network.outputs]
        return any(widths == [width for width in known for _ in _STRIDES] for known in _WIDTHS)

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        tensor = (planes(boxed[..., ::-1]) - np.float32(_MEAN)) / np.float32(_SCALE)
        outputs = self._network.run({self._input: tensor})
        scores: list[Floats] = []
        boxes: list[Floats] = []
        points: list[Floats] = []
        for number, stride in enumerate(_STRIDES):
            at = np.repeat(cells(self._size[0] // stride, self._size[1] // stride), _ANCHORS, axis=0)
            scores.append(_rows(outputs[number], 1)[:, 0])
            sides = _rows(outputs[number + len(_STRIDES)], 4)
            boxes.append(np.concatenate([at - sides[:, :2], at + sides[:, 2:]], axis=1) * stride)
            if len(outputs) > 2 * len(_STRIDES):
                moves = _rows(outputs[number + 2 * len(_STRIDES)], 10).reshape(-1, 5, 2)
                points.append((at[:, None] + moves) * stride)
        five = np.concatenate(points) / scale if points else None
        return best(np.concatenate(scores), np.concatenate(boxes) / scale, five, threshold, _SAME_FACE_IOU)


def _rows(output: npt.NDArray[np.generic], width: int) -> Floats:
    return np.asarray(output, np.float32).reshape(-1, width)
