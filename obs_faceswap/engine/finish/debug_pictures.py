"""The debug view's pictures: a face as it was cut, as the swapper made it, and on its way into the frame.

None of them may tell more of the live face than the frame does: the crop as it was cut is a drawing of its
landmarks, unless the user chose *Show original*, and what the swapper made is shown only where the frame
shows the swap, weighted by its masks, for beyond them a swapper may leave the live picture.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.finish.debug_faces import lines_of
from obs_faceswap.engine.finish.seen import Seen, resized, weights_of
from obs_faceswap.engine.finish.sketch import DARK, GRAY, GREEN, RED, WHITE, Lettering
from obs_faceswap.engine.steps import made_for
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace

_STRIPS = (0.2, 0.15)  # of a frame's height, for each row of pictures where there are so many
_PICTURES = "cut", "swapped", "colors", "mask", "merged"
_EMPTY = (60, 54, 50)  # where a picture must not be seen
_POINT_BITS = 3  # OpenCV draws at fractions of a pixel given as whole numbers


def strip_of(picture: Picture, seen: Seen, lettering: Lettering) -> ImageBGR | None:
    """Every step's picture of the first faces, a row each; None where nobody is cut out.

    Args:
        picture: the finished frame, with nothing drawn on it.
        seen: what is known of it.
        lettering: for the pictures' names.
    """
    cuts = seen.begun.cuts[: len(_STRIPS)]
    if not cuts:
        return None
    gap = max(1, lettering.size_px // 4)
    high = int(picture.height * _STRIPS[len(cuts) - 1]) - lettering.line_px
    side = max(1, min(high, (picture.width - gap) // len(_PICTURES)) - gap)
    return np.vstack([_row(picture, aligned, seen, lettering, side, gap) for aligned in cuts])


def _row(
    frame: Picture, aligned: AlignedFace, seen: Seen, lettering: Lettering, side: int, gap: int
) -> ImageBGR:
    """The pictures of one face, each under its name."""
    top = lettering.line_px
    row = np.full((top + side + gap, gap + len(_PICTURES) * (side + gap), 3), DARK, np.uint8)
    pictures = [*_pictures(aligned, seen, side), _merged(frame, aligned, side)]
    for number, (name, picture) in enumerate(zip(_PICTURES, pictures, strict=True)):
        left = gap + number * (side + gap)
        if not number and len(seen.begun.cuts) > 1:
            name = f"#{aligned.face.track_id} {name}"
        lettering.write(row, lettering.fitting(name, side), left, 0, GRAY if picture is None else WHITE)
        row[top : top + side, left : left + side] = _EMPTY if picture is None else picture
    return row


def _pictures(aligned: AlignedFace, seen: Seen, side: int) -> Iterator[ImageBGR | None]:
    """All but the last; None for one that must not be seen, or that there is not."""
    face, steps = aligned.face, seen.steps.get(aligned.face.track_id)
    yield _cut(aligned, side, seen.shows_live)
    swapped = steps.swapped if steps is not None else _filling(aligned, seen)
    is_shown = seen.shows_swap_of(face)
    yield _weighted(swapped, swapped.mask, side) if swapped is not None and is_shown else None
    yield _weighted(steps.colored, steps.masks.shown, side) if steps is not None and is_shown else None
    mask = None if steps is None else weights_of(steps.swapped, steps.masks.shown, side)
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
        picture = resized(aligned.crop, side)
    points = (aligned.landmarks + 0.5) * np.float32(side / size) - 0.5
    if np.isfinite(points).all():
        points = np.clip(points, -side, 2 * side).astype(np.float32)
        for chain, closed in lines_of(points):
            fixed = np.round(chain * (1 << _POINT_BITS)).astype(np.int32)
            cv2.polylines(picture, [fixed], closed, GREEN, 1, cv2.LINE_AA, _POINT_BITS)
    return picture


def _weighted(swapped: SwappedFace, mask: Mask, side: int) -> ImageBGR:
    """A swapped crop where its masks show it; beyond them it may hold the live picture."""
    small = resized(swapped.crop, side)
    if swapped.tone is not None:
        small = cv2.transform(small, swapped.tone)
    weights = weights_of(swapped, mask, side)[..., None]
    return np.asarray(small * weights + np.array(DARK) * (1 - weights), np.uint8)


def _drawn_mask(mask: Mask, aligned: AlignedFace, visible: Visible | None) -> ImageBGR:
    """A mask in gray; what lies before the face is red."""
    picture = np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=2)
    if visible is not None:
        hidden = visible.at(aligned.warp, len(mask)) < 0.5
        picture[hidden] = picture[hidden] // 2 + np.array(RED, np.uint8) // 2
    return picture


def _merged(picture: Picture, aligned: AlignedFace, side: int) -> ImageBGR:
    """What the frame shows where the crop lies."""
    scale = side / aligned.warp.size
    matrix = aligned.warp.matrix * np.float32(scale)
    matrix[:, 2] += (scale - 1) / 2
    return picture.sample(matrix, side).copy()
