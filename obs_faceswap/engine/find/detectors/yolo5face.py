"""YOLOv5-face, DeepFaceLive's default detector: box and five points."""

import numpy as np

from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    best,
    cells,
    letterbox,
    planes,
    sigmoid,
)
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.types import Detection, ImageBGR

# deepcam-cn/yolov5-face: widths and heights of the three anchors at each stride, in input pixels.
_ANCHORS = {
    8: ((4, 5), (8, 10), (13, 16)),
    16: ((23, 29), (43, 55), (73, 105)),
    32: ((146, 217), (231, 300), (335, 433)),
}
_VALUES = 16  # of an anchor: center, size, objectness, five points, class
_SAME_FACE_IOU = 0.5


class Yolo5Face(Planar):
    """BGR 0..1, sides of multiples of 32; three outputs (1, 48, H / stride, W / stride) before a sigmoid."""

    title = "YOLOv5-face"
    expected = "an input (1, 3, H, W) and three outputs (1, 48, h, w)"

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        shapes = [tuple(output.shape) for output in network.outputs]
        expected = _VALUES * len(_ANCHORS[8])
        return len(shapes) == len(_ANCHORS) and all(
            len(shape) == 4 and shape[1] == expected for shape in shapes
        )

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        outputs = self._network.run({self._input: planes(boxed) / np.float32(255)})
        parts = [_decoded(output, stride) for output, stride in zip(outputs, _ANCHORS, strict=True)]
        scores, boxes, points = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        return best(scores, boxes / scale, points / scale, threshold, _SAME_FACE_IOU)


def _decoded(output: Floats, stride: int) -> tuple[Floats, Floats, Floats]:
    """Scores (N,), boxes (N, 4) and points (N, 5, 2) of one stride, in input pixels."""
    anchors = np.array(_ANCHORS[stride], np.float32)
    rows, columns = output.shape[2:]
    raw = np.asarray(output, np.float32).reshape(len(anchors), _VALUES, -1).transpose(0, 2, 1)
    at, sides = cells(columns, rows)[None], anchors[:, None]
    near = sigmoid(raw[..., :5])
    centers = (near[..., :2] * 2 - 0.5 + at) * stride
    half = (near[..., 2:4] * 2) ** 2 * sides / 2
    points = raw[..., 5:15].reshape(len(anchors), -1, 5, 2) * sides[:, :, None] + at[:, :, None] * stride
    scores = near[..., 4] * sigmoid(raw[..., 15])
    boxes = np.concatenate([centers - half, centers + half], axis=-1)
    return scores.reshape(-1), boxes.reshape(-1, 4), points.reshape(-1, 5, 2)
