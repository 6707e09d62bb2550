"""YuNet of libfacedetection: box and five points."""

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

_STRIDES = (8, 16, 32)
_OUTPUTS = [f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in _STRIDES]


class YuNet(Planar):
    """BGR 0..255, an input of a fixed size or any size, outputs told by name.

    Decoding as in OpenCV's FaceDetectorYN: score = sqrt(class * objectness), positions in strides.
    """

    title = "YuNet"
    expected = f"the outputs {', '.join(_OUTPUTS)}"
    usual_side_px = 320

    def __init__(self, network: Network, side_px: int = 0) -> None:
        """Checks inputs and outputs, see `Planar`."""
        super().__init__(network, side_px)
        names = [output.name for output in network.outputs]
        self._index = {name: names.index(name) for name in _OUTPUTS}
        self._cells = {stride: cells(self._size[0] // stride, self._size[1] // stride) for stride in _STRIDES}

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the outputs of this family."""
        return set(_OUTPUTS) <= {output.name for output in network.outputs}

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        outputs = self._network.run({self._input: planes(boxed)})
        parts = [self._decoded(outputs, stride) for stride in _STRIDES]
        scores, boxes, points = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        return best(scores, boxes / scale, points / scale, threshold)

    def _decoded(self, outputs: list[Floats], stride: int) -> tuple[Floats, Floats, Floats]:
        """Scores (N,), boxes (N, 4) and points (N, 5, 2) of one stride, in input pixels."""
        cls, obj, bbox, kps = (
            outputs[self._index[f"{part}_{stride}"]][0] for part in ("cls", "obj", "bbox", "kps")
        )
        at = self._cells[stride]
        scores = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        centers = at + bbox[:, :2]
        half = exponential(bbox[:, 2:]) / 2
        boxes = np.concatenate([centers - half, centers + half], axis=1)
        points = at[:, None] + kps.reshape(-1, 5, 2)
        return scores, boxes * stride, points * stride
