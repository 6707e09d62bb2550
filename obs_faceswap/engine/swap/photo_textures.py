"""The textures of a source with several pictures: one is shown, by the live head's pose."""

import cv2
import numpy as np

from obs_faceswap.engine.swap.photo_gaze import Gaze, Sides
from obs_faceswap.engine.swap.photo_shape import Pose
from obs_faceswap.engine.swap.photo_texture import View, complete
from obs_faceswap.engine.types import ImageBGR

_SWITCH_RAD = 0.1  # another picture has to be that much nearer to the live pose, or they would flicker
_FADE_STEP = 0.1  # of a picture's weight a frame


class Textures:
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
