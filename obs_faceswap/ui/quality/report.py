"""The figures as a table, their course as a plot, and a contact sheet to look at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.types import ImageBGR, Shown
from obs_faceswap.ui.quality import figures
from obs_faceswap.ui.quality.measure import Course

# Key, what it means in a few words, and which way is better.
_LINES = (
    ("frames", "frames", ""),
    ("frames_swapped", "swapped", ""),
    ("frames_frozen", "frozen", "fewer"),
    ("frames_covered", "covered", "fewer"),
    ("frames_original", "let through", "0"),
    ("switches", "switches between these", "fewer"),
    ("frames_bare", "frames in which the live face shows", "0"),
    ("likeness_to_source", "likeness to the source", "1"),
    ("likeness_to_live", "likeness to the live person", "0"),
    ("nearer_to_source", "part of frames nearer to the source", "1"),
    ("expression", "expression kept (correlation)", "1"),
    ("jitter_percent", "landmark jitter on a still face, % of the eyes' distance", "0"),
    ("jitter_unsmoothed_percent", "the same without smoothing", ""),
    ("lag_frames", "lag on a fast face, frames", "0"),
    ("color_flicker", "color flicker beyond the camera's, Lab", "0"),
    ("edge_flicker", "edge flicker beyond the camera's, Lab", "0"),
    ("seam", "seam along the edge, levels a pixel", "0"),
    ("neck_mismatch", "face against neck beyond the live one's, Lab", "0"),
    ("sharpness", "sharpness against the live face, times", "1"),
    ("grain", "grain beyond the live face's, levels", "0"),
    ("remaining", "part of the difference to the exact clip left", "0"),
)
_COLUMNS, _TILE = 8, 192
_PLOT_WH, _MARGIN = (960, 120), 8
_BACK, _INK, _LINE = (255, 255, 255), (60, 60, 60), (180, 90, 20)
_KINDS = {
    Shown.SWAPPED: (80, 160, 60),
    Shown.FROZEN: (40, 170, 230),
    Shown.COVERED: (160, 160, 160),
    Shown.ORIGINAL: (40, 40, 220),
}


def table(summary: dict[str, object]) -> str:
    """The figures as text."""
    lines = []
    for key, words, best in _LINES:
        value = summary[key]
        text = "not measured" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        lines.append(f"{words:55} {text:>14}  {f'({best} is best)' if best else ''}".rstrip())
    missing = summary["not_measured"]
    if isinstance(missing, dict):
        lines += [f"not measured: {name} needs: {why}" for name, why in missing.items()]
    return "\n".join(lines)


def write_pictures(course: Course, folder: Path, name: str) -> list[Path]:
    """Writes NAME-plot.png and NAME-sheet.jpg; raises MediaError if the folder cannot be written."""
    made = {f"{name}-plot.png": plot(course), f"{name}-sheet.jpg": sheet(course)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, image in made.items():
            is_encoded, data = cv2.imencode(Path(file).suffix, image)
            if not is_encoded:
                raise MediaError(f"{file} cannot be encoded. Choose another folder.")
            (folder / file).write_bytes(data.tobytes())
    except OSError as error:
        raise MediaError(f"{folder} cannot be written ({error}). Choose another folder.") from error
    return [folder / file for file in made]


def sheet(course: Course) -> ImageBGR:
    """Evenly spaced frames with a face: before above, after below, the exact result below that."""
    known = [one for one in course.seen if one.before is not None]
    if not known:
        return np.full((_TILE, _TILE, 3), 255, np.uint8)
    chosen = [known[int(at)] for at in np.linspace(0, len(known) - 1, min(_COLUMNS, len(known)))]
    columns = []
    for one in chosen:
        rows = [image for image in (one.before, one.after, one.exact) if image is not None]
        columns.append(
            np.vstack([cv2.resize(row, (_TILE, _TILE), interpolation=cv2.INTER_AREA) for row in rows])
        )
    return np.asarray(np.hstack(columns), np.uint8)


def plot(course: Course) -> ImageBGR:
    """The course of some figures over the clip, one below the other, above a bar of what was shown."""
    rows = [_bar(course)]
    swapped = course.swapped
    numbers = [one.number for one in swapped]
    rows.append(_curve("seam", numbers, [figures.seam(one) for one in swapped], len(course.seen)))
    mismatches = [figures.mismatch(one) for one in swapped]
    rows.append(_curve("neck mismatch", numbers, mismatches, len(course.seen)))
    for title, values in (("likeness to source", course.to_source), ("likeness to live", course.to_live)):
        if values:
            rows.append(_curve(title, list(values), list(values.values()), len(course.seen)))
    return np.asarray(np.vstack(rows), np.uint8)


def _bar(course: Course) -> ImageBGR:
    width = _PLOT_WH[0]
    at = np.linspace(0, len(course.seen) - 1, width).astype(int)
    colors = np.array([_KINDS[course.seen[index].shown] for index in at], np.uint8)
    return np.repeat(colors[None], 24, axis=0)


def _curve(title: str, numbers: Sequence[int], values: Sequence[float], frames: int) -> ImageBGR:
    width, height = _PLOT_WH
    image = np.full((height, width, 3), _BACK, np.uint8)
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    label = f"{title}: {low:.3g} to {high:.3g}" if values else f"{title}: none"
    cv2.putText(image, label, (_MARGIN, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    if values:
        x = _MARGIN + np.array(numbers) / max(frames - 1, 1) * (width - 2 * _MARGIN)
        y = height - _MARGIN - (np.array(values) - low) / max(high - low, 1e-9) * (height - 32)
        points = np.round(np.stack([x, y], axis=1)).astype(np.int32)
        step = min(np.diff(numbers), default=1)  # a gap is a time when nothing was seen
        parts = np.split(points, np.flatnonzero(np.diff(numbers) > step) + 1)
        cv2.polylines(image, parts, False, _LINE, 1, cv2.LINE_AA)
    return image
