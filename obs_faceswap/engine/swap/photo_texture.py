"""From a person's pictures to textures on the canonical face, with what they do not show filled in."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import TO_OUTLINE, Pose, egg_facing, fit_pose
from obs_faceswap.engine.types import ImageBGR

Floats: TypeAlias = npt.NDArray[np.float32]

SIDE = 640  # of a texture, px: a face of 500 px keeps its detail

# Cosines between a face's surface and the line of sight: below the first a picture shows nothing of it that
# could be used, above the second all.
_GRAZING, _CLEAR = 0.2, 0.45
_NORMALS_CM = 0.7

_DEPTH_GRID = 160  # a picture's face is drawn that large to find what hides behind the nose
_TURNED_RAD = 0.15  # in pictures turned further, one half hides things and is seen worse
# Difference of the cosines of a texel and its mirror image: below the first, the other half is used.
_WORSE_HALF = (-0.6, -0.3)
_HIDDEN_CELLS = 6.0  # deeper than what is seen there: 0.6 cm; the mesh's depth is rough

# How far a color may be from the cheeks' before it is no skin, in their spreads; least spreads in Lab units.
_SKIN, _NO_SKIN = 2.0, 2.9
_LEAST_SPREAD = (11.0, 4.5, 5.0)

# Centimeters inside the mesh's outline, which may lie a little outside the face: not trusted, and trusted.
_TRUSTED_CM = (0.2, 0.8)

_LEVELS = 7  # of the pyramid that fills; its top is 5 texels wide


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the source, laid on the canonical face."""

    texture: Floats  # (SIDE, SIDE, 3), BGR, 0..255
    known: Floats  # (SIDE, SIDE), 0..1: how well the picture shows the skin there
    pose: Pose


def view_of(picture: ImageBGR, points: npt.NDArray[np.floating]) -> View:
    """Lays a picture with its mesh (468, 3), px, on the canonical face."""
    small, scale = _reduced(picture, points)
    vertices = mesh.with_rim(((points + 0.5) * scale - 0.5).astype(np.float32))
    shown, at = mesh.texture_map(SIDE)
    pose = fit_pose(points)
    facing = np.minimum(_facing(vertices), mesh.with_rim(egg_facing(pose)[:, None])[:, 0])
    places = mesh.interpolated(shown, at, np.column_stack([vertices, facing]))
    x, y, depth, facing = (np.asarray(channel, np.float32) for channel in cv2.split(places))
    texture = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    height, width = small.shape[:2]
    inside = (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1) & (shown >= 0)
    known = _smoothstep(facing, _GRAZING, _CLEAR) * _smoothstep(_inside_outline(), *_TRUSTED_CM) * inside
    if abs(pose.yaw_pitch[0]) > _TURNED_RAD:
        known = known * _smoothstep(facing - facing[:, ::-1], *_WORSE_HALF)
        known = known * _in_sight(vertices, np.stack([x, y], axis=2), depth)
    known = known * _skin(texture, known)
    return View(texture, known.astype(np.float32), pose)


def _reduced(picture: ImageBGR, points: npt.NDArray[np.floating]) -> tuple[ImageBGR, float]:
    """The picture, made so small that no texel skips pixels of it."""
    scale = SIDE * 0.9 / max(float(np.ptp(points[:, :2], axis=0).max()), 1.0)
    if scale >= 1:
        return picture, 1.0
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), scale


def _facing(vertices: Floats) -> Floats:
    """Cosine between each vertex's normal and the line of sight, -1..1."""
    corners = vertices[mesh.TRIANGLES]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * mesh.front_sign()
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, mesh.TRIANGLES[:, corner], normals)
    # Smoothed: the creases of lips and lids are no other sides of the head.
    smooth = mesh.with_rim(_NEARBY @ sums[: len(mesh.HEAD)])
    return np.asarray(smooth[:, 2] / np.maximum(np.linalg.norm(smooth, axis=1), 1e-9), np.float32)


