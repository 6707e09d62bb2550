"""MediaPipe's BlazeFace, short range (128 px) and back camera (256 px): box and six points."""

import cv2
import numpy as np

from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    best,
    cells,
    letterbox,
    refuse,
    sigmoid,
)
from obs_faceswap.engine.types import Detection, ImageBGR

_SIDES = (128, 256)
_GRIDS = ((16, 2), (8, 6))  # (cells a side, anchors a cell), as both of MediaPipe's graphs have them
_ANCHORS = 896
_MOUTH_HALF_WIDTH = 0.4  # of the distance between the eyes; the network gives the middle of the mouth only


class BlazeFace:
    """RGB -1..1, a square NHWC input, 896 anchors of a fixed size, six points."""

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs."""
        if not self.fits(network):
            refuse("BlazeFace", network, "an input (1, S, S, 3) and outputs of 16 and 1 values per anchor")
        self._network = network
        self._input = network.inputs[0].name
        self.side_px = int(network.inputs[0].shape[1])
        widths = [output.shape[-1] for output in network.outputs]
        self._regressors, self._scores = widths.index(16), widths.index(1)
        self._anchors = _anchors(self.side_px)

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        shape = list(network.inputs[0].shape)
        shapes = sorted(tuple(output.shape[1:]) for output in network.outputs)
        return shape[1:] in [[side, side, 3] for side in _SIDES] and shapes == [(_ANCHORS, 1), (_ANCHORS, 16)]

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, (self.side_px, self.side_px))
        tensor = cv2.cvtColor(boxed, cv2.COLOR_BGR2RGB)[None] / np.float32(127.5) - np.float32(1)
        outputs = self._network.run({self._input: tensor})
        scores = sigmoid(np.asarray(outputs[self._scores], np.float32).reshape(-1))
        keep = np.flatnonzero(scores >= threshold)
        if not len(keep):
            return []
        raw = np.asarray(outputs[self._regressors], np.float32).reshape(-1, 8, 2)[keep]
        anchors = self._anchors[keep]
        centers, half = anchors + raw[:, 0], raw[:, 1] / 2
        boxes: Floats = np.concatenate([centers - half, centers + half], axis=1)
        points = _five_of_six(anchors[:, None] + raw[:, 2:])
        return best(scores[keep], boxes / scale, points / scale, threshold)


def _anchors(side: int) -> Floats:
    """(896, 2): the anchors' centers in input pixels."""
    grids = [np.repeat((cells(count, count) + 0.5) * (side / count), each, axis=0) for count, each in _GRIDS]
    return np.concatenate(grids).astype(np.float32)


def _five_of_six(six: Floats) -> Floats:
    """(N, 5, 2) eyes, nose, mouth corners from (N, 6, 2) eyes, nose, middle of the mouth, ears."""
    across = (six[:, 1] - six[:, 0]) * _MOUTH_HALF_WIDTH
    mouth = six[:, 3]
    return np.stack([six[:, 0], six[:, 1], six[:, 2], mouth - across, mouth + across], axis=1)
