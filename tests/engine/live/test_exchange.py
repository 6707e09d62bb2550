"""The exchange hands frames over without a lock, and never lets one out that is not finished."""

import ctypes
import threading
import weakref

import numpy as np
import pytest

from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange, allocate, geometry_of, key_of
from obs_faceswap.engine.settings import Cover
from obs_faceswap.engine.types import Shown

KEY = key_of(PixelFormat.I420, 64, 36)
MS = 1_000_000
START = 5_000 * MS
BUDGET = 250 * MS
POLICIES = list(Cover)


def ready(policy=Cover.FREEZE_BLUR, key=KEY, makes_covers=True):
    """An exchange with slots, somebody watching."""
    exchange = Exchange(makes_covers)
    exchange.words[ex.POLICY] = POLICIES.index(policy)
    exchange.words[ex.SHOWING] = 1
    exchange.current(key)
    exchange.lay_out()
    return exchange, exchange.current(key)


def fill(slots, index, value):
    for view in slots.plane_views(index):
        view[:] = bytes([value % 256]) * len(view)


def offer(exchange, slots, now, value=1):
    """What the graphics thread does with a frame; returns the slot it wrote."""
    index = exchange.input_slot()
    fill(slots, index, value)
    exchange.offer(slots, index, now)
    return index


def finish(exchange, slots, kind=ex.KIND_SWAPPED):
    """What the worker does with the newest frame; returns the slot it wrote."""
    _, index = exchange.take_input(ex.INPUT_READ_WORKER, 0)
    target = exchange.result_slot()
    slots.metas[target] = slots.metas[index]
    slots.metas[target].kind = kind
    exchange.release(ex.INPUT_READ_WORKER)
    exchange.promise(BUDGET)
    exchange.publish_result(slots, target)
    return target


def cover(exchange, slots, arrival):
    target = exchange.cover_slot()
    slots.metas[target].arrival_ns = arrival
    exchange.publish_cover(slots, target)
    return target


def show(exchange, slots, now):
    """One frame of the graphics thread: what it decides."""
    offer(exchange, slots, now)
    choice = exchange.choose(slots, now)
    exchange.chosen()
    return choice


# --- memory ---


@pytest.mark.parametrize("pixel_format", PixelFormat)
@pytest.mark.parametrize("size", [(640, 360), (641, 361), (1, 1)])
def test_slots_hold_packed_planes_and_do_not_overlap(pixel_format, size):
    slots = allocate(key_of(pixel_format, *size))
    sizes = plane_sizes(pixel_format, *size)
    for index in range(len(slots.addresses)):
        views = slots.plane_views(index)
        assert [len(view) for view in views] == [stride * rows for stride, rows in sizes]
        for plane, view in enumerate(views):
            assert set(view) <= {0}
            view[:] = bytes([10 * index + plane + 1]) * len(view)
            assert (
                np.frombuffer(view, np.uint8).ctypes.data == slots.addresses[index] + slots.planes[plane][0]
            )
    for index in range(len(slots.addresses)):
        for plane, view in enumerate(slots.plane_views(index)):
            assert set(view) == {10 * index + plane + 1}


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_key_holds_the_geometry(pixel_format):
    assert geometry_of(key_of(pixel_format, 7680, 4320)) == (pixel_format, 7680, 4320)


def test_the_slots_are_made_by_another_thread_on_request():
    exchange = Exchange()
    assert exchange.current(KEY) is None
    assert exchange.lay_out()
    assert exchange.current(KEY).key == KEY


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_the_control_block_alone_tells_where_everything_lies(pixel_format):
    exchange, slots = ready(key=key_of(pixel_format, 64, 36))
    offer(exchange, slots, START, value=5)
    block = ex.Block.from_address(exchange.address)
    index = block.words[ex.INPUT_NEWEST] - 1
    layout = ex.Layout.from_address(block.words[ex.LAYOUT_AT])
    assert (layout.key, layout.results) == (key_of(pixel_format, 64, 36), ex.RESULTS)
    meta = ex.Meta.from_address(layout.metas_at + index * ctypes.sizeof(ex.Meta))
    assert meta.arrival_ns == START
    slot = layout.slots_at + index * layout.slot_bytes
    for plane in range(len(slots.planes)):
        offset, stride, rows = layout.planes[3 * plane : 3 * plane + 3]
        assert (stride, rows) == plane_sizes(pixel_format, 64, 36)[plane]
        assert set(ctypes.string_at(slot + offset, stride * rows)) == {5}


