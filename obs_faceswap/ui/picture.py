"""Writes one picture, and makes a frame of one."""

from pathlib import Path

import cv2

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import Frame, ImageBGR
from obs_faceswap.ui.output import replacing

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_QUALITY = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture (and not a video)."""
    return path.suffix.lower() in SUFFIXES


def write_picture(path: Path, image: ImageBGR) -> None:
    """Writes a picture in the kind its name says; raises MediaError and leaves an older file untouched."""
    suffix = path.suffix.lower()
    written, content = cv2.imencode(suffix, image, _QUALITY.get(suffix, []))
    if not written:
        raise MediaError(f"The picture could not be encoded as {path.suffix}. Choose .png or .jpg.")
    with replacing(path) as partial:
        partial.write_bytes(content.tobytes())


def frame_of(image: ImageBGR) -> Frame:
    """The picture as a frame; both share their memory."""
    height, width = image.shape[:2]
    return Frame(PixelFormat.BGR3, width, height, (image.reshape(height, width * 3),))
