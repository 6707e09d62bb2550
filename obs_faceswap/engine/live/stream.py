"""The frames of one filter on their way through its engine. Standard library only.

A frame is begun (its face found) and finished (its face put back) on the worker's thread, and swapped on the
stream's own one in between. Three ways to go on meanwhile:

* in a row: the next frame is begun when this one is finished; with one device for all and no core to spare
  nothing else is faster,
* overlapped: the next frame is begun while this one swaps, so late that it is ready just when the network is,
* reprojected: every frame is begun and finished at once, with the newest swap moved to where the face is now.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange, Slots, now_ns
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.live.loader import Engine
from obs_faceswap.engine.live.pace import Camera, Reprojector, Usual, can_reproject
from obs_faceswap.engine.live.swap_thread import SwapThread
from obs_faceswap.engine.settings import Reprojection, Settings

if TYPE_CHECKING:
    from obs_faceswap.engine.live.slot_frames import SlotFrames
    from obs_faceswap.engine.steps import Begun, Swap
    from obs_faceswap.engine.types import Frame, Result

_FIRST_BUDGET_NS = 1_000_000_000  # networks are slow at their first frame
_SHORTEST_BUDGET_NS = 250_000_000
_LONGEST_BUDGET_NS = 3_000_000_000
_BUDGET_FRAMES = 4  # a frame may take so many times the usual before the engine counts as stalled
_KINDS = ("swapped", "frozen", "covered", "original")  # types.Shown in its order
_EARLY = 1.3  # times the usual time of a beginning: so long before the network is free the next frame begins
_CREDIT = 0.25  # of the time between two swaps: what came late by no more is made up for
_FULL = 0.9  # of the time between two frames: an engine that needs less keeps up in a row
_TOO_SLOW = "There is no reprojection: the network needs {:.0f} ms, and its faces would be too old."
_PATIENCE_S = 3.0  # for a swap that is in the way


@dataclass(frozen=True, slots=True)
class Finished:
    """One published frame.

    Attributes:
        arrival_ns: when it came in,
        taken_ns: when it was begun,
        done_ns: and when it was published.
        own_ns: time spent on it but for its swap.
    """

    result: "Result"
    arrival_ns: int
    taken_ns: int
    done_ns: int
    own_ns: int


@dataclass(slots=True)
class _Job:
    """A frame that was begun: a copy in a result slot."""

    slots: Slots
    target: int
    frame: "Frame"
    begun: "Begun"
    taken_ns: int
    begin_ns: int


class Stream:
    """Belongs to the worker's thread, but for `stuck_ns`.

    Args:
        exchange: where frames come from and go to.
        is_due: whether a frame of that number is to be worked on; may be asked again for one that is not.
        on_arrival: called with the time and number of each frame that is begun.
        on_swapping: called on the thread that swaps, before each swap.
        on_swap: called with the milliseconds of each run of the swap.
        on_finished: called for each published frame.
    """

    def __init__(
        self,
        exchange: Exchange,
        is_due: Callable[[int], bool],
        on_arrival: Callable[[int, int], None],
        on_swapping: Callable[[], None],
        on_swap: Callable[[float], None],
        on_finished: Callable[[Finished], None],
    ) -> None:
        self._exchange = exchange
        self._is_due = is_due
        self._on_arrival, self._on_swapping = on_arrival, on_swapping
        self._on_swap, self._on_finished = on_swap, on_finished
        self._frames: SlotFrames | None = None
        self._seen = 0
        self._camera = Camera()
        self._calling_ns = 0  # since when the worker's own thread is inside the engine; 0: it is not
        self._thread: SwapThread[Swap | None] = SwapThread(exchange.wake)
        self._reset()

    def _reset(self) -> None:
        """As for a new engine: nothing is known of its times, and nothing is under way."""
        self._swapping: _Job | None = None  # waits for the thread, and is finished then
        self._waiting: _Job | None = None  # is swapped next
        self._newest: Swap | None = None
        self._swap_since_ns = 0  # when the thread was given its swap; 0: it has none
        self._begin_at_ns = 0.0  # when the next frame is begun beside that
        self._next_swap_ns = 0.0  # when the plan allows one more, while reprojecting
        self._reprojector = Reprojector()
        self._is_reprojecting = False
        self.notice = ""  # why there is no reprojection although it was asked for
        self._begin, self._swap, self._finish, self._whole = Usual(), Usual(), Usual(), Usual()

    # --- from any thread ---

    def stuck_ns(self, at_ns: int) -> int:
        """How long the engine has not answered, if that is longer than a frame may take; else 0."""
        own = self._calling_ns, self._whole.ns
        beside = self._swap_since_ns, max(self._whole.ns, self._swap.ns)
        waits_ns = [(at_ns - since_ns, usual_ns) for since_ns, usual_ns in (own, beside) if since_ns]
        return max((wait_ns for wait_ns, usual_ns in waits_ns if wait_ns > _budget_ns(usual_ns)), default=0)

    @property
    def budget_ns(self) -> int:
        """How soon the next frame will be finished, or the engine counts as stalled."""
        in_a_row_ns = 0.0 if self._is_reprojecting else self._in_a_row_ns
        return _budget_ns(max(self._whole.ns, in_a_row_ns))

    @property
    def is_reprojecting(self) -> bool:
        """Whether frames are shown with the swaps of earlier ones."""
        return self._is_reprojecting

    # --- the worker's thread ---

    @property
    def is_busy(self) -> bool:
        """Whether a swap is under way, or is done and not taken."""
        return self._thread.is_busy

    def step(self, engine: Engine, settings: Settings, plan: Plan) -> bool:
        """Does what can be done at once; whether there was anything."""
        self._is_reprojecting = self._should_reproject(settings, plan)
        has_collected = self._collect(engine)
        has_begun = self._may_begin(engine) and self._begin_newest(engine, settings, plan)
        return has_begun or has_collected

    def seconds_to_next(self) -> float | None:
        """When something can be done although nothing happens before; None: never."""
        wait_ns = self._begin_at_ns - now_ns()
        if wait_ns <= 0 or self._swapping is None or self._waiting is not None:
            return None
        return wait_ns / 1e9

    def rest(self) -> None:
        """Forgets the frames under way: nobody watches."""
        self._swapping = self._waiting = None

    def leave(self, close: Callable[[], None]) -> None:
        """Forgets an engine and has it closed: at once, or when its swap returns that does not now."""
        if not self._thread.settle(_PATIENCE_S, close):
            self._thread = SwapThread(self._exchange.wake)
        self._reset()

    def close(self) -> None:
        """Ends its thread; only after `leave`."""
        self._thread.close()

    # Which way to go.

    def _should_reproject(self, settings: Settings, plan: Plan) -> bool:
        is_asked = settings.reprojection is Reprojection.YES
        is_too_slow = not can_reproject(self._swap.ns, self._is_reprojecting)
        self.notice = _TOO_SLOW.format(self._swap.ns / 1e6) if is_asked and is_too_slow else ""
        if settings.reprojection is Reprojection.NO or is_too_slow:
            return False
        return is_asked or plan.reproject or self._reprojector.is_on

    def _may_begin(self, engine: Engine) -> bool:
        """Whether one more frame can be begun now."""
        if self._waiting is not None:
            return False
        if self._is_reprojecting or not self._thread.is_busy:
            return self._swapping is None
        return self._swapping is not None and self._overlaps(engine) and now_ns() >= self._begin_at_ns

    def _overlaps(self, engine: Engine) -> bool:
        return engine.can_overlap and self._in_a_row_ns > _FULL * self._camera.period_ns

    @property
    def _in_a_row_ns(self) -> float:
        return self._begin.ns + self._swap.ns + self._finish.ns

    # One frame.

    def _begin_newest(self, engine: Engine, settings: Settings, plan: Plan) -> bool:
        copied = self._copy_newest()
        if copied is None:
            return False
        slots, target, taken_ns = copied
        frame = self._frames_of(slots).frame(target)
        with self._called():
            begun = engine.begin(frame, settings, plan)
        job = _Job(slots, target, frame, begun, taken_ns, now_ns() - taken_ns)
        self._begin.add(job.begin_ns)
        if self._is_reprojecting:
            self._swap_now_and_then(engine, job, plan)
            self._finish_job(engine, job, self._newest)
        elif self._thread.is_busy:
            self._waiting = job
        else:
            self._swapping = job
            self._start_swap(engine, job)
        return True

    def _copy_newest(self) -> tuple[Slots, int, int] | None:
        """Copies the newest input to a result slot: the slots, its index, and the time."""
        exchange = self._exchange
        taken = exchange.take_input(ex.INPUT_READ_WORKER, self._seen)
        if taken is None:
            return None
        taken_ns = now_ns()
        slots, index = taken
        meta = slots.metas[index]
        try:
            held = [job.target for job in (self._swapping,) if job is not None and job.slots is slots]
            target = exchange.result_slot(held, slots)
            # All of them hold results that wait to be shown, or the plan leaves this frame out.
            if target is None or not self._is_due(int(meta.sequence)):
                return None
            ctypes.memmove(slots.addresses[target], slots.addresses[index], slots.slot_bytes)
            slots.metas[target] = meta
            slots.metas[target].ready = 0
        finally:
            exchange.release(ex.INPUT_READ_WORKER)
        meta = slots.metas[target]
        self._seen = int(meta.sequence)
        self._camera.arrived(meta.arrival_ns, self._seen)
        self._on_arrival(meta.arrival_ns, self._seen)
        return slots, target, taken_ns

    def _frames_of(self, slots: Slots) -> "SlotFrames":
        from obs_faceswap.engine.live.slot_frames import SlotFrames

        if self._frames is None or self._frames.slots is not slots:
            self._frames = SlotFrames(slots)
        return self._frames

    def _finish_job(self, engine: Engine, job: _Job, swap: "Swap | None") -> None:
        """Finishes a frame, publishes it and tells about it."""
        start_ns = now_ns()
        with self._called():
            result = engine.finish(job.frame, job.begun, swap)
        job.slots.metas[job.target].kind = _KINDS.index(result.shown)
        self._exchange.publish_result(job.slots, job.target)
        done_ns = now_ns()
        self._finish.add(done_ns - start_ns)
        self._whole.add(done_ns - job.taken_ns)
        own_ns = job.begin_ns + done_ns - start_ns
        self._reprojector.step(
            done_ns, self._begin.ns + self._finish.ns, self._swap.ns, self._camera.period_ns
        )
        arrival_ns = job.slots.metas[job.target].arrival_ns
        self._on_finished(Finished(result, arrival_ns, job.taken_ns, done_ns, own_ns))

    @contextmanager
    def _called(self) -> Iterator[None]:
        self._calling_ns = now_ns()
        try:
            yield
        finally:
            self._calling_ns = 0

    # The thread that swaps.

    def _swap_now_and_then(self, engine: Engine, job: _Job, plan: Plan) -> None:
        """Gives the network a frame that is shown without waiting for it, as often as it can and may."""
        if self._thread.is_busy or not job.begun.cuts or job.taken_ns < self._next_swap_ns:
            return
        if plan.max_swap_fps:
            period_ns = 1e9 / plan.max_swap_fps
            self._next_swap_ns = max(self._next_swap_ns, job.taken_ns - _CREDIT * period_ns) + period_ns
        self._start_swap(engine, job)

    def _start_swap(self, engine: Engine, job: _Job) -> None:
        begun = job.begun
        self._swap_since_ns = now_ns()
        self._begin_at_ns = self._swap_since_ns + max(0.0, self._swap.ns - _EARLY * self._begin.ns)

        def swap() -> "Swap | None":
            self._on_swapping()
            return engine.swap(begun)

        self._thread.start(swap)

    def _collect(self, engine: Engine) -> bool:
        """Takes a finished swap, gives the network the next frame, and finishes the one it was made for."""
        if not self._thread.is_done:
            return False
        job, waiting = self._swapping, self._waiting
        self._swapping = self._waiting = None
        self._swap_since_ns = 0
        swap = self._thread.take()
        if swap is not None:
            self._newest = swap
            self._note_swap(sum(swap.stages_ms.values()))
        if waiting is not None:
            self._swapping = waiting
            self._start_swap(engine, waiting)
        if job is not None:
            self._finish_job(engine, job, swap)
        return True

    def _note_swap(self, ms: float) -> None:
        self._swap.add(ms * 1e6)
        self._on_swap(ms)


def _budget_ns(usual_ns: float) -> int:
    """How long something may take that usually takes so long; 0: that is not known."""
    if not usual_ns:
        return _FIRST_BUDGET_NS
    return int(min(max(_BUDGET_FRAMES * usual_ns, _SHORTEST_BUDGET_NS), _LONGEST_BUDGET_NS))
