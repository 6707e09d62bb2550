"""What the engine did with a frame, drawn on it: faces, crops, masks, times, and every step's picture.

It is drawn on what viewers see anyway, after the policy has decided. What it adds must not tell more of the
live face than that: the crop as it was cut is a drawing of its landmarks, unless the user chose *Show
original*, and what the swapper made is shown only where the frame shows the swap, weighted by its masks, for
beyond them a swapper may leave the live picture.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import to_frame
from obs_faceswap.engine.crop.masking import FaceMasks
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.crop.picture import Picture, inverted
from obs_faceswap.engine.find.choose import DOUBT_TO_START
from obs_faceswap.engine.find.schemes import mesh_to_68
from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.merge import placed
from obs_faceswap.engine.finish.sketch import Color, Lettering, Sketch
from obs_faceswap.engine.settings import Cover, covers_other_faces
from obs_faceswap.engine.steps import Begun, Stage, Stopwatch, Swap, made_for, why_bare
from obs_faceswap.engine.types import (
    AlignedFace,
    Face,
    Frame,
    ImageBGR,
    Mask,
    Points,
    Result,
    Shown,
    SwappedFace,
    Warp,
)

_GREEN, _AMBER, _RED = (110, 220, 90), (50, 180, 255), (90, 90, 250)
_WHITE, _GRAY, _DARK = (245, 245, 245), (170, 170, 170), (34, 30, 28)
_EMPTY = (60, 54, 50)  # where a picture must not be seen
_CYAN, _MAGENTA = (235, 205, 60), (235, 110, 245)
_OF_SHOWN = {Shown.SWAPPED: _GREEN, Shown.FROZEN: _AMBER, Shown.COVERED: _AMBER, Shown.ORIGINAL: _RED}

_LEAST_SIDE_PX = 96  # of a frame: in a smaller one nothing could be read
_LETTERS = (80, 45)  # of the text's size, across and down a frame
_LEAST_LETTER_PX = 8
_PANEL_LETTERS = 19  # the panel's width
_LABEL_LETTERS = 32  # the widest label
_STRIP = 0.2  # of a frame's height, for a row of pictures
_ROWS = 2  # of pictures: faces that have one
_NOTICE_LINES = 3
_SHADE = 0.65
_STEADY = 0.1  # a new time's weight: figures that change thirty times a second cannot be read
_NOTHING_MS = 0.05
_SMOOTH = 3
_OUTLINE_SIDE = 256  # of a mask whose border is drawn: no step of it is seen

# iBUG's 68 points: jaw, brows, bridge and tip of the nose are open, eyes and lips are closed.
_OPEN = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
_CLOSED = ((36, 42), (42, 48), (48, 60), (60, 68))

_PICTURES = "cut", "swapped", "colors", "mask", "merged"


@dataclass(frozen=True, slots=True)
class Steps:
    """What was made of one face on its way into the frame.

    Attributes:
        swapped: as it came from the swapper, moved to where the face is now.
        colored: the same after its colors were matched.
        masks: where it is shown.
    """

    swapped: SwappedFace
    colored: SwappedFace
    masks: FaceMasks


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a finished frame.

    Attributes:
        begun: what was found in it.
        swap: what it was finished with.
        done: the tracks of the faces that are hidden by a swap.
        result: what is shown, and each step's time.
        steps: what was made of faces, by track.
    """

    begun: Begun
    swap: Swap | None
    done: set[int]
    result: Result
    steps: dict[int, Steps] = field(default_factory=dict)

    @property
    def targets(self) -> set[int]:
        """The tracks of those who are swapped."""
        return {face.track_id for face in self.begun.found.targets}

    def is_lost(self, face: Face) -> bool:
        """Whether a face is only where it was seen last."""
        return any(face is lost for lost in self.begun.found.lost)

    def cut_of(self, face: Face) -> AlignedFace | None:
        """What was cut out of a face, if it was."""
        return next((cut for cut in self.begun.cuts if cut.face.track_id == face.track_id), None)

    @property
    def shows_live(self) -> bool:
        """Whether the user lets the live face be seen."""
        return self.begun.settings.cover is Cover.ORIGINAL

    @property
    def is_filled(self) -> bool:
        """Whether a picture took the frame's place: then nothing lies where the camera saw it."""
        return bool(self.done - self.steps.keys())

    def shows_swap_of(self, face: Face) -> bool:
        """Whether the frame shows a face's swap."""
        return self.shows_live or (self.result.shown is Shown.SWAPPED and face.track_id in self.done)


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
        strip = self._strip(frame, seen, lettering)  # before anything is drawn over what it shows
        if not seen.is_filled:
            for face in (*seen.begun.found.others, *seen.begun.found.targets):
                if np.isfinite(face.landmarks).all():
                    _draw_face(frame, face, seen, lettering)
        top = frame.height
        if strip is not None:
            top -= len(strip)
            sketch = Sketch(frame, (0, top, strip.shape[1], frame.height))
            sketch.lay(strip, 0, top)
            sketch.put()
        self._write(frame, seen, lettering, top)

    def _lettering_for(self, frame: Frame) -> Lettering:
        wanted = min(frame.width // _LETTERS[0], frame.height // _LETTERS[1])
        size_px = max(_LEAST_LETTER_PX, wanted)
        if self._lettering is None or self._lettering.size_px != size_px:
            self._lettering = Lettering(size_px)
        return self._lettering

    # --- times ---

    def _tick(self, now_s: float, result: Result) -> None:
        passed_s, self._drawn_s = now_s - self._drawn_s, now_s
        self._period_s += _STEADY * (passed_s - self._period_s) if self._period_s else 0.0
        if not self._period_s and passed_s < 1.0:
            self._period_s = passed_s
        times = {
            str(stage): result.stages_ms.get(stage, 0.0) for stage in Stage if stage is not Stage.DEBUG_VIEW
        }
        _steady(self._ms, times)

    def _write(self, frame: Frame, seen: Seen, lettering: Lettering, bottom: int) -> None:
        """Writes about the whole frame into its corner, as much as there is room for."""
        edge, line = lettering.size_px // 2, lettering.line_px
        width = min(frame.width, _PANEL_LETTERS * lettering.size_px) - 2 * edge
        head = self._head(frame, seen, lettering, width)
        times = [(stage, ms) for stage in Stage if (ms := self._ms.get(stage, 0.0)) > _NOTHING_MS]
        room = max(0, (bottom - 2 * edge) // line)
        head = head[:room]
        times = times[: room - len(head)]
        if not head:
            return
        sketch = Sketch(frame, (0, 0, width + 2 * edge, 2 * edge + line * (len(head) + len(times))))
        sketch.darken((0, 0, frame.width, frame.height), _SHADE)
        for number, (text, color) in enumerate(head):
            sketch.write(lettering, text, edge, edge + number * line, color)
        longest = max((ms for _, ms in times), default=1.0)
        for number, (stage, ms) in enumerate(times, len(head)):
            box = edge, edge + number * line, edge + width, edge + (number + 1) * line
            _write_time(sketch, lettering, box, stage, ms, ms / longest)
        sketch.put()

    def _head(self, frame: Frame, seen: Seen, lettering: Lettering, width: int) -> list[tuple[str, Color]]:
        rate = f"{1 / self._period_s:.0f} fps" if self._period_s else ""
        shown, total_ms = seen.result.shown, sum(self._ms.values())
        size = f"{frame.width} x {frame.height} {frame.format}"
        told = lettering.wrapped(seen.result.notice, width, _NOTICE_LINES)
        first = [("   ".join(filter(None, (size, rate))), _WHITE), (shown.capitalize(), _OF_SHOWN[shown])]
        lines = [*first, *((line, _AMBER) for line in told), (f"{total_ms:.1f} ms for a frame", _WHITE)]
        return [(lettering.fitting(text, width), color) for text, color in lines]

    # --- pictures ---

    def _strip(self, frame: Frame, seen: Seen, lettering: Lettering) -> ImageBGR | None:
        """Every step's picture of the first faces, a row each; None where nobody is cut out."""
        cuts = seen.begun.cuts[:_ROWS]
        if not cuts:
            return None
        gap = max(1, lettering.size_px // 4)
        high = int(frame.height * _STRIP) - lettering.line_px
        side = min(high, (frame.width - gap) // len(_PICTURES)) - gap
        self._picture = Picture(frame, self._picture)
        rows = [self._row(aligned, seen, lettering, side, gap) for aligned in cuts]
        return np.vstack(rows)

    def _row(self, aligned: AlignedFace, seen: Seen, lettering: Lettering, side: int, gap: int) -> ImageBGR:
        assert self._picture is not None
        top = lettering.line_px
        row = np.full((top + side + gap, gap + len(_PICTURES) * (side + gap), 3), _DARK, np.uint8)
        pictures = [*_pictures(aligned, seen, side), _merged(self._picture, aligned, side)]
        for number, (name, picture) in enumerate(zip(_PICTURES, pictures, strict=True)):
            left = gap + number * (side + gap)
            if not number and len(seen.begun.cuts) > 1:
                name = f"#{aligned.face.track_id} {name}"
            lettering.write(row, lettering.fitting(name, side), left, 0, _GRAY if picture is None else _WHITE)
            if picture is None:
                row[top : top + side, left : left + side] = _EMPTY
            else:
                row[top : top + side, left : left + side] = picture
        return row


def _steady(means: dict[str, float], times: Mapping[str, float]) -> None:
    for stage, ms in times.items():
        means[stage] = means[stage] + _STEADY * (ms - means[stage]) if stage in means else ms


def _write_time(
    sketch: Sketch, lettering: Lettering, box: tuple[int, int, int, int], name: str, ms: float, part: float
) -> None:
    """A line of the panel: a step's name, its time, and a bar as long as its part of the longest time."""
    left, top, right, bottom = box
    size = lettering.size_px
    number = f"{ms:.1f}"
    middle = left + (right - left) * 2 // 3
    sketch.write(lettering, name.replace("_", " "), left, top, _GRAY)
    sketch.write(lettering, number, middle - size // 2 - lettering.width(number), top, _WHITE)
    length = max(1, round((right - middle) * part))
    low = (bottom - top - size // 2) // 2
    sketch.bar((middle, top + low, middle + length, bottom - low), _CYAN)


# The pictures.


def _pictures(aligned: AlignedFace, seen: Seen, side: int) -> Iterator[ImageBGR | None]:
    """All but the last; None for one that must not be seen, or that there is not."""
    face, steps = aligned.face, seen.steps.get(aligned.face.track_id)
    yield _cut(aligned, side, seen.shows_live)
    swapped = steps.swapped if steps is not None else _filling(aligned, seen)
    is_shown = seen.shows_swap_of(face)
    yield _weighted(swapped, swapped.mask, side) if swapped is not None and is_shown else None
    yield _weighted(steps.colored, steps.masks.shown, side) if steps is not None and is_shown else None
    mask = None if steps is None else _combined(steps.swapped, steps.masks.shown, side)
    yield None if mask is None else _drawn_mask(mask, aligned, seen.begun.visible.get(face.track_id))


def _filling(aligned: AlignedFace, seen: Seen) -> SwappedFace | None:
    """The swap that took the frame's place."""
    if aligned.face.track_id not in seen.done:
        return None
    made = made_for(aligned, seen.begun.timestamp_ns, seen.swap)
    return made.face if made is not None else None


def _cut(aligned: AlignedFace, side: int, shows_live: bool) -> ImageBGR:
    """The live crop with its landmarks, or these alone."""
    size = aligned.warp.size
    picture = np.full((side, side, 3), _EMPTY, np.uint8)
    if shows_live:
        picture = _resized(aligned.crop, side)
    points = (aligned.landmarks + 0.5) * np.float32(side / size) - 0.5
    if np.isfinite(points).all():
        points = np.clip(points, -side, 2 * side).astype(np.float32)
        chains = list(_chains(points))
        for chain, closed in chains:
            fixed = np.round(chain * 8).astype(np.int32)
            cv2.polylines(picture, [fixed], closed, _GREEN, 1, cv2.LINE_AA, 3)
    return picture


def _weighted(swapped: SwappedFace, mask: Mask, side: int) -> ImageBGR:
    """A swapped crop where its masks show it; beyond them it may hold the live picture."""
    small = _resized(swapped.crop, side)
    if swapped.tone is not None:
        small = cv2.transform(small, swapped.tone)
    weights = _combined(swapped, mask, side)[..., None]
    return np.asarray(small * weights + np.array(_DARK) * (1 - weights), np.uint8)


def _combined(swapped: SwappedFace, mask: Mask, side: int) -> Mask:
    """A mask times the swap's own alpha, (side, side), 0..1."""
    weights = _resized(mask, side)
    if swapped.alpha is not None:
        weights = weights * _resized(swapped.alpha, side)
    return np.asarray(np.clip(weights, 0, 1), np.float32)


def _resized(picture: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """A square picture at another side; halving it first is several times as fast as averaging at once."""
    while len(picture) >= 2 * side:
        half_wh = len(picture) // 2, len(picture) // 2
        picture = cv2.resize(picture, half_wh, interpolation=cv2.INTER_LINEAR)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)


def _drawn_mask(mask: Mask, aligned: AlignedFace, visible: Visible | None) -> ImageBGR:
    """A mask in gray; what lies before the face is red."""
    picture = np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=2)
    if visible is not None:
        hidden = visible.at(aligned.warp, len(mask)) < 0.5
        picture[hidden] = picture[hidden] // 2 + np.array(_RED, np.uint8) // 2
    return picture


def _merged(picture: Picture, aligned: AlignedFace, side: int) -> ImageBGR:
    """What the frame shows where the crop lies."""
    scale = side / aligned.warp.size
    matrix = aligned.warp.matrix * np.float32(scale)
    matrix[:, 2] += (scale - 1) / 2
    return picture.sample(matrix, side).copy()


# The faces.


def _draw_face(frame: Frame, face: Face, seen: Seen, lettering: Lettering) -> None:
    """A face's box, landmarks, crop and masks, and what became of it."""
    width = max(1, lettering.size_px // 8)
    label, color = _label(face, seen)
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    where = _place_of_label(frame, low, label, lettering)
    aligned = seen.cut_of(face)
    corners = _square(aligned.warp) if aligned is not None else face.landmarks
    around = np.vstack([low, high, corners, np.reshape(where, (2, 2))])
    roi = pixels.region(
        frame, (around.min(axis=0) - 2 * width).tolist(), (around.max(axis=0) + 2 * width).tolist()
    )
    if roi is None:
        return
    sketch = Sketch(frame, roi)
    if aligned is not None:
        _draw_crop(sketch, aligned, seen, width)
    if not seen.is_lost(face):
        _draw_landmarks(sketch, face.landmarks, width)
    sketch.line(_rectangle(low, high), color, width, closed=True)
    _write_label(sketch, where, label, color, lettering)
    sketch.put()


def _draw_crop(sketch: Sketch, aligned: AlignedFace, seen: Seen, width: int) -> None:
    """The crop's outline with its upper side, what lies before the face, and the mask's outline."""
    visible = seen.begun.visible.get(aligned.face.track_id)
    if visible is not None:
        outlines = [
            _in_frame(points, visible.warp.matrix, visible.warp.size / len(visible.mask))
            for points in _outlines(1 - visible.mask)
        ]
        if outlines:
            sketch.tint(outlines, _RED, 0.4)
    square = _square(aligned.warp)
    sketch.line(square, _CYAN, width, closed=True)
    sketch.line(square[:2], _CYAN, 2 * width)
    steps = seen.steps.get(aligned.face.track_id)
    if steps is None:
        return
    matrix = placed(aligned.warp, seen.begun.settings).astype(np.float32)
    for points in _outlines(_combined(steps.colored, steps.masks.shown, _OUTLINE_SIDE)):
        place = _in_frame(points, matrix, aligned.warp.size / _OUTLINE_SIDE)
        sketch.line(place, _MAGENTA, width, closed=True)


def _draw_landmarks(sketch: Sketch, landmarks: Points, width: int) -> None:
    for chain, closed in _chains(landmarks):
        sketch.line(chain, _GREEN, max(1, width // 2), closed)
    sketch.dots(landmarks, _WHITE, width)


def _chains(landmarks: Points) -> Iterator[tuple[Points, bool]]:
    """A face's lines, and whether they are closed."""
    points = mesh_to_68(landmarks)
    for chains, closed in ((_OPEN, False), (_CLOSED, True)):
        for first, last in chains:
            yield points[first:last], closed


def _outlines(mask: Mask) -> list[Points]:
    """The borders of the parts of a mask that are more than half, in its own pixels."""
    found, _ = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [_smoothed(points.reshape(-1, 2)) for points in found if len(points) > 2]


def _smoothed(points: npt.NDArray[Any]) -> Points:
    """A closed line through the means of neighbors."""
    around = [np.roll(points, shift, axis=0) for shift in range(-_SMOOTH, _SMOOTH + 1)]
    return np.asarray(np.mean(around, axis=0), np.float32)


def _in_frame(points: Points, matrix: Points, scale: float) -> Points:
    """A mask's pixels as those of the frame; `scale` is how many of the crop's a pixel of it is wide."""
    return inverted((points + 0.5) * scale - 0.5, matrix)


def _square(warp: Warp) -> Points:
    """A crop's corners in the frame, from its upper left one on."""
    low, high = -0.5, warp.size - 0.5
    return to_frame(warp, np.array([(low, low), (high, low), (high, high), (low, high)], np.float32))


def _rectangle(low: Points, high: Points) -> Points:
    return np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)


# The labels.


def _label(face: Face, seen: Seen) -> tuple[list[str], Color]:
    """Who a face is and what became of it, and how sure that is."""
    is_target = face.track_id in seen.targets
    fate, color = _fate_of_target(face, seen) if is_target else _fate(face, seen)
    name = f"#{face.track_id} {face.person}".rstrip()
    sure = f"detector {face.score:.2f}   mesh {face.presence:.2f}   doubt {face.doubt:.2f}"
    return [f"{name}: {fate}", sure], color


def _fate_of_target(face: Face, seen: Seen) -> tuple[str, Color]:
    if face.track_id not in seen.done:
        cut = seen.cut_of(face)
        why = str(seen.begun.fault) if cut is None else why_bare(cut, seen.begun, seen.swap)
        return f"not swapped: {why}", _RED
    if seen.result.shown is not Shown.SWAPPED:
        return "swapped, not shown yet", _AMBER
    age_ms = (seen.begun.timestamp_ns - seen.swap.timestamp_ns) / 1e6 if seen.swap is not None else 0.0
    swapped = f"swapped, {age_ms:.0f} ms ago" if age_ms else "swapped"
    return f"{swapped}, face {face.slot}" if face.slot else swapped, _GREEN


def _fate(face: Face, seen: Seen) -> tuple[str, Color]:
    settings = seen.begun.settings
    if seen.is_lost(face):
        return "lost, looked for here", _GRAY
    why = "no face for sure" if face.doubt > DOUBT_TO_START else "not chosen"
    return (f"covered: {why}", _AMBER) if covers_other_faces(settings) else (f"left: {why}", _GRAY)


def _place_of_label(
    frame: Frame, corner: Points, label: Sequence[str], lettering: Lettering
) -> tuple[int, int, int, int]:
    """A box for a label above a face, inside the frame as far as it can be."""
    edge = lettering.size_px // 3
    most = min(frame.width, _LABEL_LETTERS * lettering.size_px)
    wide = min(max(lettering.width(line) for line in label) + 2 * edge, most)
    high = min(len(label) * lettering.line_px + edge, frame.height)
    left = int(np.clip(corner[0], 0, frame.width - wide))
    top = int(np.clip(corner[1] - high - edge, 0, frame.height - high))
    return left, top, left + wide, top + high


def _write_label(
    sketch: Sketch, where: tuple[int, int, int, int], label: Sequence[str], color: Color, lettering: Lettering
) -> None:
    edge = lettering.size_px // 3
    sketch.darken(where, _SHADE)
    for number, line in enumerate(label):
        text = lettering.fitting(line, where[2] - where[0] - 2 * edge)
        top = where[1] + number * lettering.line_px
        sketch.write(lettering, text, where[0] + edge, top, _GRAY if number else color)
