"""Makes the faster form of a network beside the engine that wears it. Standard library only.

A large model would take up to a minute longer to appear the first time if it had to wait for that. So it is
worn as it is at once, and loaded again when the faster form is there. The work runs on a thread of its own
that gives way to all others.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from obs_faceswap.engine.live.priority import yield_to_all
from obs_faceswap.engine.runtime import cancel

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[[Path], bool]  # whether there is a faster form now; slow

MAKING = "A faster form of it is being made."


def make_faster(path: Path) -> bool:
    """Makes a network's faster form, where there is one, and has who loads it next use that."""
    from obs_faceswap.engine.runtime import optimize, session

    is_faster = optimize.prepared(path) != path
    if is_faster:
        session.renew(path)
    return is_faster


class Improver:
    """One at a time. All methods belong to one other thread."""

    def __init__(self, on_done: Callable[[], None], make: Make = make_faster) -> None:
        """`on_done` is called on the working thread when it is about to end."""
        self._on_done, self._make = on_done, make
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._path: Path | None = None  # what it works on
        self._tried: set[Path] = set()
        self._outcome: tuple[Path, bool] | None = None

    def works_on(self, path: Path | None) -> bool:
        """Whether a network's faster form is being made."""
        return path is not None and path == self._path

    def follow(self, path: Path | None) -> None:
        """Begins with a network, unless it was tried or another one is under way."""
        if path is None or self._thread is not None or path in self._tried:
            return
        self._tried.add(path)
        self._path = path
        self._thread = threading.Thread(target=self._run, args=(path,), name="swap improver", daemon=True)
        self._thread.start()

    def _run(self, path: Path) -> None:
        yield_to_all("swap improver")
        cancel.use(self._cancelled)
        is_faster = False
        try:
            is_faster = self._make(path)
        except Exception:  # a thread's border; the network is worn as it is
            logger.debug("No faster form of %s was made", path.name, exc_info=True)
        self._outcome = path, is_faster
        self._on_done()

    def take(self) -> tuple[Path, bool] | None:
        """The network that was finished, and whether there is a faster form of it now; once."""
        if self._thread is None or self._outcome is None:
            return None
        self._thread.join()
        outcome, self._outcome, self._thread, self._path = self._outcome, None, None, None
        return outcome

    def close(self, patience_s: float | None = None) -> None:
        """Gives up what is under way and waits for its end; what takes too long is left behind."""
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join(patience_s)
