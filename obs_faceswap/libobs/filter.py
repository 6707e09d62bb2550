"""One filter on one source, but for what the graphics thread does for it. Standard library only."""

import logging
import threading
import time
from dataclasses import replace
from typing import Any, Protocol

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.cover_thread import CoverThread
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.loader import DEVICES
from obs_faceswap.engine.live.native import Library
from obs_faceswap.engine.live.tuner import Tuner
from obs_faceswap.engine.live.worker import State, Status, Worker
from obs_faceswap.engine.settings import DebugView, Settings
from obs_faceswap.libobs import report, stored
from obs_faceswap.libobs.lag import lag
from obs_faceswap.libobs.python_path import PythonPath
from obs_faceswap.libobs.sound import SOUND
from obs_faceswap.ui.obs_properties import Severity, View

logger = logging.getLogger(__name__)

_CALM_S = 1.5  # after the user's last change the panel may be drawn anew: no slider is being dragged
_LOOK_S = 0.1  # between two looks whether viewers see what OBS shows
_DRAWN = "The debug view is drawn on the picture."
_FOR_ALL = "The debug view is drawn on the picture, and viewers see it."
_NOT_DRAWN = "The debug view is left out while OBS streams, records or feeds its virtual camera."
_STOPPED = Status(State.STOPPED, "The script is not loaded. Add it under Tools, Scripts.")


class Path(Protocol):
    """A filter's half on the graphics thread, in Python or in native code."""

    def free(self) -> None:
        """Frees the GPU's objects; inside the graphics context."""


class NativePath:
    """The callbacks are native: libobs calls them with the control block and nothing of Python."""

    def __init__(self, library: Library, exchange: Exchange) -> None:
        self._library, self._exchange = library, exchange

    def free(self) -> None:
        """Frees the GPU's objects; inside the graphics context."""
        self._library.free(self._exchange.address)


