"""Sound that fits the delayed picture: OBS's sync offset of the audio source the user chose.

OBS saves sync offsets, so the user's own value is written into the filters' settings before it is changed
(a *record*: what the user's value is, and what was put in its place) and is always what an offset is made
from. Where a record is found at the start, OBS ended before the value was put back; that is made good first.

All of it runs in OBS's user interface thread, which is also the one that saves: a record and the offset it
is about are saved together or not at all. A thread of our own has that done four times a second. It looks
whether the filter is switched on instead of listening to the `enable` signal: a listener would wait for the
interpreter while libobs holds the signal's lock.

libobs itself delays a source's own sound by as much as the timestamps of its frames are moved. It leaves out
changes of less than 70 ms, and the first change of an offset that was 0 (`source_output_audio_data`): the
offset is first made a nanosecond longer, after which libobs places the sound anew. Standard library only.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.api import obs, text

logger = logging.getLogger(__name__)

CHOSEN = text("sync_audio")
RECORDS = text("sound_records")

_LOOK_S = 0.25  # also long enough for libobs to take in some sound between two changes
_MS = 1_000_000
_AUDIBLE_NS = 10 * _MS  # smaller changes of the delay are not worth placing the sound anew
_NUDGE_NS = 1
_DIRECT_NS = 2_000_000_000  # MAX_TS_VAR: timestamps so near to the clock are not moved with the picture

_Records = dict[str, tuple[int, int]]  # by the audio source's name: the user's own offset, and ours


@dataclass
class Listener:
    """What is known of one filter: its source in libobs, and where its delay is found."""

    source: int
    exchange: Exchange
    records: _Records = field(default_factory=dict)
    is_known: bool = False  # whether its records were read
    own_shift_ns: int = 0  # what libobs was last seen to move the parent's own sound by


@dataclass(frozen=True, slots=True)
class _Wish:
    """By how much one filter wants one audio source moved."""

    part_ns: int
    is_seen: bool


@dataclass
class _Held:
    """One audio source whose offset is not the user's own."""

    weak: int
    base_ns: int
    part_ns: int = 0
    nudge_ns: int = 0

    @property
    def set_ns(self) -> int:
        """What was set last."""
        return self.base_ns + self.part_ns + self.nudge_ns

    def part_for(self, wishes: list[_Wish]) -> int:
        """The longest delay of the filters that are seen; that of hidden ones changes nothing."""
        seen = [wish.part_ns for wish in wishes if wish.is_seen]
        hidden = self.part_ns or max((wish.part_ns for wish in wishes), default=0)
        return max(seen) if seen else hidden if wishes else 0


