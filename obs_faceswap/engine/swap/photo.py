"""A face made from pictures of a person: laid on the live face's mesh, in the scene's light."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.settings import ColorTransfer, Keep, Settings
from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.swap.photo_find import FindLandmarks, the_face
from obs_faceswap.engine.swap.photo_gaze import Gaze, Lids, Sides
from obs_faceswap.engine.swap.photo_light import LightMatch, luma
from obs_faceswap.engine.swap.photo_shading import Shading, side_slope
from obs_faceswap.engine.swap.photo_shape import TO_OUTLINE, Pose, ShapeShift, egg_facing, fit_pose, to_head
from obs_faceswap.engine.swap.photo_texture import SIDE, View, complete, view_of
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace

Floats: TypeAlias = npt.NDArray[np.float32]

_CROP_STEP, _SMALLEST_CROP, _LARGEST_CROP = 32, 160, 512

# Cosine between a head's surface (an egg) and the line of sight where the mask begins and is full.
_EDGE_ON, _SEEN = 0.02, 0.22
_EDGE_CM = 0.8  # from the outline inwards the swap fades in
_MASK_GROWN = 0.05  # of the crop's side: default erosion 1.1 and twice the blur's sigma of 2.8 percent


class PhotoSwapper:
    """Puts pictures of a person on aligned faces; see docs/photo-face.md."""

    def __init__(
        self,
        pictures: Sequence[ImageBGR],
        find_landmarks: FindLandmarks,
        settings: Settings | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Makes the textures; takes about half a second a picture.

        Args:
            pictures: one or several pictures of one person.
            find_landmarks: finds all faces of a picture.
            settings: as for `update`.
            names: what to call the pictures in messages.

        Raises:
            FaceError: no picture has one clear face that is large enough.
        """
        names = names or [f"Picture {number}" for number in range(1, len(pictures) + 1)]
        meshes, views, complaints = [], [], []
        for name, picture in zip(names, pictures, strict=True):
            try:
                found = the_face(name, picture, find_landmarks)
            except FaceError as error:
                complaints.append(str(error))
                continue
            meshes.append(found)
            views.append(view_of(picture, found))
        if not views:
            raise FaceError(complaints[0] if complaints else "No picture was given. Choose one with a face.")
        self.notice = " ".join(complaints)
        self._gaze, self._lids = Gaze(SIDE), Lids()
        self._textures = _Textures(views, self._gaze)
        self._slope = float(np.mean([side_slope(luma(view.texture), view.known > 0.5) for view in views]))
        shapes = [to_head(found, view.pose) for found, view in zip(meshes, views, strict=True)]
        frontal = [max(0.05, view.pose.rotation[2, 2]) ** 4 for view in views]
        self._shape = ShapeShift(np.average(shapes, axis=0, weights=frontal))
        self._light = LightMatch()
        self._shading = Shading()
        self._track_id = -1
        self.update(settings or Settings())

    def update(self, settings: Settings) -> None:
        """Takes over the settings that act on photo faces."""
        self._keeps_mouth = settings.keep_mouth is not Keep.NO
        self._eyes = settings.keep_eyes
        self._matches_light = settings.color_transfer is not ColorTransfer.NONE

    def crop_size(self, face_side_px: float) -> int:
        """As fine as the frame, in steps, so that a moving face keeps its size; 160..512."""
        steps = round(face_side_px / _CROP_STEP)
        return int(np.clip(steps * _CROP_STEP, _SMALLEST_CROP, _LARGEST_CROP))

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The crop with the source's face on it."""
        if aligned.face.track_id != self._track_id:
            self._track_id = aligned.face.track_id
            self._shape.reset()
            self._light.reset()
            self._shading.reset()
            self._gaze.reset()
            self._lids.reset()
        live = _live_mesh(aligned)
        pose = fit_pose(live)
        target = live.copy()
        target[:, :2] += self._shape.step(live, pose)
        if self._eyes is not Keep.YES:
            self._lids.step(live, target)
        u, v, dx, dy, alpha = _fields(live, target, pose, aligned.warp.size)
        texture, sides = self._textures.for_pose(pose)
        if self._eyes is Keep.AUTO:
            texture = self._gaze.step(texture, sides, aligned.crop, live)
        swapped = _remapped(texture, u, v)
        shading = self._shading.step(aligned.crop, live, egg_facing(pose), self._slope)
        swapped = _shaded(swapped, shading, u, v)
        if self._matches_light:
            swapped = self._light.match(swapped, aligned.crop, alpha)
        swapped = self._with_kept_parts(swapped, aligned, target, (dx, dy), alpha)
        return SwappedFace(swapped, _around(alpha))

    def _with_kept_parts(
        self,
        swapped: ImageBGR,
        aligned: AlignedFace,
        target: Floats,
        shift: tuple[Floats, Floats],
        alpha: Mask,
    ) -> ImageBGR:
        """The swap with the live surroundings, the live eyes and the inside of the live mouth."""
        kept = _kept(target[:, :2], aligned.warp.size, self._keeps_mouth, self._eyes is Keep.YES)
        alpha = alpha * (1 - kept)
        live = _shifted(aligned.crop, *shift)
        return np.asarray(cv2.blendLinear(swapped, live, alpha, 1 - alpha), np.uint8)


