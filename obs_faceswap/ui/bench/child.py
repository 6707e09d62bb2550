"""Measurements that need a process of their own: memory that nobody else uses, imports that nobody made yet.

The process gets its task as JSON and answers in JSON. As in OBS, only the standard library is imported at
first.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.loader import Engine
from obs_faceswap.engine.live.worker import Worker
from obs_faceswap.engine.settings import Settings
from obs_faceswap.ui.bench.resident import resident_mb

if TYPE_CHECKING:
    from obs_faceswap.engine.pipeline import Pipeline

_LONGEST_S = 900
_LONGEST_START_S = 300.0
_FRAME_S = 1 / 30
_SETTLED = 0.1  # of the frames; caches fill in the first ones
_LOOKS = 20
_OBS_WH = (1920, 1080)


@dataclass(frozen=True, slots=True)
class Task:
    """What a process does.

    Attributes:
        what: `memory` or `start`.
        face: as the setting takes it.
        picture: a file of `memory`: a frame as numpy saves it (H, W, 3); of `start`: its I420 samples.
        size_wh: the frame's.
        device: what the networks run on.
        models_from: a folder of network files, or empty.
        frames: how many.
    """

    what: str
    face: str
    picture: str
    size_wh: tuple[int, int]
    device: str
    models_from: str
    frames: int = 0

    def settings(self) -> Settings:
        """The engine's settings."""
        return Settings(face=self.face, device=self.device)

    def load(self, settings: Settings, _running: Engine | None = None) -> "Pipeline":
        """The engine; imports all it needs."""
        from obs_faceswap.engine import pipeline

        return pipeline.load(settings, Path(self.models_from) if self.models_from else None)


def ask(task: Task) -> dict[str, Any]:
    """The figures of a task, measured by a new process; raises FaceSwapError with its last words."""
    command = [sys.executable, "-m", "obs_faceswap.ui.bench.child", json.dumps(asdict(task))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FaceSwapError(f"The measurement in a process of its own failed: {last}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def memory(task: Task) -> dict[str, Any]:
    """Growth from a bare process to a running filter, and from then on over the frames; megabytes."""
    bare_mb = resident_mb()
    import numpy as np

    from obs_faceswap.engine import pipeline as _engine  # noqa: F401  # for the libraries it brings
    from obs_faceswap.ui.bench.scene import Stream

    libraries_mb = resident_mb() - bare_mb
    exchange = _exchange(_OBS_WH)
    stream = Stream(np.load(task.picture))
    empty_mb = resident_mb()
    settings = task.settings()
    engine = task.load(settings)
    looks = _looks(lambda: engine.process(stream.next(), settings), task.frames)
    engine.close()
    slots = exchange.slots
    return {
        "libraries": round(libraries_mb),
        "frames_at_1080p": round(len(slots.addresses) * slots.slot_bytes / 2**20) if slots else 0,
        "face_and_networks": round(looks[0] - empty_mb),
        "frames": task.frames,
        "growth_over_frames": round(looks[-1] - looks[0], 1),
        "most_over_frames": round(max(looks) - looks[0], 1),
    }


def _looks(work: Callable[[], object], frames: int) -> list[float]:
    """The memory after the first frames, and then again and again to the last."""
    settled = int(frames * _SETTLED)
    step = max(1, (frames - settled) // _LOOKS)
    found = []
    for number in range(1, frames + 1):
        work()
        if number >= settled and (frames - number) % step == 0:
            found.append(resident_mb())
    return found


def _exchange(size_wh: tuple[int, int]) -> Exchange:
    """An exchange with slots for frames of a size."""
    exchange = Exchange()
    exchange.words[ex.SHOWING] = 1
    exchange.current(ex.key_of(PixelFormat.I420, *size_wh))
    exchange.lay_out()
    return exchange


def start(task: Task) -> dict[str, Any]:
    """From the creation of a filter to its first swapped frame, imports included; milliseconds."""
    planes = _planes(Path(task.picture).read_bytes(), task.size_wh)
    started_s = time.perf_counter()
    exchange = _exchange(task.size_wh)
    worker = Worker(exchange, task.settings(), load=task.load)
    worker.start()
    try:
        while not exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED]:
            if time.perf_counter() - started_s > _LONGEST_START_S:
                raise FaceSwapError(f"No frame was swapped. {worker.status().line()}")
            _show(exchange, planes, task.size_wh)
            time.sleep(_FRAME_S)
        return {"first_swapped_frame": round((time.perf_counter() - started_s) * 1000)}
    finally:
        worker.close()


def _planes(samples: bytes, size_wh: tuple[int, int]) -> list[bytes]:
    planes, start_at = [], 0
    for stride, rows in plane_sizes(PixelFormat.I420, *size_wh):
        planes.append(samples[start_at : start_at + stride * rows])
        start_at += stride * rows
    return planes


def _show(exchange: Exchange, planes: list[bytes], size_wh: tuple[int, int]) -> None:
    """Offers a frame and takes what is shown in its place, as the filter does."""
    now_ns = ex.now_ns()
    slots = exchange.current(ex.key_of(PixelFormat.I420, *size_wh))
    if slots is None:
        raise FaceSwapError(f"The start could not be measured. {exchange.failure}".strip())
    exchange.note_frame()
    index = exchange.input_slot()
    for view, plane in zip(slots.plane_views(index), planes, strict=True):
        view[:] = plane
    slots.metas[index].timestamp_ns = now_ns
    exchange.offer(slots, index, now_ns)
    exchange.choose(slots, now_ns)
    exchange.chosen()


TASKS: dict[str, Callable[[Task], dict[str, Any]]] = {"memory": memory, "start": start}


def main() -> None:
    """Does the task that the first argument holds."""
    task = Task(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(TASKS[task.what](task)) + "\n")


if __name__ == "__main__":
    main()
