"""Measures each stage of the engine on each device, and proposes where to run what.

What the networks see does not change their time, so no live picture is needed: a face of a usual size is
drawn in the middle of a frame of noise, and each stage is told that it is there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from obs_faceswap.engine import pipeline, steps
from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, in_frame_pixels, to_crop, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import FaceSwapError, ProviderError
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.landmarks import FaceMesh, roi_of_landmarks
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.session import shared
from obs_faceswap.engine.settings import Reprojection, Settings, Target
from obs_faceswap.engine.store import models
from obs_faceswap.engine.types import AlignedFace, Face, Frame, ImageBGR, Points, Swapper
from obs_faceswap.engine.wear import wear

_FRAME_WH = (1280, 720)
_FACE_PX = 450.0  # height of a face that sits before a webcam
_CAMERA_FPS = 30.0
_WARM_UP = 3
_RUNS = (5, 30)  # at least and at most, of each stage on each device,
_LONGEST_S = 2.0  # for about so long
_SEARCHES = 2 / 3  # runs of the detector in a frame: two views ten times a second, at 30 frames a second
_WORTH = 1.25  # so many times faster a device has to be to be taken instead of the processor
_ROOM = 0.8  # of the time between two frames: what a machine with nothing else to do may need
_LEFT_OUT = {"tensorrt": "Not measured: it builds its engine for minutes. Choose it by hand to try it."}

OnProgress: TypeAlias = Callable[[str, float], None]


class Stage(StrEnum):
    """What has a device of its own, and all the rest of a frame."""

    DETECTOR = "detector"
    LANDMARKS = "landmarks"
    SWAP = "swap"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Timing:
    """One stage on one device: the median time of a run, or why there is none."""

    stage: Stage
    device: str
    ms: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured and what to do.

    Attributes:
        settings: texts by the settings' keys, as `--set` takes them.
        reasons: a sentence for each decision.
    """

    timings: tuple[Timing, ...]
    settings: dict[str, str]
    reasons: tuple[str, ...]


class StoppedError(FaceSwapError):
    """It was stopped before its end."""


