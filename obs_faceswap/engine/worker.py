"""The thread that owns the engine of one filter. Standard library only.

The engine itself (numpy, OpenCV, ONNX Runtime, the pipeline) is imported late, on the loader's thread: where
it is missing, the filter still covers the picture and says what is wrong.
"""

import ctypes
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from obs_faceswap.engine import exchange as ex
from obs_faceswap.engine.delay import SteadyDelay
from obs_faceswap.engine.errors import FaceError, UnsupportedModelError
from obs_faceswap.engine.exchange import Exchange, Slots, now_ns
from obs_faceswap.engine.loader import DEVICES, Engine, Load, Loader, explain, face_name, load_engine, needs
from obs_faceswap.engine.regulator import ReadHost, Regulator, no_host
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.stats import Report, Stats

if TYPE_CHECKING:
    from obs_faceswap.engine.slot_frames import SlotFrames
    from obs_faceswap.engine.types import Result

logger = logging.getLogger(__name__)

_POLL_S = 0.002  # how often it looks for a new frame; the graphics thread may not wake anybody
_IDLE_POLL_S = 0.03  # while nobody sees the source
_FIRST_BUDGET_NS = 1_000_000_000  # networks are slow at their first frame
_SHORTEST_BUDGET_NS = 250_000_000
_LONGEST_BUDGET_NS = 3_000_000_000
_BUDGET_FRAMES = 4  # a frame may take so many times the usual before the engine counts as stalled
_FAILURES_ALLOWED = 5  # frames in a row that may fail before the engine is loaded again
_RETRY_S = (2.0, 5.0, 10.0, 30.0)  # waits before loading again; the last one repeats
_LOG_EVERY_NS = 60_000_000_000
_PACE_NS = 3_000_000_000  # figures are a mean over so long
_PACE_FRAMES = 200
_KINDS = ("swapped", "frozen", "covered", "original")  # types.Shown in its order
_SWAP = "swap"  # pipeline.Stage of the swap


class State(StrEnum):
    """What the engine of a filter is doing."""

    LOADING = "loading"  # nothing runs yet
    RUNNING = "running"
    FAILED = "failed"  # nothing runs, and it is said why
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """What a user is told. The figures change all the time; a change of anything else is news."""

    state: State
    text: str
    problem: str = ""  # what is wrong although the engine runs, e.g. a second face that cannot be loaded
    provider: str = ""
    has_morph: bool = False
    figures: str = ""

    def line(self) -> str:
        """All of it in one line."""
        return " ".join(part for part in (self.text, self.problem, self.figures) if part)


def _nothing() -> None:
    """The default of both callbacks."""


