"""Landmark schemes and how one is made from another.

Everything after the landmarker works on MediaPipe's 468 points. Networks that find fewer points can be used
because the canonical face tells where the others lie: it is turned and stretched to fit the points that were
found, and what is left between the two, the expression, is carried over to the points around.
"""

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.types import Points

Floats = npt.NDArray[np.float32]

# iBUG's 68 points in MediaPipe's mesh: jaw from the picture's left to its right, brows, nose, eyes, mouth.
# Checked against a 68-point network on photographs (tests/engine/find/test_schemes.py).
IBUG_68_IN_MESH = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip

# insightface's 2d106det has an order of its own; each of the 68 points is the mean of two of its points.
# Pairs as in DeepFaceLive's modelhub/onnx/InsightFace2d106.
_PAIRS_OF_106 = (
    (1, 9), (10, 11), (12, 13), (14, 15), (16, 2), (3, 4), (5, 6), (7, 8), (0, 0), (24, 23), (22, 21),
    (20, 19), (18, 32), (31, 30), (29, 28), (27, 26), (25, 17),
    (43, 43), (48, 44), (49, 45), (51, 47), (50, 46), (102, 97), (103, 98), (104, 99), (105, 100), (101, 101),
    (72, 72), (73, 73), (74, 74), (86, 86), (77, 78), (78, 79), (80, 80), (85, 84), (84, 83),
    (35, 35), (41, 40), (40, 42), (39, 39), (37, 33), (33, 36),
    (89, 89), (95, 94), (94, 96), (93, 93), (91, 87), (87, 90),
    (52, 52), (64, 64), (63, 63), (71, 71), (67, 67), (68, 68), (61, 61), (58, 58), (59, 59), (53, 53),
    (56, 56), (55, 55), (65, 65), (66, 66), (62, 62), (70, 70), (69, 69), (57, 57), (60, 60), (54, 54),
)  # fmt: skip

_REACH_CM = 2.0  # how far a point's expression is carried over; the canonical face is 15 cm wide
_REACH_OF_FIVE_CM = 3.0
_RIDGE = 0.02  # of the interpolation: the points found are not exact


def mesh_to_68(landmarks: Points) -> Points:
    """iBUG's 68 points (68, 2) of a mesh (468, 2) or more points in its order."""
    return landmarks[list(IBUG_68_IN_MESH)]


def insight_106_to_68(points: Points) -> Points:
    """iBUG's 68 points (68, 2) of insightface's 106 (106, 2)."""
    return np.asarray(points[np.array(_PAIRS_OF_106)].mean(axis=1), np.float32)


def five_of_68(points: Points) -> Points:
    """Eyes, nose and mouth corners (5, 2) of 68 points (68, 2)."""
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    return np.asarray([*eyes, points[30], points[48], points[54]], np.float32)


def mesh_of_68(points: Points) -> tuple[Points, Floats, float]:
    """A mesh from 68 points.

    Args:
        points: (68, 2) in pixels.

    Returns:
        Landmarks (468, 2) in pixels; depth (468,) in the same scale, smaller is nearer; and how badly a head
        fits the points, as a part of their spread: 0 for a head without expression, 1 for anything else.
    """
    seen = points.astype(np.float64)
    camera = np.linalg.lstsq(_KNOWN, seen, rcond=None)[0]  # (4, 2): an affine view of the canonical face
    left = seen - _KNOWN @ camera
    spread = float(((seen - seen.mean(axis=0)) ** 2).sum())
    unlike = float(np.sqrt((left**2).sum() / spread)) if spread > 0 else 1.0
    landmarks = _ALL @ camera + _CARRY @ left
    across, down = camera[:3].T
    away = np.cross(across, down) / max(float(np.sqrt(np.linalg.norm(across) * np.linalg.norm(down))), 1e-9)
    depth = CANONICAL_FACE @ away
    return landmarks.astype(np.float32), (depth - depth.mean()).astype(np.float32), min(unlike, 1.0)


def mesh_of_5(points: Points) -> tuple[Points, Floats, float]:
    """A mesh from eyes, nose and mouth corners, as `mesh_of_68` makes one from 68 points.

    So few points would also fit a skewed head, so it is held to be none: scaled, turned and moved.

    Args:
        points: (5, 2) in pixels, see `templates.five_points`.
    """
    seen = points.astype(np.float64)
    if not (np.isfinite(seen).all() and np.ptp(seen, axis=0).max() > 1e-3):
        return np.zeros((len(CANONICAL_FACE), 2), np.float32), np.zeros(len(CANONICAL_FACE), np.float32), 1.0
    middle, spread = seen.mean(axis=0), float(((seen - seen.mean(axis=0)) ** 2).sum())
    view = np.linalg.lstsq(_FIVE, seen - middle, rcond=None)[0].T  # (2, 3)
    turn, scales, axes = np.linalg.svd(view, full_matrices=False)
    right, down = turn @ axes
    scale = float(scales.mean())
    left = seen - middle - scale * _FIVE @ np.array([right, down]).T
    landmarks = middle + scale * _AROUND_FIVE @ np.array([right, down]).T + _CARRY_FIVE @ left
    depth = scale * _AROUND_FIVE @ np.cross(right, down)
    unlike = float(np.sqrt((left**2).sum() / spread))
    return landmarks.astype(np.float32), (depth - depth.mean()).astype(np.float32), min(unlike, 1.0)


def _with_ones(points: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.column_stack([points, np.ones(len(points))]).astype(np.float64)


def _nearness(points: Floats, others: Floats, reach_cm: float) -> npt.NDArray[np.float64]:
    """(N, M): 1 for the same place on the canonical face, falling with the distance."""
    apart = np.linalg.norm(points[:, None] - others[None], axis=2)
    return np.asarray(np.exp(-((apart / reach_cm) ** 2) / 2), np.float64)


def _carrying(points: Floats, reach_cm: float) -> npt.NDArray[np.float64]:
    """(468, N): what of the points' expression each point of the mesh takes over."""
    known = _nearness(points, points, reach_cm) + _RIDGE * np.eye(len(points))
    return _nearness(CANONICAL_FACE, points, reach_cm) @ np.linalg.inv(known)


_SPARSE = CANONICAL_FACE[list(IBUG_68_IN_MESH)]
_KNOWN, _ALL = _with_ones(_SPARSE), _with_ones(CANONICAL_FACE)
_CARRY = _carrying(_SPARSE, _REACH_CM)
_FIVE_ON_FACE = five_points(CANONICAL_FACE)
_FIVE = (_FIVE_ON_FACE - _FIVE_ON_FACE.mean(axis=0)).astype(np.float64)
_AROUND_FIVE = (CANONICAL_FACE - _FIVE_ON_FACE.mean(axis=0)).astype(np.float64)
_CARRY_FIVE = _carrying(_FIVE_ON_FACE, _REACH_OF_FIVE_CM)
