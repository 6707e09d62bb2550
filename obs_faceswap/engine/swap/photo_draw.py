"""Drawing a texture on a live mesh: fields of places, masks, and what is kept of the live picture."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import TO_OUTLINE, Pose, egg_facing
from obs_faceswap.engine.swap.photo_texture import SIDE
from obs_faceswap.engine.types import ImageBGR, Mask

Floats: TypeAlias = npt.NDArray[np.float32]

_EDGE_CM = 0.8  # from the outline inwards the swap fades in
_OUTLINE_WEIGHT = TO_OUTLINE / _EDGE_CM
# Cosine between a head's surface (an egg) and the line of sight where the swap begins and is full.
_EDGE_ON, _SEEN = 0.02, 0.22
_SOFT_STEPS = 7  # pixels of half resolution over which a silhouette is made soft
_MASK_GROWN = 0.05  # of the crop's side: default erosion 1.1 and twice the blur's sigma of 2.8 percent
_SHOWN = 0.02  # less of the swap is not seen

# Gap between the lips, in parts of the distance of the outer eye corners, where a mouth begins to open and is
# open: parted lips show 0.02 in the mesh when they are closed in the picture.
_PARTED, _OPEN = 0.02, 0.08
_MOUTH_GROWN = 0.3  # towards the outer lips: the mesh draws an open mouth too small
_EYE_SHRUNK = 0.85  # the lids stay the source's
_SOFT = 80  # width between the eyes over the sigma of kept parts' edges


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a crop that a face covers; even numbers of pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    def of(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """That part of a picture of the crop's size; a view."""
        return picture[self.y0 : self.y1, self.x0 : self.x1]

    def moved(self, points: Floats) -> Floats:
        """Crop pixels in the box's own pixels."""
        inside = points.copy()
        inside[:, :2] -= (self.x0, self.y0)
        return inside


