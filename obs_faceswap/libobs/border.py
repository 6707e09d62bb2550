"""The border to libobs: no exception gets out of a callback. Standard library only."""

from collections.abc import Callable
from functools import wraps
from typing import Any


class Complaints:
    """Logs each failing callback once: the graphics thread would fill the log sixty times a second."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def log(self, callback: str, error: BaseException) -> None:
        """Logs an error unless its like was logged before."""
        what = (callback, repr(error))
        if what not in self._known and len(self._known) < 100:  # enough to see a pattern
            import logging  # OBS is waiting while this module is imported

            self._known.add(what)
            logging.getLogger(__name__).error("%s failed", callback, exc_info=error)


COMPLAINTS = Complaints()


def guarded(failed: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a callback catch everything and return `failed`: ctypes would return what is in a register."""

    def guard(callback: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(callback)
        def safe(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except BaseException as error:  # noqa: BLE001  # libobs's border
                COMPLAINTS.log(callback.__name__, error)
                return failed

        return safe

    return guard