class Filter:
    """The state of one filter.

    Attributes:
        handle: what libobs knows it by: the address of its control block.
        path: its half on the graphics thread.
    """

    def __init__(self, obs: Any, exchange: Exchange, path: Path) -> None:
        self._obs = obs
        self._exchange = exchange
        self.path = path
        self.handle = exchange.address
        self._source = int(exchange.words[ex.SOURCE])
        self._updates = exchange.words[ex.UPDATES]
        self._settings, self._complaints = stored.read_of(obs, self._source)
        self._cover = CoverThread(exchange, self.look_after)
        self._worker: Worker | None = None
        self._tuner = Tuner(self._on_news)
        self._report_to = report.wanted()
        self._version = (obs.obs_get_version_string() or b"").decode()
        self._is_news = False
        self._changed_s = 0.0
        self._problem = 0
        self._passing = threading.Lock()  # while settings are passed on; nothing is waited for inside
        self._has_viewers = True  # until OBS is asked
        self._looked_s = 0.0
        self._cover.start()
        self._complain()
        SOUND.add(self._source, exchange)

    # --- the engine: the UI thread, or the one that destroys ---

    def start_engine(self) -> None:
        """Starts the worker, unless it runs."""
        if self._worker is None:
            self._worker = Worker(
                self._exchange, self._as_shown(), self._on_news, self._write_report,
                name=self._name(), read_host=lag(self._obs).read,
            )  # fmt: skip
            self._pass_on()  # what the cover thread found meanwhile
            self._worker.start()

    def ask_to_stop(self) -> None:
        """Has the worker end soon, without waiting for it."""
        self._tuner.ask_to_stop()
        if self._worker is not None:
            self._worker.ask_to_stop()

    def stop_engine(self) -> None:
        """Stops the worker and frees the engine; the picture is covered from now on."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        self._tuner.close()
        self._is_news = True

    def close(self) -> None:
        """Stops everything and frees all of it; may be called twice."""
        SOUND.remove(self._source)
        self.stop_engine()
        self._cover.close()
        _free(self._obs, self.path)
        self._exchange.retire()

    # --- the worker's thread ---

    def _on_news(self) -> None:
        self._is_news = True

    def _write_report(self) -> None:
        worker = self._worker
        if self._report_to is not None and worker is not None:
            told = worker.report(self._version) | {"status": self.view().status}
            report.REPORTER.write(self._report_to, self._source, told, bool(self._exchange.words[ex.SHOWING]))

    # --- the cover thread ---

    def look_after(self) -> None:
        """Looks for what the graphics thread noted, and has an open panel drawn anew when there is news."""
        words, worker = self._exchange.words, self._worker
        if words[ex.UPDATES] != self._updates:
            self._take_settings()
        elif time.monotonic() - self._looked_s >= _LOOK_S and self._follow_viewers():
            self._is_news = True
            self._pass_on()
        if words[ex.PROBLEM] != self._problem:
            self._problem = words[ex.PROBLEM]
            self._is_news = True
        if worker is not None and not worker.name:
            worker.name = self._name()
        if self._is_news and time.monotonic() - self._changed_s > _CALM_S:
            self._is_news = False
            self._obs.obs_source_update_properties(self._source)

    def _take_settings(self) -> None:
        self._updates = self._exchange.words[ex.UPDATES]
        self._settings, self._complaints = stored.read_of(self._obs, self._source)
        self._changed_s = time.monotonic()
        self._follow_viewers()
        self._pass_on()
        self._complain()

    def _pass_on(self) -> None:
        """Has the worker go on with the settings of now; from any thread."""
        with self._passing:
            if self._worker is not None:
                self._worker.set_settings(self._as_shown())

    def _follow_viewers(self) -> bool:
        """Looks whether viewers see what OBS shows, where that matters; whether it has changed."""
        self._looked_s = time.monotonic()
        if self._settings.debug_view is not DebugView.PREVIEW:
            return False
        had_viewers, self._has_viewers = self._has_viewers, bool(self._obs.obs_video_active())
        return self._has_viewers != had_viewers

    def _as_shown(self) -> Settings:
        """The settings, but for a debug view that is not for viewers while there may be some."""
        if self._settings.debug_view is DebugView.PREVIEW and self._has_viewers:
            return replace(self._settings, debug_view=DebugView.OFF)
        return self._settings

    def _debug_text(self) -> str:
        """What there is to know of the debug view."""
        match self._settings.debug_view:
            case DebugView.OFF:
                return ""
            case DebugView.PREVIEW:
                return _NOT_DRAWN if self._has_viewers else _DRAWN
            case DebugView.ALWAYS:
                return _FOR_ALL

    def _complain(self) -> None:
        for complaint in self._complaints:
            logger.warning("%s", complaint)

    def _name(self) -> str:
        return bytes(self._exchange.block.name).decode(errors="replace")

    # --- the UI thread ---

    def refresh(self) -> None:
        """Tries again what did not work, and has the panel drawn anew, with faces added since."""
        if self._worker is not None:
            self._worker.retry()
        self._is_news = True

    def enroll(self) -> None:
        """Remembers who is swapped, so that a recognition network knows them again."""
        if self._worker is not None:
            self._worker.enroll()

    def take_neutral(self) -> None:
        """Has an animated picture take the next live face as the one that looks like it."""
        if self._worker is not None:
            self._worker.take_neutral()

    def autotune(self) -> None:
        """Measures beside the running engine; the status says what comes out."""
        self._tuner.start(self._settings)

    def take_over(self) -> None:
        """Sets what Autotune proposes."""
        stored.write_to(self._obs, self._source, self._tuner.proposal)
        self._tuner.forget()

    def view(self) -> View:
        """What the panel shows."""
        worker = self._worker
        status = worker.status() if worker is not None else _STOPPED
        problems = [*self._complaints, _sentence(self._problem) or self._exchange.failure]
        told = *problems, status.line(), self._tuner.text, self._debug_text()
        message = " ".join(part for part in told if part)
        return View(
            self._settings, message, _severity(status, problems), DEVICES.get(), status.has_morph,
            has_proposal=bool(self._tuner.proposal),
        )  # fmt: skip


def python_filter(obs: Any, settings_data: int, source: int) -> Filter:
    """A filter whose callbacks are Python."""
    exchange = Exchange()
    return Filter(obs, exchange, PythonPath(obs, exchange, settings_data, source))


def native_filter(obs: Any, library: Library, handle: int) -> Filter:
    """What a filter that native code has made needs of Python."""
    exchange = Exchange(makes_covers=False, native=library, address=handle)
    return Filter(obs, exchange, NativePath(library, exchange))


def end_unseen(obs: Any, library: Library, handle: int) -> None:
    """Ends a filter that native code has made and Python has not seen yet."""
    exchange = Exchange(makes_covers=False, native=library, address=handle)
    _free(obs, NativePath(library, exchange))
    exchange.retire()


def _free(obs: Any, path: Path) -> None:
    obs.obs_enter_graphics()
    try:
        path.free()
    finally:
        obs.obs_leave_graphics()


def _sentence(problem: int) -> str:
    """What the graphics thread found."""
    if problem == ex.PROBLEM_HDR:
        return "HDR pictures cannot be swapped. Use an SDR source."
    if problem:
        return f"The source's pixel format (number {problem - 1}) cannot be swapped. Choose another."
    return ""


def _severity(status: Status, problems: list[str]) -> Severity:
    if status.state is State.FAILED:
        return Severity.ERROR
    return Severity.WARNING if status.problem or any(problems) else Severity.NORMAL