def test_slots_in_use_outlive_a_new_layout():
    """Native code that is inside them keeps them; once it left they go."""
    exchange, slots = ready()
    exchange.words[ex.LAYOUT_READ] = ctypes.addressof(slots.layout)
    memory = weakref.ref(slots.metas)
    exchange.words[ex.WANTED] = key_of(PixelFormat.NV12, 128, 72)
    exchange.lay_out()
    del slots
    for _ in range(3):
        exchange.lay_out()
    assert memory() is not None
    exchange.words[ex.LAYOUT_READ] = 0
    exchange.lay_out()
    assert memory() is None


def test_a_new_geometry_forgets_the_old_frames():
    exchange, slots = ready()
    show(exchange, slots, START)
    finish(exchange, slots)
    cover(exchange, slots, START)
    other = key_of(PixelFormat.NV12, 128, 72)
    assert exchange.current(other) is None
    exchange.lay_out()
    new = exchange.current(other)
    assert (new.format, new.width, new.height) == (PixelFormat.NV12, 128, 72)
    assert show(exchange, new, START + 10 * MS) == ex.HIDE


def test_a_result_for_the_old_geometry_is_not_published():
    exchange, slots = ready()
    show(exchange, slots, START)
    exchange.current(key_of(PixelFormat.NV12, 128, 72))
    exchange.lay_out()
    exchange.publish_result(slots, ex.FIRST_RESULT)
    exchange.publish_cover(slots, slots.cover_range[0])
    assert exchange.words[ex.RESULT_NEWEST] == exchange.words[ex.COVER_NEWEST] == exchange.words[ex.DONE] == 0


def test_no_memory_is_said(monkeypatch):
    def fail(*_):
        raise MemoryError("no")

    monkeypatch.setattr(ex, "allocate", fail)
    exchange = Exchange()
    exchange.current(KEY)
    assert not exchange.lay_out()
    assert "memory" in exchange.failure
    assert exchange.current(KEY) is None


# --- hand-over ---


def test_the_newest_frame_only_and_each_once():
    exchange, slots = ready()
    for number in range(5):
        offer(exchange, slots, START + number, value=number)
    taken, index = exchange.take_input(ex.INPUT_READ_WORKER, 0)
    assert taken is slots
    assert slots.metas[index].sequence == 5
    assert slots.plane_views(index)[0][0] == 4
    assert exchange.take_input(ex.INPUT_READ_COVER, 5) is None


def test_a_slot_that_is_read_is_not_written():
    exchange, slots = ready()
    offer(exchange, slots, START)
    _, worker = exchange.take_input(ex.INPUT_READ_WORKER, 0)
    offer(exchange, slots, START)
    _, covering = exchange.take_input(ex.INPUT_READ_COVER, 0)
    written = {offer(exchange, slots, START) for _ in range(20)}
    assert not written & {worker, covering}
    exchange.release(ex.INPUT_READ_WORKER)
    assert worker in {offer(exchange, slots, START) for _ in range(20)}


def test_a_result_that_is_shown_is_not_written():
    exchange, slots = ready()
    show(exchange, slots, START)
    shown = finish(exchange, slots)
    written = set()
    for number in range(1, 9):
        assert show(exchange, slots, START + number) == shown
        written.add(shown := finish(exchange, slots))
    assert written <= set(slots.result_range)
    assert len(written) > 1


def test_results_that_wait_are_not_written():
    """Without anybody to show them they fill the ring; what was chosen last is kept as well."""
    exchange, slots = ready()
    for number in range(ex.RESULTS):
        offer(exchange, slots, START + number)
        finish(exchange, slots)
    assert exchange.result_slot() is None
    newest = exchange.words[ex.RESULT_NEWEST] - 1
    assert exchange.choose(slots, START + 10) == newest
    free = {exchange.result_slot() for _ in range(3)}
    assert free < set(slots.result_range) - {newest}


def test_slots_that_are_being_written_can_be_named():
    exchange, slots = ready()
    held = []
    for _ in slots.result_range:
        held.append(exchange.result_slot(besides=held))
    assert sorted(held) == list(slots.result_range)
    assert exchange.result_slot(besides=held) is None