class Worker:
    """Loads the engine of one filter, feeds it the newest frame only, and tells how it fares.

    Args:
        exchange: where frames come from and go to.
        settings: the first ones.
        on_change: called on the worker's thread when the status (but for its figures) has changed.
        every_second: called on the worker's thread about once a second and at its end.
        load: makes an engine; slow, called on a thread of its own.
        name: of the filter's source, for the log; may be changed at any time.
        read_host: how the program fares that shows the frames; asked on the worker's thread.
    """

    def __init__(
        self,
        exchange: Exchange,
        settings: Settings,
        on_change: Callable[[], None] = _nothing,
        every_second: Callable[[], None] = _nothing,
        load: Load = load_engine,
        name: str = "",
        read_host: ReadHost = no_host,
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._on_change = on_change
        self._every_second = every_second
        self.name = name
        self._loader = Loader(load)
        self._engine: Engine | None = None
        self._asked: Settings | None = None  # those of the last load
        self._worn: Settings | None = None  # those of the engine that runs
        self._wants_retry = False
        self._retry_at_s: float | None = None
        self._retries = 0
        self._failures = 0
        self._frames: SlotFrames | None = None
        self._seen = 0
        self._usual_ns = 0.0
        self._notice = ""
        self._delay = SteadyDelay(None)
        self._status = Status(State.LOADING, "Starting …")
        self._pace = _Pace()
        self._regulator = Regulator(settings, read_host)
        self.stats = Stats()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="face swap worker", daemon=True)

    # --- from any thread ---

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def set_settings(self, settings: Settings) -> None:
        """Acts on the next frame; a new face or device is loaded while the old one goes on."""
        self._settings = settings

    def retry(self) -> None:
        """Tries again at once what could not be loaded."""
        self._wants_retry = True

    def set_showing(self, showing: bool) -> None:
        """Whether anybody sees the source; the engine sleeps while nobody does."""
        self._exchange.words[ex.SHOWING] = showing

    def status(self) -> Status:
        """What to tell the user now."""
        status = self._status
        return replace(status, figures=self._figures()) if status.state is State.RUNNING else status

    def report(self, obs_version: str | None) -> Report:
        """The content of `report.json`. Frames are counted as the graphics thread showed them."""
        words = self._exchange.words
        for took_ns in self._exchange.ring[: words[ex.CALLBACKS]]:
            self.stats.callback.add(took_ns / 1e6)
        report = self.stats.report(self._status.provider, obs_version)
        report["frames_in"] = words[ex.FRAMES_IN]
        names = ("frames_swapped", "frames_frozen", "frames_covered", "frames_raw")
        return report | dict(zip(names, words[ex.FRAMES_SHOWN : ex.FRAMES_SHOWN + len(names)], strict=True))

    def ask_to_stop(self) -> None:
        """Has the thread end soon; `close` waits for it."""
        self._stop.set()

    def close(self) -> None:
        """Stops, joins and frees everything; may be called twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- the thread ---

    def _run(self) -> None:
        self._regulator.begin()
        next_s = time.monotonic()
        while not self._stop.is_set():
            try:
                idle = not self.step()
            except Exception as error:  # noqa: BLE001  # a thread's border; told and logged there
                idle = True
                self._fail(error)
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + 1.0
                self._each_second()
            if idle:
                self._stop.wait(_POLL_S if self._exchange.words[ex.SHOWING] else _IDLE_POLL_S)
        self._end()

    def step(self) -> bool:
        """Looks once for something to do; whether a frame was finished."""
        self._start_load()
        self._take_load()
        if self._engine is None or not self._exchange.words[ex.SHOWING]:
            self._exchange.promise(0)
            return False
        self._exchange.promise(self._budget_ns())
        return self._process_newest(self._engine)

    def _end(self) -> None:
        self._exchange.promise(0)
        self._exchange.words[ex.HOLD_NS] = self._exchange.words[ex.SHIFT_NS] = 0
        self._loader.close()
        self._drop_engine()
        self._set_status(Status(State.STOPPED, "Stopped."))
        self._each_second()

    # Loading.

    def _start_load(self) -> None:
        settings = self._settings
        is_new = not _same_needs(settings, self._asked)
        if self._loader.is_busy or not (is_new or self._is_due()):
            return
        self._asked, self._retry_at_s = settings, None
        if is_new:
            self._retries = 0
            if self._engine is None:
                self._set_status(Status(State.LOADING, _loading(settings)))
        if self._engine is not None and _same_needs(settings, self._worn):
            self._tell_worn(self._engine, settings)  # back to what runs, after something that could not load
        else:
            self._loader.start(settings, self._engine)

    def _is_due(self) -> bool:
        wanted, self._wants_retry = self._wants_retry, False
        if wanted:
            return self._engine is None or not _same_needs(self._settings, self._worn)
        return self._retry_at_s is not None and time.monotonic() >= self._retry_at_s

    def _take_load(self) -> None:
        outcome = self._loader.take()
        if outcome is None:
            return
        if isinstance(outcome, BaseException):
            self._refuse(outcome)
        else:
            self._use(outcome)

    def _use(self, engine: Engine) -> None:
        if self._engine is not None:
            engine.adopt(self._engine)
        self._drop_engine()
        self._engine = engine
        self._retries = self._failures = 0
        self._usual_ns = 0.0
        self._worn = self._asked
        self._pace = _Pace()
        self._regulator.use(engine.provider)
        self._tell_worn(engine, self._asked or self._settings)

    def _tell_worn(self, engine: Engine, settings: Settings) -> None:
        device = dict(DEVICES.get()).get(engine.provider, engine.provider)
        text = f"Wearing “{face_name(settings)}” on {device}."
        self._set_status(Status(State.RUNNING, text, engine.notice, engine.provider, engine.has_morph))

    def _refuse(self, error: BaseException) -> None:
        """Says why a load failed; an engine that runs goes on."""
        problem = explain(error)
        if problem not in (self._status.text, self._status.problem):
            logger.warning("%s%s", self._prefix(), problem)
        if self._may_get_well(error):
            self._retry_later()
        if self._engine is None:
            self._set_status(Status(State.FAILED, problem))
        else:
            self._set_status(replace(self._status, problem=problem))

    def _may_get_well(self, error: BaseException) -> bool:
        """Whether the same load, tried again by itself, may work."""
        if isinstance(error, ImportError):
            return False  # what was not there when Python first looked is found only by a new process
        if isinstance(error, (FaceError, UnsupportedModelError)):
            return self._retries < len(_RETRY_S)  # a file may still be on its way, but not for ever
        return True

    def _fail(self, error: Exception) -> None:
        """Goes on after an error that no frame should cause; too many in a row load the engine anew."""
        self._failures += 1
        if self._failures == 1:
            logger.warning("%sA frame could not be processed", self._prefix(), exc_info=error)
        if self._failures < _FAILURES_ALLOWED:
            return
        self._exchange.promise(0)
        self._drop_engine()
        self._failures = 0
        self._retry_later()
        logger.error("%s%s", self._prefix(), explain(error))
        self._set_status(Status(State.FAILED, explain(error)))

    def _retry_later(self) -> None:
        wait_s = _RETRY_S[min(self._retries, len(_RETRY_S) - 1)]
        self._retries += 1
        self._retry_at_s = time.monotonic() + wait_s

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    # Frames.

    def _budget_ns(self) -> int:
        if not self._usual_ns:
            return _FIRST_BUDGET_NS
        return int(min(max(_BUDGET_FRAMES * self._usual_ns, _SHORTEST_BUDGET_NS), _LONGEST_BUDGET_NS))

    def _process_newest(self, engine: Engine) -> bool:
        taken = self._exchange.take_input(ex.INPUT_READ_WORKER, self._seen)
        if taken is None:
            return False
        slots, index = taken
        target = self._exchange.result_slot(slots=slots)
        # All of them hold results that wait to be shown, or the plan leaves this frame out.
        if target is None or not self._regulator.is_due(slots.metas[index].arrival_ns):
            self._exchange.release(ex.INPUT_READ_WORKER)
            return False
        try:
            ctypes.memmove(slots.addresses[target], slots.addresses[index], slots.slot_bytes)
            slots.metas[target] = slots.metas[index]
        finally:
            self._exchange.release(ex.INPUT_READ_WORKER)
        self._seen = int(slots.metas[target].sequence)
        self._delay.arrived(slots.metas[target].arrival_ns, self._seen)
        self._process(engine, slots, target)
        return True

    def _process(self, engine: Engine, slots: Slots, target: int) -> None:
        """Turns the copy into a finished frame and publishes it."""
        started_ns = now_ns()
        self._regulator.update(self._settings)
        frame = self._frames_of(slots).frame(target)
        result = engine.process(frame, self._settings, self._regulator.plan)
        slots.metas[target].kind = _KINDS.index(result.shown)
        self._exchange.publish_result(slots, target)
        self._failures = 0
        self._note(result, slots.metas[target], started_ns)

    def _frames_of(self, slots: Slots) -> "SlotFrames":
        from obs_faceswap.engine.slot_frames import SlotFrames

        if self._frames is None or self._frames.slots is not slots:
            self._frames = SlotFrames(slots)
        return self._frames

    def _note(self, result: "Result", meta: ex.Meta, started_ns: int) -> None:
        end_ns = now_ns()
        took_ns = end_ns - started_ns
        self._usual_ns = 0.9 * self._usual_ns + 0.1 * took_ns if self._usual_ns else took_ns
        self._notice = result.notice
        self._pace.tick(end_ns)
        swap_ms = result.stages_ms.get(_SWAP)
        self._regulator.note_frame(took_ns / 1e6 - (swap_ms or 0.0))
        if swap_ms is not None:
            self._regulator.note_swap(swap_ms)
        self._hold(meta.arrival_ns, end_ns)
        self.stats.delay.add((end_ns - meta.arrival_ns) / 1e6)
        self.stats.add(result.shown, result.stages_ms, took_ns / 1e6, end_ns / 1e9)

    def _hold(self, arrival_ns: int, end_ns: int) -> None:
        """Has the graphics thread show finished frames at a steady delay."""
        exchange, delay = self._exchange, self._delay
        if exchange.slots is not None:
            delay.sized(exchange.slots.slot_bytes)
        delay.follow(self._settings)
        delay.note(arrival_ns, end_ns)
        exchange.words[ex.HOLD_NS], exchange.words[ex.SHIFT_NS] = delay.hold_ns, delay.shift_ns
        exchange.results = delay.results_needed

    # Telling.

    def _set_status(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            if status.state is not State.FAILED:  # that was logged where it failed
                logger.info("%s%s", self._prefix(), status.line())
            self._on_change()

    def _figures(self) -> str:
        if not self._exchange.words[ex.SHOWING]:
            return "Asleep while nobody sees the source."
        per_second = self._pace.per_second(now_ns())
        if per_second is None:
            return self._notice
        delay_ms = self._exchange.words[ex.DELAY_NS] / 1e6
        pace = f"{per_second:.0f} frames a second, {delay_ms:.0f} ms behind."
        return " ".join(
            part for part in (pace, self._delay.notice, self._regulator.text, self._notice) if part
        )

    def _each_second(self) -> None:
        self._regulator.update(self._settings)
        if self._status.state is State.RUNNING:
            self._regulator.each_second(now_ns() / 1e9, self._exchange.words[ex.FRAMES_IN])
            self._tell_figures()
        try:
            self._every_second()
        except Exception:  # a callback's border: a report that cannot be written stops nothing
            logger.exception("The report could not be written")

    def _tell_figures(self) -> None:
        """Logs them once a minute; the first ones are news for an open panel."""
        first, due = self._pace.tell(now_ns())
        if first:
            self._on_change()
        if due:
            logger.info("%s%s", self._prefix(), self.status().line())

    def _prefix(self) -> str:
        return f"{self.name}: " if self.name else ""


class _Pace:
    """How many frames an engine finishes a second, and when that is told."""

    def __init__(self) -> None:
        self._started_ns = now_ns()
        self._ticks: list[int] = []
        self._told_ns = 0

    def tick(self, at_ns: int) -> None:
        """Notes one finished frame."""
        self._ticks.append(at_ns)
        del self._ticks[:-_PACE_FRAMES]

    def per_second(self, at_ns: int) -> float | None:
        """Frames finished a second lately; None while that is not known yet."""
        recent = [tick for tick in self._ticks if at_ns - tick < _PACE_NS]
        if at_ns - self._started_ns < _PACE_NS:
            return None
        span_ns = recent[-1] - recent[0] if len(recent) > 1 else 0
        return (len(recent) - 1) * 1e9 / span_ns if span_ns else 0.0

    def tell(self, at_ns: int) -> tuple[bool, bool]:
        """Whether there is a figure for the first time, and whether the log's next line is due."""
        if self.per_second(at_ns) is None or (self._told_ns and at_ns - self._told_ns < _LOG_EVERY_NS):
            return False, False
        first = not self._told_ns
        self._told_ns = at_ns
        return first, True


def _same_needs(settings: Settings, others: Settings | None) -> bool:
    return others is not None and needs(settings) == needs(others)


def _loading(settings: Settings) -> str:
    name = face_name(settings)
    return f"Loading the face “{name}” …" if name else "Looking for a face to wear …"
