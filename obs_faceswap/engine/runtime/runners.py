"""Where networks run: on the CPU in the thread that asks, on a graphics card in the card's one thread.

Many streams share networks, so two bounds hold for all of them together. CPU runs that take long wait until
fewer than two thirds of the cores are busy with others of their kind: OBS and a game need the rest. Short
ones have a gate of their own, so that finding a face never waits for another stream's swap.

A graphics card's sessions are run and freed by one thread. ONNX Runtime's CUDA memory grew by gigabytes
when consecutive runs came from different threads (microsoft/onnxruntime#29351), and a CUDA graph belongs to
the thread that captured it.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from obs_faceswap.engine.errors import ProviderError
from obs_faceswap.engine.runtime import providers

_ALIVE_S = 0.5  # how often work that takes long looks whether somebody still does it

T = TypeVar("T")


class Runner(Protocol):
    """Runs work for one session."""

    def call(self, work: Callable[[], T], is_long: bool) -> T:
        """What `work` returns or raises; waits while too much runs already."""
        ...

    def load(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, which takes seconds and only makes a session."""
        ...

    def close(self) -> None:
        """Ends it after the work that was given; called once."""
        ...


class Gate:
    """Lets work in while the CPU threads of all that is inside stay within a budget."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def room(self, threads: int) -> Iterator[None]:
        """Waits for room, which one piece of work finds at the latest when it is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + threads <= self._budget)
            self._used += threads
        try:
            yield
        finally:
            with self._changed:
                self._used -= threads
                self._changed.notify_all()


class CallerRunner:
    """Runs work where it is called, when its gate has room."""

    def __init__(self, threads: int, long_runs: Gate, short_runs: Gate) -> None:
        self._threads, self._long_runs, self._short_runs = threads, long_runs, short_runs

    def call(self, work: Callable[[], T], is_long: bool) -> T:
        """What `work` returns or raises."""
        with (self._long_runs if is_long else self._short_runs).room(self._threads):
            return work()

    def load(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, while others run."""
        return work()

    def close(self) -> None:
        """Nothing is to be ended."""


class OwnerThread:
    """A thread that does the work of all sessions of one device, in the order it is asked."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises on that thread."""
        outcome: list[T] = []
        failure: list[BaseException] = []
        done = threading.Event()

        def do() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001  # a thread's border; raised again where it was asked
                failure.append(error)
            done.set()

        self._work.put(do)
        while not done.wait(_ALIVE_S):
            if not self._thread.is_alive():
                raise ProviderError("The device's sessions are closed. Load the face again.")
        if failure:
            raise failure[0]
        return outcome[0]

    def close(self) -> None:
        """Lets the thread end after the work that was asked, and waits for that."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()
            del do  # what it refers to may be a session


class OwnedRunner:
    """Runs work on a device's thread; the thread ends with its last runner."""

    def __init__(self, device: str, owners: "Owners") -> None:
        self._device, self._owners = device, owners
        self._thread = owners.take(device)
        self._lock: Any = providers.run_lock(device)

    def call(self, work: Callable[[], T], is_long: bool) -> T:
        """What `work` returns or raises."""

        def locked() -> T:
            with self._lock:
                return work()

        return self._thread.call(locked)

    def load(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, while others run where the device allows that."""
        return self.call(work, is_long=True) if providers.loads_alone(self._device) else work()

    def close(self) -> None:
        """Gives the thread back."""
        self._owners.give_back(self._device)


class Owners:
    """The owner threads by device, counted by their users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, tuple[OwnerThread, int]] = {}

    def take(self, device: str) -> OwnerThread:
        """The thread of a device, for one more user."""
        card = providers.card_of(device)
        with self._lock:
            thread, users = self._threads.get(card) or (OwnerThread(f"face swap {card}"), 0)
            self._threads[card] = thread, users + 1
        return thread

    def give_back(self, device: str) -> None:
        """One user less; without any the thread ends."""
        card = providers.card_of(device)
        with self._lock:
            thread, users = self._threads.pop(card)
            if users > 1:
                self._threads[card] = thread, users - 1
                return
        thread.close()

    @property
    def count(self) -> int:
        """How many threads there are."""
        return len(self._threads)


_BUDGET = providers.thread_budget()
_LONG_RUNS, _SHORT_RUNS = Gate(_BUDGET), Gate(_BUDGET)
OWNERS = Owners()


def runner_for(device: str, threads: int) -> Runner:
    """A runner for one session that uses so many CPU threads."""
    if providers.has_owner_thread(device):
        return OwnedRunner(device, OWNERS)
    return CallerRunner(threads, _LONG_RUNS, _SHORT_RUNS)