def test_a_result_is_not_shown_while_its_slot_is_written():
    exchange, slots = ready(Cover.BLUR)
    show(exchange, slots, START)
    _, index = exchange.take_input(ex.INPUT_READ_WORKER, 0)
    target = exchange.result_slot()
    slots.metas[target] = slots.metas[index]  # its number is there, its picture is not
    exchange.release(ex.INPUT_READ_WORKER)
    exchange.promise(BUDGET)
    assert show(exchange, slots, START + MS) == ex.HIDE


def test_no_frame_is_torn():
    """A writer and two readers at full speed: whatever is read is one frame from end to end."""
    exchange, slots = ready(key=key_of(PixelFormat.Y800, 64, 64))
    torn, seen, stop = [], [0, 0], threading.Event()

    def read(number, hazard):
        last = 0
        while not stop.is_set():
            taken = exchange.take_input(hazard, last)
            if taken is not None:
                content = bytes(slots.plane_views(taken[1])[0])
                last = slots.metas[taken[1]].sequence
                torn.extend([content] if len(set(content)) > 1 else [])
                exchange.release(hazard)
                seen[number] += 1

    hazards = (ex.INPUT_READ_WORKER, ex.INPUT_READ_COVER)
    readers = [threading.Thread(target=read, args=pair) for pair in enumerate(hazards)]
    for reader in readers:
        reader.start()
    number = 0
    while min(seen) < 50:
        number += 1
        offer(exchange, slots, START, value=number)
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn


# --- the ring ---


def test_results_are_shown_when_they_are_due():
    """A hold of 100 ms at 33 ms a frame: each is shown once, in its order, when it is so old."""
    exchange, slots = ready()
    exchange.words[ex.HOLD_NS] = 100 * MS
    shown = []
    for number in range(30):
        now = START + number * 33 * MS
        choice = show(exchange, slots, now)
        if choice in slots.result_range:
            shown.append(slots.metas[choice].sequence)
            assert exchange.words[ex.DELAY_NS] == 4 * 33 * MS
        finish(exchange, slots)
    assert shown == list(range(1, 27))
    assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED] == 26


def test_a_longer_hold_never_goes_back():
    exchange, slots = ready()
    shown = []
    for number in range(12):
        exchange.words[ex.HOLD_NS] = 0 if number < 6 else 66 * MS
        choice = show(exchange, slots, START + number * 33 * MS)
        shown += [slots.metas[choice].sequence] if choice >= 0 else []
        finish(exchange, slots)
    assert shown == sorted(shown)
    assert shown[-1] == 10  # of 12 offered, two frames behind


def test_held_results_bridge_a_pause_of_the_engine():
    exchange, slots = ready(Cover.BLUR)
    exchange.words[ex.HOLD_NS] = 150 * MS
    for number in range(10):
        show(exchange, slots, START + number * 33 * MS)
        finish(exchange, slots)
    end = START + 9 * 33 * MS
    kinds = [show(exchange, slots, end + n * 33 * MS) in slots.result_range for n in range(1, 40)]
    in_time = (150 * MS + BUDGET) // (33 * MS)
    assert all(kinds[:in_time])
    assert not any(kinds[in_time + 2 :])


def test_after_a_stall_the_old_result_does_not_come_back():
    """The engine works again, but what it finished is not due yet: still covered."""
    exchange, slots = ready(Cover.BLUR)
    exchange.words[ex.HOLD_NS] = 100 * MS
    for number in range(10):
        show(exchange, slots, START + number * 33 * MS)
        finish(exchange, slots)
    later = [START + 10_000 * MS + number * 33 * MS for number in range(40)]
    for now in later[:20]:
        assert show(exchange, slots, now) not in slots.result_range or now < later[10]
    choices = []
    for now in later[20:30]:
        choices.append(show(exchange, slots, now))
        finish(exchange, slots)
    assert choices[:4] == [ex.HIDE] * 4
    assert all(choice in slots.result_range for choice in choices[4:])


def test_a_slow_source_with_a_hold_is_no_stalled_engine():
    exchange, slots = ready()
    exchange.words[ex.HOLD_NS] = 2500 * MS
    shown = []
    for number in range(8):
        shown.append(show(exchange, slots, START + number * 2000 * MS))
        finish(exchange, slots)
    assert all(choice in slots.result_range for choice in shown[2:])


