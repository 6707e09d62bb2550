"""The place where OBS's graphics thread, the worker and the cover thread hand frames to each other.

Plain memory: one block of 64-bit words and a few slots, each holding one frame with its rows packed. Nobody
waits for anybody. Every word has exactly one writer:

* the graphics thread writes input slots and announces the newest one; the cover thread cover slots alike,
* a reader announces the slot it reads (its *hazard*) and looks again whether that slot is still the newest;
  a writer takes a slot that is neither the newest nor announced by a reader. With one more slot than can be
  newest, read and written at once a writer always finds one,
* the worker writes result slots. They are a ring: results wait there until they are due (`HOLD_NS`), for a
  steady delay. The graphics thread shows the newest one that is due and never goes back to an older one; so
  the worker may write again whatever is older than the one chosen last (`DUE`).

So nothing is ever read while it is written. Words are written after what they announce.

Slots are laid out for one geometry (format and size). When it changes, the graphics thread asks for a new
layout and covers the picture until another thread has made it.

The graphics thread's half is here in Python and in native/exchange.c; tests hold them to the same decisions.
Standard library only.
"""
# ruff: noqa: F405

import ctypes
import mmap
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live.block import *  # noqa: F403  # whoever has an exchange reads and writes its words
from obs_faceswap.engine.live.native import Library

INPUT_SLOTS = 4  # newest, read by the worker, read by the cover thread, written
RESULTS = 6  # result slots, unless the delay needs more: shown, newest, and some being written
COVER_SLOTS = 3

# What `choose` answers when it names no slot.
HIDE = -1  # nothing may be shown
RAW = -2  # the frame as it came
COVER = -3  # the caller makes the cover by itself

FREEZE_NS = 500_000_000  # how long the last result stands in for a missing one
COVER_AGE_NS = 100_000_000  # older covers show what is no longer there

_FREEZE_BLUR, _BLUR, _HIDE, _ORIGINAL = range(4)  # indices into settings.Cover; a test compares them

# Indices into types.Shown, which needs numpy; a test compares them.
KIND_SWAPPED = 0
KIND_FROZEN = 1
KIND_COVERED = 2
KIND_ORIGINAL = 3

_FORMATS = tuple(PixelFormat)


def key_of(pixel_format: PixelFormat, width: int, height: int) -> int:
    """One number for a geometry; never 0."""
    return (_FORMATS.index(pixel_format) + 1) << 48 | width << 24 | height


def geometry_of(key: int) -> tuple[PixelFormat, int, int]:
    """The format, width and height of a key."""
    return _FORMATS[(key >> 48) - 1], key >> 24 & 0xFFFFFF, key & 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Slots:
    """The memory for one geometry. Whoever holds it keeps its memory alive.

    Attributes:
        planes: (offset in the slot, bytes per row, rows) of each plane.
        results: how many result slots there are.
        addresses: where each slot starts; inputs first, then results, then covers.
        layout: the same for native code.
    """

    key: int
    format: PixelFormat
    width: int
    height: int
    planes: tuple[tuple[int, int, int], ...]
    results: int
    slot_bytes: int
    memory: mmap.mmap
    addresses: tuple[int, ...]
    metas: "ctypes.Array[Meta]"
    layout: Layout

    @property
    def result_range(self) -> range:
        """The indices of the result slots."""
        return range(FIRST_RESULT, FIRST_RESULT + self.results)

    @property
    def cover_range(self) -> range:
        """The indices of the cover slots; none where the graphics thread covers."""
        return range(FIRST_RESULT + self.results, len(self.addresses))

    def plane_views(self, index: int) -> list[memoryview]:
        """The planes of one slot as writable flat views."""
        start = index * self.slot_bytes
        whole = memoryview(self.memory)
        return [
            whole[start + offset : start + offset + stride * rows] for offset, stride, rows in self.planes
        ]


FIRST_RESULT = INPUT_SLOTS
_PAGE = 4096
_NAP_S = 0.002  # how often a sleeping worker looks for a frame where nothing can wake it,
_LONG_NAP_S = 0.1  # and while nobody sees the source