class _Textures:
    """One complete texture for each picture; the one nearest to the live pose is shown."""

    def __init__(self, views: list[View], gaze: Gaze) -> None:
        self._poses = np.array([view.pose.yaw_pitch for view in views])
        self._textures = [complete(view, self._others(index, views)) for index, view in enumerate(views)]
        self._sides = [gaze.sides_of(texture) for texture in self._textures]
        self._shown = 0
        self._weights = np.zeros(len(views))
        self._weights[0] = 1

    def _others(self, index: int, views: list[View]) -> list[View]:
        """The other views, those from nearly the same side first."""
        order = np.argsort(np.abs(self._poses - self._poses[index]).sum(axis=1), kind="stable")
        return [views[other] for other in order if other != index]

    def for_pose(self, pose: Pose) -> tuple[ImageBGR, Sides]:
        """The texture for a live pose, and where its irises are; a new one is faded in over some frames."""
        away = np.abs(self._poses - pose.yaw_pitch).sum(axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] < away[self._shown] - _SWITCH_RAD:
            self._shown = nearest
        wanted = np.zeros(len(self._textures))
        wanted[self._shown] = 1
        self._weights += np.clip(wanted - self._weights, -_FADE_STEP, _FADE_STEP)
        others = [i for i in np.flatnonzero(self._weights > 0.01) if i != self._shown]
        mixed, total = self._textures[self._shown], self._weights[self._shown]
        for other in others:
            total = total + self._weights[other]
            part = float(self._weights[other] / max(total, 1e-6))
            mixed = np.asarray(cv2.addWeighted(mixed, 1 - part, self._textures[other], part, 0), np.uint8)
        return mixed, self._sides[self._shown]


_SWITCH_RAD = 0.1  # another picture has to be that much nearer to the live pose, or they would flicker
_FADE_STEP = 0.1  # of a picture's weight a frame


def _live_mesh(aligned: AlignedFace) -> Floats:
    """Landmarks and depth in crop pixels (468, 3)."""
    matrix = aligned.warp.matrix
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.column_stack([aligned.landmarks, aligned.face.depth * scale]).astype(np.float32)


_OUTLINE_WEIGHT = TO_OUTLINE / _EDGE_CM


def _fields(live: Floats, target: Floats, pose: Pose, size: int) -> tuple[Floats, ...]:
    """For each crop pixel: texel x and y, how far off the live face's own pixel is (x, y), and the mask.

    They are drawn at half the crop's resolution: they are smooth but for the face's edge,
    which the mask's blur hides.
    """
    weight = np.minimum(_OUTLINE_WEIGHT, _facing_weight(pose))
    values = np.concatenate(
        [
            mesh.texture_points(SIDE),
            mesh.with_rim(live[:, :2] - target[:, :2]),
            np.append(weight, np.zeros(36))[:, None],
        ],
        axis=1,
    )
    half = size // 2
    vertices = mesh.with_rim(target)
    # Pixel x of the crop lies at (x + 0.5) / 2 - 0.5 of the half-size grid.
    at = ((vertices[:, :2] + 0.5) / 2 - 0.5).astype(np.float32)
    shown = mesh.triangle_map(at, vertices[:, 2], half, mesh.front_sign())
    fields = _grown(mesh.interpolated(shown, at, values.astype(np.float32)), shown >= 0)
    wide = [cv2.resize(channel, (size, size)) for channel in cv2.split(fields)]
    return tuple(np.asarray(channel, np.float32) for channel in (*wide[:4], np.clip(wide[4], 0, 1)))


