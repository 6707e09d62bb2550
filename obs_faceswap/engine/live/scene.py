"""What autotune measures: a face in a frame, and each stage of the engine at work on it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from obs_faceswap.engine import pipeline, steps
from obs_faceswap.engine.crop import front
from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, in_frame_pixels, to_crop, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.errors import ProviderError
from obs_faceswap.engine.find import networks
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.landmarkers import landmarker_for
from obs_faceswap.engine.find.landmarks import roi_of_landmarks
from obs_faceswap.engine.find.recognize import Recognizer
from obs_faceswap.engine.finish.enhance import Enhancer
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import OPTIONS, SAME, Kind, Settings
from obs_faceswap.engine.store import models, own_networks
from obs_faceswap.engine.store.own_networks import Role
from obs_faceswap.engine.types import AlignedFace, Face, Frame, ImageBGR, Points, Swapper
from obs_faceswap.engine.wear import wear

_FRAME_WH = (1280, 720)
_FACE_PX = 450.0  # height of a face that sits before a webcam
_SECOND_NS = 1_000_000_000

Run: TypeAlias = Callable[[], object]


class Stage(StrEnum):
    """What has a device of its own, and all the rest of a frame."""

    DETECTOR = "detector"
    LANDMARKS = "landmarks"
    OCCLUSION = "occlusion"
    RECOGNIZER = "recognizer"
    SWAP = "swap"
    ENHANCER = "enhancer"
    REST = "rest"


class Scene:
    """A frame with a face in its middle, and what each stage does with it."""

    def __init__(self, settings: Settings, models_from: Path | None) -> None:
        self._settings = settings
        self._models_from = models_from
        self._image = _image()
        self._picture = Picture.of(self._image)
        self._face = _face()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those with a device that the settings ask for; raises ModelError where a network is missing."""
        settings, models_from = self._settings, self._models_from
        asked = {
            Stage.LANDMARKS: networks.landmarker_path(settings, models_from) is not None,
            Stage.OCCLUSION: bool(front.paths(settings, models_from)),
            Stage.RECOGNIZER: networks.recognizer_path(settings, models_from) is not None,
            Stage.ENHANCER: self._is_enhanced(),
            Stage.REST: False,
        }
        return tuple(stage for stage in Stage if asked.get(stage, True))

    def _is_enhanced(self) -> bool:
        if not self._settings.enhancer:
            return False
        is_through = bool(self._settings.network)
        if is_through and self._own(self._settings.network, own_networks.WORN).role is Role.ANIMATOR:
            return False
        return bool(self._own(self._settings.enhancer, own_networks.ENHANCERS))

    def _own(self, name: str, roles: Sequence[Role]) -> own_networks.OwnNetwork:
        return own_networks.find(name, models.own_folders(self._models_from), roles)

    @contextmanager
    def running(self, stage: Stage, device: str) -> Iterator[Run]:
        """One run of a stage on a device, ready to be called."""
        make = {
            Stage.DETECTOR: self._detector, Stage.LANDMARKS: self._landmarks,
            Stage.OCCLUSION: self._occlusion, Stage.RECOGNIZER: self._recognizer,
            Stage.SWAP: self._swap, Stage.ENHANCER: self._enhancer, Stage.REST: self._rest,
        }  # fmt: skip
        with make[stage](device) as run:
            yield run

    @contextmanager
    def _detector(self, device: str) -> Iterator[Run]:
        with _loaded(networks.detector_path(self._settings, self._models_from), device) as session:
            detector = detector_for(session, int(self._settings.detection_size))
            yield lambda: detector.detect(self._image, self._settings.detection_threshold)

    @contextmanager
    def _landmarks(self, device: str) -> Iterator[Run]:
        path = networks.landmarker_path(self._settings, self._models_from)
        if path is None:
            raise ProviderError("The detector follows faces.")
        with _loaded(path, device) as session:
            mesh, square = landmarker_for(session), roi_of_landmarks(self._face.landmarks)
            yield lambda: mesh.find(self._picture, *square)

    @contextmanager
    def _occlusion(self, device: str) -> Iterator[Run]:
        """Of the two networks of hands, the one that looks for new ones: it is about as slow as the other."""
        settings = replace(self._settings, occlusion_device=device)
        with closing(front.load(settings, self._models_from)) as occluder:
            times = iter(range(0, 1 << 62, _SECOND_NS))  # so far apart that it looks each time
            yield lambda: occluder.visible(self._picture, [self._face], next(times), settings)

    @contextmanager
    def _recognizer(self, device: str) -> Iterator[Run]:
        path = networks.recognizer_path(self._settings, self._models_from)
        if path is None:
            raise ProviderError("Nothing tells people apart.")
        with _loaded(path, device) as session:
            recognizer, points = Recognizer(session), five_points(self._face.landmarks)
            yield lambda: recognizer.embedding(self._picture, points)

    @contextmanager
    def _swap(self, device: str) -> Iterator[Run]:
        settings = replace(self._settings, device=device, enhancer="")
        with closing(wear(settings, self._models_from)) as worn:
            if worn.session is None and device != providers.CPU:
                raise ProviderError("This face is drawn by the processor.")
            worn.swapper.update(settings)
            aligned = self._aligned(worn.swapper)
            yield lambda: worn.swapper.swap(aligned)

    @contextmanager
    def _enhancer(self, device: str) -> Iterator[Run]:
        with _loaded(self._own(self._settings.enhancer, own_networks.ENHANCERS).path, device) as session:
            enhancer = Enhancer(session)
            warp = warp_for(self._face.landmarks, enhancer.side)
            crop, points = cut(self._picture, warp), to_crop(warp, self._face.landmarks)
            yield lambda: enhancer.enhanced(crop, points)

    @contextmanager
    def _rest(self, device: str) -> Iterator[Run]:
        """Everything between a finished swap and a finished frame."""
        stages = {option.key: SAME for option in OPTIONS if option.kind is Kind.DEVICE}
        settings = replace(self._settings, **stages | {"device": device})  # type: ignore[arg-type]
        worn = wear(settings, self._models_from)
        engine = pipeline.load(settings, self._models_from)
        try:
            aligned = self._aligned(worn.swapper)
            begun = steps.Begun(settings, 0, Found(self._face, []), (aligned,), None, {})
            swap = engine.swap(begun)
            frame = _frame(self._image)
            yield lambda: engine.finish(frame, begun, swap)
        finally:
            engine.close()
            worn.close()

    def _aligned(self, swapper: Swapper) -> AlignedFace:
        warp = warp_for(self._face.landmarks, swapper.crop_size(1.5 * _FACE_PX))
        warp = in_frame_pixels(warp) if swapper.is_upright else warp
        points: Points = to_crop(warp, self._face.landmarks)
        return AlignedFace(cut(self._picture, warp), warp, points, self._face)


@contextmanager
def _loaded(path: Path, device: str) -> Iterator[Session]:
    with closing(shared(path, device)) as session:
        yield session


def _image() -> ImageBGR:
    """Noise around the color of skin, always the same."""
    width, height = _FRAME_WH
    coarse = np.random.default_rng(1).normal((120, 150, 200), 25, (height // 16, width // 16, 3))
    fine = cv2.resize(np.clip(coarse, 0, 255).astype(np.uint8), _FRAME_WH, interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, np.uint8)


def _face() -> Face:
    """A frontal face in the frame's middle."""
    shape = CANONICAL_FACE[:, :2] * (1, -1)
    scale = _FACE_PX / float(np.ptp(shape[:, 1]))
    center = np.asarray(_FRAME_WH) / 2
    points = ((shape - shape.mean(axis=0)) * scale + center).astype(np.float32)
    return Face(points, (-CANONICAL_FACE[:, 2] * scale).astype(np.float32), 1.0, 1)


def _frame(image: ImageBGR) -> Frame:
    """The picture as a webcam's I420 frame."""
    width, height = _FRAME_WH
    flat = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
    luma, chroma = width * height, width * height // 4
    planes = (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )
    return Frame(PixelFormat.I420, width, height, planes)
