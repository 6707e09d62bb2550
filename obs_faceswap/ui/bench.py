"""Measures the engine on this machine: each stage and the whole at three sizes, and a live stream."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from obs_faceswap.engine import exchange as ex
from obs_faceswap.engine import pipeline
from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.exchange import Exchange, Slots
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.stats import Report, Stats
from obs_faceswap.engine.types import Frame, ImageBGR, Shown
from obs_faceswap.engine.worker import State, Worker
from obs_faceswap.ui import materials

SIZES_WH = ((640, 360), (1280, 720), (1920, 1080))
_FRAMES, _QUICK_FRAMES = 120, 25
_WARM_UP = 5
_STEP_NS = 33_333_333
_SWAY_PX = 6  # the face moves a little, as a live one does
_LIVE_WH = (1280, 720)
_LONGEST_LOAD_S = 120.0
_FACE_PART = 0.9  # the picture's height in the frame's

OnProgress: TypeAlias = Callable[[str, float], None]


def measure(
    settings: Settings, picture: Path | None, quick: bool, models_from: Path | None, on_progress: OnProgress
) -> Report:
    """Figures of one run: for each size the frames a second and the time of each stage; and a live stream's.

    Times of different runs differ with the machine's load; compare figures of one run only.

    Args:
        settings: what is measured; without a face the demo's is worn.
        picture: a frame with a face; the demo's face without.
        quick: fewer frames.
        models_from: a folder of network files, tried first.
        on_progress: gets what is measured, and how much of it is done.

    Raises:
        FaceSwapError: the face, the picture or a network cannot be used, or no face is found in the picture.
    """
    image = read_picture(picture or materials.packaged("demo/face.jpg"))
    if not settings.face:
        settings = replace(settings, face=str(materials.packaged("demo/face.jpg")))
    engine = pipeline.load(settings, models_from)
    count = _QUICK_FRAMES if quick else _FRAMES
    try:
        sizes = {f"{height}p": _measured(engine, settings, image, (width, height), count, on_progress)
                 for width, height in SIZES_WH}  # fmt: skip
        live = _live(settings, image, count, models_from, on_progress)
        return {"provider": engine.provider, "frames": count, "sizes": sizes, "live": live}
    finally:
        engine.close()


def _measured(
    engine: Pipeline, settings: Settings, image: ImageBGR, size_wh: tuple[int, int], count: int,
    on_progress: OnProgress,
) -> Report:  # fmt: skip
    name = f"{size_wh[0]} x {size_wh[1]}"
    stats, scene, notice = Stats(), scene_of(image, size_wh), ""
    for number in range(count + _WARM_UP):
        frame = _swayed(scene, number)
        start = time.perf_counter()
        result = engine.process(frame, settings)
        engine_ms = (time.perf_counter() - start) * 1000
        notice = result.notice
        if number >= _WARM_UP:
            stats.add(result.shown, result.stages_ms, engine_ms, frame.timestamp_ns / 1e9)
        on_progress(name, (number + 1) / (count + _WARM_UP))
    if not stats.shown[Shown.SWAPPED]:
        raise MediaError(f"The picture was not swapped. {notice} Give another one with --picture.")
    report = stats.report(engine.provider)
    return {
        "frames_swapped": report["frames_swapped"],
        "engine_fps": report["engine_fps"],
        "engine_ms": stats.engine.summary(),
        "stages_ms": report["stages_ms"],
    }


def _swayed(scene: ImageBGR, number: int) -> Frame:
    return i420_frame(np.roll(scene, round(_SWAY_PX * np.sin(number / 5)), axis=1), number * _STEP_NS)


def _live(
    settings: Settings, image: ImageBGR, count: int, models_from: Path | None, on_progress: OnProgress
) -> Report:
    """The content of `report.json` after 30 frames a second went through exchange and worker, as in OBS."""
    exchange, scene = Exchange(), scene_of(image, _LIVE_WH)
    exchange.words[ex.SHOWING] = 1
    exchange.current(ex.key_of(PixelFormat.I420, *_LIVE_WH))
    exchange.lay_out()
    worker = Worker(exchange, settings, load=lambda chosen, _: pipeline.load(chosen, models_from))
    worker.start()
    try:
        _wait_until_running(worker)
        for number in range(count):
            frame = i420_frame(
                np.roll(scene, round(_SWAY_PX * np.sin(number / 5)), axis=1), number * _STEP_NS
            )
            _pass(exchange, frame)
            on_progress("live", (number + 1) / count)
            time.sleep(_STEP_NS / 1e9)
        return worker.report(None)
    finally:
        worker.close()


def _wait_until_running(worker: Worker) -> None:
    deadline = time.monotonic() + _LONGEST_LOAD_S
    while worker.status().state is not State.RUNNING:
        if worker.status().state is State.FAILED or time.monotonic() > deadline:
            raise MediaError(f"The live stream could not be measured. {worker.status().line()}")
        time.sleep(0.02)


def _pass(exchange: Exchange, frame: Frame) -> None:
    """Does with a frame what the filter's callback does on OBS's graphics thread, and times it."""
    started_ns = time.perf_counter_ns()
    slots = exchange.current(ex.key_of(frame.format, frame.width, frame.height))
    if slots is None:
        raise MediaError(f"The live stream could not be measured. {exchange.failure}".strip())
    exchange.words[ex.FRAMES_IN] += 1
    index, now_ns = exchange.input_slot(), ex.now_ns()
    _copy(slots, index, frame, to_slot=True)
    slots.metas[index].timestamp_ns = frame.timestamp_ns
    exchange.offer(slots, index, now_ns)
    choice = exchange.choose(slots, now_ns)
    if choice >= 0:
        _copy(slots, choice, frame, to_slot=False)
    exchange.chosen()
    exchange.note_callback(time.perf_counter_ns() - started_ns)


def _copy(slots: Slots, index: int, frame: Frame, to_slot: bool) -> None:
    for view, plane in zip(slots.plane_views(index), frame.planes, strict=True):
        own = plane.data.cast("B")
        if to_slot:
            view[:] = own
        else:
            own[:] = view


def scene_of(image: ImageBGR, size_wh: tuple[int, int]) -> ImageBGR:
    """A frame (H, W, 3) with the picture in its middle, on a blurred copy of it."""
    width, height = size_wh
    scale = min(height * _FACE_PART / image.shape[0], width / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ground = cv2.resize(cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA), size_wh)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    ground[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(ground, np.uint8)


def i420_frame(image: ImageBGR, timestamp_ns: int) -> Frame:
    """The picture (even sides) as a webcam gives it."""
    height, width = image.shape[:2]
    flat = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
    luma, chroma = width * height, width * height // 4
    planes = (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )
    return Frame(PixelFormat.I420, width, height, planes, timestamp_ns=timestamp_ns)


def table(figures: Report) -> str:
    """The figures as text; median milliseconds."""
    sizes: dict[str, Report] = figures["sizes"]  # type: ignore[assignment]  # made by measure()
    stages = list(dict.fromkeys(stage for size in sizes.values() for stage in _stages(size)))
    lines = [f"Median ms of {figures['frames']} frames on {figures['provider']}"]
    lines.append("".join(f"{head:>10}" for head in ("", *sizes)))
    for stage in stages:
        cells = (_stages(size).get(stage, 0.0) for size in sizes.values())
        lines.append(f"{stage:>10}" + "".join(f"{cell:10.2f}" for cell in cells))
    lines.append(f"{'fps':>10}" + "".join(f"{size['engine_fps']:10.1f}" for size in sizes.values()))
    lines.append("A live stream of 720p at 30 frames a second, as report.json has it:")
    live: Report = figures["live"]  # type: ignore[assignment]  # made by measure()
    lines += [f"{key:>20}  {json.dumps(value)}" for key, value in live.items()]
    return "\n".join(lines)


def _stages(size: Report) -> dict[str, float]:
    stages: dict[str, float] = size["stages_ms"]  # type: ignore[assignment]  # made by Stats.report()
    return stages
