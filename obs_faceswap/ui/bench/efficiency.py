"""How much of a frame's time the networks take, and what the rest costs."""

import time
from dataclasses import dataclass, field

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Result, Shown
from obs_faceswap.ui.bench.live import saturated_ms
from obs_faceswap.ui.bench.plan import SIZES_WH, Case, Figures, Plan
from obs_faceswap.ui.bench.scene import Stream
from obs_faceswap.ui.bench.timing import middle, one_core, rounded
from obs_faceswap.ui.bench.watch import NetworkWatch

FACE_PX = 450
_SIZES = ("720p", "1080p")
_WARM_UP = 6
_CYCLE = 12  # frames with four of the detector's searches
_SLOW_MS = 200  # frames that take longer are compared one by one: the machine's speed changes meanwhile
_SLOW_BLOCKS = 3  # times as many


@dataclass(slots=True)
class Blocks:
    """Blocks of frames through the pipeline, each followed by its networks alone; mean ms of a frame.

    Attributes:
        pipeline: the whole way of a frame, the copy from the camera's memory included.
        inside: the part of it spent in networks.
        alone: the same networks on the same inputs, back to back.
        swap: the pipeline's swap step without networks: what is round a model's, or a photo's drawing.
        calls: networks run for a frame, as a mean.
    """

    pipeline: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    swap: list[float] = field(default_factory=list)
    calls: float = 0.0

    def efficiency(self) -> float:
        """Networks alone over the pipeline: the median of the blocks' own ratios."""
        return middle([own / whole for own, whole in zip(self.alone, self.pipeline, strict=True)])

    def rest_ms(self) -> float:
        """The pipeline without what was spent in networks."""
        return middle([whole - own for own, whole in zip(self.inside, self.pipeline, strict=True)])


def efficiency(plan: Plan) -> Figures:
    """`efficiency`: networks alone over the whole pipeline, for each face and size.

    Once with the pipeline's steps in a row, and once as a filter runs them, with steps of two frames side by
    side where that pays.
    """
    figures: Figures = {}
    for case in plan.all():
        engine = plan.load(case)
        try:
            for size in _SIZES:
                name = f"{case.name} {size}"
                blocks = measured(engine, plan, case, size, plan.count(6, 3), f"efficiency, {name}")
                networks_ms, pipeline_ms = middle(blocks.alone), middle(blocks.pipeline)
                live_ms = saturated_ms(plan, case, SIZES_WH[size], FACE_PX, pipeline_ms)
                figures[name] = {
                    "efficiency": blocks.efficiency(),
                    "efficiency_live": rounded(networks_ms / live_ms),
                    "networks_ms": networks_ms,
                    "pipeline_ms": pipeline_ms,
                    "live_ms": live_ms,
                    "networks_a_frame": blocks.calls,
                }
        finally:
            engine.close()
    return figures


def non_network_ms(plan: Plan) -> Figures:
    """`non_network_ms`: a frame's time outside the networks, on one processor, by size and face.

    A photo needs no network to be worn but is drawn; how much of its figure that is stands beside it.
    """
    figures: Figures = {size: {} for size in _SIZES}
    with one_core():
        for case in plan.small():
            engine = plan.load(case)
            try:
                for size in _SIZES:
                    label = f"non_network_ms, {case.name} {size}"
                    blocks = measured(engine, plan, case, size, plan.count(15, 5), label)
                    figures[size][case.name] = blocks.rest_ms()
                    if not case.is_model:
                        figures[size][f"{case.name}_drawing"] = middle(blocks.swap)
            finally:
                engine.close()
    return figures


def measured(engine: Pipeline, plan: Plan, case: Case, size: str, count: int, label: str) -> Blocks:
    """Blocks of one face at one size; raises MediaError if it is not swapped."""
    settings = plan.wearing(case)
    stream = Stream(plan.subject().scene(SIZES_WH[size], FACE_PX))
    blocks = Blocks()
    with NetworkWatch() as watch:
        slow = _warmed_up(engine, stream, settings, watch) * 1000 > _SLOW_MS
        frames, count = (1, _SLOW_BLOCKS * count) if slow else (_CYCLE, count)
        called = 0
        watch.take()
        for number in range(count):
            took_s, swap_s = _passed(engine, stream, settings, frames, watch)
            calls = watch.take()
            blocks.pipeline.append(took_s * 1000 / frames)
            blocks.swap.append(swap_s * 1000 / frames)
            blocks.inside.append(calls.inside_s * 1000 / frames)
            blocks.alone.append(calls.again() * 1000 / frames)
            called += len(calls.calls)
            blocks.calls = rounded(called / frames / (number + 1))
            plan.on_progress(label, (number + 1) / count)
    return blocks


def _warmed_up(engine: Pipeline, stream: Stream, settings: Settings, watch: NetworkWatch) -> float:
    """About how many seconds a frame takes."""
    _passed(engine, stream, settings, 1, watch)
    took_s, _ = _passed(engine, stream, settings, 1, watch)
    if took_s * 1000 <= _SLOW_MS:
        _passed(engine, stream, settings, _WARM_UP, watch)
    return took_s


def _passed(
    engine: Pipeline, stream: Stream, settings: Settings, frames: int, watch: NetworkWatch
) -> tuple[float, float]:
    """Seconds that so many frames take, and those of their swap steps without networks.

    Raises:
        MediaError: the last one is not swapped.
    """
    swap_s, started = 0.0, time.perf_counter()
    for _ in range(frames):
        frame = stream.next()
        begun = engine.begin(frame, settings)
        swap_s -= time.perf_counter() - watch.inside_s
        swap = engine.swap(begun)
        swap_s += time.perf_counter() - watch.inside_s
        result = engine.finish(frame, begun, swap)
    took_s = time.perf_counter() - started
    require_swap(result)
    return took_s, swap_s


def require_swap(result: Result) -> None:
    """Figures of frames without a swap would mean nothing."""
    if result.shown is not Shown.SWAPPED:
        raise MediaError(f"The picture was not swapped. {result.notice} Give another one with --picture.")