def autotune(
    settings: Settings,
    models_from: Path | None = None,
    on_progress: OnProgress = lambda what, part: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Tuning:
    """Measures everything; takes some seconds for each device, and longer where one loads slowly.

    Args:
        settings: the face to wear, and how.
        models_from: a folder of network files, tried first.
        on_progress: gets what is measured now, and how much of it all is done, 0..1.
        is_stopped: asked between two measurements.

    Raises:
        FaceSwapError: the face or a network cannot be used on any device.
        StoppedError: `is_stopped` said so.
    """
    scene = _Scene(settings, models_from)
    tasks = [
        (stage, device) for stage in (Stage.DETECTOR, Stage.LANDMARKS, Stage.SWAP) for device in _devices()
    ]
    timings: list[Timing] = []
    for number, (stage, device) in enumerate([*tasks, (Stage.REST, providers.CPU)]):
        if is_stopped():
            raise StoppedError("Autotune was stopped.")
        on_progress(f"{stage} on {providers.label_of(device)}", number / (len(tasks) + 1))
        timings.append(_timed(scene, stage, device))
    return propose(tuple(timings), settings)


def _devices() -> list[str]:
    return [device.id for device in providers.devices() if device.id != providers.AUTO]


def _timed(scene: "_Scene", stage: Stage, device: str) -> Timing:
    if device in _LEFT_OUT:
        return Timing(stage, device, None, _LEFT_OUT[device])
    try:
        with scene.running(stage, device) as run:
            return Timing(stage, device, _median_ms(run))
    except FaceSwapError as error:
        if device == providers.CPU:  # what the processor cannot do is no matter of devices
            raise
        return Timing(stage, device, None, str(error))


def _median_ms(run: Callable[[], object]) -> float:
    for _ in range(_WARM_UP):
        run()
    taken: list[float] = []
    while len(taken) < _RUNS[0] or (len(taken) < _RUNS[1] and sum(taken) < _LONGEST_S * 1000):
        started = time.perf_counter()
        run()
        taken.append((time.perf_counter() - started) * 1000)
    return float(np.median(taken))


class _Scene:
    """A frame with a face in its middle, and what each stage does with it."""

    def __init__(self, settings: Settings, models_from: Path | None) -> None:
        self._settings = settings
        self._models_from = models_from
        self._image = _image()
        self._picture = Picture.of(self._image)
        self._face = _face()

    @contextmanager
    def running(self, stage: Stage, device: str) -> Iterator[Callable[[], object]]:
        """One run of a stage on a device, ready to be called."""
        make = {
            Stage.DETECTOR: self._detector, Stage.LANDMARKS: self._landmarks,
            Stage.SWAP: self._swap, Stage.REST: self._rest,
        }  # fmt: skip
        with make[stage](device) as run:
            yield run

    @contextmanager
    def _detector(self, device: str) -> Iterator[Callable[[], object]]:
        session = shared(models.find_detector(self._models_from), device)
        try:
            detector = detector_for(session)
            yield lambda: detector.detect(self._image, self._settings.detection_threshold)
        finally:
            session.close()

    @contextmanager
    def _landmarks(self, device: str) -> Iterator[Callable[[], object]]:
        session = shared(models.find("facemesh_468", self._models_from), device)
        try:
            mesh, square = FaceMesh(session), roi_of_landmarks(self._face.landmarks)
            yield lambda: mesh.find(self._picture, *square)
        finally:
            session.close()

    @contextmanager
    def _swap(self, device: str) -> Iterator[Callable[[], object]]:
        settings = replace(self._settings, device=device)
        worn = wear(settings, self._models_from)
        try:
            if worn.session is None and device != providers.CPU:
                raise ProviderError("This face is drawn by the processor.")
            worn.swapper.update(settings)
            aligned = self._aligned(worn.swapper)
            yield lambda: worn.swapper.swap(aligned)
        finally:
            worn.close()

    @contextmanager
    def _rest(self, device: str) -> Iterator[Callable[[], object]]:
        """Everything between a finished swap and a finished frame."""
        settings = replace(self._settings, device=device)
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


# --- the proposal ---


def propose(timings: tuple[Timing, ...], settings: Settings) -> Tuning:
    """Where to run what, by the times alone; pure logic."""
    swap, landmarks, detector = (
        _best(timings, stage) for stage in (Stage.SWAP, Stage.LANDMARKS, Stage.DETECTOR)
    )
    reasons = [_placed(timings, best) for best in (swap, landmarks, detector)]
    proposed = {
        "device": swap.device,
        "landmarks_device": "same" if landmarks.device == swap.device else landmarks.device,
        "detector_device": "same" if detector.device == swap.device else detector.device,
    }
    frame_ms = _SEARCHES * _ms(detector) + _ms(landmarks) + _ms(_best(timings, Stage.REST))
    proposed |= _pace(frame_ms, _ms(swap), settings, reasons)
    return Tuning(timings, proposed, tuple(reasons))


def _best(timings: tuple[Timing, ...], stage: Stage) -> Timing:
    """The fastest device, if it is worth leaving the processor for; a card's time is a game's too."""
    known = [timing for timing in timings if timing.stage is stage and timing.ms is not None]
    fastest = min(known, key=_ms)
    processor = next((timing for timing in known if timing.device == providers.CPU), fastest)
    return fastest if _ms(processor) >= _WORTH * _ms(fastest) else processor


def _ms(timing: Timing) -> float:
    return timing.ms or 0.0


def _placed(timings: tuple[Timing, ...], best: Timing) -> str:
    others = [t for t in timings if t.stage is best.stage and t.device != best.device and t.ms is not None]
    told = f"{best.stage.capitalize()}: {providers.label_of(best.device)}, {_ms(best):.1f} ms"
    if not others:
        return f"{told}; no other device can do it."
    rival = min(others, key=_ms)
    return f"{told}; {providers.label_of(rival.device)} takes {_ms(rival):.1f} ms."


def _pace(frame_ms: float, swap_ms: float, settings: Settings, reasons: list[str]) -> dict[str, str]:
    """Reprojection and target, by what a frame needs and what it has."""
    fps = settings.target_fps or _CAMERA_FPS
    needed_ms, room_ms = frame_ms + swap_ms, 1000 / fps
    told = f"A frame needs {needed_ms:.1f} ms, {frame_ms:.1f} ms of it without its swap; at {fps:.0f} frames "
    told += f"a second there are {room_ms:.1f} ms"
    if needed_ms <= _ROOM * room_ms:
        reasons.append(f"{told}: every frame gets its own swap.")
        return {"reprojection": Reprojection.AUTO, "target": Target.OFF}
    if frame_ms <= _ROOM * room_ms:
        reasons.append(f"{told}: the newest swap is moved to where the face is in between.")
        return {"reprojection": Reprojection.YES, "target": Target.SMOOTH}
    reasons.append(f"{told}: this machine cannot keep that rate, and gives up what shows least.")
    return {"reprojection": Reprojection.YES, "target": Target.SMOOTH}
