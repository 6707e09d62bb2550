"""Runs autotune beside a running engine and tells how far it is. Standard library only."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from obs_faceswap.engine.errors import explain
from obs_faceswap.engine.live.loader import DEVICES
from obs_faceswap.engine.settings import Settings, option

if TYPE_CHECKING:
    from obs_faceswap.engine.live.autotune import Tuning

logger = logging.getLogger(__name__)

OnProgress: TypeAlias = Callable[[str, float], None]
Measure: TypeAlias = "Callable[[Settings, OnProgress, Callable[[], bool]], Tuning]"


def measure(settings: Settings, on_progress: OnProgress, is_stopped: Callable[[], bool]) -> "Tuning":
    """The real autotune; imports numpy and all the rest.

    Raises:
        ImportError: a package is missing or broken.
        FaceSwapError: the face, a network or the device cannot be used, or it was stopped.
    """
    from obs_faceswap.engine.live.autotune import autotune

    return autotune(settings, on_progress=on_progress, is_stopped=is_stopped)


class Tuner:
    """One autotune at a time, on a thread of its own. Its methods belong to one other thread.

    Attributes:
        text: what is done now, or what came out; empty before the first.
        proposal: texts by the settings' keys; empty while there is none.
    """

    def __init__(self, on_change: Callable[[], None], measured: Measure = measure) -> None:
        """`on_change` is called on the tuner's thread when `text` or `proposal` has changed."""
        self.text = ""
        self.proposal: Mapping[str, str] = {}
        self._on_change = on_change
        self._measured = measured
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether it measures."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, settings: Settings) -> None:
        """Begins, unless it measures already."""
        if self.is_busy:
            return
        self._stop.clear()
        self._say("Autotune starts …", {})
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="face swap autotune", daemon=True
        )
        self._thread.start()

    def forget(self) -> None:
        """Drops what came out: it was taken over."""
        self._say("", {})

    def ask_to_stop(self) -> None:
        """Has it end after the measurement that runs; `close` waits for that."""
        self._stop.set()

    def close(self) -> None:
        """Stops after the measurement that runs, and waits for it; may be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, settings: Settings) -> None:
        try:
            tuning = self._measured(settings, self._progress, self._stop.is_set)
        except BaseException as error:  # a thread's border; the user is told
            logger.debug("Autotune failed", exc_info=True)
            self._say(f"Autotune: {explain(error)}", {})
            return
        for reason in tuning.reasons:
            logger.info("Autotune: %s", reason)
        self._say(f"Autotune proposes {_told(tuning.settings)}. {' '.join(tuning.reasons)}", tuning.settings)

    def _progress(self, what: str, part: float) -> None:
        self._say(f"Autotune measures the {what} ({part:.0%}) …", {})

    def _say(self, text: str, proposal: Mapping[str, str]) -> None:
        self.text, self.proposal = text, proposal
        if not self._stop.is_set():
            self._on_change()


def _told(settings: Mapping[str, str]) -> str:
    """What is proposed, by the labels that the panel shows."""
    return ", ".join(f"{option(key).label}: {_label(key, value)}" for key, value in settings.items())


def _label(key: str, value: str) -> str:
    return dict((*option(key).choices, *DEVICES.get())).get(value, value)
