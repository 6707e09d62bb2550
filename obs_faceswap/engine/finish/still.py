"""Whole pictures that stand in for a swap: the last swapped one, the cover, nothing. In place, on planes."""

import cv2
import numpy as np

from obs_faceswap.engine.formats import LAYOUTS
from obs_faceswap.engine.live.cover import cover_into
from obs_faceswap.engine.types import Frame, Plane


class LastSwap:
    """A copy of the newest swapped frame's planes; its memory is allocated once per format and size."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._planes: list[Plane] = []

    def keep(self, frame: Frame) -> None:
        """Copies the frame's planes."""
        if self._key != _key(frame):
            self._key, self._planes = _key(frame), [np.empty_like(plane, order="C") for plane in frame.planes]
        for kept, plane in zip(self._planes, frame.planes, strict=True):
            np.copyto(kept, plane)

    def fits(self, frame: Frame) -> bool:
        """Whether the copy can be shown in this frame's place; a new format or size forgets the copy."""
        if self._key != _key(frame):
            self._key, self._planes = (), []
        return bool(self._planes)

    def show(self, frame: Frame, weight: float = 1.0) -> None:
        """Mixes the copy into the frame: 1 replaces the frame, 0 leaves it."""
        for kept, plane in zip(self._planes, frame.planes, strict=True):
            if weight >= 1.0:
                np.copyto(plane, kept)
            else:
                plane[:] = cv2.addWeighted(kept, weight, np.ascontiguousarray(plane), 1.0 - weight, 0.0)


def _key(frame: Frame) -> tuple[object, ...]:
    return frame.format, frame.width, frame.height, frame.flip, frame.color


def blur(frame: Frame) -> None:
    """Makes the frame its own cover, of 32 columns at most."""
    packed = [np.ascontiguousarray(plane) for plane in frame.planes]
    cover_into(packed, frame.format, frame.width, frame.height)
    for plane, covered in zip(frame.planes, packed, strict=True):
        if plane is not covered:
            np.copyto(plane, covered)


def hide(frame: Frame) -> None:
    """Makes the frame black."""
    for plane, layout in zip(frame.planes, LAYOUTS[frame.format], strict=True):
        samples = plane.shape[1] // layout.sample_bytes
        plane[:] = np.tile(np.array(layout.blank, np.uint8), samples)
