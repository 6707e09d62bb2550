"""CenterFace: a map of face centers, with boxes and in most files five points."""

import numpy as np

from obs_faceswap.engine.find.detectors.decode import (
    Floats,
    Network,
    best,
    exponential,
    letterbox,
    planes,
)
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.types import Detection, ImageBGR

_STRIDE = 4
_WITHOUT_POINTS, _WITH_POINTS = [1, 2, 2], [1, 2, 2, 10]


class CenterFace(Planar):
    """RGB 0..255, sides of multiples of 32; outputs heat, size, offset, perhaps points, a quarter as large.

    Decoding as in Star-Clouds/CenterFace, centerface.py: sizes are logarithms in strides, height first.
    """

    title = "CenterFace"
    expected = "an input (1, 3, H, W) and outputs of 1, 2, 2 and perhaps 10 maps"

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        shapes = [tuple(output.shape) for output in network.outputs]
        maps = [shape[1] for shape in shapes if len(shape) == 4]
        return len(maps) == len(shapes) and maps in (_WITHOUT_POINTS, _WITH_POINTS)

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        outputs = [
            np.asarray(output, np.float32)[0]
            for output in self._network.run({self._input: planes(boxed[..., ::-1])})
        ]
        heat = outputs[0][0]
        rows, columns = np.nonzero(heat >= threshold)
        size, offset = (maps[:, rows, columns].T for maps in outputs[1:3])
        sides = exponential(size)[:, ::-1] * _STRIDE
        centers = (np.stack([columns, rows], axis=1) + offset[:, ::-1] + 0.5) * _STRIDE
        boxes: Floats = np.concatenate([centers - sides / 2, centers + sides / 2], axis=1).astype(np.float32)
        points = None
        if len(outputs) > 3:
            parts = outputs[3][:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]  # y before x
            points = (boxes[:, None, :2] + parts * sides[:, None]) / scale
        return best(heat[rows, columns], boxes / scale, points, threshold)
