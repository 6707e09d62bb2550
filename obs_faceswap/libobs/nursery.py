"""Filters that native code has made, until Python cares for them. Standard library only."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from obs_faceswap.engine.live.native import Library
from obs_faceswap.libobs.defaults import DEFAULTS

_LOOK_S = 1.0  # it is woken when there is something to do


def prepare(library: Library, obs: Any) -> None:
    """Tells the library where libobs's functions are, and the settings' defaults; before the registration."""
    for place, name in enumerate(library.needed()):
        library.bind(place, ctypes.cast(getattr(obs, name), ctypes.c_void_p).value or 0)
    library.declare(DEFAULTS)


class Nursery:
    """Takes the filters that native code made, on a thread of its own.

    libobs makes a filter with its list of sources locked, which a script that has the interpreter may be
    waiting for; so nothing of Python is waited for there.

    Args:
        library: which makes them.
        begin: called on the thread first.
        adopt: called on the thread for each filter's handle.
    """

    def __init__(self, library: Library, begin: Callable[[], None], adopt: Callable[[int], None]) -> None:
        self._library = library
        self._begin, self._adopt = begin, adopt
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="face swap nursery", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def _run(self) -> None:
        seen = 0
        self._begin()
        while not self._is_stopped:
            self.step()
            seen = self._library.wait(self._library.births, seen, int(_LOOK_S * 1e9))

    def step(self) -> None:
        """Takes all there are now."""
        while not self._is_stopped and (handle := self._library.newborn()):
            try:
                self._adopt(handle)
            except Exception:  # a thread's border; a filter without an engine covers its picture
                import logging  # OBS is waiting while this module is imported

                logging.getLogger(__name__).exception("A filter could not be given its engine")

    def close(self) -> None:
        """Stops and joins the thread; filters made from now on wait for the next nursery."""
        self._is_stopped = True
        self._library.wake(self._library.births)
        if self._thread.is_alive():
            self._thread.join()
