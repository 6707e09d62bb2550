"""Following a face by a detector's five points alone, for those who want no network of landmarks."""

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture, inverted
from obs_faceswap.engine.find.landmarks import crop_matrix
from obs_faceswap.engine.find.schemes import mesh_of_5
from obs_faceswap.engine.types import Detection, Detector, Points

Floats = npt.NDArray[np.float32]

_ROOM = 1.3  # sides of a mesh's square: detectors know faces with their surroundings
_SCORE = 0.5  # no face; detectors give their mistakes little more, and faces 0.75 to 1
_OFF = 0.25  # sides of the square that a face may lie beside its middle

# How badly a head may fit the points. YuNet's and BlazeFace's on photographs: 0.02 to 0.10.
_SURELY_A_FACE, _NO_FACE = 0.12, 0.25


class FivePoints:
    """Finds the face in a square by the detector, and the mesh from its eyes, nose and mouth corners.

    Where lips and brows are is not known: they are those of a face at rest.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._side = detector.side_px

    def find(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, roll_rad: float
    ) -> tuple[Points, Floats, float]:
        """Points (468, 2), depth (468,) and presence 0..1; see `landmarks.FaceMesh.find`."""
        center = np.asarray(center_xy, np.float64)
        matrix = crop_matrix(center, side_px * _ROOM / self._side, roll_rad, self._side)
        crop = np.ascontiguousarray(picture.sample(matrix, self._side), np.uint8)
        found = [one for one in self._detector.detect(crop, _SCORE) if self._is_near(one)]
        if not found:
            return np.zeros((468, 2), np.float32), np.zeros(468, np.float32), 0.0
        best = max(found, key=lambda one: one.score)
        landmarks, depth, unlike = mesh_of_5(inverted(best.kps, matrix))
        likely = float(np.clip((_NO_FACE - unlike) / (_NO_FACE - _SURELY_A_FACE), 0, 1))
        return landmarks, depth, likely * min(max((best.score - _SCORE) / (1 - _SCORE), 0.0), 1.0)

    def _is_near(self, found: Detection) -> bool:
        """Whether a detection, in the square's pixels, is of the face in the square."""
        apart = np.abs(found.kps.mean(axis=0) - (self._side - 1) / 2).max()
        return bool(apart < _OFF * self._side)  # not where it is no number
