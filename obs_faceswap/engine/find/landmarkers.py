"""Networks that find a face's points in a square around it, and which class one belongs to.

Each gives the 468 points of MediaPipe's mesh, whatever its own scheme, see `engine.schemes`.
"""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture, inverted
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import Network, decoding
from obs_faceswap.engine.find.finder import Mesh
from obs_faceswap.engine.find.landmarks import FARTHEST, FaceMesh, crop_matrix
from obs_faceswap.engine.find.schemes import insight_106_to_68, mesh_of_68
from obs_faceswap.engine.types import Matrix, Points

Floats = npt.NDArray[np.float32]

# Sides of the networks' squares in parts of the mesh's, 1.5 times the face with its forehead. They were
# trained on squares around a detector's box, which is 0.91 times as large (measured on photographs).
_SIDE_OF_106 = 1.5 * 0.91 / 1.5  # insightface, model_zoo/landmark.py: 1.5 times the box
_SIDE_OF_68 = 1.4 * 0.91 / 1.5  # Peppa-Facial-Landmark-PyTorch: 1.4 times the box
_SIDE_OF_HEAT = 256 / 195 * 0.91 / 1.5  # face-alignment's FAN: 195 of 256 pixels are the box
_LOWER = 0.06  # parts of a side: a box without forehead lies lower

# Presence by how badly a head fits the points: photographs of faces give 0.05 to 0.10.
_SURELY_A_FACE, _NO_FACE = 0.10, 0.20

_HEAT_SIDE = 64


class _Sparse(ABC):
    """A network of few points: a square NCHW crop in, points in it out."""

    name = ""
    side_part = 1.0

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs."""
        if not self.fits(network):
            found = [tuple(value.shape) for value in (*network.inputs, *network.outputs)]
            raise UnsupportedModelError(
                f"This is no landmark network of {self.name}: its shapes are {found}. Choose another file."
            )
        self._network = network
        self._input = network.inputs[0].name
        self._side = int(network.inputs[0].shape[2])

    @staticmethod
    @abstractmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this class."""

    def find(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, roll_rad: float
    ) -> tuple[Points, Floats, float]:
        """Points (468, 2), depth (468,) and presence 0..1; see `landmarks.FaceMesh.find`."""
        side_px *= self.side_part
        down = np.array([-np.sin(roll_rad), np.cos(roll_rad)]) * (_LOWER * side_px)
        center = np.asarray(center_xy, np.float64) + down
        matrix = crop_matrix(center, side_px / self._side, roll_rad, self._side)
        crop = picture.sample(matrix, self._side).astype(np.float32)
        outputs = self._network.run({self._input: self._as_input(crop)})
        with decoding("follows faces"):
            points = self._points(outputs)
        if not (np.abs(points) < FARTHEST).all():
            return np.zeros((468, 2), np.float32), np.zeros(468, np.float32), 0.0
        return _mesh(points * self._side - 0.5, matrix)

    @abstractmethod
    def _as_input(self, crop_bgr: Floats) -> Floats:
        """(1, 3, S, S) of a crop (S, S, 3), 0..255."""

    @abstractmethod
    def _points(self, outputs: list[npt.NDArray[np.generic]]) -> Points:
        """iBUG's points (68, 2), 0..1 of the crop's side."""


class Points68(_Sparse):
    """Peppa's networks: BGR (value - 127) / 127; 68 points 0..1 come first in the output."""

    name = "68 points"
    side_part = _SIDE_OF_68

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this class."""
        return (
            _is_square(network) and len(network.outputs) == 1 and network.outputs[0].shape[-1] in (136, 143)
        )

    def _as_input(self, crop_bgr: Floats) -> Floats:
        return _planes((crop_bgr - 127) / 127)

    def _points(self, outputs: list[npt.NDArray[np.generic]]) -> Points:
        return np.asarray(outputs[0], np.float32).reshape(-1)[:136].reshape(68, 2)


class Fan68(_Sparse):
    """FAN, e.g. 2DFAN4: RGB 0..1; 68 points (x, y, score) in pixels of its heat maps, which are 64 wide."""

    name = "FAN"
    side_part = _SIDE_OF_HEAT

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this class."""
        return _is_square(network) and tuple(network.outputs[0].shape[1:]) == (68, 3)

    def _as_input(self, crop_bgr: Floats) -> Floats:
        return _planes(crop_bgr[..., ::-1] / 255)

    def _points(self, outputs: list[npt.NDArray[np.generic]]) -> Points:
        return np.asarray(np.asarray(outputs[0]).reshape(68, 3)[:, :2] / _HEAT_SIDE, np.float32)


class Points106(_Sparse):
    """insightface's 2d106det: RGB 0..255; 106 points -1..1."""

    name = "106 points"
    side_part = _SIDE_OF_106

    @staticmethod
    def fits(network: Network) -> bool:
        """Whether a network has the shapes of this class."""
        return _is_square(network) and len(network.outputs) == 1 and network.outputs[0].shape[-1] == 212

    def _as_input(self, crop_bgr: Floats) -> Floats:
        return _planes(crop_bgr[..., ::-1])

    def _points(self, outputs: list[npt.NDArray[np.generic]]) -> Points:
        points = (np.asarray(outputs[0]).reshape(106, 2) + 1) / 2
        return insight_106_to_68(points.astype(np.float32))


_CLASSES: tuple[type[_Sparse], ...] = (Points106, Points68, Fan68)


def landmarker_for(network: Network) -> Mesh:
    """The landmarker for a network, told by its inputs and outputs; raises UnsupportedModelError."""
    for family in _CLASSES:
        if family.fits(network):
            return family(network)
    return FaceMesh(network)


def _mesh(points: Points, matrix: Matrix) -> tuple[Points, Floats, float]:
    """The mesh in picture pixels from 68 points in crop pixels."""
    landmarks, depth, unlike = mesh_of_68(inverted(points, matrix))
    presence = np.clip((_NO_FACE - unlike) / (_NO_FACE - _SURELY_A_FACE), 0, 1)
    return landmarks, depth, float(presence)


def _is_square(network: Network) -> bool:
    shape = list(network.inputs[0].shape)
    return len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3] and isinstance(shape[2], int)


def _planes(crop: npt.NDArray[np.generic]) -> Floats:
    return np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
