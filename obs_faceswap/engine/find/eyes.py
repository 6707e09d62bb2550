"""How far the lids of an eye are apart, from a network that looks at that eye alone."""

import math

import cv2
import numpy as np

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import Network, decoding
from obs_faceswap.engine.find.landmarks import FARTHEST, crop_matrix
from obs_faceswap.engine.types import Points

CORNERS = ((33, 133), (362, 263))  # vertices of the mesh, from the picture's left to its right
_POINTS = 71  # of lids and brow
_SCALE = 2.3  # iris_landmark_landmarks_to_roi: the square's side over an eye's width
# Points in the middle of the upper lid, and those of the lower lid below them (face_mesh_connections' order).
_OVER, _UNDER = [11, 12, 13], [3, 4, 5]


class Eyes:
    """MediaPipe's iris network: RGB 0..1 of a square around an eye in, points of its lids and brow out."""

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs; raises UnsupportedModelError."""
        shape, widths = list(network.inputs[0].shape), [output.shape[-1] for output in network.outputs]
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or widths[:1] != [3 * _POINTS]:
            raise UnsupportedModelError(
                f"This is no network of eyes: expected a square picture of 3 channels in and first an output "
                f"of {3 * _POINTS} values, found {shape} and {widths}. Fetch iris_64 again."
            )
        self._network, self._input, self._side = network, network.inputs[0].name, int(shape[1])

    def opening(self, picture: Picture, mesh: Points, eye: int) -> float | None:
        """How far an eye's lids are apart in its middle, in pixels of the picture.

        Args:
            picture: shows the face upright or turned.
            mesh: its points (468, 2 or more), px.
            eye: 0 for the picture's left one, 1 for the other.

        Returns:
            None if the eye has no size, or the network gives no numbers or nonsense.
        """
        first, last = (mesh[vertex, :2].astype(np.float64) for vertex in CORNERS[eye])
        across, down = (last - first).tolist()
        px = math.hypot(across, down) * _SCALE / self._side
        if not 0 < px < math.inf:
            return None
        crop = picture.sample(
            crop_matrix((first + last) / 2, px, math.atan2(down, across), self._side), self._side
        )
        # The network knows the picture's left eye; the other one is its mirror image.
        seen = cv2.cvtColor(crop[:, ::-1] if eye else crop, cv2.COLOR_BGR2RGB)
        outputs = self._network.run({self._input: seen[None] * np.float32(1 / 255)})
        with decoding("looks at the eyes"):
            points = outputs[0].reshape(_POINTS, 3)[:, :2]
        if not (np.abs(points) < FARTHEST * self._side).all():  # also refuses NaN
            return None
        return float(np.linalg.norm(points[_OVER] - points[_UNDER], axis=1).mean()) * px
