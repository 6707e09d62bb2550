"""The exchange's slots as the engine's frames. Needs numpy, so only the worker imports it, late."""

import numpy as np

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live.exchange import Color, Slots
from obs_faceswap.engine.types import ColorSpace, Frame, Plane

_RGB = (PixelFormat.RGBA, PixelFormat.BGRA, PixelFormat.BGRX, PixelFormat.BGR3)


class SlotFrames:
    """Frames over the memory of one layout's slots; the arrays are made once for each slot."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._planes: dict[int, tuple[Plane, ...]] = {}
        self._raw_color = b""
        self._color: ColorSpace | None = None

    def frame(self, index: int) -> Frame:
        """The frame in a slot, with what its meta says; its planes are the slot's own memory."""
        slots, meta = self.slots, self.slots.metas[index]
        if index not in self._planes:
            self._planes[index] = self._arrays(index)
        return Frame(
            format=slots.format,
            width=slots.width,
            height=slots.height,
            planes=self._planes[index],
            color=self._color_of(meta.color),
            flip=bool(meta.color.flip),
            timestamp_ns=meta.timestamp_ns,
            stays=True,  # a result is written over when a younger one was shown, see `Exchange.result_slot`
        )

    def _arrays(self, index: int) -> tuple[Plane, ...]:
        views = zip(self.slots.plane_views(index), self.slots.planes, strict=True)
        return tuple(np.frombuffer(view, np.uint8).reshape(rows, stride) for view, (_, stride, rows) in views)

    def _color_of(self, color: Color) -> ColorSpace | None:
        raw = bytes(color)
        if raw != self._raw_color:
            self._raw_color, self._color = raw, self._color_space(color)
        return self._color

    def _color_space(self, color: Color) -> ColorSpace | None:
        """None for RGB, and where the source does not say."""
        matrix = tuple(color.matrix[:12])
        if self.slots.format in _RGB or not any(matrix):
            return None
        return ColorSpace(matrix, tuple(color.range_min), tuple(color.range_max))
