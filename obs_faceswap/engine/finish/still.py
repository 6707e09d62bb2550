"""Whole pictures that stand in for a swap: the last swapped one, the cover, nothing. In place, on planes."""

from collections.abc import Sequence

import cv2
import numpy as np

from obs_faceswap.engine.formats import LAYOUTS, plane_sizes
from obs_faceswap.engine.live.cover import cover_into
from obs_faceswap.engine.types import Frame, Plane


class LastSwap:
    """The newest swapped frame's planes: a copy, or for one frame long the planes themselves."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._planes: Sequence[Plane] = ()
        self._copy: list[Plane] = []  # memory of our own, of that format and size
        self._borrows = False

    def keep(self, frame: Frame, borrows: bool = False) -> None:
        """Keeps a frame: copies its planes, or borrows them until `own` is called or the next one is kept."""
        if self._key != _key(frame):
            self._key, self._copy = _key(frame), []
        self._planes, self._borrows = _seen(frame), True
        if not borrows:
            self.own()

    def own(self) -> None:
        """Copies what was borrowed, which is going to change."""
        if not self._borrows:
            return
        self._copy = self._copy or [np.empty_like(plane, order="C") for plane in self._planes]
        for kept, plane in zip(self._copy, self._planes, strict=True):
            np.copyto(kept, plane)
        self._planes, self._borrows = self._copy, False

    def fits(self, frame: Frame) -> bool:
        """Whether the copy can be shown in this frame's place; a new format or size forgets the copy."""
        if self._key != _key(frame):
            self._key, self._planes, self._copy, self._borrows = (), (), [], False
        return bool(self._planes)

    def show(self, frame: Frame, weight: float = 1.0) -> None:
        """Mixes the copy into the frame: 1 replaces the frame, 0 leaves it."""
        for kept, plane in zip(self._planes, _seen(frame), strict=True):
            if weight >= 1.0:
                np.copyto(plane, kept)
            else:
                plane[:] = cv2.addWeighted(kept, weight, np.ascontiguousarray(plane), 1.0 - weight, 0.0)


def _seen(frame: Frame) -> list[Plane]:
    """The planes without what their rows have beyond the picture."""
    sizes = plane_sizes(frame.format, frame.width, frame.height)
    return [plane[:, :stride] for plane, (stride, _) in zip(frame.planes, sizes, strict=True)]


def _key(frame: Frame) -> tuple[object, ...]:
    return frame.format, frame.width, frame.height, frame.flip, frame.color


def blur(frame: Frame) -> None:
    """Makes the frame its own cover, of 32 columns at most."""
    planes = _seen(frame)
    packed = [np.ascontiguousarray(plane) for plane in planes]
    cover_into(packed, frame.format, frame.width, frame.height)
    for plane, covered in zip(planes, packed, strict=True):
        if plane is not covered:
            np.copyto(plane, covered)


def hide(frame: Frame) -> None:
    """Makes the frame black."""
    for plane, layout in zip(_seen(frame), LAYOUTS[frame.format], strict=True):
        samples = plane.shape[1] // layout.sample_bytes
        plane[:] = np.tile(np.array(layout.blank, np.uint8), samples)