def _around(alpha: Mask) -> Mask:
    """A mask so much larger than the swap that DeepFaceLive's default erosion and blur leave the swap alone.

    Around the swap the crop is the live picture, so the mask's own edge shows nothing.
    """
    size = alpha.shape[0]
    grown = 2 * round(size * _MASK_GROWN) + 1
    shown = (alpha > 0.02).astype(np.float32)
    return np.asarray(cv2.dilate(shown, np.ones((grown, grown), np.uint8)), np.float32)


def _facing_weight(pose: Pose) -> npt.NDArray[np.float64]:
    return np.asarray(np.clip((egg_facing(pose) - _EDGE_ON) / (_SEEN - _EDGE_ON), 0, 1), np.float64)


def _grown(fields: Floats, covered: npt.NDArray[np.bool_]) -> Floats:
    """Fields that go on a little outside the face, so that enlarging them mixes in nothing foreign."""
    weight = covered.astype(np.float32)
    summed, count = cv2.blur(fields, (3, 3)), cv2.blur(weight, (3, 3))
    edge = ~covered & (count > 0)
    fields[edge] = summed[edge] / count[edge, None]
    fields[edge, 4] = 0
    return fields


def _kept(points: Floats, size: int, mouth: bool, eyes: bool) -> Mask:
    """Where the live picture is kept, 0..1."""
    kept = np.zeros((size, size), np.uint8)
    width = float(np.linalg.norm(points[33] - points[263]))
    if mouth:
        gap = float(np.linalg.norm(points[13] - points[14])) / max(width, 1e-6)
        openness = float(np.clip((gap - 0.02) / 0.06, 0, 1))
        inner, outer = points[list(mesh.INNER_LIPS)], points[list(mesh.OUTER_LIPS)]
        ring = inner + (outer - inner) * _MOUTH_GROWN * openness
        if openness > 0:
            _fill(kept, ring, openness)
    if eyes:
        for eye in mesh.EYES:
            lids = points[list(eye)]
            _fill(kept, lids.mean(axis=0) + (lids - lids.mean(axis=0)) * _EYE_SHRUNK, 1.0)
    sigma = max(0.6, width / 80)
    return np.asarray(cv2.GaussianBlur(kept, (0, 0), sigma) * np.float32(1 / 255), np.float32)


_MOUTH_GROWN = 0.3  # towards the outer lips: the mesh draws an open mouth too small
_EYE_SHRUNK = 0.85  # the lids stay the source's


def _fill(kept: npt.NDArray[np.uint8], ring: Floats, weight: float) -> None:
    cv2.fillPoly(kept, [np.round(ring * 16).astype(np.int32)], 255 * weight, cv2.LINE_AA, 4)


def _shaded(swapped: ImageBGR, shading: Floats, u: Floats, v: Floats) -> ImageBGR:
    """The swap multiplied by what lies at its texels in a small texture."""
    scale = shading.shape[0] / SIDE
    half = swapped.shape[0] // 2
    at = [(cv2.resize(field, (half, half)) + 0.5) * scale - 0.5 for field in (u, v)]
    ratio = cv2.remap(shading, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    wide = cv2.cvtColor(cv2.resize(ratio, swapped.shape[:2]), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.multiply(swapped, wide, dtype=cv2.CV_8U), np.uint8)


def _shifted(crop: ImageBGR, dx: Floats, dy: Floats) -> ImageBGR:
    """The live crop with its features moved to where the swap has them."""
    size = crop.shape[0]
    grid = np.arange(size, dtype=np.float32)
    return _remapped(crop, dx + grid, dy + grid[:, None])


def _remapped(picture: ImageBGR, x: Floats, y: Floats) -> ImageBGR:
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