def test_another_number_of_results_keeps_those_that_wait():
    exchange, slots = ready()
    exchange.words[ex.HOLD_NS] = 60 * MS
    for number in range(5):
        show(exchange, slots, START + number * 33 * MS)
        finish(exchange, slots)
    for index in slots.result_range:
        fill(slots, index, slots.metas[index].ready)
    exchange.results = 12
    assert exchange.lay_out()
    wider = exchange.current(KEY)
    assert wider is not slots
    assert len(wider.result_range) == 12
    shown = []
    for number in range(5, 10):
        choice = show(exchange, wider, START + number * 33 * MS)
        shown.append(wider.metas[choice].sequence)
        if shown[-1] <= 5:  # finished before the change
            assert set(wider.plane_views(choice)[0]) == {shown[-1]}
        finish(exchange, wider)
    assert shown == [4, 5, 6, 7, 8]


def test_when_there_is_no_memory_for_more_results_the_old_ones_stay(monkeypatch):
    exchange, slots = ready()
    monkeypatch.setattr(ex, "allocate", lambda *_: (_ for _ in ()).throw(MemoryError("no")))
    exchange.results = 300
    assert not exchange.lay_out()
    assert "memory" in exchange.failure
    assert exchange.current(KEY) is slots


# --- waiting ---


def test_a_sleeping_worker_is_woken_by_a_frame():
    exchange, slots = ready()
    threading.Timer(0.02, offer, (exchange, slots, START)).start()
    assert exchange.wait_for_input(20)
    assert not exchange.wait_for_input(0.01)
    offer(exchange, slots, START)
    assert exchange.wait_for_input(0)


def test_a_sleeping_worker_can_be_woken():
    exchange = Exchange()
    threading.Timer(0.02, exchange.wake).start()
    assert exchange.wait_for_input(20)
    assert not exchange.wait_for_input(0.01)


# --- what is shown ---


def test_kinds_and_policies_are_those_of_the_engine():
    kinds = (ex.KIND_SWAPPED, ex.KIND_FROZEN, ex.KIND_COVERED, ex.KIND_ORIGINAL)
    assert [list(Shown)[kind] for kind in kinds] == [
        Shown.SWAPPED,
        Shown.FROZEN,
        Shown.COVERED,
        Shown.ORIGINAL,
    ]
    numbers = (ex._FREEZE_BLUR, ex._BLUR, ex._HIDE, ex._ORIGINAL)
    assert [POLICIES[number] for number in numbers] == [
        Cover.FREEZE_BLUR, Cover.BLUR, Cover.HIDE, Cover.ORIGINAL,
    ]  # fmt: skip


@pytest.mark.parametrize("policy", [Cover.FREEZE_BLUR, Cover.BLUR])
def test_before_the_first_result_the_cover_is_shown_or_nothing(policy):
    exchange, slots = ready(policy)
    assert show(exchange, slots, START) == ex.HIDE
    covered = cover(exchange, slots, START)
    assert show(exchange, slots, START + 99 * MS) == covered
    assert show(exchange, slots, START + 101 * MS) == ex.HIDE
    assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_COVERED] == 3


def test_hide_shows_nothing_even_where_there_is_a_cover():
    exchange, slots = ready(Cover.HIDE)
    cover(exchange, slots, START)
    assert show(exchange, slots, START) == ex.HIDE


def test_hide_shows_nothing_for_a_covered_result():
    exchange, slots = ready(Cover.HIDE)
    show(exchange, slots, START)
    finish(exchange, slots, ex.KIND_COVERED)
    assert show(exchange, slots, START) == ex.HIDE


def test_the_frame_itself_goes_out_under_show_original_alone():
    for policy in Cover:
        exchange, slots = ready(policy)
        choices = {show(exchange, slots, START + n * 40 * MS) for n in range(50)}
        assert (ex.RAW in choices) == (policy is Cover.ORIGINAL)
        assert (exchange.choose_without_slots() == ex.RAW) == (policy is Cover.ORIGINAL)
        assert bool(exchange.words[ex.FRAMES_SHOWN + ex.KIND_ORIGINAL]) == (policy is Cover.ORIGINAL)


def test_results_are_shown_while_they_come():
    exchange, slots = ready()
    show(exchange, slots, START)
    for number in range(1, 20):
        target = finish(exchange, slots)
        now = START + number * 33 * MS
        assert show(exchange, slots, now) == target
        assert exchange.words[ex.DELAY_NS] == 33 * MS
    assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED] == 19


def test_a_slow_source_is_no_stalled_engine():
    """One frame every two seconds, each finished at once."""
    exchange, slots = ready()
    show(exchange, slots, START)
    for number in range(1, 5):
        target = finish(exchange, slots)
        assert show(exchange, slots, START + number * 2000 * MS) == target


