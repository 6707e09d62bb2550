"""What a frame costs against the work in it: its size, the faces in it, the filters that run."""

import time
from contextlib import ExitStack

from obs_faceswap.ui.bench.efficiency import require_swap
from obs_faceswap.ui.bench.live import loading, play, running
from obs_faceswap.ui.bench.plan import SIZES_WH, Case, Figures, Plan
from obs_faceswap.ui.bench.scene import FPS, Stream
from obs_faceswap.ui.bench.timing import middle, ms_of, rounded

_FACE_PX = 200  # eight of them fit into 1080p
_FACES = (1, 2, 4, 8)
_FILTERS = (1, 2, 3, 4)
_CROWD_SIZE = "1080p"
_FILTER_SIZE = "360p"
_WARM_UP = 8
_FRAMES = 4  # in memory: a frame of 4K has 12 MB


def cost(plan: Plan) -> Figures:
    """`cost`: milliseconds of a frame by size and by faces, and the processor's time by filters."""
    case = plan.photo()
    sizes = {size: _frame_ms(plan, case, size, 1) for size in SIZES_WH}
    faces = {str(count): _frame_ms(plan, case, _CROWD_SIZE, count) for count in _FACES}
    filters = {str(count): _filters(plan, case, count) for count in _FILTERS}
    return {"frame_ms_by_size": sizes, "frame_ms_by_faces": faces, "by_filters": filters}


def _frame_ms(plan: Plan, case: Case, size: str, faces: int) -> float:
    """Median time of a frame; by an engine of its own, which has no other scene's faces in mind."""
    settings = plan.wearing(case)
    stream = Stream(plan.subject().scene(SIZES_WH[size], _FACE_PX, faces), _FRAMES)
    engine = plan.load(case)
    try:
        for _ in range(_WARM_UP):
            result = engine.process(stream.next(), settings)
        require_swap(result)
        plan.on_progress(f"cost, {size}, faces: {faces}", 1.0)
        count = plan.count(60, 12)
        return middle([ms_of(lambda: engine.process(stream.next(), settings)) for _ in range(count)])
    finally:
        engine.close()


def _filters(plan: Plan, case: Case, count: int) -> Figures:
    """Several filters beside each other at 30 frames a second."""
    size_wh = SIZES_WH[_FILTER_SIZE]
    stream = Stream(plan.subject().scene(size_wh, _FACE_PX))
    frames = plan.count(150, 45)
    with ExitStack() as stack:
        settings, load = plan.wearing(case), loading(plan)
        all_of_them = [stack.enter_context(running(settings, size_wh, load)) for _ in range(count)]
        before = sum(each.worker.stats.shown.total() for each in all_of_them)
        cpu_s, started = time.process_time(), time.perf_counter()
        play(all_of_them, stream, frames, plan, f"cost, {count} filters")
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - started
        done = sum(each.worker.stats.shown.total() for each in all_of_them) - before
    return {
        "fps_of_each": rounded(done / count / wall_s),
        "camera_fps": FPS,
        "cpu_ms_a_frame": rounded(cpu_s * 1000 / max(1, done)),
        "processors_busy": rounded(cpu_s / wall_s),
    }
