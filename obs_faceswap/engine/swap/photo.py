"""A face made from pictures of a person: laid on the live face's mesh, in the scene's light."""

import copy
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.find.eyes import Eye, Eyes
from obs_faceswap.engine.settings import ColorTransfer, Keep, Settings
from obs_faceswap.engine.swap import photo_draw as draw
from obs_faceswap.engine.swap.photo_find import FindLandmarks, the_face
from obs_faceswap.engine.swap.photo_gaze import Gaze, Sides
from obs_faceswap.engine.swap.photo_lids import Lids
from obs_faceswap.engine.swap.photo_light import LightMatch, luma
from obs_faceswap.engine.swap.photo_mesh import texture_points
from obs_faceswap.engine.swap.photo_shading import Shading, side_slope
from obs_faceswap.engine.swap.photo_shape import Pose, ShapeShift, egg_facing, fit_pose, to_head
from obs_faceswap.engine.swap.photo_texture import SIDE, view_of
from obs_faceswap.engine.swap.photo_textures import Textures
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace, Tone

Floats: TypeAlias = npt.NDArray[np.float32]

_WIDE_OPEN = 0.8  # of an eye's opening in the live mesh
_CROP_STEP, _SMALLEST_CROP, _LARGEST_CROP = 32, 160, 1024


class PhotoSwapper:
    """Puts pictures of a person on aligned faces; see docs/photo-face.md."""

    def __init__(
        self,
        pictures: Sequence[ImageBGR],
        find_landmarks: FindLandmarks,
        settings: Settings | None = None,
        names: Sequence[str] = (),
        eyes: Eyes | None = None,
    ) -> None:
        """Makes the textures; takes about half a second a picture.

        Args:
            pictures: one or several pictures of one person.
            find_landmarks: finds all faces of a picture.
            settings: as for `update`.
            names: what to call the pictures in messages.
            eyes: looks how far eyes are open and where they look; without it eyes blink roughly and look as
                the picture's do.

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
        self._eye_network = eyes
        self._textures = Textures(views, self._sides_of)
        self._slope = float(np.mean([side_slope(luma(view.texture), view.known > 0.5) for view in views]))
        shapes = [to_head(found, view.pose) for found, view in zip(meshes, views, strict=True)]
        frontal = [max(0.05, view.pose.rotation[2, 2]) ** 4 for view in views]
        self._mean_shape = np.average(shapes, axis=0, weights=frontal)
        self._meet()
        self.update(settings or Settings())

    def _meet(self) -> None:
        """Prepares for a live person who was never seen."""
        self._gaze, self._lids = Gaze(SIDE), Lids()
        self._seen: list[Eye | None] = [None, None]
        self._opened: tuple[float, ...] = (0.0, 0.0)
        self._turn = 0
        self._shape = ShapeShift(self._mean_shape)
        self._light, self._shading = LightMatch(), Shading()
        self._track_id = -1

    def another(self) -> "PhotoSwapper":
        """One for another person in the picture: the same pictures, and nothing known of the person."""
        other = copy.copy(self)
        other._textures = self._textures.another()
        other._meet()
        return other

    def update(self, settings: Settings) -> None:
        """Takes over the settings that act on photo faces."""
        self._keeps_mouth = settings.keep_mouth is not Keep.NO
        self._eyes = settings.keep_eyes
        self._matches_light = settings.color_transfer is not ColorTransfer.NONE

    @property
    def is_upright(self) -> bool:
        """Yes: the mesh says how the face lies."""
        return True

    def crop_size(self, face_side_px: float) -> int:
        """As fine as the frame, or half as fine, in steps, so that a moving face keeps its size; 160..1024.

        A texture has less detail than a face that needs half.
        """
        coarser = 1 if face_side_px <= _LARGEST_CROP else 2
        steps = round(face_side_px / coarser / _CROP_STEP)
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
            self._seen, self._opened = [None, None], (0.0, 0.0)
        live = _live_mesh(aligned)
        pose = fit_pose(live)
        target = live.copy()
        target[:, :2] += self._shape.step(live, pose)
        if self._eyes is not Keep.YES:
            self._look(aligned.crop, live)
            self._opened = self._lids.step(self._seen, live, target, pose.scale)
        size = aligned.warp.size
        crop, alpha, tone = aligned.crop.copy(), np.zeros((size, size), np.float32), None
        box = draw.box_of(target, size)
        if box is not None:
            part, shown, tone = self._drawn(box.of(aligned.crop), box.moved(live), box.moved(target), pose)
            draw.lay(part, shown, box.of(crop))
            box.of(alpha)[:] = shown
        mask = draw.around(alpha)
        if box is not None and self._keeps_mouth:
            lips = box.moved(target)[:, :2]
            draw.keep(box.of(alpha), lips, mouth=True, eyes=False)
        return SwappedFace(crop, mask, alpha, tone)

    def _look(self, crop: ImageBGR, live: Floats) -> None:
        """Looks at both live eyes; while they are wide open at one after the other."""
        if self._eye_network is None:
            return
        self._turn = 1 - self._turn
        for eye in (self._turn,) if min(self._opened) > _WIDE_OPEN else (0, 1):
            self._seen[eye] = self._eye_network.look(crop, live, eye)

    def _sides_of(self, texture: ImageBGR) -> Sides:
        """Where the irises of a texture are."""
        if self._eye_network is None:
            return None, None
        return _sides([self._eye_network.look(texture, texture_points(SIDE), eye) for eye in (0, 1)])

    def _drawn(
        self, crop: ImageBGR, live: Floats, target: Floats, pose: Pose
    ) -> tuple[ImageBGR, Mask, Tone | None]:
        """The part of a crop that shows the face, swapped, how much of it is, and what its colors lack."""
        shape, times = crop.shape[:2], draw.coarser(crop.shape)
        small = draw.smaller(crop, times)
        u, v, alpha, torn = draw.fields(target, pose, shape, draw.drawn_coarser(pose))
        texture, sides = self._textures.for_pose(pose)
        if self._eyes is Keep.AUTO:
            texture = self._gaze.step(texture, sides, _sides(self._seen), self._opened)
        places = np.column_stack([draw.scaled(live[:, :2], 1 / times), live[:, 2]])
        shading = self._shading.step(small, places, egg_facing(pose), self._slope)
        coarse = [draw.enlarged(field, small.shape) for field in (u, v, alpha)]
        ratio = draw.ratios(shading, coarse[0], coarse[1])
        wide = draw.enlarged(alpha, shape)
        swapped = draw.remapped(texture, draw.enlarged(u, shape), draw.enlarged(v, shape))
        plain = draw.smaller(swapped, times)
        ratio = draw.colored(ratio, plain)
        swapped, tone = draw.shaded(swapped, ratio), None
        draw.mended(swapped, torn)
        if self._matches_light:
            tone = self._light.step(draw.shaded(plain, ratio), small, coarse[2])
        if self._eyes is Keep.YES:
            if tone is not None:
                swapped, tone = np.asarray(cv2.transform(swapped, tone), np.uint8), None
            eyes = draw.kept(target[:, :2], shape, mouth=False, eyes=True)
            swapped = draw.mixed(swapped, draw.shifted(crop, live, target), 1 - eyes)
        return swapped, wide, tone


def _sides(eyes: Sequence[Eye | None]) -> Sides:
    return tuple(eye.side if eye else None for eye in eyes)


def _live_mesh(aligned: AlignedFace) -> Floats:
    """Landmarks and depth in crop pixels (468, 3)."""
    matrix = aligned.warp.matrix
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.column_stack([aligned.landmarks, aligned.face.depth * scale]).astype(np.float32)