def stalled(policy, kind=ex.KIND_SWAPPED):
    """One result, then frames every 10 ms without another: (its slot, covers, [(what is shown, ms)])."""
    exchange, slots = ready(policy)
    show(exchange, slots, START)
    target = finish(exchange, slots, kind)
    choices = []
    for ms in range(0, 1500, 10):
        cover(exchange, slots, START + ms * MS)
        choices.append((show(exchange, slots, START + ms * MS), ms))
    return target, slots.cover_range, choices


def test_a_stalled_engine_freezes_for_half_a_second_and_is_covered_then():
    target, covers, choices = stalled(Cover.FREEZE_BLUR)
    kept = [ms for choice, ms in choices if choice == target]
    assert max(kept) == pytest.approx((BUDGET + ex.FREEZE_NS) / MS, abs=20)
    assert kept == list(range(0, max(kept) + 10, 10))
    assert all(choice in covers for choice, ms in choices if ms > max(kept))


@pytest.mark.parametrize("policy", [Cover.BLUR, Cover.HIDE, Cover.ORIGINAL])
def test_a_stalled_engine_does_not_freeze_elsewhere(policy):
    target, covers, choices = stalled(policy)
    kept = [ms for choice, ms in choices if choice == target]
    assert max(kept) == pytest.approx(BUDGET / MS, abs=20)
    after = {choice for choice, ms in choices if ms > max(kept)}
    if policy is Cover.BLUR:
        assert after <= set(covers)
    else:
        assert after == {ex.HIDE if policy is Cover.HIDE else ex.RAW}


def test_without_a_promise_a_result_is_only_frozen():
    exchange, slots = ready()
    show(exchange, slots, START)
    target = finish(exchange, slots)
    exchange.promise(0)
    assert show(exchange, slots, START + 10 * MS) == target
    assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_FROZEN] == 1
    assert show(exchange, slots, START + 520 * MS) == ex.HIDE


def test_an_engine_that_comes_back_is_shown_at_once():
    exchange, slots = ready()
    show(exchange, slots, START)
    finish(exchange, slots)
    assert show(exchange, slots, START + 3000 * MS) >= ex.FIRST_RESULT
    for ms in range(3100, 5000, 100):
        show(exchange, slots, START + ms * MS)
    target = finish(exchange, slots)
    assert show(exchange, slots, START + 5000 * MS) == target
    assert exchange.words[ex.STALLED_NS] == 0


def test_an_original_of_an_earlier_policy_is_not_shown():
    exchange, slots = ready(Cover.ORIGINAL)
    show(exchange, slots, START)
    target = finish(exchange, slots, ex.KIND_ORIGINAL)
    assert show(exchange, slots, START + MS) == target
    exchange.words[ex.POLICY] = POLICIES.index(Cover.FREEZE_BLUR)
    assert show(exchange, slots, START + 2 * MS) == ex.HIDE


def test_while_nobody_watches_no_cover_is_asked_for():
    exchange, slots = ready()
    show(exchange, slots, START)
    assert exchange.cover_is_wanted(START)
    exchange.words[ex.SHOWING] = 0
    show(exchange, slots, START + MS)
    assert not exchange.cover_is_wanted(START + MS)


def test_frames_nobody_sees_are_not_counted():
    exchange, slots = ready()
    exchange.note_frame()
    show(exchange, slots, START)
    exchange.words[ex.SHOWING] = 0
    exchange.note_frame()
    show(exchange, slots, START)
    assert exchange.words[ex.FRAMES_IN] == 1
    assert sum(exchange.words[ex.FRAMES_SHOWN : ex.FRAMES_SHOWN + 4]) == 1


def test_a_cover_is_wanted_for_a_moment_only():
    exchange, slots = ready()
    show(exchange, slots, START)
    assert not exchange.cover_is_wanted(START + 1000 * MS)


def test_where_the_gpu_covers_it_is_told_to():
    exchange, slots = ready(makes_covers=False)
    assert show(exchange, slots, START) == ex.COVER
    assert exchange.choose_without_slots() == ex.COVER
    assert not slots.cover_range


def test_callback_times_are_kept_in_a_ring():
    exchange = Exchange()
    for number in range(ex.RING + 5):
        exchange.note_callback(number)
    assert list(exchange.ring[:6]) == [ex.RING, ex.RING + 1, ex.RING + 2, ex.RING + 3, ex.RING + 4, 5]
    assert exchange.words[ex.CALLBACKS] == ex.RING + 5
