"""Putting a face back: this project's way beside DeepFaceLive's and insightface's, on the same face."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from obs_faceswap.engine.crop import mask as masks
from obs_faceswap.engine.finish import merge as own
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, ImageBGR, Mask, SwappedFace, Warp
from obs_faceswap.ui.bench import reference_merges
from obs_faceswap.ui.bench.efficiency import FACE_PX
from obs_faceswap.ui.bench.plan import SIZES_WH, Figures, Plan
from obs_faceswap.ui.bench.scene import Stream
from obs_faceswap.ui.bench.timing import interleaved, one_core, rounded

_CROP = 224  # DeepFaceLive's default
_CROP_OF_FACE = 1.57  # a crop's side, in longer sides of the face in it, at coverage 2.2
_SIZES = ("720p", "1080p")


@dataclass(frozen=True, slots=True)
class Pasting:
    """One face to put back, in the form that each of the three takes."""

    image: ImageBGR
    frame: Frame
    crop: ImageBGR
    mask: Mask
    warp: Warp


def merge(plan: Plan) -> Figures:
    """`merge`: milliseconds on one processor; the mask's erosion and blur included, color transfer not."""
    figures: Figures = {}
    with one_core():
        for size in _SIZES:
            times = interleaved(_works(_pasting(plan, size), plan.settings), plan.count(40, 10))
            ours = times["ours_ms"]
            figures[size] = times | {
                "deepfacelive_times": rounded(times["deepfacelive_ms"] / ours),
                "insightface_times": rounded(times["insightface_ms"] / ours),
            }
            plan.on_progress("merge", (_SIZES.index(size) + 1) / len(_SIZES))
    return figures


def _works(given: Pasting, settings: Settings) -> dict[str, Callable[[], object]]:
    def ours() -> None:
        finished = masks.finish(given.mask * given.mask, settings.mask_erode, settings.mask_blur)
        swapped = SwappedFace(given.crop, given.mask)
        own.merge(given.frame, swapped, given.warp, finished, settings)

    both, to_crop = (given.mask, given.mask), given.warp.matrix
    return {
        "ours_ms": ours,
        "deepfacelive_ms": lambda: reference_merges.deepfacelive(given.image, given.crop, both, to_crop),
        "insightface_ms": lambda: reference_merges.insightface(given.image, given.crop, to_crop),
    }


def _pasting(plan: Plan, size: str) -> Pasting:
    width, height = SIZES_WH[size]
    image = plan.subject().scene((width, height), FACE_PX)
    scale = _CROP / (FACE_PX * _CROP_OF_FACE)
    # Heads are never quite upright.
    turn = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), 10, scale), np.float64)
    turn[:, 2] += np.array([_CROP - width, _CROP - height]) / 2
    warp = Warp(np.asarray(turn, np.float32), _CROP)
    crop = np.asarray(cv2.warpAffine(image, warp.matrix, (_CROP, _CROP)), np.uint8)
    mask = np.zeros((_CROP, _CROP), np.float32)
    cv2.ellipse(mask, (_CROP // 2, _CROP // 2), (_CROP * 31 // 100, _CROP * 41 // 100), 0, 0, 360, 1.0, -1)
    return Pasting(image, Stream(image, frames=1).next(), crop, mask, warp)
