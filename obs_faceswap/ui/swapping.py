"""Swaps the face of a whole file, picture or video, and counts what happened."""

import time
from collections.abc import Callable
from pathlib import Path

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.stats import Stats
from obs_faceswap.engine.types import Frame
from obs_faceswap.ui.output import check_target
from obs_faceswap.ui.picture import SUFFIXES, frame_of, is_picture, write_picture
from obs_faceswap.ui.video import OnProgress, check_video_target, process_video

_NANOSECONDS = 1e9


def check_files(source: Path, target: Path) -> None:
    """Raises MediaError for what can be known to fail before any work is done."""
    if not source.is_file():
        raise MediaError(f"{source} is no file. Check the path.")
    check_target(target)
    if target.exists() and target.samefile(source):
        raise MediaError(f"{target} is the input itself. Choose another output, so that nothing is lost.")
    if is_picture(source) and not is_picture(target):
        known = ", ".join(sorted(SUFFIXES))
        raise MediaError(f"{source.name} is a picture, {target.name} is not. End it in one of {known}.")
    if not is_picture(source):
        check_video_target(target)


def swap_file(
    source: Path,
    target: Path,
    settings: Settings,
    models_from: Path | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> tuple[Stats, Pipeline]:
    """Writes `source` to `target` with its faces swapped; returns the counts and the closed pipeline.

    Every frame is processed, and the no-face policy runs on the file's own timestamps.

    Raises:
        FaceSwapError: a file, the face or a network cannot be used; `target` is then as it was before.
    """
    check_files(source, target)
    image = read_picture(source) if is_picture(source) else None
    engine = pipeline.load(settings, models_from)
    stats = Stats()
    try:
        on_frame = _counted(engine, settings, stats)
        if image is not None:
            on_frame(frame_of(image))
            write_picture(target, image)
            on_progress(1, 1)
        else:
            process_video(source, target, on_frame, on_progress)
    finally:
        engine.close()
    return stats, engine


def _counted(engine: Pipeline, settings: Settings, stats: Stats) -> Callable[[Frame], None]:
    """Processes a frame and notes what became of it."""

    def on_frame(frame: Frame) -> None:
        start = time.perf_counter()
        result = engine.process(frame, settings)
        engine_ms = (time.perf_counter() - start) * 1000
        stats.frames_in += 1
        stats.add(result.shown, result.stages_ms, engine_ms, frame.timestamp_ns / _NANOSECONDS)

    return on_frame
