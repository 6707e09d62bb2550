"""What `measure_photo.py` and its test share: clips, the pipeline over them, and the figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.crop.align import similarity
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Face, Frame, ImageBGR, Points, Shown

FPS = 30
INNER_FACE = slice(17, 68)  # of the 68 points: brows, nose, eyes, mouth

# ArcFace's five points in its 112 px crop (insightface, Apache-2.0 code).
_ARCFACE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB


@dataclass(slots=True)
class Swapped:
    """One frame of a clip, before and after."""

    before: ImageBGR
    after: ImageBGR
    shown: Shown
    face: Face | None  # the one that is followed


def frames(clip: Path) -> Iterator[ImageBGR]:
    """All frames of a clip."""
    reader = cv2.VideoCapture(str(clip))
    while True:
        more, frame = reader.read()
        if not more:
            return
        yield np.asarray(frame, np.uint8)


def frame_at(clip: Path, wanted: int) -> ImageBGR:
    """One frame of a clip."""
    return next(frame for number, frame in enumerate(frames(clip)) if number == wanted)


def swapped_clip(clip: Path, settings: Settings, models_from: Path) -> Iterator[Swapped]:
    """Runs a clip through the pipeline as a camera's frames."""
    engine = pipeline.load(settings, models_from)
    try:
        for number, picture in enumerate(frames(clip)):
            yield _swapped(engine, picture, settings, number)
    finally:
        engine.close()


def _swapped(engine: pipeline.Pipeline, picture: ImageBGR, settings: Settings, number: int) -> Swapped:
    height, width = picture.shape[:2]
    plane = picture.reshape(height, width * 3).copy()
    timestamp_ns = round(number * 1e9 / FPS)
    frame = Frame(PixelFormat.BGR3, width, height, (plane,), timestamp_ns=timestamp_ns)
    result = engine.process(frame, settings)
    after = plane.reshape(height, width, 3)
    return Swapped(picture, after, result.shown, result.faces[0] if result.faces else None)


def luma(picture: ImageBGR) -> npt.NDArray[np.float64]:
    """Brightness, 0..255."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float64)


def difference(picture: ImageBGR, exact: ImageBGR, points68: Points) -> float:
    """1 minus the correlation of brightness inside the hull of points 17 to 67."""
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points68[INNER_FACE].astype(np.float32)).astype(np.int32), 1)
    chosen = inside > 0
    return 1 - float(np.corrcoef(luma(picture)[chosen], luma(exact)[chosen])[0, 1])


def remaining(live: Path, exact: Path, settings: Settings, models_from: Path) -> float:
    """How much of the difference to the exact clip a swap leaves, over all swapped frames: 0 is perfect.

    `live` is swapped, `exact` shows the same motion on the source; points as in `*_gt.npz` beside `live`.
    """
    points = np.load(live.with_name(f"{live.stem}_gt.npz"))["landmarks68"]
    with_swap, without = [], []
    for number, (one, truth) in enumerate(
        zip(swapped_clip(live, settings, models_from), frames(exact), strict=True)
    ):
        if one.shown is not Shown.SWAPPED:
            continue
        with_swap.append(difference(one.after, truth, points[number]))
        without.append(difference(one.before, truth, points[number]))
    return float(np.mean(with_swap) / np.mean(without))


def landmarks_of(picture: ImageBGR, models_from: Path) -> Points:
    """The 468 points of the face in a picture."""
    networks = Networks(Settings(device="cpu"), models_from)
    try:
        found = networks.finder.find(Picture.of(picture), 0, Settings(smoothing=0))
    finally:
        networks.close()
    return (found.target or found.others[0]).landmarks


def five_points(landmarks: Points) -> Points:
    """Eyes, nose tip and mouth corners of the 468 points."""
    parts = ([33, 133], [263, 362], [1], [61], [291])
    return np.array([landmarks[part].mean(axis=0) for part in parts], np.float32)


class Identity:
    """Who a face is: `mobilefacenet_128d`, a test's measure only."""

    def __init__(self, models_from: Path) -> None:
        self._session = Session(models_from / "mobilefacenet_128d_112.onnx", "cpu", threads=1)

    def of(self, picture: ImageBGR, landmarks: Points) -> npt.NDArray[np.float64]:
        """A vector (128,) of length 1."""
        matrix = similarity(five_points(landmarks), _ARCFACE)
        crop = cv2.warpAffine(picture, matrix, (112, 112))[..., ::-1] / 255
        tensor = ((crop - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None].astype(np.float32)
        found = self._session.run({self._session.inputs[0].name: tensor})[0][0].astype(np.float64)
        return found / np.linalg.norm(found)


def switches(shown: list[Shown]) -> int:
    """How often what is shown changes its kind."""
    return sum(a is not b for a, b in pairwise(shown))
