"""What each step of a frame costs, by size."""

import time

from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.stats import Stats
from obs_faceswap.ui.bench.efficiency import FACE_PX, require_swap
from obs_faceswap.ui.bench.plan import SIZES_WH, Case, Figures, Plan
from obs_faceswap.ui.bench.scene import Stream

_SIZES = ("360p", "720p", "1080p")
_WARM_UP = 6
_LARGEST_PART = 0.65  # of the picture's height: a face of 450 px does not fit into 360 rows


def stages(plan: Plan) -> Figures:
    """`stages`: for each small face and size the median of each step, and the frames a second."""
    figures: Figures = {}
    for case in plan.small():
        engine = plan.load(case)
        try:
            figures[case.name] = {size: _measured(engine, plan, case, size) for size in _SIZES}
        finally:
            engine.close()
    return figures


def _measured(engine: Pipeline, plan: Plan, case: Case, size: str) -> Figures:
    size_wh, settings, stats = SIZES_WH[size], plan.wearing(case), Stats()
    stream = Stream(plan.subject().scene(size_wh, min(FACE_PX, size_wh[1] * _LARGEST_PART)))
    count = plan.count(120, 24) + _WARM_UP
    for number in range(count):
        frame = stream.next()
        started = time.perf_counter()
        result = engine.process(frame, settings)
        engine_ms = (time.perf_counter() - started) * 1000
        if number >= _WARM_UP:
            stats.add(result.shown, result.stages_ms, engine_ms, frame.timestamp_ns / 1e9)
        plan.on_progress(f"stages, {case.name} {size}", (number + 1) / count)
    require_swap(result)
    report = stats.report(engine.provider)
    steps: Figures = report["stages_ms"]  # type: ignore[assignment]  # made by Stats.report()
    return steps | {"frame": stats.engine.summary()["p50"], "fps": report["engine_fps"]}
