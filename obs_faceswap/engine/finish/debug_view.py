"""What the engine did with a frame, drawn on it: faces, crops, masks, times, and every step's picture.

It is drawn on what viewers see anyway, after the policy has decided, and tells no more of the live face.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.finish.debug_faces import draw_face, draw_unclear
from obs_faceswap.engine.finish.debug_pictures import strip_of
from obs_faceswap.engine.finish.pixels import Roi
from obs_faceswap.engine.finish.seen import Seen, Steps
from obs_faceswap.engine.finish.sketch import (
    AMBER,
    CYAN,
    GRAY,
    GREEN,
    RED,
    SHADE,
    WHITE,
    Color,
    Lettering,
    Sketch,
)
from obs_faceswap.engine.settings import covers_other_faces
from obs_faceswap.engine.steps import Stage, Stopwatch
from obs_faceswap.engine.types import AlignedFace, Frame, Result, Shown

_OF_SHOWN = {Shown.SWAPPED: GREEN, Shown.FROZEN: AMBER, Shown.COVERED: AMBER, Shown.ORIGINAL: RED}

_LEAST_SIDE_PX = 96  # of a frame: in a smaller one nothing could be read
_LETTERS = (80, 45)  # of the text's size, across and down a frame
_LEAST_LETTER_PX = 8
_PANEL_LETTERS = 19  # the panel's width
_NOTICE_LINES = 3
_STEADY = 0.1  # a new time's weight: figures that change thirty times a second cannot be read
_PAUSE_S = 1.0  # so late a frame is not the next one
_NOTHING_MS = 0.05


class DebugDrawing:
    """Belongs to one stream. `note` what was made of each face, then `draw` the frame."""

    def __init__(self) -> None:
        self._steps: dict[int, Steps] = {}
        self._lettering: Lettering | None = None
        self._picture: Picture | None = None  # the frame's before, for its memory
        self._ms: dict[str, float] = {}
        self._period_s = 0.0
        self._drawn_s = 0.0

    def note(self, aligned: AlignedFace, steps: Steps) -> None:
        """Keeps what is made of a face until the frame is drawn."""
        self._steps[aligned.face.track_id] = steps

    def draw(self, frame: Frame, seen: Seen) -> None:
        """Draws on a finished frame, in place; its own time is added to the result's.

        Raises:
            FrameFormatError: the frame's color matrix cannot be used.
        """
        watch, steps = Stopwatch(), self._steps
        self._steps = {}
        self._tick(time.perf_counter(), seen.result)
        if min(frame.width, frame.height) >= _LEAST_SIDE_PX:
            with watch(Stage.DEBUG_VIEW):
                self._draw(frame, replace(seen, steps=steps))
        _steady(self._ms, watch.stages_ms)
        seen.result.stages_ms.update(watch.stages_ms)

    def _draw(self, frame: Frame, seen: Seen) -> None:
        lettering = self._lettering_for(frame)
        self._picture = Picture(frame, self._picture)
        strip = strip_of(self._picture, seen, lettering)  # before anything is drawn over what it shows
        if not seen.is_filled:
            _draw_faces(frame, seen, lettering)
        if strip is not None:
            top = frame.height - len(strip)
            sketch = Sketch(frame, (0, top, strip.shape[1], frame.height))
            sketch.lay(strip, 0, top)
            sketch.put()
        self._write(frame, seen, lettering, (0, 0) if strip is None else strip.shape[:2])

    def _lettering_for(self, frame: Frame) -> Lettering:
        wanted = min(frame.width // _LETTERS[0], frame.height // _LETTERS[1])
        size_px = max(_LEAST_LETTER_PX, wanted)
        if self._lettering is None or self._lettering.size_px != size_px:
            self._lettering = Lettering(size_px)
        return self._lettering

    # --- times ---

    def _tick(self, now_s: float, result: Result) -> None:
        passed_s, self._drawn_s = now_s - self._drawn_s, now_s
        if passed_s < _PAUSE_S:
            self._period_s += (_STEADY if self._period_s else 1.0) * (passed_s - self._period_s)
        times = {
            str(stage): result.stages_ms.get(stage, 0.0) for stage in Stage if stage is not Stage.DEBUG_VIEW
        }
        _steady(self._ms, times)

    def _write(self, frame: Frame, seen: Seen, lettering: Lettering, strip: tuple[int, ...]) -> None:
        """Writes about the whole frame into its lower right corner, as much as there is room for.

        Faces are seldom there. Where the pictures (rows and columns of their strip) leave no room beside
        them, it is written above them.
        """
        edge, line = lettering.size_px // 2, lettering.line_px
        width = min(frame.width, _PANEL_LETTERS * lettering.size_px) - 2 * edge
        left = frame.width - width - 2 * edge
        bottom = frame.height - (strip[0] if strip[1] > left else 0)
        head = self._head(frame, seen, lettering, width)
        times = [(stage, ms) for stage in Stage if (ms := self._ms.get(stage, 0.0)) > _NOTHING_MS]
        room = max(0, (bottom - 2 * edge) // line)
        head = head[:room]
        times = times[: room - len(head)]
        if not head:
            return
        top = bottom - 2 * edge - line * (len(head) + len(times))
        sketch = Sketch(frame, (left, top, frame.width, bottom))
        sketch.darken((left, top, frame.width, bottom), SHADE)
        left, top = left + edge, top + edge
        for number, (text, color) in enumerate(head):
            sketch.write(lettering, text, left, top + number * line, color)
        longest = max((ms for _, ms in times), default=1.0)
        for number, (stage, ms) in enumerate(times, len(head)):
            box = left, top + number * line, left + width, top + (number + 1) * line
            _write_time(sketch, lettering, box, stage, ms, ms / longest)
        sketch.put()

    def _head(self, frame: Frame, seen: Seen, lettering: Lettering, width: int) -> list[tuple[str, Color]]:
        rate = f"{1 / self._period_s:.0f} fps" if self._period_s else ""
        shown, total_ms = seen.result.shown, sum(self._ms.values())
        size = f"{frame.width} x {frame.height} {frame.format}"
        told = lettering.wrapped(seen.result.notice, width, _NOTICE_LINES)
        first = [("   ".join(filter(None, (size, rate))), WHITE), (shown.capitalize(), _OF_SHOWN[shown])]
        lines = [*first, *((line, AMBER) for line in told), (f"{total_ms:.1f} ms for a frame", WHITE)]
        return [(lettering.fitting(text, width), color) for text, color in lines]


def _draw_faces(frame: Frame, seen: Seen, lettering: Lettering) -> None:
    """Everybody in a frame, who is swapped last: on top."""
    found = seen.begun.found
    if covers_other_faces(seen.begun.settings):
        for box in found.unclear:
            draw_unclear(frame, box, lettering)
    for face in (*found.others, *found.targets):
        if np.isfinite(face.landmarks).all():
            draw_face(frame, face, seen, lettering)


def _steady(means: dict[str, float], times: Mapping[str, float]) -> None:
    for stage, ms in times.items():
        means[stage] = means[stage] + _STEADY * (ms - means[stage]) if stage in means else ms


def _write_time(sketch: Sketch, lettering: Lettering, box: Roi, name: str, ms: float, part: float) -> None:
    """A line of the panel: a step's name, its time, and a bar as long as its part of the longest time."""
    left, top, right, bottom = box
    size = lettering.size_px
    number = f"{ms:.1f}"
    middle = left + (right - left) * 2 // 3
    sketch.write(lettering, name.replace("_", " "), left, top, GRAY)
    sketch.write(lettering, number, middle - size // 2 - lettering.width(number), top, WHITE)
    length = max(1, round((right - middle) * part))
    low = (bottom - top - size // 2) // 2
    sketch.bar((middle, top + low, middle + length, bottom - low), CYAN)
