"""The face mesh: where a face's points are, how deep they lie, and whether it is a face at all."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.picture import Picture, extent, inverted
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import Network, decoding
from obs_faceswap.engine.types import Matrix, Points

POINTS = 468
_WITH_IRISES = 478  # MediaPipe's newer network; the irises' ten points come last
EYE_CORNERS = (33, 263)  # the outer ones, of the eye left in the picture and of the other
_ROI_SCALE = 1.5  # MediaPipe's face_landmark graph: square of 1.5 times the longer side, turned by the eyes
FARTHEST = 10  # sides of a network's square; what lies farther away is nonsense
_KPS_SCALE = 3.9  # measured: makes the first square as large as the ones from the mesh

_UPPER = np.flatnonzero(CANONICAL_FACE[:, 1] > -3.2)  # above the upper lip
_CANONICAL = (CANONICAL_FACE[_UPPER] * (1, -1, -1)).astype(
    np.float64
)  # as the network has it: y down, z away
_CANONICAL -= _CANONICAL.mean(axis=0)
_CANONICAL_SPREAD = float((_CANONICAL**2).sum())


class FaceMesh:
    """MediaPipe's networks of 468 or 478 points: RGB 0..1 of a square in, points and presence logit out."""

    def __init__(self, network: Network) -> None:
        """Checks inputs and outputs."""
        self._network = network
        self._input = network.inputs[0].name
        shape = list(network.inputs[0].shape)
        widths = [output.shape[-1] for output in network.outputs]
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not self.counts(widths):
            raise UnsupportedModelError(
                f"This is no face mesh with presence: expected a square picture of 3 channels in and outputs "
                f"of {3 * POINTS} or {3 * _WITH_IRISES} and 1 values, found {shape} and {widths}. "
                "Fetch the default face mesh again."
            )
        self._side = int(shape[1])
        self._points, self._presence = widths.index(self.counts(widths)), widths.index(1)
        self._count = self.counts(widths) // 3

    @staticmethod
    def counts(widths: list[Any]) -> int:
        """How many values a network's points have, by its outputs' last sides; 0 for another network."""
        known = (3 * POINTS, 3 * _WITH_IRISES)
        return next((width for width in known if width in widths and 1 in widths), 0)

    def find(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, roll_rad: float
    ) -> tuple[Points, npt.NDArray[np.float32], float]:
        """Points (468, 2) and depth (468,) in picture pixels, and presence 0..1, of the face in a square.

        See `find_all`; the irises of a network that has them are left out.
        """
        points, depth, presence = self.find_all(picture, center_xy, side_px, roll_rad)
        return points[:POINTS], depth[:POINTS], presence

    def find_all(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, roll_rad: float
    ) -> tuple[Points, npt.NDArray[np.float32], float]:
        """All points (468 or 478, 2) and depths of the network in picture pixels, and presence 0..1.

        The square has its center at `center_xy`, `side_px` picture pixels a side, and is turned clockwise by
        `roll_rad`. Depth has the points' scale; smaller is nearer. Points that are no numbers or far
        outside the square: presence 0.
        """
        crop_px = side_px / self._side
        matrix = crop_matrix(np.asarray(center_xy, np.float64), crop_px, roll_rad, self._side)
        crop = picture.sample(matrix, self._side)
        tensor = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)[None] * np.float32(1 / 255)
        outputs = self._network.run({self._input: tensor})
        with decoding("follows faces"):
            mesh = outputs[self._points].reshape(self._count, 3)
            presence = _sigmoid(float(outputs[self._presence].ravel()[0]))
        if not cv2.checkRange(mesh, True, -FARTHEST * self._side, FARTHEST * self._side)[0]:
            return np.zeros((len(mesh), 2), np.float32), np.zeros(len(mesh), np.float32), 0.0
        # The network counts from the crop's corner: flipping a crop turns x into 192 - x (measured).
        return inverted(mesh[:, :2] - 0.5, matrix), mesh[:, 2] * np.float32(crop_px), presence


def roi_of_landmarks(points: Points) -> tuple[npt.NDArray[np.float32], float, float]:
    """Center (2,), side in pixels and roll in radians of the square to look in next."""
    roll = _roll(points[EYE_CORNERS[0]], points[EYE_CORNERS[1]])
    cos, sin = math.cos(roll), math.sin(roll)
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)
    upright = points @ turn.T
    low, high = extent(upright)
    center = np.asarray(turn.T @ ((low + high) / 2), np.float32)
    return center, float((high - low).max()) * _ROI_SCALE, roll


def roi_of_kps(kps: Points) -> tuple[npt.NDArray[np.float32], float, float]:
    """Center (2,), side and roll of the square to look in first, from a detector's five points."""
    eyes, mouth = kps[:2].mean(axis=0), kps[3:].mean(axis=0)
    # The larger of the two spans: a profile has its eyes close together, a raised face its mouth near them.
    span = max(float(np.linalg.norm(kps[1] - kps[0])), float(np.linalg.norm(mouth - eyes)))
    return (eyes + mouth) / 2, span * _KPS_SCALE, _roll(kps[0], kps[1])


def shape_error(points: Points, depth: npt.NDArray[np.float32]) -> float:
    """How unlike a head the mesh is: 0 for the canonical face in any pose and size, 1 for anything else.

    The root of the share of the canonical face's spread that the best similarity in space leaves; without
    mouth and jaw, which move too far.
    """
    mesh = np.vstack([points.T, depth]).take(_UPPER, axis=1).astype(np.float64)
    mesh -= cv2.reduce(mesh, 1, cv2.REDUCE_AVG)
    spread = float(np.vdot(mesh, mesh))
    if not 0 < spread < math.inf:  # also refuses NaN
        return 1.0
    # Procrustes (Kabsch, Umeyama): the singular values of the correlation give the best fit's residual.
    correlation = mesh @ _CANONICAL
    values = cv2.SVDecomp(correlation, flags=cv2.SVD_NO_UV)[0].ravel().tolist()
    if cv2.determinant(correlation) < 0:  # no mirrored face
        values[2] = -values[2]
    return math.sqrt(max(0.0, 1 - sum(values) ** 2 / (spread * _CANONICAL_SPREAD)))


def _roll(left: Points, right: Points) -> float:
    """Clockwise angle of the line between the eyes, in radians."""
    x, y = right - left
    return math.atan2(float(y), float(x))


def crop_matrix(center: npt.NDArray[np.float64], crop_px: float, roll: float, side: int) -> Matrix:
    """Picture -> crop of `side` pixels that are `crop_px` picture pixels wide, turned by `roll` radians.

    Pixel centers lie at whole numbers on both sides.
    """
    cos, sin, middle = math.cos(roll) / crop_px, math.sin(roll) / crop_px, (side - 1) / 2
    x, y = center.tolist()
    rows = (cos, sin, middle - (cos * x + sin * y)), (-sin, cos, middle - (cos * y - sin * x))
    return np.array(rows, np.float32)


def _sigmoid(logit: float) -> float:
    """0..1; 0 for a logit that is no number."""
    return 0.0 if math.isnan(logit) else 1 / (1 + math.exp(-min(max(logit, -80), 80)))
