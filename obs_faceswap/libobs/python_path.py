"""A filter's callbacks in Python, where there is no native library. Standard library only.

They do what native/filter.c does and leave the same words in the control block. Each waits for the
interpreter: another script that keeps it delays OBS's picture.
"""

import time
from typing import Any

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.settings import Cover
from obs_faceswap.libobs import abi, stored
from obs_faceswap.libobs.gpu import GpuPath
from obs_faceswap.libobs.planes import blank, copy_in, copy_out

_POLICIES = tuple(Cover)
_ORIGINAL, _HIDE = _POLICIES.index(Cover.ORIGINAL), _POLICIES.index(Cover.HIDE)
_LOOK_EVERY_TICKS = 4  # a fifteenth of a second: how fast showing and hiding is noticed


class PythonPath:
    """One filter as the graphics thread sees it. All of it runs there, but for `free`."""

    def __init__(self, obs: Any, exchange: Exchange, settings_data: int, source: int) -> None:
        self._obs = obs
        self._exchange = exchange
        self._words = exchange.words
        self._source = source
        self._gpu = GpuPath(obs, source, exchange)
        self._words[ex.SOURCE] = source
        self._words[ex.POLICY] = self._policy(settings_data)
        self._words[ex.SHOWING] = 1

    def _policy(self, settings_data: int) -> int:
        return _POLICIES.index(stored.cover(self._obs, settings_data))

    def update(self, settings_data: int) -> None:
        """Takes over what the next frame depends on; the rest is read by a thread that sees UPDATES move."""
        words = self._words
        if words[ex.POLICY] == _ORIGINAL:
            words[ex.PASSED] = 0  # the frame OBS goes on showing until the next one may be the original
        words[ex.POLICY] = self._policy(settings_data)
        words[ex.UPDATES] += 1

    def tick(self) -> None:
        """Once for each of OBS's frames, shown or not."""
        self._gpu.new_tick()
        self._words[ex.TICKS] += 1
        if self._words[ex.TICKS] % _LOOK_EVERY_TICKS == 1:
            self._look_around()

    def _look_around(self) -> None:
        """Notes whether anybody sees what the filter does, and whether it was switched off meanwhile."""
        parent = self._obs.obs_filter_get_parent(self._source)
        if not parent:
            return
        block = self._exchange.block
        if not block.name:
            block.name = (self._obs.obs_source_get_name(parent) or b"")[: ex.NAME_BYTES - 1]
        is_on = self._obs.obs_source_enabled(self._source)
        self._words[ex.SHOWING] = is_on and self._obs.obs_source_showing(parent)
        if not is_on:
            self._words[ex.PASSED] = 0  # frames go by unseen, and OBS goes on showing the last of them

    def filter_video(self, address: int) -> None:
        """Replaces the planes of a frame by what may be shown. The frame is libobs's own copy."""
        started = time.perf_counter_ns()
        frame, words = abi.SourceFrame.from_address(address), self._words
        try:
            self._pass(frame)
            words[ex.PASSED] = 1
        except BaseException:  # libobs's border: whatever went wrong, the picture does not go out
            if words[ex.POLICY] != _ORIGINAL:
                blank(frame, abi.VIDEO_FORMATS.get(frame.format))
            raise
        finally:
            # libobs delays the source's own sound as its frames' timestamps say.
            frame.timestamp = max(frame.timestamp - words[ex.SHIFT_NS], 0)
            self._exchange.note_callback(time.perf_counter_ns() - started)

    def _pass(self, frame: abi.SourceFrame) -> None:
        exchange, words = self._exchange, self._words
        exchange.note_frame()
        pixel_format = abi.VIDEO_FORMATS.get(frame.format)
        words[ex.PROBLEM] = 0 if pixel_format else (frame.format & 0xFFFFFFFF) + 1
        slots = exchange.current(key_of(pixel_format, frame.width, frame.height)) if pixel_format else None
        choice = self._exchange_frame(frame, slots) if slots else exchange.choose_without_slots()
        if choice < 0 and choice != ex.RAW:
            blank(frame, pixel_format)

    def _exchange_frame(self, frame: abi.SourceFrame, slots: ex.Slots) -> int:
        exchange, now = self._exchange, now_ns()
        if self._words[ex.SHOWING]:
            index = exchange.input_slot()
            copy_in(frame, slots, index)
            exchange.offer(slots, index, now)
        choice = exchange.choose(slots, now)
        if choice >= 0:
            copy_out(slots, choice, frame)
        exchange.chosen()
        return choice

    def render(self) -> None:
        """Draws a source that is no stream of frames; of a stream, what went through `filter_video`."""
        obs = self._obs
        target, parent = obs.obs_filter_get_target(self._source), obs.obs_filter_get_parent(self._source)
        if not target or not parent:
            return
        if not obs.obs_source_get_output_flags(parent) & abi.OBS_SOURCE_ASYNC:
            self._render_drawn(target, parent)
        elif self._words[ex.PASSED] or self._words[ex.POLICY] == _ORIGINAL:
            obs.obs_source_skip_video_filter(self._source)
        elif self._words[ex.POLICY] != _HIDE:
            # The filter is new, or was off, and OBS still holds a frame that no engine has seen.
            self._gpu.draw_cover(target, parent)

    def _render_drawn(self, target: int, parent: int) -> None:
        started = time.perf_counter_ns()
        self._exchange.makes_covers = False
        self._gpu.draw(target, parent)
        self._exchange.note_callback(time.perf_counter_ns() - started)

    def free(self) -> None:
        """Frees the GPU's objects; inside the graphics context."""
        self._gpu.free()