class Sound:
    """All filters of this process and the audio sources they move. `look` runs in the UI thread."""

    def __init__(self, functions: Callable[[], Any]) -> None:
        self._functions = functions
        self._listeners: dict[int, Listener] = {}  # replaced, never changed: a look goes on with the old one
        self._change = threading.Lock()  # while it is replaced; nothing is waited for inside
        self._held: dict[str, _Held] = {}
        # A filter may be destroyed, on a thread of its own, while the UI thread looks at it. Never taken by
        # the graphics thread, nor where libobs holds a lock.
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_asked = False

    # --- any thread ---

    def add(self, source: int, exchange: Exchange) -> None:
        """Begins to care for a filter."""
        with self._change:
            self._listeners = {**self._listeners, source: Listener(source, exchange)}

    def remove(self, source: int) -> None:
        """Forgets a filter that ends; sound that nobody else moves goes back at once. May be called twice."""
        with self._lock:
            gone = self._listeners.get(source)
            if gone is None:
                return
            with self._change:
                self._listeners = {key: kept for key, kept in self._listeners.items() if key != source}
            users = {name for listener in self._listeners.values() for name in listener.records}
            for name in [name for name in gone.records if name in self._held and name not in users]:
                self._give_back(name)

    # --- the UI thread ---

    def start(self) -> None:
        """Begins to look regularly, unless it does."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="face swap sound", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Gives every audio source its own offset back; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()
            with self._lock:
                self._settle({}, set())

    def look(self) -> None:
        """Brings the offsets in line with the delays."""
        with self._lock:
            self._is_asked = False
            if self._thread is not None:
                self._look()

    def _look(self) -> None:
        self._follow_names()
        for listener in self._listeners.values():
            self._know(listener)
        wishes: dict[str, list[_Wish]] = {}
        moved = self._moved_by_libobs()
        for listener in self._listeners.values():
            self._wish(listener, moved, wishes)
        self._settle(wishes, self._changed(moved))

    # --- its own thread ---

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            if self._listeners and not self._is_asked:
                self._is_asked = True
                self._functions().obs_queue_task(abi.OBS_TASK_UI, _look, None, False)

    # Records, and what a crash left.

    def _know(self, listener: Listener) -> None:
        """Reads a new filter's records and puts back what was not put back."""
        if not listener.is_known:
            listener.is_known = True
            listener.records = _parsed(self._read(listener, RECORDS))
        for name in [name for name in listener.records if name not in self._held]:
            with self._source(name) as source:
                if source:  # else it may come back, by the user's undo
                    self._make_good(source, *listener.records.pop(name))
                    self._write_records(listener)

    def _make_good(self, source: int, base_ns: int, set_ns: int) -> None:
        """An offset that is not the one that was set is the user's newer wish, or was put back."""
        if self._offset(source) == set_ns != base_ns:
            logger.info("The sync offset of “%s” is its own again", self._name(source))
            self._functions().obs_source_set_sync_offset(source, base_ns)

    def _write_records(self, listener: Listener) -> None:
        wanted = json.dumps(listener.records, sort_keys=True) if listener.records else ""
        with self._settings(listener) as settings:
            if (self._functions().obs_data_get_string(settings, RECORDS) or b"") != text(wanted):
                self._functions().obs_data_set_string(settings, RECORDS, text(wanted))

    def _note(self, name: str, held: _Held, source: int) -> None:
        """Writes down what is about to be set, with every filter that moves this sound."""
        for listener in self._listeners.values():
            if self._is_user(listener, name, source):
                listener.records[name] = (held.base_ns, held.set_ns)
                self._write_records(listener)
            else:
                self._forget(listener, name)

    def _is_user(self, listener: Listener, name: str, source: int) -> bool:
        """Whether a filter chose an audio source, or its own sound it is."""
        is_own = self._functions().obs_filter_get_parent(listener.source) == source
        return bool(is_own) or self._read(listener, CHOSEN) == name

    def _forget(self, listener: Listener, name: str) -> None:
        if listener.records.pop(name, None) is not None:
            self._write_records(listener)

    # What the filters want.

    def _moved_by_libobs(self) -> dict[int, int]:
        """By how much libobs moves the own sound of sources that have a filter, by source."""
        moved: dict[int, int] = {}
        for listener in self._listeners.values():
            parent = self._functions().obs_filter_get_parent(listener.source)
            if parent and self._moves_own_sound(listener, parent):
                moved[parent] = moved.get(parent, 0) + self._shift_ns(listener)
        return moved

    def _moves_own_sound(self, listener: Listener, parent: int) -> bool:
        """Whether libobs takes the times of a source's sound from its frames."""
        functions = self._functions()
        flags = functions.obs_source_get_output_flags(parent)
        if flags & abi.ASYNC_WITH_SOUND != abi.ASYNC_WITH_SOUND:
            return False
        if functions.obs_source_async_decoupled(parent) and functions.obs_source_async_unbuffered(parent):
            return False
        return not self._is_direct(listener.exchange)

    def _is_direct(self, exchange: Exchange) -> bool:
        """Whether the frames' timestamps are those of OBS's clock: then libobs leaves the sound alone."""
        slots, newest = exchange.slots, exchange.words[ex.INPUT_NEWEST]
        if slots is None or not newest:
            return False
        now_ns: int = self._functions().os_gettime_ns()
        stamp_ns: int = slots.metas[newest - 1].timestamp_ns
        return abs(stamp_ns - now_ns) < _DIRECT_NS

    def _shift_ns(self, listener: Listener) -> int:
        """The filter's steady delay; 0 while it is off or on no source."""
        functions = self._functions()
        if not functions.obs_source_enabled(listener.source):
            return 0
        if not functions.obs_filter_get_parent(listener.source):
            return 0
        return int(listener.exchange.words[ex.SHIFT_NS])

    def _wish(self, listener: Listener, moved: dict[int, int], wishes: dict[str, list[_Wish]]) -> None:
        shift_ns, name = self._shift_ns(listener), self._read(listener, CHOSEN)
        if not name or not shift_ns:
            return
        with self._source(name) as source:
            part_ns = max(0, shift_ns - moved.get(source, 0)) if source else 0
        if part_ns:
            rounded_ns = (part_ns + _MS // 2) // _MS * _MS  # OBS shows whole milliseconds
            is_seen = bool(listener.exchange.words[ex.SHOWING])
            wishes.setdefault(name, []).append(_Wish(rounded_ns, is_seen))

    def _changed(self, moved: dict[int, int]) -> set[str]:
        """The sources whose own sound libobs must place anew, because their frames' delay changed."""
        changed = set()
        for listener in self._listeners.values():
            parent = self._functions().obs_filter_get_parent(listener.source)
            shift_ns = moved.get(parent, 0) if parent else 0
            if parent and abs(shift_ns - listener.own_shift_ns) > _AUDIBLE_NS:
                listener.own_shift_ns = shift_ns
                changed.add(self._name(parent))
        return changed

    # What is done about it.

    def _settle(self, wishes: dict[str, list[_Wish]], changed: set[str]) -> None:
        for name in [name for name in self._held if name not in wishes and name not in changed]:
            self._give_back(name)
        for name in wishes.keys() | changed:
            self._move(name, wishes.get(name, []), name in changed)

    def _move(self, name: str, wishes: list[_Wish], is_changed: bool) -> None:
        """Sets the offset of one audio source, or prepares libobs for that."""
        with self._found(name) as source:
            if not source:
                return
            held = self._held.get(name) or self._hold(name, source)
            self._respect_user(source, held)
            part_ns = held.part_for(wishes)
            is_audible = abs(part_ns - held.part_ns) > _AUDIBLE_NS
            if held.nudge_ns:
                held.part_ns, held.nudge_ns = part_ns, 0
            elif is_changed or (is_audible and held.set_ns == 0):
                held.nudge_ns = _NUDGE_NS
            elif is_audible:
                held.part_ns = part_ns
            self._note(name, held, source)
            if self._offset(source) != held.set_ns:
                self._functions().obs_source_set_sync_offset(source, held.set_ns)

    def _hold(self, name: str, source: int) -> _Held:
        weak = self._functions().obs_source_get_weak_source(source)
        held = self._held[name] = _Held(weak, self._offset(source))
        return held

    def _respect_user(self, source: int, held: _Held) -> None:
        """Takes a change that was not ours as one of the user's own value."""
        held.base_ns += self._offset(source) - held.set_ns

    def _give_back(self, name: str) -> None:
        """Restores the user's own offset; the records of a source that is gone stay, it may come back."""
        held = self._held.pop(name)
        source = self._functions().obs_weak_source_get_source(held.weak)
        self._functions().obs_weak_source_release(held.weak)
        # A source the user removed comes back, if he undoes that, with the offset it had then.
        if source and not self._functions().obs_source_removed(source):
            self._respect_user(source, held)
            self._functions().obs_source_set_sync_offset(source, held.base_ns)
            for listener in self._listeners.values():
                self._forget(listener, name)
        self._release(source)

    def _follow_names(self) -> None:
        """An audio source that was renamed stays the chosen one."""
        for name in list(self._held):
            with self._found(name) as source:
                new = self._name(source) if source else ""
                is_gone = not source or self._functions().obs_source_removed(source)
            if is_gone:
                self._give_back(name)
            elif new != name:
                self._held[new] = self._held.pop(name)
                for listener in self._listeners.values():
                    self._rename(listener, name, new)

    def _rename(self, listener: Listener, name: str, new: str) -> None:
        if name in listener.records:
            listener.records[new] = listener.records.pop(name)
            self._write_records(listener)
        if self._read(listener, CHOSEN) == name:
            with self._settings(listener) as settings:
                self._functions().obs_data_set_string(settings, CHOSEN, text(new))
            self._functions().obs_source_update(listener.source, None)

    # libobs.

    @contextmanager
    def _source(self, name: str) -> Iterator[int | None]:
        """The source of a name while it is used; None without one."""
        source = self._functions().obs_get_source_by_name(text(name))
        try:
            yield None if source and self._functions().obs_source_removed(source) else source
        finally:
            self._release(source)

    @contextmanager
    def _found(self, name: str) -> Iterator[int | None]:
        """The audio source that is held under a name, or else the one of that name."""
        held = self._held.get(name)
        if held is None:
            source = self._functions().obs_get_source_by_name(text(name))
        else:
            source = self._functions().obs_weak_source_get_source(held.weak)
        try:
            yield source
        finally:
            self._release(source)

    def _release(self, source: int | None) -> None:
        if source:
            self._functions().obs_source_release(source)

    @contextmanager
    def _settings(self, listener: Listener) -> Iterator[int]:
        settings = self._functions().obs_source_get_settings(listener.source)
        try:
            yield settings
        finally:
            self._functions().obs_data_release(settings)

    def _read(self, listener: Listener, key: bytes) -> str:
        with self._settings(listener) as settings:
            return (self._functions().obs_data_get_string(settings, key) or b"").decode(errors="replace")

    def _offset(self, source: int) -> int:
        offset_ns: int = self._functions().obs_source_get_sync_offset(source)
        return offset_ns

    def _name(self, source: int) -> str:
        return (self._functions().obs_source_get_name(source) or b"").decode(errors="replace")


def _parsed(records: str) -> _Records:
    """Records as they were written; none where the text was edited by hand."""
    try:
        known = json.loads(records or "{}")
        return {str(name): (int(base_ns), int(set_ns)) for name, (base_ns, set_ns) in known.items()}
    except (ValueError, TypeError, AttributeError):
        logger.warning("What was noted of the sync offsets cannot be read (%s) and is ignored", records)
        return {}


SOUND = Sound(obs)


@abi.Task
def _look(_own: int | None) -> None:
    try:
        SOUND.look()
    except BaseException:  # libobs's border; the next look tries again
        logger.exception("The sound could not be looked after")
