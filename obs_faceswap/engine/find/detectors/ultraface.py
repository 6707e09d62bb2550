"""UltraFace (Ultra-Light-Fast-Generic-Face-Detector-1MB): boxes only."""

import numpy as np

from obs_faceswap.engine.find.detectors.decode import Network, best, letterbox, planes
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.types import Detection, ImageBGR

_MEAN, _SCALE = 127.0, 128.0  # Linzaer's run_video_face_detect_onnx.py


class UltraFace(Planar):
    """RGB (value - 127) / 128; outputs scores (1, N, 2) and boxes (1, N, 4) as parts of the input's sides."""

    title = "UltraFace"
    expected = "an input (1, 3, H, W) and outputs (1, N, 2) and (1, N, 4)"
    usual_side_px = 320

    def __init__(self, network: Network, side_px: int = 0) -> None:
        """Checks inputs and outputs, see `Planar`."""
        super().__init__(network, side_px)
        widths = [output.shape[-1] for output in network.outputs]
        self._scores, self._boxes = widths.index(2), widths.index(4)

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this family."""
        shapes = [tuple(output.shape) for output in network.outputs]
        return [len(shape) for shape in shapes] == [3, 3] and sorted(shape[-1] for shape in shapes) == [2, 4]

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
        boxed, scale = letterbox(image, self._size)
        outputs = self._network.run({self._input: (planes(boxed[..., ::-1]) - _MEAN) / np.float32(_SCALE)})
        scores = np.asarray(outputs[self._scores], np.float32)[0, :, 1]
        keep = scores >= threshold
        boxes = np.asarray(outputs[self._boxes], np.float32)[0, keep] * np.array(self._size * 2, np.float32)
        return best(scores[keep], boxes / scale, None, threshold)