def _in_sight(vertices: Floats, places: Floats, depth: Floats) -> Floats:
    """0 at texels that a nearer part of the face hides, such as a cheek behind the nose; elsewhere 1."""
    low = vertices[:, :2].min(axis=0)
    scale = _DEPTH_GRID / max(float(np.ptp(vertices[:, :2], axis=0).max()), 1.0)
    at = ((vertices[:, :2] - low) * scale).astype(np.float32)
    shown = mesh.triangle_map(at, vertices[:, 2], (_DEPTH_GRID, _DEPTH_GRID), mesh.front_sign())
    nearest = mesh.interpolated(shown, at, vertices[:, 2:])[..., 0]
    nearest[shown < 0] = 1e6
    x, y = cv2.split(((places - low) * scale).astype(np.float32))
    found = cv2.remap(nearest, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    behind = (depth > found + _HIDDEN_CELLS / scale).astype(np.float32)
    hidden = cv2.dilate(behind, np.ones((13, 13), np.uint8))
    return np.asarray(1 - cv2.GaussianBlur(hidden, (0, 0), SIDE / 160), np.float32)


def _nearby() -> npt.NDArray[np.float64]:
    distances = np.linalg.norm(mesh.HEAD[:, None] - mesh.HEAD[None], axis=2)
    return np.asarray(np.exp(-(distances**2) / (2 * _NORMALS_CM**2)), np.float64)


_NEARBY = _nearby()


def _region(test: npt.NDArray[np.bool_]) -> Floats:
    """A soft mask of the texels around chosen vertices (468,)."""
    shown, at = mesh.texture_map(SIDE)
    weights = mesh.with_rim(test.astype(np.float32)[:, None])
    return mesh.interpolated(shown, at, weights)[..., 0]


@lru_cache(maxsize=1)
def _inside_outline() -> Floats:
    """How far each texel lies inside the face's outline, cm; negative on the rim."""
    shown, at = mesh.texture_map(SIDE)
    distances = np.append(TO_OUTLINE, np.full(len(at) - len(TO_OUTLINE), -1.0))
    return mesh.interpolated(shown, at, distances[:, None].astype(np.float32))[..., 0]


def _polygon(ring: tuple[int, ...], grown: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    points = mesh.texture_points(SIDE)[list(ring)]
    cv2.fillPoly(mask, [cv2.convexHull(np.round(points).astype(np.int32))], 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1, 2 * grown + 1))
    return np.asarray(cv2.dilate(mask, disc), np.uint8)


@lru_cache(maxsize=2)
def _features(grown: int) -> npt.NDArray[np.bool_]:
    """Texels of brows, eyes and lips, and so many around them: no skin, and no hair in front of it."""
    rings = (*mesh.BROWS, *mesh.EYES, mesh.OUTER_LIPS)
    return np.asarray(np.max([_polygon(ring, grown) for ring in rings], axis=0) > 0, np.bool_)


def _skin(texture: Floats, known: Floats) -> Floats:
    """0 where hair, a cap or anything else hides the forehead, the temples or the sides; elsewhere 1."""
    head = mesh.HEAD
    aside = np.abs(head[:, 0])
    cheeks = (head[:, 1] > -1.0) & (head[:, 1] < 2.5) & (aside > 2.0) & (aside < 5.0)
    lab = cv2.cvtColor(cv2.GaussianBlur(texture, (0, 0), SIDE / 160) / 255, cv2.COLOR_BGR2Lab)
    sample = lab[(_region(cheeks) > 0.5) & (known > 0.5)]
    if len(sample) < 50:
        return np.ones_like(known)
    middle = np.median(sample, axis=0)
    spread = np.maximum(1.48 * np.median(np.abs(sample - middle), axis=0), _LEAST_SPREAD)
    away = (lab - middle) / spread
    away[..., 0] *= np.where(away[..., 0] > 0, 0.35, 1)  # a forehead shines; hair is mostly darker
    distance = np.sqrt((away**2).sum(axis=2))
    # Hair has soft edges: what touches it is not trusted either.
    skin = cv2.erode(1 - _smoothstep(distance, _SKIN, _NO_SKIN), np.ones((15, 15), np.uint8))
    skin = cv2.GaussianBlur(skin, (0, 0), SIDE / 160)
    tested = (head[:, 1] < -4.2) | (aside > 5.0) | (TO_OUTLINE < 1.2)
    doubt = cv2.GaussianBlur(_region(tested), (0, 0), SIDE / 160)
    # Brows are darker than skin; what is lighter beside them is a highlight and no brow.
    features = (_features(SIDE // 200) & (away[..., 0] < 0)).astype(np.float32)
    features = cv2.GaussianBlur(features, (0, 0), SIDE / 300)
    doubt = doubt * (1 - features)
    return np.asarray(1 - doubt * (1 - skin), np.float32)


def complete(primary: View, others: list[View]) -> ImageBGR:
    """A texture (SIDE, SIDE, 3) of all the face.

    What the first picture does not show is taken from the others in their order, then from the face's other
    half, each in the first one's colors; what no picture shows becomes smooth skin.
    """
    base = _spread_skin(primary)
    texture, known = primary.texture, primary.known
    sources = [*others, *(_mirrored(view) for view in (primary, *others))]
    for source in sources:
        wanted = (1 - known) * source.known
        if wanted.max() < 0.05:
            continue
        detail = source.texture / np.maximum(_spread_skin(source), 1.0)
        weight = known / np.maximum(known + wanted, 1e-3)
        mixed = texture * weight[..., None] + base * detail * (1 - weight[..., None])
        texture = np.asarray(mixed, np.float32)
        known = known + wanted
    filled = texture * known[..., None] + base * (1 - known[..., None])
    return np.clip(filled, 0, 255).astype(np.uint8)


def _mirrored(view: View) -> View:
    return View(
        np.ascontiguousarray(view.texture[:, ::-1]), np.ascontiguousarray(view.known[:, ::-1]), view.pose
    )


def _spread_skin(view: View) -> Floats:
    """The skin's color, coarse, everywhere: known skin averaged and carried to where none is known."""
    weight = view.known * ~_features(SIDE // 64) + 1e-6
    return _pulled(view.texture * weight[..., None], weight, _LEVELS)


def _pulled(colors: Floats, weight: Floats, levels: int) -> Floats:
    """Push-pull: holes take the mean of ever larger surroundings. `colors` are multiplied by the weight."""
    if levels:
        coarse = _pulled(_halved(colors), _halved(weight), levels - 1)
        wider = cv2.pyrUp(coarse, dstsize=weight.shape[::-1])
    else:
        wider = np.broadcast_to(colors.sum((0, 1)) / max(float(weight.sum()), 1e-9), colors.shape)
    own = np.clip(weight, 0, 1)[..., None] * (0.0 if levels > 2 * _LEVELS // 3 else 1.0)
    mean = colors / np.maximum(weight, 1e-9)[..., None]
    return np.asarray(mean * own + wider * (1 - own), np.float32)


def _halved(picture: Floats) -> Floats:
    return np.asarray(cv2.pyrDown(picture), np.float32)


def _smoothstep(values: Floats, low: float, high: float) -> Floats:
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
