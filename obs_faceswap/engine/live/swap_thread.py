"""The thread that runs one stream's swaps. Standard library only."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SwapThread(Generic[T]):
    """Runs one call at a time beside the thread that owns it; starts with the first call.

    All methods belong to the owner. A call that never returns does no harm to the owner: it may leave the
    thread behind and make another. One thread does for all faces a stream ever wears: glibc keeps what was
    freed for the thread that freed it, or the next new one, and with ever new threads that adds up.
    """

    def __init__(self, on_done: Callable[[], None]) -> None:
        """`on_done` is called on the thread after each call, when its outcome can be taken."""
        self._on_done = on_done
        self._calls: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._at_end: Callable[[], None] | None = None
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

    def settle(self, patience_s: float, after: Callable[[], None]) -> bool:
        """Waits for the call under way, forgets its outcome, and calls something after it.

        Returns:
            False if that took too long. Then the thread is of no more use: it calls that and ends when its
            call returns.
        """
        try:
            if self.is_busy:
                self._outcomes.get(timeout=patience_s)
        except queue.Empty:
            self._at_end = after
            self._calls.put(None)
            return False
        self.is_busy = False
        after()
        return True

    def close(self) -> None:
        """Ends the thread; only while not busy."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._outcomes.put((call(), None))
            except BaseException as error:  # noqa: BLE001  # a thread's border; the owner gets it
                self._outcomes.put((None, error))
            del call  # it holds a frame's crop, and would until the next one
            self._on_done()
        if self._at_end is not None:
            self._at_end()
