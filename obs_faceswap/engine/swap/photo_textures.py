"""The textures of a source with several pictures: one is shown, by the live head's pose."""

import copy
import math
from collections.abc import Callable

import cv2
import numpy as np

from obs_faceswap.engine.swap.photo_gaze import Sides
from obs_faceswap.engine.swap.photo_mesh import HEAD, texture_points
from obs_faceswap.engine.swap.photo_shape import Pose
from obs_faceswap.engine.swap.photo_texture import SIDE, View, complete
from obs_faceswap.engine.types import ImageBGR

_SWITCH_RAD = 0.1  # another picture has to be that much nearer to the live pose, or they would flicker
_FADE_STEP = 0.1  # of a picture's weight a frame

_LEVELS_PER_OCTAVE = 2
_COARSEST = 6
_SIGMA_PER_STEP = 0.75  # of a Gaussian, in parts of a pixel: as soft as a camera


class Textures:
    """One complete texture for each picture; the one nearest to the live pose is shown."""

    def __init__(self, views: list[View], sides_of: Callable[[ImageBGR], Sides]) -> None:
        """Makes the textures; `sides_of` says where one's irises are."""
        self._poses = np.array([view.pose.yaw_pitch for view in views])
        textures = [complete(view, self._others(index, views)) for index, view in enumerate(views)]
        self._sides = [sides_of(texture) for texture in textures]
        # OpenCV samples four channels twice as fast as three.
        self._textures = [_four_channels(texture) for texture in textures]
        self._smoothed: dict[tuple[int, int], ImageBGR] = {}
        self._show_first()

    def _show_first(self) -> None:
        self._shown = 0
        self._weights = np.zeros(len(self._textures))
        self._weights[0] = 1

    def another(self) -> "Textures":
        """The same textures for another live head."""
        other = copy.copy(self)
        other._show_first()
        return other

    def _others(self, index: int, views: list[View]) -> list[View]:
        """The other views, those from nearly the same side first."""
        order = np.argsort(np.abs(self._poses - self._poses[index]).sum(axis=1), kind="stable")
        return [views[other] for other in order if other != index]

    def for_pose(self, pose: Pose) -> tuple[ImageBGR, Sides]:
        """The texture (SIDE, SIDE, 4) for a live pose, and where its irises are.

        A new one is faded in over some frames. The fourth channel says nothing.
        """
        away = np.abs(self._poses - pose.yaw_pitch).sum(axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] < away[self._shown] - _SWITCH_RAD:
            self._shown = nearest
        wanted = np.zeros(len(self._textures))
        wanted[self._shown] = 1
        self._weights += np.clip(wanted - self._weights, -_FADE_STEP, _FADE_STEP)
        others = [i for i in np.flatnonzero(self._weights > 0.01) if i != self._shown]
        level = _level(pose)
        mixed, total = self._smooth(self._shown, level), self._weights[self._shown]
        for other in others:
            total = total + self._weights[other]
            part = float(self._weights[other] / max(total, 1e-6))
            second = self._smooth(int(other), level)
            mixed = np.asarray(cv2.addWeighted(mixed, 1 - part, second, part, 0), np.uint8)
        return mixed, self._sides[self._shown]

    def _smooth(self, index: int, level: int) -> ImageBGR:
        """A texture without the detail that a smaller face would turn into flicker."""
        if not level:
            return self._textures[index]
        if (index, level) not in self._smoothed:
            sigma = _SIGMA_PER_STEP * 2 ** (level / _LEVELS_PER_OCTAVE)
            smooth = cv2.GaussianBlur(self._textures[index], (0, 0), sigma)
            self._smoothed[index, level] = np.asarray(smooth, np.uint8)
        return self._smoothed[index, level]


def _four_channels(texture: ImageBGR) -> ImageBGR:
    return np.asarray(cv2.cvtColor(texture, cv2.COLOR_BGR2BGRA), np.uint8)


def _level(pose: Pose) -> int:
    """How many times smaller than in the texture a face is shown: 0 for as large or larger."""
    texels_per_px = _TEXELS_PER_CM / max(pose.scale, 1e-6)
    return min(max(round(_LEVELS_PER_OCTAVE * math.log2(texels_per_px)), 0), _COARSEST)


def _texels_per_cm() -> float:
    """Around the nose and the eyes, where detail is."""
    corners = [33, 263]
    apart = np.linalg.norm(np.subtract(*texture_points(SIDE)[corners]))
    return float(apart / np.linalg.norm(np.subtract(*HEAD[corners])))


_TEXELS_PER_CM = _texels_per_cm()
