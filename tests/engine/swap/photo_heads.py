"""Heads for tests of the photo face: the canonical mesh, posed, and pictures of it with any texture."""

import cv2
import numpy as np

from obs_faceswap.engine.crop.align import to_crop, warp_for
from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_texture import SIDE
from obs_faceswap.engine.types import AlignedFace, Face

GRAY = 60


def rotation(yaw=0.0, pitch=0.0, roll=0.0):
    """Degrees; positive: to the picture's right, down, clockwise."""
    yaw, pitch, roll = np.deg2rad([-yaw, pitch, roll])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ about_x @ about_y


def posed(yaw=0.0, pitch=0.0, roll=0.0, scale=12.0, center=(150.0, 150.0), head=mesh.HEAD):
    """A mesh (468, 3) in picture pixels; `scale` pixels a centimeter."""
    turned = head @ rotation(yaw, pitch, roll).T * scale
    return (turned + np.array([*center, 0])).astype(np.float32)


def skin(color=(120, 150, 200), seed=1):
    """A texture of one color with fine grain, brows, eyes with irises, lips."""
    texture = np.full((SIDE, SIDE, 3), color, np.float32)
    grain = np.random.default_rng(seed).normal(0, 6, (SIDE // 8, SIDE // 8)).astype(np.float32)
    texture += cv2.resize(grain, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
    for ring in mesh.BROWS:
        paint(texture, ring, (30, 40, 50))
    paint(texture, mesh.OUTER_LIPS, (80, 70, 190))
    for ring in mesh.EYES:
        paint(texture, ring, (230, 230, 230))
        middle = mesh.texture_points(SIDE)[list(ring)].mean(axis=0)
        cv2.circle(texture, np.round(middle).astype(int).tolist(), 9, (40, 40, 40), -1)
    return np.clip(texture, 0, 255).astype(np.uint8)


def paint(texture, ring, color):
    """Fills a ring of vertices in a texture, in place."""
    points = mesh.texture_points(SIDE)[list(ring)]
    cv2.fillPoly(texture, [np.round(points).astype(np.int32)], color)


def picture_of(texture, points, size=300, background=GRAY):
    """A picture (size, size, 3) of a textured mesh (468, 3) in front of gray."""
    vertices = mesh.with_rim(points)
    shown = mesh.triangle_map(vertices[:, :2], vertices[:, 2], (size, size), mesh.front_sign())
    at = mesh.interpolated(shown, vertices[:, :2], mesh.texture_points(SIDE))
    picture = cv2.remap(texture, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    picture[shown < 0] = background
    return picture


def finder(*meshes):
    """A landmark finder that finds these meshes in every picture."""
    return lambda _picture: [(points[:, :2], points[:, 2], 1.0) for points in meshes]


def aligned(picture, points, size=256, track_id=1):
    """A face cut out of a picture."""
    warp = warp_for(points[:, :2], size)
    crop = cv2.warpAffine(picture, warp.matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    face = Face(points[:, :2], points[:, 2], 1.0, track_id)
    return AlignedFace(crop, warp, to_crop(warp, points[:, :2]), face)


def put(swapped, aligned):
    """The crop as it is seen: the swap over the live picture."""
    toned = swapped.crop if swapped.tone is None else cv2.transform(swapped.crop, swapped.tone)
    alpha = swapped.alpha[..., None]
    return np.round(toned * alpha + aligned.crop * (1 - alpha)).astype(np.uint8)
