"""The canonical face mesh: triangles, texture coordinates, rings of vertices, and drawing it fast.

Convention: pixel centers lie at whole numbers. A mesh here is the 468 landmarks and, behind them, a rim of 36
vertices outside the face's outline, so that what lies just beyond the outline is defined too.
"""

from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import CANONICAL_FACE

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.intp]

# Triangles and texture coordinates (u to the right, v up, 0..1) of MediaPipe's canonical face model, from
# google-ai-edge/mediapipe, mediapipe/modules/face_geometry/data/canonical_face_model.obj, Apache-2.0.
_CANONICAL = np.load(Path(__file__).with_name("canonical_mesh.npz"))

# Rings of vertices, from MediaPipe's face_mesh_connections.py (Apache-2.0), each in order.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_RING = np.array(OVAL, np.intp)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)

_RIM_WIDTH = 0.12  # of the distance from the face's center
_EDGE = 1e-3  # barycentric; pixels on an edge belong to a triangle
_AWAY = 1000.0  # of OpenCV's camera from a mesh of depth 1: so far that perspective cannot be seen


def _rim_triangles() -> Ints:
    rim = 468 + np.arange(len(_RING))
    following = np.roll(_RING, -1), np.roll(rim, -1)
    return np.concatenate(
        [np.stack([_RING, following[0], rim], 1), np.stack([following[0], following[1], rim], 1)]
    )


TRIANGLES: Ints = np.concatenate([_CANONICAL["triangles"].astype(np.intp), _rim_triangles()])  # (970, 3)

# The canonical head as pictures show it: x right, y down, z away from the viewer, centimeters.
HEAD = (CANONICAL_FACE * (1, -1, -1)).astype(np.float64)


def with_rim(points: npt.NDArray[np.floating]) -> Floats:
    """Vertices (468, C) with the rim behind them: (504, C)."""
    ring = points.take(_RING, axis=0)
    rim = ring + (ring - ring.mean(axis=0)) * _RIM_WIDTH
    return np.concatenate([points, rim]).astype(np.float32)


@lru_cache(maxsize=8)
def texture_points(side: int) -> Floats:
    """Where the vertices with rim lie in a square texture, (504, 2) px."""
    uv = _CANONICAL["uv"].astype(np.float64)
    inset = 1 / (1 + _RIM_WIDTH)  # room for the rim
    centered = (np.column_stack([uv[:, 0], 1 - uv[:, 1]]) - 0.5) * inset + 0.5
    return with_rim(centered * side - 0.5)


