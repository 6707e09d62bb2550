"""Drawing a texture on a live mesh: fields of places, masks, and what is kept of the live picture."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.finish.pixels import averaged
from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import TO_OUTLINE, Pose, egg_facing
from obs_faceswap.engine.swap.photo_texture import SIDE
from obs_faceswap.engine.types import ImageBGR, Mask

Floats: TypeAlias = npt.NDArray[np.float32]
Torn: TypeAlias = npt.NDArray[np.uint8] | None

_EDGE_CM = 0.8  # from the outline inwards the swap fades in
_OUTLINE_WEIGHT = TO_OUTLINE / _EDGE_CM
# Cosine between a head's surface (an egg) and the line of sight where the swap begins and is full.
_EDGE_ON, _SEEN = 0.02, 0.22
_FINE_PX_PER_CM = 20.0  # a face of 360 px; larger ones are drawn at a quarter of their size, others at half
_SOFT_PX = 14  # over which a silhouette is made soft, about
_MASK_GROWN = 0.06  # of the crop's side: default erosion 1.1 and twice the blur's sigma of 2.8 percent
_SHOWN = 0.02  # less of the swap is not seen
# Neighbors have texels up to about 20 apart on a face that is drawn with 13.5 px a cm.
_FAR_TEXELS, _LARGE_CELL_PX_PER_CM = 30.0, 13.5
_MIDDLE = 0.3  # of the texture to each side; towards the ears a face is seen aslant, and whole all the same
_STEPS = 4  # of what was drawn coarser: less than that many pixels of it are blurred together
_COARSE_PX = 96  # what is smooth or only measured needs no more pixels a side than about that
_MASK_PX = 160  # and masks, which are made soft
_GRAY_LIGHT = 0.75  # part of light and shadow that keeps colors' distance to gray instead of stretching it
_BLACK = np.float32(8.0)  # of 255, below which a color is not stretched much

# Gap between the lips, in parts of the distance of the outer eye corners, where a mouth begins to open and is
# open: parted lips show 0.02 in the mesh when they are closed in the picture.
_PARTED, _OPEN = 0.02, 0.08
_MOUTH_GROWN = 0.3  # towards the outer lips: the mesh draws an open mouth too small
_EYE_SHRUNK = 0.85  # the lids stay the source's
_SOFT = 80  # width between the eyes over the sigma of kept parts' edges


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a crop that a face covers; whole multiples of four pixels."""

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
    left, top, *_ = cv2.reduce(target, 0, cv2.REDUCE_MIN).ravel().tolist()
    right, bottom, *_ = cv2.reduce(target, 0, cv2.REDUCE_MAX).ravel().tolist()
    x0, y0 = (int(min(max(math.floor(low) - 5, 0), size)) // 4 * 4 for low in (left, top))
    x1, y1 = (int(min(max(math.ceil(high) + 9, 0), size)) // 4 * 4 for high in (right, bottom))
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def drawn_coarser(pose: Pose) -> int:
    """How many times smaller than the crop a face is drawn: its mesh is no finer than that."""
    return 4 if pose.scale > _FINE_PX_PER_CM else 2


def fields(
    target: Floats, pose: Pose, shape_hw: tuple[int, int], coarser: int
) -> tuple[Floats, Floats, Mask, Torn]:
    """For each pixel of a smaller picture: texel x and y, and how much is swapped, 0..1.

    They are smooth but for the face's edge, where the swap has faded, and where a nose hides a cheek; that
    edge, where there is one, comes fourth (255, elsewhere 0).

    Args:
        target: (468, 3), where the swap has its mesh, px of the whole size.
        pose: of the live mesh.
        shape_hw: the whole size, multiples of four.
        coarser: how many times smaller the picture is, see `drawn_coarser`.
    """
    weight = mesh.with_rim(np.minimum(_OUTLINE_WEIGHT, _facing_weight(pose))[:, None])
    weight[len(target) :] = 0
    values = np.concatenate([mesh.texture_points(SIDE), weight], axis=1)
    drawn, seen = _drawn(target, values, shape_hw, coarser)
    x, y, alpha = cv2.split(drawn)
    # They go on a little outside the face, so that enlarging them mixes in nothing foreign.
    x, y = (cv2.copyTo(field, seen, cv2.dilate(field, _NEIGHBORS)) for field in (x, y))
    # From the silhouette inwards the swap fades in, or the steps of the coarse drawing would show there.
    soft = _SOFT_PX // coarser // 2 * 2 + 1
    inside = cv2.LUT(cv2.blur(seen, (soft, soft)), _INSIDE)
    alpha = cv2.GaussianBlur(np.minimum(alpha, 1) * inside, (3, 3), 0, borderType=cv2.BORDER_CONSTANT)
    return _floats(x), _floats(y), _floats(alpha), _torn(x, _floats(alpha), pose.scale / coarser)


def _torn(x: npt.NDArray[Any], alpha: Mask, px_per_cm: float) -> Torn:
    """Where neighbors show texels that lie far apart."""
    apart = cv2.morphologyEx(x, cv2.MORPH_GRADIENT, _NEIGHBORS)
    far = _FAR_TEXELS * max(1.0, _LARGE_CELL_PX_PER_CM / max(px_per_cm, 1e-6))
    torn = (apart > far) & (np.abs(x - SIDE / 2) < _MIDDLE * SIDE) & (alpha > _SHOWN)
    return torn.astype(np.uint8) * np.uint8(255) if torn.any() else None


def mended(picture: ImageBGR, torn: Torn) -> None:
    """Smooths the steps of a coarser drawing along an edge inside the swap, in place."""
    if torn is None:
        return
    coarser = len(picture) // len(torn)
    x, y, width, height = cv2.boundingRect(torn)
    y0, x0, y1, x1 = max(y - 2, 0), max(x - 2, 0), y + height + 2, x + width + 2
    there = np.s_[y0:y1, x0:x1]
    part = picture[coarser * y0 : coarser * y1, coarser * x0 : coarser * x1]
    weight = cv2.resize(torn[there] * np.float32(1 / 255), (part.shape[1], part.shape[0]))
    sharp = np.ascontiguousarray(part)
    side = _STEPS * coarser - 1
    part[:] = cv2.blendLinear(cv2.GaussianBlur(sharp, (side, side), 0), sharp, weight, 1 - weight)


_NEIGHBORS = np.ones((3, 3), np.uint8)
# From the share of the pixels around, in 255ths, that show the mesh: half at its edge, all inside.
_INSIDE = np.maximum(np.linspace(-1, 1, 256), 0).astype(np.float32)


def _drawn(
    target: Floats, values: Floats, shape_hw: tuple[int, int], coarser: int
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Values (504, 3) drawn on a mesh in a picture that many times smaller."""
    vertices = mesh.with_rim(target)
    height, width = shape_hw
    at = scaled(vertices[:, :2], 1 / coarser)
    return mesh.drawn(at, vertices[:, 2], values, (height // coarser, width // coarser))


def scaled(points: Floats, scale: float) -> Floats:
    """Points of a picture in one of another size: pixel x has its center at (x + 0.5) * scale - 0.5 there."""
    return ((points + 0.5) * scale - 0.5).astype(np.float32)


def coarser(shape_hw: tuple[int, ...]) -> int:
    """How many times smaller a picture may be for what is smooth or only measured: 1, 2 or 4."""
    return next((times for times in (4, 2) if max(shape_hw[:2]) >= times * _COARSE_PX), 1)


def smaller(picture: npt.NDArray[Any], times: int) -> Any:
    """A picture or field averaged down by 1, 2 or 4; its sides are multiples of four."""
    return averaged(picture, (picture.shape[1] // times, picture.shape[0] // times))


def enlarged(field: Floats, shape_hw: tuple[int, ...]) -> Floats:
    """A smooth field at another size."""
    if field.shape == shape_hw[:2]:
        return field
    return _floats(cv2.resize(field, (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_LINEAR))


def _floats(field: npt.NDArray[Any]) -> Floats:
    return np.asarray(field, np.float32)


def around(alpha: Mask) -> Mask:
    """A mask so much larger than the swap that DeepFaceLive's default erosion and blur leave the swap alone.

    It is coarser than the swap's alpha where that is fine.
    """
    size = len(alpha)
    step = max((s for s in (1, 2, 4) if size % s == 0 and size // s >= _MASK_PX), default=1)
    shown = (alpha[::step, ::step] > _SHOWN).astype(np.uint8)
    grown = 2 * round(len(shown) * _MASK_GROWN) + 1
    return _floats(cv2.dilate(shown, np.ones((grown, grown), np.uint8)))


def _facing_weight(pose: Pose) -> npt.NDArray[np.float64]:
    return np.asarray(np.clip((egg_facing(pose) - _EDGE_ON) / (_SEEN - _EDGE_ON), 0, 1), np.float64)


def kept(points: Floats, shape_hw: tuple[int, int], mouth: bool, eyes: bool) -> Mask:
    """Where the live picture is kept, 0..1."""
    shown = np.ones(shape_hw, np.float32)
    keep(shown, points, mouth, eyes)
    return np.asarray(1 - shown, np.float32)


def keep(alpha: Mask, points: Floats, mouth: bool, eyes: bool) -> None:
    """Takes away from a swap's alpha where the live picture is kept."""
    width = float(np.linalg.norm(points[33] - points[263]))
    sigma = max(0.6, width / _SOFT)
    if mouth:
        gap = float(np.linalg.norm(points[13] - points[14])) / max(width, 1e-6)
        openness = min(max((gap - _PARTED) / (_OPEN - _PARTED), 0.0), 1.0)
        inner, outer = points[list(mesh.INNER_LIPS)], points[list(mesh.OUTER_LIPS)]
        if openness > 0:
            _take(alpha, inner + (outer - inner) * _MOUTH_GROWN * openness, openness, sigma)
    if eyes:
        for eye in mesh.EYES:
            lids = points[list(eye)]
            _take(alpha, lids.mean(axis=0) + (lids - lids.mean(axis=0)) * _EYE_SHRUNK, 1.0, sigma)


def _take(alpha: Mask, ring: Floats, weight: float, sigma: float) -> None:
    """Takes the inside of a ring of points away, with a soft edge."""
    margin = 4 * sigma + 2
    x0, y0 = np.maximum(np.floor(ring.min(axis=0) - margin), 0).astype(int).tolist()
    x1, y1 = np.maximum(np.ceil(ring.max(axis=0) + margin), 0).astype(int).tolist()
    part = alpha[y0:y1, x0:x1]
    if not part.size:
        return
    hard = np.zeros(part.shape, np.uint8)
    corners = np.round((ring - (x0, y0)) * 16).astype(np.int32)
    cv2.fillPoly(hard, [corners], 255 * weight, cv2.LINE_AA, 4)
    part *= 1 - cv2.GaussianBlur(hard, (0, 0), sigma) * np.float32(1 / 255)


def ratios(shading: Floats, u: Floats, v: Floats) -> Floats:
    """What lies in a small texture of shading at texels of the large one."""
    scale = shading.shape[0] / SIDE
    at = scaled(u, scale), scaled(v, scale)
    return _floats(cv2.remap(shading, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def colored(ratio: Floats, picture: ImageBGR) -> Floats:
    """A ratio of brightness (H, W) as one of blue, green and red (H, W, 3), for a picture of that size.

    Light mostly adds gray, and shadow takes it away: multiplied alone, skin glows orange or turns to ash.
    """
    change = ratio - 1
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) * (change * np.float32(_GRAY_LIGHT))
    own = 1 + change * np.float32(1 - _GRAY_LIGHT)
    return np.asarray(own[..., None] + gray[..., None] / (picture + _BLACK), np.float32)


def shaded(picture: ImageBGR, ratio: Floats) -> ImageBGR:
    """A picture multiplied by a coarse field of three channels."""
    wide = cv2.resize(ratio, (picture.shape[1], picture.shape[0]))
    return np.asarray(cv2.multiply(picture, wide, dtype=cv2.CV_8U), np.uint8)


def shifted(crop: ImageBGR, live: Floats, target: Floats) -> ImageBGR:
    """The live crop with its features moved to where the swap has them."""
    height, width = crop.shape[:2]
    shift = mesh.with_rim(live[:, :2] - target[:, :2])
    values = np.concatenate([shift, np.zeros((len(shift), 1), np.float32)], axis=1)
    drawn, _ = _drawn(target, values, (height, width), 4)
    dx, dy = (enlarged(drawn[..., axis], (height, width)) for axis in (0, 1))
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    moved = cv2.remap(crop, dx + x, dy + y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def remapped(texture: ImageBGR, x: Floats, y: Floats) -> ImageBGR:
    """The texels (H, W, 3) of a texture of four channels."""
    texels = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(texels, cv2.COLOR_BGRA2BGR), np.uint8)


def lay(swapped: ImageBGR, alpha: Mask, live: ImageBGR) -> None:
    """Writes the swap, where there is some, over the live picture."""
    cv2.copyTo(swapped, (alpha > 0).view(np.uint8), live)


def mixed(swapped: ImageBGR, live: ImageBGR, alpha: Mask) -> ImageBGR:
    """The swap where alpha is 1, the live picture where it is 0."""
    return np.asarray(cv2.blendLinear(swapped, live, alpha, 1 - alpha), np.uint8)
