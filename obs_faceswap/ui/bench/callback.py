"""What a frame costs OBS's graphics thread: the filter's callback, called as OBS does, 60 times a second."""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.libobs import abi
from obs_faceswap.ui.bench.hook import bare_copies, hook_of, source_frame
from obs_faceswap.ui.bench.plan import Figures, Plan
from obs_faceswap.ui.bench.timing import rounded, spread

_SIZE_WH = (1920, 1080)
_PERIOD_NS = 16_666_667
_FORMATS = (PixelFormat.I420, PixelFormat.NV12, PixelFormat.YUY2, PixelFormat.BGRA)
_FRAMES = 3  # of the source, used in turn as libobs does
_BLOCK = 25  # calls of one kind before the other's turn
_WARM_UP = 3  # more calls before a block: the other kind's memory is in the processor's cache
_KEPT_NS = 60_000_000_000  # the worker's promise: it is never late here
_SWITCH_S = 0.0005  # what the filter sets
_USED_SLOTS = 4  # where the engine keeps up, two inputs and two results are in use


def callback_ms(plan: Plan) -> Figures:
    """`callback_ms`: at 1080p, idle and beside a Python thread that never yields.

    Next to it stand two bare copies of the same planes, and the Python code that takes the native one's place
    where there is no library, for one format.
    """
    found = native.find()
    if found.library is None:
        return {"not_measured": found.reason}
    figures: Figures = {}
    with _switch_interval():
        for load, beside in (("idle", _nothing), ("busy", _never_yielding)):
            figures[load] = {}
            for number, pixel_format in enumerate(_FORMATS):
                with beside():
                    _add(figures[load], pixel_format, _measured(found.library, pixel_format, plan))
                plan.on_progress(f"callback_ms, {load}", (number + 1) / len(_FORMATS))
    return figures


def _add(figures: Figures, pixel_format: PixelFormat, took: dict[str, list[float]]) -> None:
    """Figures by percentile first, then by format."""
    spreads = {way: spread(ms) for way, ms in took.items()}
    more = rounded(spreads[""]["p99"] - spreads["memcpys"]["p99"])
    for way, numbers in (spreads | {"": spreads[""] | {"p99_above_memcpys": more}}).items():
        for percentile, value in numbers.items():
            figures.setdefault(f"{way}_{percentile}".strip("_"), {})[pixel_format.value] = value


def _measured(library: native.Library, pixel_format: PixelFormat, plan: Plan) -> dict[str, list[float]]:
    """Milliseconds of each way's calls, taken in turns."""
    frames = [_frame(pixel_format) for _ in range(_FRAMES)]
    addresses = [ctypes.addressof(frame) for frame, _ in frames]
    own, python = _exchange(pixel_format, library), _exchange(pixel_format, None)
    slot_bytes = own.slots.slot_bytes if own.slots else 0
    ways = {"": hook_of(own, library), "memcpys": bare_copies(library, slot_bytes, _USED_SLOTS)}
    if pixel_format is _FORMATS[0]:
        ways["python"] = hook_of(python, None)
    took_ms: dict[str, list[float]] = {name: [] for name in ways}
    with _publishing(own), _publishing(python):
        for _ in range(plan.count(8, 1)):
            for name, way in ways.items():
                took_ns = library.bench_loop(way.call, way.data, addresses, _WARM_UP + _BLOCK, _PERIOD_NS)
                took_ms[name] += [ns / 1e6 for ns in took_ns[_WARM_UP:]]
    return took_ms


def _frame(pixel_format: PixelFormat) -> tuple[abi.SourceFrame, object]:
    """A frame as libobs holds it, and its memory."""
    sizes = plane_sizes(pixel_format, *_SIZE_WH)
    memory = ctypes.create_string_buffer(sum(stride * rows for stride, rows in sizes))
    frame = source_frame(pixel_format, *_SIZE_WH)
    address = ctypes.addressof(memory)
    for plane, (stride, rows) in enumerate(sizes):
        frame.data[plane], frame.linesize[plane] = address, stride
        address += stride * rows
    return frame, memory


def _exchange(pixel_format: PixelFormat, library: native.Library | None) -> Exchange:
    exchange = Exchange(native=library)
    exchange.words[ex.SHOWING] = 1
    exchange.current(ex.key_of(pixel_format, *_SIZE_WH))
    exchange.lay_out()
    exchange.promise(_KEPT_NS)
    return exchange


@contextmanager
def _publishing(exchange: Exchange) -> Iterator[None]:
    """An engine that takes no time: every frame is finished at once, and only the callback costs anything."""
    stop = threading.Event()

    def publish() -> None:
        seen = 0
        while not stop.is_set():
            taken = exchange.take_input(ex.INPUT_READ_WORKER, seen)
            target = exchange.result_slot() if taken else None
            if taken is not None and target is not None:
                slots, index = taken
                slots.metas[target] = slots.metas[index]
                seen = int(slots.metas[index].sequence)
                exchange.publish_result(slots, target)
            exchange.release(ex.INPUT_READ_WORKER)
            exchange.wait_for_input(0.1)

    with _thread(publish, stop.set):
        yield
        stop.set()
        exchange.wake()


@contextmanager
def _thread(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work, name="benchmark", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _never_yielding() -> Iterator[None]:
    """Another script that keeps the interpreter."""
    is_wanted = [True]

    def count() -> None:
        number = 0
        while is_wanted:
            number += 1

    with _thread(count, is_wanted.clear):
        yield


@contextmanager
def _switch_interval() -> Iterator[None]:
    """How long a thread may keep the interpreter, as the filter sets it."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