def allocate(key: int, with_covers: bool = True, results: int = RESULTS) -> Slots:
    """Memory for a geometry, every page of it touched. Slow: never on the graphics thread.

    Raises:
        MemoryError, OSError: there is not enough memory.
    """
    pixel_format, width, height = geometry_of(key)
    planes = []
    size = 0
    for stride, rows in plane_sizes(pixel_format, width, height):
        planes.append((size, stride, rows))
        size += stride * rows
    slot_bytes = -(-size // _PAGE) * _PAGE
    count = INPUT_SLOTS + results + (COVER_SLOTS if with_covers else 0)
    memory = mmap.mmap(-1, slot_bytes * count)
    start = ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
    ctypes.memset(start, 0, slot_bytes * count)
    addresses = tuple(start + index * slot_bytes for index in range(count))
    metas = (Meta * count)()
    layout = Layout(key, start, slot_bytes, ctypes.addressof(metas), results)
    layout.planes[: 3 * len(planes)] = [number for plane in planes for number in plane]
    return Slots(
        key, pixel_format, width, height, tuple(planes), results, slot_bytes, memory, addresses, metas, layout
    )


class Exchange:
    """The control block and the slots in use. See the module's text for who may write what.

    Attributes:
        makes_covers: whether the cover thread makes the cover; False where the graphics thread draws it.
            Set before the first frame.
        results: how many result slots the next layout has; another number asks for a new one. Worker only.
        failure: why there is no memory for the slots, or empty.
    """

    def __init__(
        self, makes_covers: bool = True, native: Library | None = None, address: int | None = None
    ) -> None:
        """Makes an exchange.

        Args:
            makes_covers: the attribute.
            native: the library, where its code is the graphics thread's half.
            address: of a block that is there already.
        """
        self.block = Block.from_address(address) if address else Block()
        self.words: ctypes.Array[ctypes.c_uint64] = self.block.words
        self.ring: ctypes.Array[ctypes.c_uint64] = self.block.ring
        self._native = native
        self._wakes = 0
        self.slots: Slots | None = None
        self.failure = ""
        self.makes_covers = makes_covers
        self.results = RESULTS
        self._offered_at_wait = 0
        self._woken = threading.Event()
        self._retired: list[Slots] = []

    @property
    def address(self) -> int:
        """The control block's."""
        return ctypes.addressof(self.block)

    # Any one thread that is neither the graphics thread nor the worker.

    def lay_out(self) -> bool:
        """Makes the slots the graphics thread and the worker ask for; whether there are any to use."""
        wanted, results, old = self.words[WANTED], self.results, self.slots
        # Native code may still have been in old slots when they were replaced.
        self._retired = [
            slots for slots in self._retired if ctypes.addressof(slots.layout) == self.words[LAYOUT_READ]
        ]
        if not wanted or (old is not None and wanted == old.key and results == old.results):
            return old is not None
        try:
            new = allocate(wanted, self.makes_covers, results)
        except (MemoryError, OSError) as error:
            self.failure = f"There is no memory for frames of this size ({error}). Use a smaller source."
            return False
        self.failure = ""
        if old is not None and old.key == wanted:
            self._carry_over(old, new)
        self._put_in_place(new)
        return True

    def _carry_over(self, old: Slots, new: Slots) -> None:
        """Copies the results that may still be shown, so that another number of slots is not seen."""
        ready = sorted((old.metas[index].ready, index) for index in old.result_range)
        waiting = [(number, index) for number, index in ready if number and number >= self.words[DUE]]
        for (number, source), target in zip(waiting, new.result_range, strict=False):
            ctypes.memmove(new.addresses[target], old.addresses[source], new.slot_bytes)
            new.metas[target] = old.metas[source]
            new.metas[target].ready = number

    def _put_in_place(self, slots: Slots) -> None:
        self.words[RESULT_NEWEST] = self.words[COVER_NEWEST] = 0  # their numbers mean other slots now
        old, self.slots = self.slots, slots
        self._fence()
        self.words[LAYOUT_AT] = ctypes.addressof(slots.layout)
        if old is not None:
            self._retired.append(old)

    def retire(self) -> None:
        """Takes the slots away, at the filter's end: libobs calls it no more."""
        self.words[SOURCE] = self.words[LAYOUT_AT] = self.words[WANTED] = 0
        self._retired.clear()
        self.slots = None

    def _fence(self) -> None:
        """Keeps what was written before it before what is written after it, where processors run apart.

        With both halves in Python the interpreter lock does that.
        """
        if self._native is not None:
            self._native.fence()

    # The graphics thread.

    def current(self, key: int) -> Slots | None:
        """The slots for frames of this geometry, or None (and asks for them) while there are none."""
        slots = self.slots
        if slots is not None and slots.key == key:
            return slots
        self.words[WANTED] = key
        return None

    def note_frame(self) -> None:
        """Counts a frame that came in while somebody watches."""
        self.words[FRAMES_IN] += self.words[SHOWING]

    def input_slot(self) -> int:
        """The index of an input slot nobody uses."""
        words = self.words
        used = (words[INPUT_NEWEST], words[INPUT_READ_WORKER], words[INPUT_READ_COVER])
        return next(index for index in range(INPUT_SLOTS) if index + 1 not in used)

    def offer(self, slots: Slots, index: int, now_ns: int) -> None:
        """Announces an input slot whose planes, color and timestamp are written."""
        words = self.words
        sequence = words[OFFERED] + 1
        slots.metas[index].sequence = sequence
        slots.metas[index].arrival_ns = now_ns
        words[INPUT_NEWEST] = index + 1
        words[OFFERED] = sequence

    def choose(self, slots: Slots, now_ns: int) -> int:
        """Decides what is shown in place of the frame just offered; `chosen` must follow.

        The newest result that is due, while the engine keeps up. Else what the policy says: the last result
        for half a second, then a young cover, then nothing. The frame goes out under *Show original*.

        Returns:
            The index of a slot (a result or a cover), or HIDE, RAW or COVER.
        """
        words = self.words
        due = self._due_result(slots, now_ns)
        result = due if due >= 0 and self._may_be_shown(slots.metas[due]) else -1
        if self._keeps_up(slots, due, now_ns) and result >= 0:
            words[STALLED_NS] = 0
            self._note_delay(slots.metas[result], now_ns)
            return self._shown(slots, result)
        if words[STALLED_NS] == 0 or not words[SHOWING]:
            words[STALLED_NS] = now_ns
        if words[POLICY] == _ORIGINAL:
            return self._count(KIND_ORIGINAL, RAW)
        words[COVER_WANTED_NS] = now_ns if words[SHOWING] else 0
        if result >= 0 and words[POLICY] == _FREEZE_BLUR and now_ns - words[STALLED_NS] < FREEZE_NS:
            return self._count(KIND_FROZEN, result)
        return self._count(KIND_COVERED, HIDE if words[POLICY] == _HIDE else self._young_cover(slots, now_ns))

    def chosen(self) -> None:
        """Says that the cover slot `choose` may have returned is no longer read."""
        self.words[COVER_READ] = 0

    def _due_result(self, slots: Slots, now_ns: int) -> int:
        """The index of the newest result that is due, never older than the one before; -1: none."""
        last, newest_ns = self.words[DUE], now_ns - self.words[HOLD_NS]
        found, number = -1, 0
        for index in slots.result_range:
            meta = slots.metas[index]
            ready = meta.ready
            if ready >= last and ready > number and (ready == last or meta.arrival_ns <= newest_ns):
                found, number = index, ready
        if found >= 0:
            self.words[DUE] = number
        return found

    def _keeps_up(self, slots: Slots, due: int, now_ns: int) -> bool:
        """Whether the engine keeps its promise: the due result is new, or no other one could be due."""
        words = self.words
        number = words[DUE]
        if number != words[DUE_SEEN] or number + 1 >= words[OFFERED] or self._follows(slots, due):
            words[DUE_SEEN] = number
            words[MOVED_NS] = now_ns
        return bool(words[BUDGET_NS]) and now_ns - words[MOVED_NS] <= words[BUDGET_NS]

    def _follows(self, slots: Slots, due: int) -> bool:
        """Whether the next result, which waits for its time, follows the due one without a gap."""
        if due < 0 or not self.words[HOLD_NS]:
            return False
        shown, number = slots.metas[due], self.words[DUE]
        waiting = [index for index in slots.result_range if slots.metas[index].ready > number]
        if not waiting:
            return False
        following = min((slots.metas[index] for index in waiting), key=lambda meta: int(meta.ready))
        gap_ns = following.arrival_ns - shown.arrival_ns
        return bool(following.ready == number + 1 or gap_ns <= self.words[BUDGET_NS])

    def _may_be_shown(self, meta: Meta) -> bool:
        """An original that an earlier policy let through is no longer one to show."""
        return bool(meta.kind != KIND_ORIGINAL or self.words[POLICY] == _ORIGINAL)

    def _young_cover(self, slots: Slots, now_ns: int) -> int:
        if not self.makes_covers:
            return COVER
        name = self._announce(COVER_NEWEST, COVER_READ)
        if name == 0 or now_ns - slots.metas[name - 1].arrival_ns > COVER_AGE_NS:
            return HIDE
        return name - 1

    def choose_without_slots(self) -> int:
        """As `choose`, while there is no memory for frames of this geometry or they cannot be swapped."""
        policy = self.words[POLICY]
        if policy == _ORIGINAL:
            return self._count(KIND_ORIGINAL, RAW)
        return self._count(KIND_COVERED, HIDE if policy == _HIDE or self.makes_covers else COVER)

    def _shown(self, slots: Slots, result: int) -> int:
        kind = int(slots.metas[result].kind)
        is_hidden = kind == KIND_COVERED and self.words[POLICY] == _HIDE
        return self._count(kind, HIDE if is_hidden else result)

    def _count(self, kind: int, choice: int) -> int:
        if self.words[SHOWING]:
            self.words[FRAMES_SHOWN + kind] += 1
        return choice

    def _note_delay(self, meta: Meta, now_ns: int) -> None:
        if meta.sequence != self.words[SHOWN]:
            self.words[SHOWN] = meta.sequence
            self.words[DELAY_NS] = now_ns - meta.arrival_ns

    def note_callback(self, nanoseconds: int) -> None:
        """Keeps how long a callback took."""
        count = self.words[CALLBACKS]
        self.ring[count % RING] = nanoseconds
        self.words[CALLBACKS] = count + 1

    # The worker and the cover thread.

    def take_input(self, hazard: int, seen: int) -> tuple[Slots, int] | None:
        """Announces and returns the newest input newer than number `seen`; `release` must follow.

        Args:
            hazard: INPUT_READ_WORKER or INPUT_READ_COVER.
            seen: the sequence number taken last.
        """
        slots = self.slots
        if slots is None or self.words[OFFERED] == seen:
            return None
        name = self._announce(INPUT_NEWEST, hazard)
        # The layout may have changed in between: then the announced name belongs to other slots.
        if name == 0 or self.slots is not slots or slots.metas[name - 1].sequence in (0, seen):
            self.release(hazard)
            return None
        return slots, name - 1

    def release(self, hazard: int) -> None:
        """Ends a reading."""
        self.words[hazard] = 0

    def _announce(self, newest: int, hazard: int) -> int:
        """Sets a hazard on the newest slot and returns its name, 0 when there is none."""
        words = self.words
        while True:
            name = words[newest]
            words[hazard] = name
            self._fence()
            if words[newest] == name:
                return int(name)

    def result_slot(self, besides: Collection[int] = (), slots: Slots | None = None) -> int | None:
        """The index of a result slot to write; not shown until it is published. Worker only.

        Args:
            besides: slots it was given before and has not published yet.
            slots: the ones `take_input` returned; None: those in use now.

        Returns:
            None while there are no slots, or each holds a result that is still to be shown.
        """
        slots = slots or self.slots
        if slots is None:
            return None
        due = self.words[DUE]
        for index in slots.result_range:
            ready = slots.metas[index].ready
            if (ready == 0 or ready < due) and index not in besides:
                slots.metas[index].ready = 0
                return index
        return None

    def cover_slot(self) -> int:
        """The index of a cover slot nobody uses. Cover thread only."""
        used = (self.words[COVER_NEWEST], self.words[COVER_READ])
        slots = self.slots
        return next(index for index in slots.cover_range if index + 1 not in used) if slots else -1

    def publish_result(self, slots: Slots, index: int) -> None:
        """Announces a finished frame whose planes and meta are written. Worker only."""
        self._fence()
        slots.metas[index].ready = slots.metas[index].sequence
        if self.slots is slots:
            self.words[RESULT_NEWEST] = index + 1
            self.words[DONE] = slots.metas[index].sequence

    def wait_for_input(self, timeout_s: float) -> bool:
        """Sleeps until a frame is offered that was not when it last returned, or `wake` is called.

        Worker only.

        Returns:
            Whether it was woken before the time was up.
        """
        if self._native is not None:
            seen = self._wakes
            self._wakes = self._native.wait(self.address, seen, int(timeout_s * 1e9))
            return self._wakes != seen
        until_s = time.monotonic() + timeout_s
        while self.words[OFFERED] == self._offered_at_wait and not self._woken.is_set():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            self._woken.wait(min(_NAP_S if self.words[SHOWING] else _LONG_NAP_S, left_s))
        self._offered_at_wait = self.words[OFFERED]
        self._woken.clear()
        return True

    def wake(self) -> None:
        """Ends `wait_for_input`, or the next one; from any thread."""
        self._woken.set()
        if self._native is not None:
            self._native.wake(self.address)

    def publish_cover(self, slots: Slots, index: int) -> None:
        """Announces a finished cover. Cover thread only."""
        if self.slots is slots:
            self.words[COVER_NEWEST] = index + 1

    def promise(self, budget_ns: int) -> None:
        """Says how soon the next result comes while there is input; 0 promises none. Worker only."""
        self.words[BUDGET_NS] = budget_ns

    def cover_is_wanted(self, now_ns: int, within_ns: int = 300_000_000) -> bool:
        """Whether the graphics thread lately had nothing better to show."""
        wanted = self.words[COVER_WANTED_NS]
        return wanted != 0 and now_ns - wanted < within_ns


def now_ns() -> int:
    """The clock of `arrival_ns` and of all words ending in _NS.

    Not time.monotonic_ns: on Windows that one counted in steps of 16 ms until Python 3.13.
    """
    return time.perf_counter_ns()
