"""The small thread beside every filter: memory for the slots, and the cover. Standard library only."""

import logging
import threading
from collections.abc import Callable

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.cover import cover_into
from obs_faceswap.engine.live.exchange import Exchange, Slots, now_ns

logger = logging.getLogger(__name__)

_POLL_S = 0.004
_SLOW_POLL_S = 0.02  # where native code covers: a new geometry and changed settings can wait that long
_IDLE_POLL_S = 0.05  # while nobody sees the source
_AFTER_ERROR_S = 1.0


def _nothing() -> None:
    """The default of `also`."""


class CoverThread:
    """Does what the graphics thread leaves to others: it lays out the slots when asked, and covers the newest
    frame while a cover is wanted that native code does not make by itself.

    It lives as long as its filter, so that the picture stays covered after the engine was stopped.

    Args:
        exchange: whose slots and covers they are.
        also: called in every round, for what else has to be looked after.
    """

    def __init__(self, exchange: Exchange, also: Callable[[], None] = _nothing) -> None:
        self._exchange = exchange
        self._also = also
        self._seen = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="face swap cover", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            pause_s = self._pause_s()
            try:
                self.step()
            except Exception:  # a thread's border; without slots or a cover the picture is hidden
                logger.exception("What the graphics thread asked for could not be done")
                pause_s = _AFTER_ERROR_S
            self._stop.wait(_AFTER_ERROR_S if self._exchange.failure else pause_s)

    def _pause_s(self) -> float:
        if not self._exchange.words[ex.SHOWING]:
            return _IDLE_POLL_S
        return _POLL_S if self._exchange.makes_covers else _SLOW_POLL_S

    def step(self) -> bool:
        """Looks once for something to do; whether a cover was made."""
        exchange = self._exchange
        self._also()
        exchange.lay_out()
        if not exchange.makes_covers or not exchange.cover_is_wanted(now_ns()):
            return False
        taken = exchange.take_input(ex.INPUT_READ_COVER, self._seen)
        if taken is None:
            return False
        try:
            self._cover(*taken)
        finally:
            exchange.release(ex.INPUT_READ_COVER)
        return True

    def _cover(self, slots: Slots, index: int) -> None:
        target = self._exchange.cover_slot()
        picture = slots.plane_views(index)
        cover_into(slots.plane_views(target), slots.format, slots.width, slots.height, picture)
        slots.metas[target] = slots.metas[index]
        self._seen = int(slots.metas[index].sequence)
        self._exchange.publish_cover(slots, target)

    def close(self) -> None:
        """Stops and joins the thread; may be called twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
