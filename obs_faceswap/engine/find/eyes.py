"""How far an eye is open and where it looks, from a network that sees that eye alone."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import Network, decoding
from obs_faceswap.engine.find.landmarks import FARTHEST, crop_matrix
from obs_faceswap.engine.types import ImageBGR, Points

CORNERS = ((33, 133), (362, 263))  # vertices of the mesh, from the picture's left to its right
_LID_POINTS = 71  # with the brow and what lies between
_IRIS_POINTS = 5  # its middle first
_SCALE = 2.3  # iris_landmark_landmarks_to_roi: the square's side over an eye's width
# The lids' ends, points in the middle of the upper one, and those of the lower one below them.
_FIRST, _LAST = 0, 8
_OVER, _UNDER = [11, 12, 13], [3, 4, 5]


@dataclass(frozen=True, slots=True)
class Eye:
    """An eye as it is seen.

    Attributes:
        opening: how far the lids are apart in its middle, px of the picture.
        side: where the iris is between the eye's corners, -1..1, to the right in the picture.
    """

    opening: float
    side: float


class Eyes:
    """MediaPipe's iris network: RGB 0..1 of a square around an eye in, its lids' and iris's points out."""

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs; raises UnsupportedModelError."""
        shape, widths = list(network.inputs[0].shape), [output.shape[-1] for output in network.outputs]
        expected = [3 * _LID_POINTS, 3 * _IRIS_POINTS]
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or widths != expected:
            raise UnsupportedModelError(
                f"This is no network of eyes: expected a square picture of 3 channels in and outputs of "
                f"{expected} values, found {shape} and {widths}. Fetch iris_64 again."
            )
        self._network, self._input, self._side = network, network.inputs[0].name, int(shape[1])

    def look(self, picture_bgr: ImageBGR, mesh: Points, eye: int) -> Eye | None:
        """One eye of a face.

        Args:
            picture_bgr: (H, W, 3); shows the face, upright or turned.
            mesh: its points (468, 2 or more), px.
            eye: 0 for the picture's left one, 1 for the other.

        Returns:
            None if the eye has no size, or the network gives nonsense or no numbers.
        """
        first, last = (mesh[vertex, :2].astype(np.float64) for vertex in CORNERS[eye])
        across, down = (last - first).tolist()
        px = math.hypot(across, down) * _SCALE / self._side
        if not 0 < px < math.inf:
            return None
        matrix = crop_matrix((first + last) / 2, px, math.atan2(down, across), self._side)
        crop = Picture.of(picture_bgr).sample(matrix, self._side)
        # The network knows the picture's left eye; the other one is its mirror image.
        seen = cv2.cvtColor(crop[:, ::-1] if eye else crop, cv2.COLOR_BGR2RGB)
        outputs = self._network.run({self._input: seen[None] * np.float32(1 / 255)})
        with decoding("looks at the eyes"):
            lids = outputs[0].reshape(_LID_POINTS, 3)[:, :2]
            iris = outputs[1].reshape(_IRIS_POINTS, 3)[0, :2]
        if not (np.abs([*lids, iris]) < FARTHEST * self._side).all():  # also refuses NaN
            return None
        opening = float(np.linalg.norm(lids[_OVER] - lids[_UNDER], axis=1).mean()) * px
        side = _along(lids[_FIRST], lids[_LAST], iris)
        return Eye(opening, -side if eye else side)


def _along(first: Points, last: Points, point: Points) -> float:
    """Where a point is on the way between two others: -1 at the first, 1 at the last, and not beyond."""
    way = last - first
    part = float((point - first) @ way) / max(float(way @ way), 1e-6)
    return min(max(part * 2 - 1, -1.0), 1.0)
