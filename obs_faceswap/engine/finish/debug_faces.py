"""The debug view's drawing on each face: box, landmarks, crop, masks, and what became of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import to_frame
from obs_faceswap.engine.crop.picture import inverted
from obs_faceswap.engine.find.choose import DOUBT_TO_START
from obs_faceswap.engine.find.schemes import mesh_to_68
from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.merge import placed
from obs_faceswap.engine.finish.pixels import Roi
from obs_faceswap.engine.finish.seen import Seen, weights_of
from obs_faceswap.engine.finish.sketch import (
    AMBER,
    CYAN,
    GRAY,
    GREEN,
    MAGENTA,
    RED,
    SHADE,
    WHITE,
    Color,
    Lettering,
    Sketch,
)
from obs_faceswap.engine.settings import covers_other_faces
from obs_faceswap.engine.steps import why_bare
from obs_faceswap.engine.types import AlignedFace, Face, Frame, Mask, Points, Shown, Warp

_NOT_CUT = "It is not cut out."
_LABEL_LETTERS = 32  # the widest label
_TINT = 0.4  # of what lies before a face
_DOTTED = 60  # of a dot's size, a face's height: on a smaller one dots hide all
_SMOOTH = 3  # neighbors on each side
_OUTLINE_SIDE = 256  # of a mask whose border is drawn: no step of it is seen

# iBUG's 68 points: jaw, brows, bridge and tip of the nose are open, eyes and lips are closed.
_OPEN = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
_CLOSED = ((36, 42), (42, 48), (48, 60), (60, 68))


def draw_face(frame: Frame, face: Face, seen: Seen, lettering: Lettering) -> None:
    """A face's box, landmarks, crop and masks, and what became of it."""
    width = _width(lettering)
    label, color = _label(face, seen)
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    where = _place_of_label(frame, low, label, lettering)
    aligned = seen.cut_of(face)
    corners = _square(aligned.warp) if aligned is not None else face.landmarks
    sketch = _sketch(frame, np.vstack([low, high, corners, np.reshape(where, (2, 2))]), width)
    if sketch is None:
        return
    if aligned is not None:
        _draw_crop(sketch, aligned, seen, width)
    if not seen.is_lost(face):
        _draw_landmarks(sketch, face.landmarks, width)
    sketch.line(_rectangle(low, high), color, width, closed=True)
    _write_label(sketch, where, label, color, lettering)
    sketch.put()


def draw_unclear(frame: Frame, box: Points, lettering: Lettering) -> None:
    """A box (2, 2) that is covered in case a face is in it."""
    label, width = ["covered: seen by the detector alone"], _width(lettering)
    where = _place_of_label(frame, box[0], label, lettering)
    sketch = _sketch(frame, np.vstack([box, np.reshape(where, (2, 2))]), width)
    if sketch is not None:
        sketch.line(_rectangle(*box), AMBER, width, closed=True)
        _write_label(sketch, where, label, AMBER, lettering)
        sketch.put()


def _width(lettering: Lettering) -> int:
    """How wide lines are, in pixels."""
    return max(1, lettering.size_px // 8)


def _sketch(frame: Frame, points: Points, width: int) -> Sketch | None:
    """What lies around points; None outside the frame."""
    low, high = points.min(axis=0) - 2 * width, points.max(axis=0) + 2 * width
    roi = pixels.region(frame, low.tolist(), high.tolist())
    return None if roi is None else Sketch(frame, roi)


def _draw_crop(sketch: Sketch, aligned: AlignedFace, seen: Seen, width: int) -> None:
    """The crop's outline with its upper side, what lies before the face, and the mask's outline."""
    visible = seen.begun.visible.get(aligned.face.track_id)
    if visible is not None:
        outlines = [
            _in_frame(points, visible.warp.matrix, visible.warp.size / len(visible.mask))
            for points in _outlines(1 - visible.mask)
        ]
        if outlines:
            sketch.tint(outlines, RED, _TINT)
    square = _square(aligned.warp)
    sketch.line(square, CYAN, width, closed=True)
    sketch.line(square[:2], CYAN, 2 * width)
    steps = seen.steps.get(aligned.face.track_id)
    if steps is None:
        return
    matrix = placed(aligned.warp, seen.begun.settings).astype(np.float32)
    for points in _outlines(weights_of(steps.colored, steps.masks.shown, _OUTLINE_SIDE)):
        place = _in_frame(points, matrix, aligned.warp.size / _OUTLINE_SIDE)
        sketch.line(place, MAGENTA, width, closed=True)


def _draw_landmarks(sketch: Sketch, landmarks: Points, width: int) -> None:
    for chain, closed in lines_of(landmarks):
        sketch.line(chain, GREEN, max(1, width // 2), closed)
    if float(np.ptp(landmarks[:, 1])) > _DOTTED * width:
        sketch.dots(landmarks, WHITE, width)


def lines_of(landmarks: Points) -> Iterator[tuple[Points, bool]]:
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
        why = str(seen.begun.fault or _NOT_CUT) if cut is None else why_bare(cut, seen.begun, seen.swap)
        return f"not swapped: {' '.join(why.split())}", RED
    if seen.result.shown is not Shown.SWAPPED:
        return "swapped, not shown yet", AMBER
    age_ms = (seen.begun.timestamp_ns - seen.swap.timestamp_ns) / 1e6 if seen.swap is not None else 0.0
    swapped = f"swapped, {age_ms:.0f} ms ago" if age_ms else "swapped"
    return f"{swapped}, face {face.slot}" if face.slot else swapped, GREEN


def _fate(face: Face, seen: Seen) -> tuple[str, Color]:
    settings = seen.begun.settings
    if seen.is_lost(face):
        return "lost, looked for here", GRAY
    why = "no face for sure" if face.doubt > DOUBT_TO_START else "not chosen"
    return (f"covered: {why}", AMBER) if covers_other_faces(settings) else (f"left: {why}", GRAY)


def _place_of_label(frame: Frame, corner: Points, label: Sequence[str], lettering: Lettering) -> Roi:
    """A box for a label above a face, inside the frame as far as it can be."""
    edge = lettering.size_px // 3
    most = min(frame.width, _LABEL_LETTERS * lettering.size_px)
    wide = min(max(lettering.width(line) for line in label) + 2 * edge, most)
    high = min(len(label) * lettering.line_px + edge, frame.height)
    left = int(np.clip(corner[0], 0, frame.width - wide))
    top = int(np.clip(corner[1] - high - edge, 0, frame.height - high))
    return left, top, left + wide, top + high


def _write_label(
    sketch: Sketch, where: Roi, label: Sequence[str], color: Color, lettering: Lettering
) -> None:
    edge = lettering.size_px // 3
    sketch.darken(where, SHADE)
    for number, line in enumerate(label):
        text = lettering.fitting(line, where[2] - where[0] - 2 * edge)
        top = where[1] + number * lettering.line_px
        sketch.write(lettering, text, where[0] + edge, top, GRAY if number else color)
