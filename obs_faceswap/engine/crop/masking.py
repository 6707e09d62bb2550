"""The one rule for where a swap is shown, the same for every swapper and device; see docs/masks.md."""

from dataclasses import dataclass

import numpy as np

from obs_faceswap.engine.crop.mask import finish, hull
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.finish.reproject import hidden, without_kept
from obs_faceswap.engine.settings import Settings, Switch
from obs_faceswap.engine.types import AlignedFace, Mask, SwappedFace

# A swap on less than this part of the face's outline would leave a face bare that can be recognized.
_LEAST_HIDDEN = 0.4


@dataclass(frozen=True, slots=True)
class FaceMasks:
    """Where a crop shows a face, and how much of its swap is put back; both (M, M), 0..1."""

    face: Mask
    shown: Mask


def face_masks(
    swapped: SwappedFace, aligned: AlignedFace, visible: Visible | None, settings: Settings
) -> FaceMasks | None:
    """The masks of a swap; None if it would leave the live face bare.

    Args:
        swapped: its mask is the product of those that the swapper makes.
        aligned: the frame's own crop.
        visible: where nothing lies before the face, in the frame; None: everywhere. It is not believed where
            it would leave less of the face hidden than a swap must hide.
        settings: those of masks, and what is kept of the live face, are used.
    """
    size = aligned.warp.size
    face = _within_outline(swapped.mask, aligned) if settings.mask_landmarks is Switch.ON else swapped.mask
    if hidden(face, aligned.landmarks, size) < _LEAST_HIDDEN:
        return None
    box = settings.mask_top, settings.mask_right, settings.mask_bottom, settings.mask_left
    shown = finish(face, settings.mask_erode, settings.mask_blur, box)
    if swapped.alpha is None:  # else the swapper itself keeps what is to be kept
        shown = without_kept(shown, aligned.landmarks, settings)
    if visible is None:
        return FaceMasks(face, shown)
    # Last, with its own edge: eroding and softening hide a seam on skin, and would bare skin beside a hand.
    seen = visible.at(aligned.warp, len(face))
    if hidden(face * seen, aligned.landmarks, size) < _LEAST_HIDDEN:
        return FaceMasks(face, shown)
    return FaceMasks(face * seen, shown * seen)


def _within_outline(mask: Mask, aligned: AlignedFace) -> Mask:
    """A mask's part within the convex hull of the landmarks."""
    scale = np.float32(len(mask) / aligned.warp.size)
    return mask * hull((aligned.landmarks + 0.5) * scale - 0.5, len(mask))
