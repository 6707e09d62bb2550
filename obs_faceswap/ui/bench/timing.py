"""Times of many repeats made into figures."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import cv2


def rounded(value: float) -> float:
    """Three digits after the point."""
    return round(value, 3)


def middle(values: Sequence[float]) -> float:
    """The median, rounded."""
    return rounded(statistics.median(values))


def spread(values: Sequence[float]) -> dict[str, float]:
    """{"p50", "p99", "max"}, rounded."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return {"p50": middle(ordered), "p99": rounded(p99), "max": rounded(ordered[-1])}


def ms_of(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each work, all measured in turns, so that noise meets all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(ms_of(work))
    return {name: middle(values[1:]) for name, values in times.items()}  # the first warms up


@contextmanager
def one_core() -> Iterator[None]:
    """Keeps this thread, and those it starts, on one processor where the system can; OpenCV on one thread."""
    threads = cv2.getNumThreads()
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    cv2.setNumThreads(1)
    if usable:
        os.sched_setaffinity(0, {max(usable)})
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if usable:
            os.sched_setaffinity(0, usable)
