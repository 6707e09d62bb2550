"""Lets long work on a thread be given up from another. Standard library only."""

import threading

from obs_faceswap.engine.errors import FaceSwapError

_WORK = threading.local()


class CancelledError(FaceSwapError):
    """Nobody wants the result any more."""


def use(asked: threading.Event) -> None:
    """Work on this thread is given up from now on when the event is set."""
    _WORK.asked = asked


def check() -> None:
    """Raises CancelledError when the work on this thread is to be given up; for between two steps of it."""
    asked = getattr(_WORK, "asked", None)
    if asked is not None and asked.is_set():
        raise CancelledError("The face is no longer wanted.")
