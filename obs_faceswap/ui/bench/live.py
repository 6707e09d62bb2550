"""A live stream without OBS: a camera thread does with every frame what the filter does in OBS."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.cover_thread import CoverThread
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.loader import Load, load_engine
from obs_faceswap.engine.live.worker import State, Worker
from obs_faceswap.engine.settings import Reprojection, Settings
from obs_faceswap.engine.types import Frame
from obs_faceswap.ui.bench.hook import Hook, hook_of
from obs_faceswap.ui.bench.plan import SIZES_WH, Case, Figures, Plan
from obs_faceswap.ui.bench.scene import FPS, Stream
from obs_faceswap.ui.bench.timing import middle, rounded, spread

_FACE_PX = 300
_SIZE = "720p"
_LONGEST_LOAD_S = 300.0  # a large model is made faster when it is first used
_FASTER = 1.5  # than the engine is a camera that it never waits for


@dataclass(slots=True)
class Filter:
    """An exchange with the graphics thread's half before it and the worker behind it.

    Attributes:
        delays_ms: from each shown frame's arrival to its first showing.
    """

    exchange: Exchange
    worker: Worker
    hook: Hook
    delays_ms: list[float] = field(default_factory=list)

    def show(self, frame: Frame) -> None:
        """Does with a frame what the filter's callback does on OBS's graphics thread."""
        words = self.exchange.words
        before = words[ex.SHOWN]
        self.hook.show(frame)
        if words[ex.SHOWN] != before:
            self.delays_ms.append(words[ex.DELAY_NS] / 1e6)


@contextmanager
def running(settings: Settings, size_wh: tuple[int, int], load: Load = load_engine) -> Iterator[Filter]:
    """A filter whose engine runs; raises MediaError if it does not start."""
    library = native.find().library
    exchange = Exchange(makes_covers=library is None, native=library)
    exchange.words[ex.SHOWING] = 1
    exchange.current(ex.key_of(PixelFormat.I420, *size_wh))
    exchange.lay_out()
    worker, memory = Worker(exchange, settings, load=load), CoverThread(exchange)
    worker.start()
    memory.start()
    try:
        _wait_until_running(worker)
        yield Filter(exchange, worker, hook_of(exchange, library))
    finally:
        worker.close()
        memory.close()


def loading(plan: Plan) -> Load:
    """Loads engines as the plan says."""
    return lambda settings, _running: pipeline.load(settings, plan.models_from)


def _wait_until_running(worker: Worker) -> None:
    deadline = time.monotonic() + _LONGEST_LOAD_S
    while worker.status().state is not State.RUNNING:
        if worker.status().state is State.FAILED or time.monotonic() > deadline:
            raise MediaError(f"The live stream could not be measured. {worker.status().line()}")
        time.sleep(0.02)


def play(filters: list[Filter], stream: Stream, count: int, plan: Plan, label: str, fps: float = FPS) -> None:
    """Shows frames to all filters, evenly spaced, as a camera would."""
    due_s = time.perf_counter()
    for number in range(count):
        frame = stream.next()
        for each in filters:
            each.show(frame)
        plan.on_progress(label, (number + 1) / count)
        due_s += 1 / fps
        time.sleep(max(0.0, due_s - time.perf_counter()))


def live(plan: Plan) -> Figures:
    """`live`: the content of `report.json` after a stream of 720p, 30 frames a second."""
    case = plan.small()[0]
    with _stream(plan, case, "live") as shown:
        return shown.worker.report(None)


def delay_ms(plan: Plan) -> Figures:
    """`delay_ms`: from a frame's arrival to the same frame shown, against the engine's own time for it."""
    figures: Figures = {}
    for case in plan.small():
        with _stream(plan, case, f"delay_ms, {case.name}") as shown:
            engine_ms = shown.worker.stats.engine.percentile(50) or 0.0
            late = shown.delays_ms[len(shown.delays_ms) // 2 :] or [0.0]  # the steady part
        figures[case.name] = spread(late) | {
            "engine_p50": rounded(engine_ms),
            "camera_frame": rounded(1000 / FPS),
            "frames_more_than_engine": rounded((middle(late) - engine_ms) * FPS / 1000),
        }
    return figures


def saturated_ms(plan: Plan, case: Case, size_wh: tuple[int, int], face_px: float, frame_ms: float) -> float:
    """Milliseconds from one finished frame to the next, where the camera is faster than the engine.

    Args:
        plan: the run.
        case: the face.
        size_wh: the frames' size.
        face_px: the face's size in them.
        frame_ms: what a frame takes about.
    """
    settings = replace(plan.wearing(case), reprojection=Reprojection.NO)
    stream = Stream(plan.subject().scene(size_wh, face_px))
    label = f"efficiency, {case.name} live"
    fps = max(FPS, _FASTER * 1000 / frame_ms)
    frames = round(max(plan.count(3, 1), frame_ms / 1000 * plan.count(12, 4)) * fps)
    with running(settings, size_wh, loading(plan)) as shown:
        play([shown], stream, frames // 4, plan, label, fps)
        done, started = shown.worker.stats.shown.total(), time.perf_counter()
        play([shown], stream, frames, plan, label, fps)
        done, took_s = shown.worker.stats.shown.total() - done, time.perf_counter() - started
        if not done:
            raise MediaError(f"No frame was finished live. {shown.worker.status().line()}")
    return rounded(took_s * 1000 / done)


@contextmanager
def _stream(plan: Plan, case: Case, label: str) -> Iterator[Filter]:
    """A filter through which a stream went."""
    size_wh = SIZES_WH[_SIZE]
    stream = Stream(plan.subject().scene(size_wh, _FACE_PX))
    with running(plan.wearing(case), size_wh, loading(plan)) as shown:
        play([shown], stream, plan.count(300, 60), plan, label)
        yield shown
