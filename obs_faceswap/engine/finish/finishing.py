"""What a swap can be made once it lies in its frame: sharper, coarser, poorer in colors.

DeepFaceLive's frame adjuster makes the whole frame worse before the merge, and its merger compresses the
colors of the whole picture (apps/DeepFaceLive/backend/FrameAdjuster.py, FaceMerger.py; the filters are those
of xlib/image/ImageProcessor.py). Here the background stays as the camera made it.
"""

import cv2
import numpy as np

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.blend import blend_bgr
from obs_faceswap.engine.finish.pixels import Roi, Samples
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, ImageBGR

_MEDIAN_PX = 5
_WIDEST_SIGMA = 16.0  # px; a face larger than any frame must not take seconds
_FEWEST_PX = 4  # what a bicubic degrade leaves of a side at least
_FEWEST_LEVELS = 4


def is_wanted(settings: Settings) -> bool:
    """Whether a setting here changes the picture."""
    wanted = settings.sharpen, settings.median_blur, settings.degrade_bicubic, settings.color_compression
    return any(wanted)


def finish(frame: Frame, roi: Roi, weights: Samples, settings: Settings, enlarged: float) -> None:
    """Changes a frame where a swap is, by as much as it shows there.

    Args:
        frame: with the swap.
        roi: upright region.
        weights: (h, w) bytes, 255 where nothing of the live picture is left.
        settings: `sharpen`, `median_blur`, `degrade_bicubic` and `color_compression`.
        enlarged: frame pixels a pixel of the swap's crop.
    """
    bgr = finished(pixels.to_bgr(frame, roi), settings, enlarged)
    blend_bgr(frame, roi, bgr, weights * np.float32(1 / 255))


def finished(bgr: ImageBGR, settings: Settings, enlarged: float) -> ImageBGR:
    """A picture (H, W, 3) as the settings want a face to be.

    Args:
        bgr: the picture.
        settings: as for `finish`.
        enlarged: as for `finish`; the swap's detail is no finer than that.
    """
    if settings.sharpen:
        soft = cv2.GaussianBlur(bgr, (0, 0), min(max(1.0, enlarged), _WIDEST_SIGMA))
        bgr = np.asarray(cv2.addWeighted(bgr, 1 + settings.sharpen, soft, -settings.sharpen, 0), np.uint8)
    if settings.median_blur:
        part = settings.median_blur / 100
        bgr = np.asarray(cv2.addWeighted(bgr, 1 - part, cv2.medianBlur(bgr, _MEDIAN_PX), part, 0), np.uint8)
    if settings.degrade_bicubic:
        bgr = _coarser(bgr, 1 - settings.degrade_bicubic / 100)
    return _with_fewer_colors(bgr, settings.color_compression) if settings.color_compression else bgr


def _coarser(bgr: ImageBGR, part: float) -> ImageBGR:
    """A picture made smaller and large again."""
    height, width = bgr.shape[:2]
    small_wh = max(_FEWEST_PX, int(width * part)), max(_FEWEST_PX, int(height * part))
    small = cv2.resize(bgr, small_wh, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _with_fewer_colors(bgr: ImageBGR, compression: float) -> ImageBGR:
    """DeepFaceLive's rule: of 127 less the setting levels, each a little above its lower edge."""
    levels = max(_FEWEST_LEVELS, 127 - compression)
    values = (np.floor(np.arange(256) / 255 * levels) / levels + 2 / levels) * 255
    return np.asarray(cv2.LUT(bgr, np.clip(values, 0, 255).astype(np.uint8)), np.uint8)
