"""The thread that owns the engine of one filter. Standard library only.

The engine itself (numpy, OpenCV, ONNX Runtime, the pipeline) is imported late, on the loader's thread: where
it is missing, the filter still covers the picture and says what is wrong.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from obs_faceswap.engine.errors import FaceError, UnsupportedModelError, explain
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.delay import SteadyDelay
from obs_faceswap.engine.live.exchange import Exchange, now_ns
from obs_faceswap.engine.live.improver import MAKING, Improver
from obs_faceswap.engine.live.loader import (
    Engine,
    Load,
    Loader,
    face_name,
    load_engine,
    needs,
    placement,
)
from obs_faceswap.engine.live.pace import Pace
from obs_faceswap.engine.live.recovery import SHORTEST_STALL_NS, Retries, Trouble, stall_text
from obs_faceswap.engine.live.regulator import ReadHost, Regulator, no_host
from obs_faceswap.engine.live.stream import Finished, Stream
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.stats import Report, Stats

logger = logging.getLogger(__name__)

_FAILURES_ALLOWED = 5  # frames in a row that may raise before the engine is loaded again
_FRONT = "occlusion"  # steps.Stage.OCCLUSION
_PATIENCE_S = 5.0  # at the end, for a load or a frame that does not come back


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
    event: str = ""  # what goes wrong with the frames, or did lately
    figures: str = ""

    def line(self) -> str:
        """All of it in one line."""
        return " ".join(part for part in (self.text, self.problem, self.event, self.figures) if part)


def _nothing() -> None:
    """The default of both callbacks."""


class Worker:
    """Loads the engine of one filter, feeds it the newest frames, and tells how it fares.

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
        self._improver = Improver(exchange.wake)
        self._is_faster = False  # what is worn can be loaded again in a faster form
        self._engine: Engine | None = None
        self._asked: Settings | None = None  # those of the last load
        self._worn: Settings | None = None  # those of the engine that runs
        self._wants_retry = False
        self._retries = Retries()
        self._failures = 0
        self._trouble = Trouble()
        self._stuck_ns = 0  # how long the engine has not answered, when that was looked at last
        self._told_event = ""
        self._notice = ""
        self._delay = SteadyDelay(None)
        self._status = Status(State.LOADING, "Starting …")
        self._pace = Pace(now_ns())
        self._regulator = Regulator(settings, read_host)
        self._loader = Loader(load, exchange.wake, self._regulator.give_way)
        self._stream = Stream(
            exchange,
            self._regulator.is_due,
            self._delay.arrived,
            self._regulator.give_way,
            self._regulator.note_swap,
            self._note,
        )
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
        self._exchange.wake()

    def retry(self) -> None:
        """Tries again at once what could not be loaded."""
        self._wants_retry = True
        self._exchange.wake()

    def enroll(self) -> None:
        """Remembers who is swapped, so that a recognition network knows them again."""
        engine = self._engine
        if engine is not None:
            engine.enroll()

    def take_neutral(self) -> None:
        """Has an animated picture take the next live face as the one that looks like it."""
        engine = self._engine
        if engine is not None:
            engine.take_neutral()

    def set_showing(self, showing: bool) -> None:
        """Whether anybody sees the source; the engine sleeps while nobody does."""
        self._exchange.words[ex.SHOWING] = showing
        self._exchange.wake()

    def status(self) -> Status:
        """What to tell the user now; an engine that does not answer cannot keep it waiting."""
        status = self._status
        if status.state is State.STOPPED:
            return status
        status = replace(status, event=self._event())
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
        self._exchange.wake()

    def close(self) -> None:
        """Stops, joins and frees everything; may be called twice.

        What does not come back in some seconds is left behind: OBS must be able to go on.
        """
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(3 * _PATIENCE_S)
            if self._thread.is_alive():
                logger.error("%sThe engine does not answer and is left behind", self._prefix())

    # --- the thread ---

    def _run(self) -> None:
        self._regulator.give_way()
        next_s = time.monotonic()
        while not self._stop.is_set():
            try:
                is_idle = not self.step()
            except Exception as error:  # noqa: BLE001  # a thread's border; told and logged there
                is_idle = True
                self._fail(error)
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + 1.0
                self._each_second()
            if is_idle and not self._stop.is_set():
                self._wait(next_s - time.monotonic())
        self._end()

    def _wait(self, longest_s: float) -> None:
        """Sleeps until a frame comes in, a swap or a load is done, or something is asked for."""
        next_s = self._stream.seconds_to_next()
        self._exchange.wait_for_input(max(0.0, longest_s if next_s is None else min(longest_s, next_s)))

    def step(self) -> bool:
        """Looks once for something to do; whether there was anything."""
        self._start_load()
        self._take_load()
        self._take_improved()
        if self._engine is None or not self._exchange.words[ex.SHOWING]:
            self._exchange.promise(0)
            self._stream.rest()
            return False
        self._exchange.promise(self._stream.budget_ns)
        self._regulator.update(self._settings)
        return self._stream.step(self._engine, self._settings, self._regulator.plan)

    def _end(self) -> None:
        self._exchange.promise(0)
        self._exchange.words[ex.HOLD_NS] = self._exchange.words[ex.SHIFT_NS] = 0
        self._improver.close(_PATIENCE_S)
        self._loader.close(_PATIENCE_S)
        self._drop_engine()
        self._stream.close()
        self._set_status(Status(State.STOPPED, "Stopped."))
        self._each_second()

    # Loading.

    def _start_load(self) -> None:
        settings = self._settings
        is_new = not _same_needs(settings, self._asked)
        if self._loader.is_busy or not (is_new or self._is_faster or self._is_load_due()):
            return
        self._asked = settings
        must_load, self._is_faster = self._is_faster or self._trouble.is_on, False
        self._retries.drop()
        if is_new:
            self._retries.reset()
            if self._engine is None:
                self._set_status(Status(State.LOADING, _loading(settings)))
        if self._engine is not None and _same_needs(settings, self._worn) and not must_load:
            self._tell_worn(self._engine, settings)  # back to what runs, after something that could not load
        else:
            self._loader.start(settings, self._engine)

    def _is_load_due(self) -> bool:
        wanted, self._wants_retry = self._wants_retry, False
        if wanted:
            is_worn = self._engine is not None and _same_needs(self._settings, self._worn)
            return not is_worn or self._trouble.is_on
        return self._retries.is_due(time.monotonic())

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
        self._failures = 0
        if not self._trouble.is_on:
            self._retries.reset()
        self._trouble.reloaded()
        self._worn = self._asked
        self._pace = Pace(now_ns())
        self._regulator.use(engine.provider)
        self._improver.follow(engine.to_improve)
        self._tell_worn(engine, self._asked or self._settings)

    def _tell_worn(self, engine: Engine, settings: Settings) -> None:
        text = f"Wearing “{face_name(settings)}” on {placement(engine)}."
        if self._improver.works_on(engine.to_improve):
            text += f" {MAKING}"
        self._set_status(Status(State.RUNNING, text, engine.notice, engine.provider, engine.has_morph))

    def _take_improved(self) -> None:
        """Has the engine loaded again when the faster form of its network is there."""
        done, engine = self._improver.take(), self._engine
        if done is None or engine is None:
            return
        path, is_faster = done
        if engine.to_improve == path:
            self._is_faster = is_faster
        self._improver.follow(engine.to_improve)  # another one waited for it
        self._tell_worn(engine, self._worn or self._settings)

    def _refuse(self, error: BaseException) -> None:
        """Says why a load failed; an engine that runs goes on."""
        problem = explain(error)
        if problem not in (self._status.text, self._status.problem):
            logger.warning("%s%s", self._prefix(), problem)
        if self._may_get_well(error):
            self._retries.later(time.monotonic())
        if self._engine is None:
            self._set_status(Status(State.FAILED, problem))
        else:
            self._set_status(replace(self._status, problem=problem))

    def _may_get_well(self, error: BaseException) -> bool:
        """Whether the same load, tried again by itself, may work."""
        if isinstance(error, ImportError):
            return False  # what was not there when Python first looked is found only by a new process
        if isinstance(error, (FaceError, UnsupportedModelError)):
            return self._retries.is_patient()  # a file may still be on its way, but not for ever
        return True

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        self._stream.leave(engine.close if engine is not None else _nothing)

    # Trouble.

    def _fail(self, error: Exception) -> None:
        """Goes on after an error that no frame should cause; too many in a row load the engine anew."""
        self._failures += 1
        if self._failures == 1:
            logger.warning("%sA frame could not be processed", self._prefix(), exc_info=error)
        self._trouble.fault(error)
        if self._failures < _FAILURES_ALLOWED:
            return
        self._exchange.promise(0)
        self._drop_engine()
        self._failures = 0
        self._retries.later(time.monotonic())
        logger.error("%s%s", self._prefix(), explain(error))
        self._set_status(Status(State.FAILED, explain(error)))

    def _judge(self, fault: Exception | None) -> None:
        """Loads an engine anew, while it goes on, when it fails frame after frame."""
        self._failures = 0
        if fault is not None:
            if self._trouble.fault(fault):
                self._retries.later(time.monotonic())
        elif self._trouble.fine(time.monotonic()):
            self._retries.reset()

    def _stall_ns(self) -> int:
        """How long the engine has not answered, if that is worth telling; else 0."""
        stuck_ns = self._stream.stuck_ns(now_ns())
        return stuck_ns if stuck_ns >= SHORTEST_STALL_NS else 0

    def _look_for_stall(self) -> None:
        stuck_ns = self._stall_ns()
        if self._stuck_ns and not stuck_ns:
            self._trouble.answered(self._stuck_ns / 1e9, time.monotonic())
        self._stuck_ns = stuck_ns

    # Frames.

    def _note(self, done: Finished) -> None:
        """Takes down what became of a frame."""
        took_ms = (done.done_ns - done.taken_ns) / 1e6
        self._notice = done.result.notice
        self._pace.tick(done.done_ns)
        stages_ms = done.result.stages_ms
        self._regulator.note_frame(done.own_ns / 1e6, stages_ms.get(_FRONT, 0.0))
        self._hold(done.arrival_ns, done.done_ns)
        self._judge(done.result.fault)
        self.stats.delay.add((done.done_ns - done.arrival_ns) / 1e6)
        self.stats.add(done.result.shown, done.result.stages_ms, took_ms, done.done_ns / 1e9)

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

    def _event(self) -> str:
        """What goes wrong with the frames, or did lately."""
        stuck_ns = self._stall_ns()
        if stuck_ns:
            return stall_text(stuck_ns / 1e9)
        text = self._trouble.text(time.monotonic())
        return "" if text in (self._status.text, self._status.problem) else text

    def _figures(self) -> str:
        if not self._exchange.words[ex.SHOWING]:
            return "Asleep while the filter is off or nobody sees the source."
        notice = "" if self._notice == self._trouble.text(time.monotonic()) else self._notice
        per_second = self._pace.per_second(now_ns())
        if per_second is None:
            return notice
        delay_ms = self._exchange.words[ex.DELAY_NS] / 1e6
        way = ", reprojected" if self._stream.is_reprojecting else ""
        pace = f"{per_second:.0f} frames a second{way}, {delay_ms:.0f} ms behind."
        notices = (self._stream.notice, self._delay.notice, self._regulator.text, notice)
        return " ".join(part for part in (pace, *notices) if part)

    def _each_second(self) -> None:
        self._regulator.update(self._settings)
        self._look_for_stall()
        self._tell_event()
        if self._status.state is State.RUNNING:
            frames_in = self._exchange.words[ex.FRAMES_IN]
            self._regulator.each_second(now_ns() / 1e9, frames_in, self._stream.is_reprojecting)
            self._tell_figures()
        try:
            self._every_second()
        except Exception:  # a callback's border: a report that cannot be written stops nothing
            logger.exception("The report could not be written")

    def _tell_event(self) -> None:
        """Logs what goes wrong once, when it begins and when it is over; both are news for an open panel."""
        event = "stuck" if self._stuck_ns else self._trouble.text(time.monotonic())
        if event == self._told_event:
            return
        self._told_event = event
        if event:
            logger.warning("%s%s", self._prefix(), self._event() or event)
        self._on_change()

    def _tell_figures(self) -> None:
        """Logs them once a minute; the first ones are news for an open panel."""
        first, due = self._pace.tell(now_ns())
        if first:
            self._on_change()
        if due:
            logger.info("%s%s", self._prefix(), self.status().line())

    def _prefix(self) -> str:
        return f"{self.name}: " if self.name else ""


def _same_needs(settings: Settings, others: Settings | None) -> bool:
    return others is not None and needs(settings) == needs(others)


def _loading(settings: Settings) -> str:
    name = face_name(settings)
    return f"Loading the face “{name}” …" if name else "Looking for a face to wear …"
