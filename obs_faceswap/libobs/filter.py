"""One filter on one source: what libobs's callbacks do for it. Standard library only."""

import logging
import time
from typing import Any

from obs_faceswap.engine import exchange as ex
from obs_faceswap.engine.cover_thread import CoverThread
from obs_faceswap.engine.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.loader import DEVICES
from obs_faceswap.engine.settings import Cover
from obs_faceswap.engine.worker import State, Status, Worker
from obs_faceswap.libobs import abi, report, stored
from obs_faceswap.libobs.gpu import GpuPath
from obs_faceswap.libobs.lag import lag
from obs_faceswap.libobs.planes import blank, copy_in, copy_out
from obs_faceswap.ui.obs_properties import Severity, View

logger = logging.getLogger(__name__)

_POLICIES = tuple(Cover)
_LOOK_EVERY_TICKS = 4  # a fifteenth of a second: how fast showing and hiding is noticed
_CALM_S = 1.5  # after the user's last change the panel may be drawn anew: no slider is being dragged
_STOPPED = Status(State.STOPPED, "The script is not loaded. Add it under Tools, Scripts.")


class Filter:
    """The state of one filter. Methods say on which thread libobs calls them."""

    def __init__(self, obs: Any, source: int, settings_data: int) -> None:
        self._obs = obs
        self._source = source
        self._settings, self._complaints = stored.read(obs, settings_data)
        self._exchange = Exchange()
        self._exchange.words[ex.POLICY] = _POLICIES.index(self._settings.cover)
        self._exchange.words[ex.SHOWING] = 1
        self._cover = CoverThread(self._exchange)
        self._worker: Worker | None = None
        self._gpu = GpuPath(obs, source, self._exchange)
        self._report_to = report.wanted()
        self._version = (obs.obs_get_version_string() or b"").decode()
        self._name = ""
        self._ticks = 0
        self._was_enabled = True
        self._has_passed = False  # whether the picture OBS holds went through `filter_video`
        self._is_news = False
        self._changed_s = 0.0
        self._problem = ""  # what the graphics thread found, e.g. a format that cannot be swapped
        self._cover.start()
        self._complain()

    # --- the engine: the UI thread, or the one that destroys ---

    def start_engine(self) -> None:
        """Starts the worker, unless it runs."""
        if self._worker is None:
            self._worker = Worker(
                self._exchange, self._settings, self._on_news, self._write_report,
                name=self._name, read_host=lag(self._obs).read,
            )  # fmt: skip
            self._worker.start()

    def ask_to_stop(self) -> None:
        """Has the worker end soon, without waiting for it."""
        if self._worker is not None:
            self._worker.ask_to_stop()

    def stop_engine(self) -> None:
        """Stops the worker and frees the engine; the picture is covered from now on."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        self._is_news = True

    def close(self) -> None:
        """Stops everything and frees all of it; may be called twice."""
        self.stop_engine()
        self._cover.close()
        self._obs.obs_enter_graphics()
        try:
            self._gpu.free()
        finally:
            self._obs.obs_leave_graphics()

    # --- the worker's thread ---

    def _on_news(self) -> None:
        self._is_news = True

    def _write_report(self) -> None:
        worker = self._worker
        if self._report_to is not None and worker is not None:
            told = worker.report(self._version) | {"status": self.view().status}
            report.REPORTER.write(self._report_to, self._source, told, bool(self._exchange.words[ex.SHOWING]))

    # --- the graphics thread ---

    def update(self, settings_data: int) -> None:
        """Takes over changed settings."""
        was_open = self._settings.cover is Cover.ORIGINAL
        self._settings, self._complaints = stored.read(self._obs, settings_data)
        # The frame OBS goes on showing until the next one may be the original.
        self._has_passed = self._has_passed and not was_open
        self._exchange.words[ex.POLICY] = _POLICIES.index(self._settings.cover)
        self._changed_s = time.monotonic()
        if self._worker is not None:
            self._worker.set_settings(self._settings)
        self._complain()

    def _complain(self) -> None:
        for complaint in self._complaints:
            logger.warning("%s", complaint)

    def tick(self) -> None:
        """Once for each of OBS's frames, shown or not."""
        self._gpu.new_tick()
        self._ticks += 1
        if self._ticks % _LOOK_EVERY_TICKS == 1:
            self._look_around()
        if self._is_news and time.monotonic() - self._changed_s > _CALM_S:
            self._is_news = False
            self._obs.obs_source_update_properties(self._source)

    def _look_around(self) -> None:
        """Notes whether anybody sees the source, and whether the filter was switched on again."""
        parent = self._obs.obs_filter_get_parent(self._source)
        if not parent:
            return
        if not self._name:
            self._name = (self._obs.obs_source_get_name(parent) or b"").decode(errors="replace")
            if self._worker is not None:
                self._worker.name = self._name
        self._exchange.words[ex.SHOWING] = self._obs.obs_source_showing(parent)
        is_enabled = self._obs.obs_source_enabled(self._source)
        # While it was off, frames went by unseen, and OBS goes on showing the last of them until the next.
        self._has_passed = self._has_passed and is_enabled

    def filter_video(self, address: int) -> None:
        """Replaces the planes of a frame by what may be shown. The frame is libobs's own copy."""
        started = time.perf_counter_ns()
        frame = abi.SourceFrame.from_address(address)
        try:
            self._pass(frame)
            self._has_passed = True
        except BaseException:  # libobs's border: whatever went wrong, the picture does not go out
            if self._settings.cover is not Cover.ORIGINAL:
                blank(frame, abi.VIDEO_FORMATS.get(frame.format))
            raise
        finally:
            # libobs delays the source's own sound as its frames' timestamps say.
            frame.timestamp = max(frame.timestamp - self._exchange.words[ex.SHIFT_NS], 0)
            self._exchange.note_callback(time.perf_counter_ns() - started)

    def _pass(self, frame: abi.SourceFrame) -> None:
        exchange, words = self._exchange, self._exchange.words
        exchange.note_frame()
        pixel_format = abi.VIDEO_FORMATS.get(frame.format)
        slots = exchange.current(key_of(pixel_format, frame.width, frame.height)) if pixel_format else None
        if slots is None:
            self._pass_without_slots(frame)
            return
        now = now_ns()
        if words[ex.SHOWING]:
            index = exchange.input_slot()
            copy_in(frame, slots, index)
            exchange.offer(slots, index, now)
        choice = exchange.choose(slots, now)
        if choice >= 0:
            copy_out(slots, choice, frame)
        elif choice != ex.RAW:
            blank(frame, pixel_format)
        exchange.chosen()

    def _pass_without_slots(self, frame: abi.SourceFrame) -> None:
        pixel_format = abi.VIDEO_FORMATS.get(frame.format)
        if pixel_format is None:
            self._say(f"The source's pixel format (number {frame.format}) cannot be swapped. Choose another.")
        if self._exchange.choose_without_slots() != ex.RAW:
            blank(frame, pixel_format)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._is_news = True

    def render(self) -> None:
        """Draws a source that is no stream of frames; of a stream, what went through `filter_video`."""
        obs = self._obs
        target, parent = obs.obs_filter_get_target(self._source), obs.obs_filter_get_parent(self._source)
        if not target or not parent:
            return
        if not obs.obs_source_get_output_flags(parent) & abi.OBS_SOURCE_ASYNC:
            self._render_drawn(target, parent)
        elif self._has_passed or self._settings.cover is Cover.ORIGINAL:
            obs.obs_source_skip_video_filter(self._source)
        elif self._settings.cover is not Cover.HIDE:
            # The filter is new, or was off, and OBS still holds a frame that no engine has seen.
            self._gpu.draw_cover(target, parent)

    def _render_drawn(self, target: int, parent: int) -> None:
        started = time.perf_counter_ns()
        self._exchange.makes_covers = False
        self._gpu.draw(target, parent)
        self._say(self._gpu.problem)
        self._exchange.note_callback(time.perf_counter_ns() - started)

    # --- the UI thread ---

    def refresh(self) -> None:
        """Tries again what did not work, and has the panel drawn anew, with faces added since."""
        if self._worker is not None:
            self._worker.retry()
        self._is_news = True

    def view(self) -> View:
        """What the panel shows."""
        worker = self._worker
        status = worker.status() if worker is not None else _STOPPED
        problems = [*self._complaints, self._problem or self._exchange.failure]
        message = " ".join(part for part in (*problems, status.line()) if part)
        return View(self._settings, message, _severity(status, problems), DEVICES.get(), status.has_morph)


def _severity(status: Status, problems: list[str]) -> Severity:
    if status.state is State.FAILED:
        return Severity.ERROR
    return Severity.WARNING if status.problem or any(problems) else Severity.NORMAL
