"""Measures each stage of the engine on each device, and proposes where to run what.

What the networks see does not change their time, so no live picture is needed: a face of a usual size is
drawn in the middle of a frame of noise, and each stage is told that it is there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.live.scene import Scene, Stage
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.settings import SAME, Occlusion, Reprojection, Settings, Target

_CAMERA_FPS = 30.0
_WARM_UP = 3
_RUNS = (5, 30)  # at least and at most, of each stage on each device,
_LONGEST_S = 2.0  # for about so long
_SEARCHES = 2 / 3  # runs of the detector in a frame: two views ten times a second, at 30 frames a second
_LOOKS_FOR_HANDS = 2 / 9  # in a frame without any: one in 150 ms
_WORTH = 1.25  # so many times faster a device has to be to be taken instead of the processor
_ROOM = 0.8  # of the time between two frames: what a machine with nothing else to do may need
_LEFT_OUT = {"tensorrt": "Not measured: it builds its engine for minutes. Choose it by hand to try it."}

OnProgress: TypeAlias = Callable[[str, float], None]


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
    scene = Scene(settings, models_from)
    tasks = [(stage, device) for stage in scene.stages for device in _devices()]
    timings: list[Timing] = []
    for number, (stage, device) in enumerate([*tasks, (Stage.REST, providers.CPU)]):
        if is_stopped():
            raise StoppedError("Autotune was stopped.")
        on_progress(f"{stage} on {providers.label_of(device)}", number / (len(tasks) + 1))
        timings.append(_timed(scene, stage, device))
    return propose(tuple(timings), settings)


def _devices() -> list[str]:
    return [device.id for device in providers.devices() if device.id != providers.AUTO]


def _timed(scene: Scene, stage: Stage, device: str) -> Timing:
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


# --- the proposal ---


def propose(timings: tuple[Timing, ...], settings: Settings) -> Tuning:
    """Where to run what, by the times alone; pure logic."""
    best = {stage: _best(timings, stage) for stage in dict.fromkeys(timing.stage for timing in timings)}
    rest = best.pop(Stage.REST)
    order = [Stage.SWAP, *(stage for stage in best if stage is not Stage.SWAP)]
    reasons = [_placed(timings, best[stage]) for stage in order]
    ms = {stage: _ms(timing) for stage, timing in best.items()}
    looks = 1.0 if settings.occlusion is Occlusion.NETWORK else _LOOKS_FOR_HANDS
    front_ms = looks * ms.get(Stage.OCCLUSION, 0.0)
    frame_ms = (
        _SEARCHES * ms[Stage.DETECTOR] + ms.get(Stage.LANDMARKS, ms[Stage.DETECTOR]) + front_ms + _ms(rest)
    )
    swap_ms = ms[Stage.SWAP] + ms.get(Stage.ENHANCER, 0)
    return Tuning(
        timings,
        _devices_of({stage: timing.device for stage, timing in best.items()})
        | _pace(frame_ms, swap_ms, settings, reasons),
        tuple(reasons),
    )


def _devices_of(placed: dict[Stage, str]) -> dict[str, str]:
    """The settings that put each stage on its device."""
    proposed = {"device": placed.pop(Stage.SWAP)}
    for stage, device in placed.items():
        usual = placed[Stage.DETECTOR] if stage is Stage.RECOGNIZER else proposed["device"]
        proposed[f"{stage}_device"] = SAME if device == usual else device
    return proposed


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