def drawn(
    xy: Floats, depth: Floats, values: Floats, shape_hw: tuple[int, int]
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """A mesh drawn by OpenCV: three values at each pixel, 0 where no triangle is seen.

    Args:
        xy: (504, 2) vertices, px; triangles that face away from the viewer are left out.
        depth: (504,), smaller is nearer.
        values: (504, 3) of the vertices.
        shape_hw: the picture's height and width.

    Returns:
        The values (height, width, 3), and 255 (height, width) where a triangle is seen, else 0.
    """
    height, width = shape_hw
    away = _AWAY + (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
    # A field of view of 90 degrees: at a distance of d, d lies at the upper edge.
    x, y = (xy[:, 0] + 0.5 - width / 2) * away, (height / 2 - 0.5 - xy[:, 1]) * away
    vertices = np.stack([x * (2 / height), y * (2 / height), -away], axis=1).astype(np.float32)
    picture = np.zeros((height, width, 3), np.float32)
    distance = np.full((height, width), 2 * _AWAY, np.float32)
    colors = np.ascontiguousarray(values, np.float32)
    cv2.triangleRasterize(
        vertices[:, None], _CORNERS, colors[:, None], picture, distance,
        np.eye(3, 4, dtype=np.float32), np.pi / 2, 1.0, 2 * _AWAY, _SMOOTH,
    )  # fmt: skip
    return picture, (distance < 1.5 * _AWAY).astype(np.uint8) * np.uint8(255)


def _smooth_drawing() -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    return settings


_SMOOTH = _smooth_drawing()
_CORNERS = np.ascontiguousarray(TRIANGLES[:, None], np.int32)


def triangle_map(xy: Floats, depth: Floats, shape_hw: tuple[int, int], front: float) -> npt.NDArray[np.int32]:
    """Which triangle each pixel shows: (height, width), -1 where none.

    Args:
        xy: (504, 2) vertices, px.
        depth: (504,), smaller is nearer.
        shape_hw: the picture's height and width.
        front: the sign that the area of triangles facing the viewer has.
    """
    corners = xy[TRIANGLES]
    first = corners[:, 0]
    along, across = corners[:, 1] - first, corners[:, 2] - first
    area = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    facing = np.flatnonzero(area * front > 1e-4)
    # From far to near: of several triangles at one pixel the last one written stays.
    drawn = facing[np.argsort(-depth[TRIANGLES[facing]].sum(axis=1), kind="stable")]
    return _filled(first[drawn], along[drawn], across[drawn], area[drawn], drawn, shape_hw)


def _filled(
    first: Floats, along: Floats, across: Floats, area: Floats, names: Ints, shape_hw: tuple[int, int]
) -> npt.NDArray[np.int32]:
    """All pixels of all triangles' boxes at once, those inside their triangle kept."""
    height, width = shape_hw
    last_xy = (width - 1, height - 1)
    corner_a, corner_b = first + along, first + across
    low = np.ceil(np.minimum(np.minimum(first, corner_a), corner_b) - _EDGE)
    high = np.floor(np.maximum(np.maximum(first, corner_a), corner_b) + _EDGE)
    low, high = np.maximum(low, 0).astype(np.int32), np.minimum(high, last_xy).astype(np.int32)
    wide, tall = np.maximum(high - low + 1, 0).T
    pixels = wide * tall
    owner = np.repeat(np.arange(len(first), dtype=np.int32), pixels)
    start = (np.cumsum(pixels) - pixels).astype(np.int32)
    index = np.arange(len(owner), dtype=np.int32) - start[owner]
    down = index // wide[owner]
    x, y = low[owner, 0] + index - down * wide[owner], low[owner, 1] + down
    dx, dy = x - first[owner, 0], y - first[owner, 1]
    inverse = np.stack([across[:, 1], -across[:, 0], -along[:, 1], along[:, 0]], 1) / area[:, None]
    u = dx * inverse[owner, 0] + dy * inverse[owner, 1]
    v = dx * inverse[owner, 2] + dy * inverse[owner, 3]
    inside = (u > -_EDGE) & (v > -_EDGE) & (u + v < 1 + _EDGE)
    shown = np.full(height * width, -1, np.int32)
    shown[(y * width + x)[inside]] = names[owner[inside]]
    return shown.reshape(height, width)


def interpolated(shown: npt.NDArray[np.int32], xy: Floats, values: Floats) -> Floats:
    """Values (504, C) of the vertices at each pixel (H, W, C); 0 where no triangle is shown."""
    corners = xy[TRIANGLES].astype(np.float64)
    origin, edges = corners[:, 0], corners[:, 1:] - corners[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)[:, None]
    at_corner = values[TRIANGLES].astype(np.float64)
    first, second = at_corner[:, 1] - at_corner[:, 0], at_corner[:, 2] - at_corner[:, 0]
    per_x = (first * edges[:, 1, 1:2] - second * edges[:, 0, 1:2]) / area
    per_y = (second * edges[:, 0, 0:1] - first * edges[:, 1, 0:1]) / area
    constant = at_corner[:, 0] - per_x * origin[:, :1] - per_y * origin[:, 1:]
    planes = np.concatenate([per_x, per_y, constant], axis=1).astype(np.float32)
    y, x = np.nonzero(shown >= 0)
    chosen = planes[shown[y, x]]
    channels = values.shape[1]
    field = np.zeros((*shown.shape, channels), np.float32)
    field[y, x] = (
        chosen[:, :channels] * x[:, None].astype(np.float32)
        + chosen[:, channels : 2 * channels] * y[:, None].astype(np.float32)
        + chosen[:, 2 * channels :]
    )
    return field


def front_sign() -> float:
    """The sign of the area of a triangle that faces the viewer, in pictures (y down)."""
    corners = HEAD[TRIANGLES[:898], :2]
    along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(np.sign(np.median(along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0])))


@lru_cache(maxsize=2)
def texture_map(side: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """The triangle at each texel of a square texture, and the vertices there."""
    points = texture_points(side)
    shown = triangle_map(points, np.zeros(len(points), np.float32), (side, side), front_sign())
    return shown, points
