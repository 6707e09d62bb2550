"""From a person's pictures to textures on the canonical face, with what they do not show filled in."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_shape import TO_OUTLINE, Pose, fit_pose
from obs_faceswap.engine.types import ImageBGR

Floats: TypeAlias = npt.NDArray[np.float32]

SIDE = 640  # of a texture, px: a face of 500 px keeps its detail

# Cosines between a face's surface and the line of sight: below the first a picture shows nothing of it that
# could be used, above the second all.
_GRAZING, _CLEAR = 0.2, 0.5

# How far a color may be from the cheeks' before it is no skin, in their spreads; least spreads in Lab units.
_SKIN, _NO_SKIN = 2.2, 3.2
_LEAST_SPREAD = (9.0, 4.0, 4.5)

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
    places = mesh.interpolated(shown, at, np.column_stack([vertices[:, :2], _facing(vertices)]))
    x, y, facing = (np.asarray(channel, np.float32) for channel in cv2.split(places))
    texture = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    height, width = small.shape[:2]
    inside = (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1) & (shown >= 0)
    known = _smoothstep(facing, _GRAZING, _CLEAR) * _smoothstep(_inside_outline(), *_TRUSTED_CM) * inside
    known = known * _skin(texture, known)
    return View(texture, known.astype(np.float32), fit_pose(points))


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
    return np.asarray(sums[:, 2] / np.maximum(np.linalg.norm(sums, axis=1), 1e-9), np.float32)


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


@lru_cache(maxsize=1)
def _features() -> npt.NDArray[np.bool_]:
    """Texels of brows, eyes and lips: no skin, and never hair in front of it."""
    rings = (*mesh.BROWS, *mesh.EYES, mesh.OUTER_LIPS)
    return np.asarray(np.max([_polygon(ring, SIDE // 64) for ring in rings], axis=0) > 0, np.bool_)


def _skin(texture: Floats, known: Floats) -> Floats:
    """0 where hair, a cap or anything else hides the forehead, the temples or the sides; elsewhere 1."""
    head = mesh.HEAD
    aside = np.abs(head[:, 0])
    cheeks = (head[:, 1] > -1.0) & (head[:, 1] < 2.5) & (aside > 2.0) & (aside < 5.0)
    lab = cv2.cvtColor(cv2.GaussianBlur(texture, (0, 0), SIDE / 320) / 255, cv2.COLOR_BGR2Lab)
    sample = lab[(_region(cheeks) > 0.5) & (known > 0.5)]
    if len(sample) < 50:
        return np.ones_like(known)
    middle = np.median(sample, axis=0)
    spread = np.maximum(1.48 * np.median(np.abs(sample - middle), axis=0), _LEAST_SPREAD)
    distance = np.sqrt((((lab - middle) / spread) ** 2).sum(axis=2))
    # Hair has soft edges: what touches it is not trusted either.
    skin = cv2.erode(1 - _smoothstep(distance, _SKIN, _NO_SKIN), np.ones((9, 9), np.uint8))
    skin = cv2.GaussianBlur(skin, (0, 0), SIDE / 160)
    tested = (head[:, 1] < -4.2) | ((aside > 5.6) & (head[:, 1] < 3.5)) | (TO_OUTLINE < 1.2)
    doubt = cv2.GaussianBlur(_region(tested), (0, 0), SIDE / 160)
    doubt[_features()] = 0
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
    weight = view.known * ~_features() + 1e-6
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
