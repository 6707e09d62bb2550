"""The thread that runs one stream's swaps. Standard library only."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SwapThread(Generic[T]):
    """Runs one call at a time beside the thread that owns it; starts with the first call.

    All methods belong to the owner. A call that never returns does no harm to the owner: it may leave the
    thread behind and make another.
    """

    def __init__(self, on_done: Callable[[], None]) -> None:
        """`on_done` is called on the thread after each call, when its outcome can be taken."""
        self._on_done = on_done
        self._calls: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_busy = False

    def start(self, call: Callable[[], T]) -> None:
        """Begins a call; only while not busy."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="face swap network", daemon=True)
            self._thread.start()
        self.is_busy = True
        self._calls.put(call)

    @property
    def is_done(self) -> bool:
        """Whether an outcome can be taken."""
        return not self._outcomes.empty()

    def take(self) -> T:
        """What the call returned; raises what it raised. Only once it is done."""
        value, error = self._outcomes.get()
        self.is_busy = False
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # None only if that is what the call returned

    def close(self, patience_s: float) -> bool:
        """Ends the thread; False if its call did not return in time, and the thread is left behind."""
        self._calls.put(None)
        if self._thread is not None:
            self._thread.join(patience_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._outcomes.put((call(), None))
            except BaseException as error:  # noqa: BLE001  # a thread's border; the owner gets it
                self._outcomes.put((None, error))
            del call  # it holds a frame's crop, and would until the next one
            self._on_done()
