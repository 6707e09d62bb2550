"""Reading picture files."""

from pathlib import Path

import cv2
import numpy as np

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.types import ImageBGR


def read_picture(path: Path) -> ImageBGR:
    """A picture of any readable kind as (H, W, 3), upright as its EXIF note says; raises MediaError."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}). Choose another picture.") from error
    try:
        # Not cv2.imread: on Windows it cannot open names with letters beyond the system's code page.
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except cv2.error:  # a size that no memory holds
        image = None
    if image is None:
        raise MediaError(f"{path} is not a picture that can be read. Save it as PNG or JPEG and try again.")
    return np.ascontiguousarray(image, np.uint8)