def box_of(target: Floats, size: int) -> Box | None:
    """The box around a mesh (468, 2 or more) in a crop of a side; None if the face lies outside."""
    low = np.clip(np.floor(target[:, :2].min(axis=0)) - 1, 0, size)
    high = np.clip(np.ceil(target[:, :2].max(axis=0)) + 2, 0, size)
    x0, y0 = (low // 2 * 2).astype(int).tolist()
    x1, y1 = (high // 2 * 2).astype(int).tolist()
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def fields(live: Floats, target: Floats, pose: Pose, shape_hw: tuple[int, int]) -> tuple[Floats, ...]:
    """For each pixel: texel x and y, how far off the live face's own pixel is (x, y), how much is swapped.

    They are drawn at half the resolution: they are smooth but for the face's edge, where the swap has faded.

    Args:
        live: (468, 2 or more), the live mesh, px.
        target: (468, 3), where the swap has its mesh, px.
        pose: of the live mesh.
        shape_hw: even numbers.
    """
    vertices = mesh.with_rim(target)
    weight = np.append(np.minimum(_OUTLINE_WEIGHT, _facing_weight(pose)), np.zeros(len(vertices) - len(live)))
    shift = mesh.with_rim(live[:, :2] - target[:, :2])
    values = np.concatenate([mesh.texture_points(SIDE), shift, weight[:, None]], axis=1).astype(np.float32)
    # Pixel x lies at (x + 0.5) / 2 - 0.5 of the half-size grid.
    at = ((vertices[:, :2] + 0.5) / 2 - 0.5).astype(np.float32)
    height, width = shape_hw
    shown = mesh.triangle_map(at, vertices[:, 2], (height // 2, width // 2), mesh.front_sign())
    drawn = _grown(mesh.interpolated(shown, at, values), shown >= 0)
    wide = [cv2.resize(channel, (width, height)) for channel in cv2.split(drawn)]
    return tuple(np.asarray(channel, np.float32) for channel in (*wide[:4], np.clip(wide[4], 0, 1)))


def around(alpha: Mask) -> Mask:
    """A mask so much larger than the swap that DeepFaceLive's default erosion and blur leave the swap alone.

    Around the swap the crop is the live picture, so the mask's own edge shows nothing.
    """
    grown = 2 * round(alpha.shape[0] * _MASK_GROWN) + 1
    shown = (alpha > _SHOWN).astype(np.uint8)
    return np.asarray(cv2.dilate(shown, np.ones((grown, grown), np.uint8)), np.float32)


def _facing_weight(pose: Pose) -> npt.NDArray[np.float64]:
    return np.asarray(np.clip((egg_facing(pose) - _EDGE_ON) / (_SEEN - _EDGE_ON), 0, 1), np.float64)


def _grown(fields: Floats, covered: npt.NDArray[np.bool_]) -> Floats:
    """Fields that go on a little outside the face, so that enlarging them mixes in nothing foreign."""
    weight = covered.astype(np.float32)
    summed, count = cv2.blur(fields, (3, 3)), cv2.blur(weight, (3, 3))
    edge = ~covered & (count > 0)
    fields[edge] = summed[edge] / count[edge, None]
    # From the silhouette inwards the swap fades in, or the steps of half resolution would show there.
    fields[..., 4] *= np.maximum(2 * cv2.blur(weight, (_SOFT_STEPS, _SOFT_STEPS)) - 1, 0)
    return fields


def kept(points: Floats, shape_hw: tuple[int, int], mouth: bool, eyes: bool) -> Mask:
    """Where the live picture is kept, 0..1."""
    kept = np.zeros(shape_hw, np.uint8)
    width = float(np.linalg.norm(points[33] - points[263]))
    if mouth:
        gap = float(np.linalg.norm(points[13] - points[14])) / max(width, 1e-6)
        openness = float(np.clip((gap - _PARTED) / (_OPEN - _PARTED), 0, 1))
        inner, outer = points[list(mesh.INNER_LIPS)], points[list(mesh.OUTER_LIPS)]
        ring = inner + (outer - inner) * _MOUTH_GROWN * openness
        if openness > 0:
            _fill(kept, ring, openness)
    if eyes:
        for eye in mesh.EYES:
            lids = points[list(eye)]
            _fill(kept, lids.mean(axis=0) + (lids - lids.mean(axis=0)) * _EYE_SHRUNK, 1.0)
    sigma = max(0.6, width / _SOFT)
    return np.asarray(cv2.GaussianBlur(kept, (0, 0), sigma) * np.float32(1 / 255), np.float32)


def _fill(kept: npt.NDArray[np.uint8], ring: Floats, weight: float) -> None:
    cv2.fillPoly(kept, [np.round(ring * 16).astype(np.int32)], 255 * weight, cv2.LINE_AA, 4)


def shaded(swapped: ImageBGR, shading: Floats, u: Floats, v: Floats) -> ImageBGR:
    """The swap multiplied by what lies at its texels in a small texture."""
    scale = shading.shape[0] / SIDE
    height, width = swapped.shape[:2]
    at = [(cv2.resize(field, (width // 2, height // 2)) + 0.5) * scale - 0.5 for field in (u, v)]
    ratio = cv2.remap(shading, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    wide = cv2.cvtColor(cv2.resize(ratio, (width, height)), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.multiply(swapped, wide, dtype=cv2.CV_8U), np.uint8)


def shifted(crop: ImageBGR, dx: Floats, dy: Floats) -> ImageBGR:
    """The live crop with its features moved to where the swap has them."""
    height, width = crop.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return remapped(crop, dx + x, dy + y[:, None])


def remapped(picture: ImageBGR, x: Floats, y: Floats) -> ImageBGR:
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def mixed(swapped: ImageBGR, live: ImageBGR, alpha: Mask) -> ImageBGR:
    """The swap where alpha is 1, the live picture where it is 0."""
    return np.asarray(cv2.blendLinear(swapped, live, alpha, 1 - alpha), np.uint8)
