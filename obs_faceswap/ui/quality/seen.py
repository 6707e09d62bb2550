"""What is looked at in one frame of a clip: the face before and after, upright and of one size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import cut, to_crop, warp_for
from obs_faceswap.engine.crop.mask import hull
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.finish.camera import Texture, luma_of, middle_of, texture_of
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import Face, Frame, ImageBGR, Mask, Points, Result, Shown

CROP_PX = 256
_COVERAGE = 2.8  # of the crop that is looked at: the face, its neck and some background
_JAW = (172, 136, 150, 149, 152, 378, 379, 365, 397)
_NECK_BELOW, _NECK_DEEP = 0.10, 0.14  # parts of the face's height: where the neck's patch begins and how deep


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of a clip.

    Attributes:
        number: of the frame, from 0.
        shown: what the frame showed.
        face: the face that was followed, in frame pixels; None if none was.
        raw: landmarks (468, 2) of the frame without any smoothing.
        before, after: the face upright, (256, 256, 3); None without a face.
        exact: the same of the reference clip.
        landmarks: in that crop.
        live_texture, worn_texture: of the middle of the face, in frame pixels; None where it is too small.
    """

    number: int
    shown: Shown
    face: Face | None
    raw: Points | None
    before: ImageBGR | None = None
    after: ImageBGR | None = None
    exact: ImageBGR | None = None
    landmarks: Points | None = None
    live_texture: Texture | None = None
    worn_texture: Texture | None = None

    @property
    def inner(self) -> npt.NDArray[np.bool_]:
        """Where the crop shows the face, a little away from its outline."""
        return _within(self.landmarks, 0.9)

    @property
    def ring(self) -> npt.NDArray[np.bool_]:
        """A band along the face's outline, where the swap's edge lies."""
        return _within(self.landmarks, 1.15) & ~_within(self.landmarks, 0.85)

    @property
    def neck(self) -> npt.NDArray[np.bool_]:
        """A patch below the chin."""
        return _below_the_chin(self.landmarks)


def look(
    number: int, before: ImageBGR, after: ImageBGR, exact: ImageBGR | None, result: Result, raw: Points | None
) -> Seen:
    """What is to be seen in a frame (H, W, 3), before and after."""
    face = result.faces[0] if result.faces else None
    if face is None:
        return Seen(number, result.shown, None, raw)
    warp = warp_for(face.landmarks, CROP_PX, _COVERAGE)
    return Seen(
        number,
        result.shown,
        face,
        raw,
        before=cut(Picture.of(before), warp),
        after=cut(Picture.of(after), warp),
        exact=None if exact is None else cut(Picture.of(exact), warp),
        landmarks=to_crop(warp, face.landmarks),
        live_texture=_texture(before, face.landmarks),
        worn_texture=_texture(after, face.landmarks),
    )


def _texture(image: ImageBGR, landmarks: Points) -> Texture | None:
    frame = frame_of(image, 0)
    middle = middle_of(frame, landmarks)
    return texture_of(luma_of(frame, middle)) if middle is not None else None


def frames_of(clip: Path) -> Iterator[tuple[int, ImageBGR]]:
    """Time in nanoseconds and picture (H, W, 3) of each frame of a clip; raises MediaError."""
    try:
        with av.open(str(clip)) as reader:
            stream = reader.streams.video[0]
            rate = float(stream.average_rate or 30)
            for number, frame in enumerate(reader.decode(stream)):
                seconds = frame.time if frame.time is not None else number / rate
                yield round(seconds * 1e9), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (OSError, IndexError, av.FFmpegError) as error:
        raise MediaError(f"{clip} cannot be read as a video ({error}). Try another file.") from error


def frame_of(image: ImageBGR, timestamp_ns: int) -> Frame:
    """A picture as a frame of its own memory."""
    height, width = image.shape[:2]
    return Frame(
        PixelFormat.BGR3, width, height, (image.reshape(height, width * 3).copy(),), timestamp_ns=timestamp_ns
    )


def picture_of(frame: Frame) -> ImageBGR:
    """The picture in such a frame, as it is now."""
    return np.asarray(frame.planes[0].reshape(frame.height, frame.width, 3), np.uint8)


def _within(landmarks: Points | None, scale: float) -> npt.NDArray[np.bool_]:
    """The landmarks' hull, made larger or smaller around its middle."""
    if landmarks is None:
        return np.zeros((CROP_PX, CROP_PX), np.bool_)
    center = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
    mask: Mask = hull((center + (landmarks - center) * scale).astype(np.float32), CROP_PX)
    return np.asarray(mask > 0.5)


def _below_the_chin(landmarks: Points | None) -> npt.NDArray[np.bool_]:
    mask = np.zeros((CROP_PX, CROP_PX), np.uint8)
    if landmarks is not None:
        jaw = landmarks[list(_JAW)]
        middle = jaw.mean(axis=0)
        height = float(np.ptp(landmarks[:, 1]))
        top = jaw * (0.5, 1) + np.array((middle[0] * 0.5, _NECK_BELOW * height))
        bottom = top[::-1] + np.array((0, _NECK_DEEP * height))
        patch = np.concatenate([top, bottom])
        cv2.fillPoly(mask, [np.round(patch).astype(np.int32)], 1)
    return np.asarray((mask > 0) & ~_within(landmarks, 1.05))
