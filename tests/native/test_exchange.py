"""The native half of the exchange decides what the Python one decides, and leaves the same bytes."""

import ctypes
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_library import COMPILED, SHIPPED, Calls, library, native_exchange

from obs_faceswap.engine.formats import LAYOUTS, PixelFormat, plane_sizes
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.cover import cover_into
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.planes import blank, copy_in, copy_out

NUMBERS = {pixel_format: number for number, pixel_format in abi.VIDEO_FORMATS.items()}
SIZES = [(64, 36), (65, 37), (2, 2), (1, 1)]
MS = 1_000_000


@pytest.fixture(params=[SHIPPED, COMPILED], scope="module")
def made(request, tmp_path_factory):
    return library(request.param, tmp_path_factory.getbasetemp())


def frame_of(pixel_format, width, height, value=None, padding=0, seed=0):
    """(a libobs frame, its planes with `padding` bytes after each row); noise where no value is given."""
    random = np.random.default_rng(seed)
    planes = []
    frame = abi.SourceFrame(width=width, height=height, format=NUMBERS[pixel_format], timestamp=10**12)
    for number, (stride, rows) in enumerate(plane_sizes(pixel_format, width, height)):
        shape = (rows, stride + padding)
        noise = random.integers(0, 256, shape, np.uint8)
        planes.append(noise if value is None else np.full(shape, value, np.uint8))
        frame.data[number], frame.linesize[number] = planes[-1].ctypes.data, stride + padding
    return frame, planes


def python_pass(exchange, frame, now):
    """What libobs/python_path.py does with a frame, the cover made at once."""
    exchange.note_frame()
    pixel_format = abi.VIDEO_FORMATS.get(frame.format)
    slots = exchange.current(key_of(pixel_format, frame.width, frame.height))
    if slots is None:
        choice = exchange.choose_without_slots()
    else:
        if exchange.words[ex.SHOWING]:
            index = exchange.input_slot()
            copy_in(frame, slots, index)
            exchange.offer(slots, index, now)
        choice = exchange.choose(slots, now)
        if choice >= 0:
            copy_out(slots, choice, frame)
        exchange.chosen()
    if choice == ex.HIDE:
        blank(frame, pixel_format)
    elif choice == ex.COVER:
        cover_frame(frame, pixel_format)
    frame.timestamp = max(frame.timestamp - exchange.words[ex.SHIFT_NS], 0)


def cover_frame(frame, pixel_format):
    planes = [
        np.ctypeslib.as_array((ctypes.c_ubyte * (frame.linesize[n] * rows)).from_address(frame.data[n]))
        for n, (_, rows) in enumerate(plane_sizes(pixel_format, frame.width, frame.height))
    ]
    packed = []
    for plane, (stride, rows) in zip(
        planes, plane_sizes(pixel_format, frame.width, frame.height), strict=True
    ):
        packed.append(np.ascontiguousarray(plane.reshape(rows, -1)[:, :stride]))
    cover_into(packed, pixel_format, frame.width, frame.height)
    for plane, covered in zip(planes, packed, strict=True):
        plane.reshape(covered.shape[0], -1)[:, : covered.shape[1]] = covered


COMPARED = (
    "WANTED", "OFFERED", "DONE", "DUE", "SHOWN", "CALLBACKS", "FRAMES_IN", "POLICY", "SHOWING",
)  # fmt: skip


def told(exchange):
    counts = list(exchange.words[ex.FRAMES_SHOWN : ex.FRAMES_SHOWN + 4])
    return {name: exchange.words[getattr(ex, name)] for name in COMPARED} | {"counts": counts}


# --- one frame ---


@pytest.mark.parametrize("padding", [0, 32])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_what_goes_in_comes_out(made, pixel_format, size, padding):
    """The input slot holds the frame packed, with its color; a result goes back into the padded rows."""
    exchange, calls = native_exchange(made), Calls(made)
    exchange.words[ex.SHOWING] = 1
    frame, planes = frame_of(pixel_format, *size, padding=padding)
    frame.color_matrix[:] = range(16)
    frame.color_range_max[:] = (1, 2, 3)
    frame.full_range, frame.flip, frame.trc = True, True, 2
    calls.filter_video(exchange.address, ctypes.addressof(frame))
    assert exchange.words[ex.WANTED] == key_of(pixel_format, *size)
    exchange.lay_out()
    frame, planes = frame_of(pixel_format, *size, padding=padding)
    frame.color_matrix[:] = range(16)
    frame.color_range_max[:] = (1, 2, 3)
    frame.full_range, frame.flip, frame.trc = True, True, 2
    before = [plane.copy() for plane in planes]
    calls.filter_video(exchange.address, ctypes.addressof(frame))
    slots, index = exchange.take_input(ex.INPUT_READ_WORKER, 0)
    meta, sizes = slots.metas[index], plane_sizes(pixel_format, *size)
    for view, old, (stride, rows) in zip(slots.plane_views(index), before, sizes, strict=True):
        np.testing.assert_array_equal(np.frombuffer(view, np.uint8).reshape(rows, stride), old[:, :stride])
    assert (meta.timestamp_ns, meta.color.full_range, meta.color.flip) == (10**12, True, True)
    assert list(meta.color.matrix) == list(range(16))
    assert (list(meta.color.range_max), meta.color.transfer) == ([1, 2, 3], 2)
    target = exchange.result_slot()
    slots.metas[target] = meta
    for view in slots.plane_views(target):
        view[:] = b"\x4e" * len(view)
    exchange.release(ex.INPUT_READ_WORKER)
    exchange.promise(10**12)
    exchange.publish_result(slots, target)
    calls.filter_video(exchange.address, ctypes.addressof(frame))
    for plane, (stride, _) in zip(planes, sizes, strict=True):
        assert set(plane[:, :stride].ravel().tolist()) == {0x4E}


@pytest.mark.parametrize("padding", [0, 17])
@pytest.mark.parametrize("policy", [ex._BLUR, ex._HIDE, ex._ORIGINAL])
@pytest.mark.parametrize("size", [*SIZES, (1279, 719), (360, 640), (8, 2000), (5000, 3)])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_covered_hidden_and_raw_frames_are_python_s(made, pixel_format, size, policy, padding):
    exchange = native_exchange(made)
    exchange.words[ex.POLICY] = policy
    frame, planes = frame_of(pixel_format, *size, padding=padding)
    other, expected = frame_of(pixel_format, *size, padding=padding)
    Calls(made).filter_video(exchange.address, ctypes.addressof(frame))
    if policy == ex._BLUR:
        cover_frame(other, pixel_format)
    elif policy == ex._HIDE:
        blank(other, pixel_format)
    for plane, wanted in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, wanted)


def test_a_frame_of_8k_is_covered_as_python_covers_it(made):
    frame, planes = frame_of(PixelFormat.BGRA, 7680, 64)
    other, expected = frame_of(PixelFormat.BGRA, 7680, 64)
    exchange = native_exchange(made)
    Calls(made).filter_video(exchange.address, ctypes.addressof(frame))
    cover_frame(other, PixelFormat.BGRA)
    np.testing.assert_array_equal(planes[0], expected[0])


@pytest.mark.parametrize("number", [0, 13, 14, 17, 18, 19, 20, 21, 22, 25, 31, 32, 1000, -1])
def test_unknown_formats_are_hidden_and_said(made, number):
    exchange = native_exchange(made)
    frames = [frame_of(PixelFormat.I444, 64, 36, value=77) for _ in range(2)]
    for frame, _ in frames:
        frame.format = number
    (frame, planes), (other, expected) = frames
    Calls(made).filter_video(exchange.address, ctypes.addressof(frame))
    blank(other, None)
    for plane, wanted in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, wanted)
    assert set(planes[0].ravel().tolist()) == {0}
    assert exchange.words[ex.PROBLEM] == (number & 0xFFFFFFFF) + 1


# --- sequences of frames ---

steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(0, 255)),
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("finish"), st.sampled_from([0, 2, 3])),
        st.tuples(st.just("policy"), st.integers(0, 3)),
        st.tuples(st.just("showing"), st.integers(0, 1)),
        st.tuples(st.just("promise"), st.sampled_from([0, 10**13])),
        st.tuples(st.just("hold"), st.sampled_from([0, 0, 10**13])),
        st.tuples(st.just("shift"), st.sampled_from([0, 40 * MS, 10**13])),
        st.tuples(st.just("results"), st.integers(1, 7)),
        st.tuples(st.just("size"), st.integers(0, 2)),
    ),
    max_size=60,
)


class Side:
    """One exchange, with a worker that a test drives."""

    def __init__(self, exchange, show):
        self.exchange, self.show = exchange, show
        self.exchange.words[ex.SHOWING] = 1
        self.size, self.held, self.seen = (16, 8), None, 0
        self.planes = []

    def do(self, step, value):
        getattr(self, f"_{step}")(value)

    def _frame(self, value):
        frame, self.planes = frame_of(PixelFormat.NV12, *self.size, seed=value)
        self.show(self.exchange, frame)
        self.exchange.lay_out()
        self.planes.append(frame.timestamp)

    def _take(self, _):
        taken = self.exchange.take_input(ex.INPUT_READ_WORKER, self.seen)
        target = self.exchange.result_slot(slots=taken[0]) if taken else None
        if taken is None or target is None:
            self.exchange.release(ex.INPUT_READ_WORKER)
            return
        slots, index = taken
        ctypes.memmove(slots.addresses[target], slots.addresses[index], slots.slot_bytes)
        slots.metas[target] = slots.metas[index]
        slots.plane_views(target)[0][:2] = b"\x01\x02"
        self.held, self.seen = (slots, target), int(slots.metas[target].sequence)
        self.exchange.release(ex.INPUT_READ_WORKER)

    def _finish(self, kind):
        if self.held is not None:
            slots, target = self.held
            slots.metas[target].kind = kind
            self.exchange.publish_result(slots, target)
            self.held = None

    def _policy(self, value):
        self.exchange.words[ex.POLICY] = value

    def _showing(self, value):
        self.exchange.words[ex.SHOWING] = value

    def _promise(self, value):
        self.exchange.promise(value)

    def _hold(self, value):
        self.exchange.words[ex.HOLD_NS] = value

    def _shift(self, value):
        self.exchange.words[ex.SHIFT_NS] = value

    def _results(self, value):
        self.exchange.results = value

    def _size(self, value):
        self.size = [(16, 8), (17, 9), (4, 30)][value]


def show_in_python(exchange, frame):
    python_pass(exchange, frame, now_ns())
    exchange.note_callback(0)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_both_halves_decide_alike(made, sequence):
    calls = Calls(made)

    def show_natively(exchange, frame):
        calls.filter_video(exchange.address, ctypes.addressof(frame))

    sides = [Side(Exchange(makes_covers=False), show_in_python), Side(native_exchange(made), show_natively)]
    for step, value in sequence:
        for side in sides:
            side.do(step, value)
        assert told(sides[0].exchange) == told(sides[1].exchange)
        for one, other in zip(sides[0].planes, sides[1].planes, strict=True):
            np.testing.assert_array_equal(one, other)


def test_results_are_held_until_they_are_due(made):
    """The native half reads a real clock: a hold of 10 s shows nothing yet, one of 0 the newest."""
    exchange, calls = native_exchange(made), Calls(made)
    side = Side(exchange, lambda e, frame: calls.filter_video(e.address, ctypes.addressof(frame)))
    for step in (("frame", 1), ("promise", 10**12), ("hold", 10**10)):
        side.do(*step)
    for value in range(4):
        for step in (("frame", value), ("take", 0), ("finish", 0)):
            side.do(*step)
    assert exchange.words[ex.DUE] == 0
    side.do("hold", 0)
    side.do("frame", 9)
    assert exchange.words[ex.DUE] == 4
    assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED] == 1


# --- threads ---


def test_no_frame_is_torn_between_native_and_python(made):
    """Frames of one value each, at full speed, while layouts come and go: all are whole on either side."""
    exchange = native_exchange(made)
    exchange.words[ex.SHOWING] = 1
    exchange.promise(10**12)
    frames = [frame_of(PixelFormat.Y800, 128, 64, value=value) for value in range(7)]
    frames += [frame_of(PixelFormat.Y800, 64, 128, value=value) for value in range(7)]
    torn, stop, finished = [], threading.Event(), []

    def work():
        seen = 0
        while not stop.is_set():
            exchange.wait_for_input(0.01)
            taken = exchange.take_input(ex.INPUT_READ_WORKER, seen)
            target = exchange.result_slot(slots=taken[0]) if taken else None
            if target is not None:
                slots, index = taken
                content = bytes(slots.plane_views(index)[0])
                torn.extend([content] if len(set(content)) > 1 else [])
                slots.plane_views(target)[0][:] = content
                slots.metas[target] = slots.metas[index]
                seen = slots.metas[target].sequence
                exchange.publish_result(slots, target)
                finished.append(1)
            exchange.release(ex.INPUT_READ_WORKER)

    def keep():
        while not stop.is_set():
            exchange.lay_out()
            exchange.results = 3 + len(finished) % 4

    threads = [threading.Thread(target=work), threading.Thread(target=keep)]
    for thread in threads:
        thread.start()
    for number in range(40):
        which = frames[:7] if number % 8 else frames[7:]
        for _ in range(20):
            made.bench_loop(
                made.address_of("filter_video"), exchange.address,
                [ctypes.addressof(frame) for frame, _ in which], 7, 200_000,
            )  # fmt: skip
            torn.extend(plane for _, planes in which for plane in planes if np.ptp(plane) > 0)
    stop.set()
    for thread in threads:
        thread.join()
    assert not torn
    assert len(finished) > 20


def test_a_sleeping_worker_is_woken_by_a_native_frame(made):
    exchange = native_exchange(made)
    exchange.words[ex.SHOWING] = 1
    frame, _ = frame_of(PixelFormat.Y800, 64, 36)
    arguments = (made.address_of("filter_video"), exchange.address, [ctypes.addressof(frame)])
    made.bench_loop(*arguments, 1, 0)
    exchange.lay_out()
    woken = []
    waiting = threading.Thread(target=lambda: woken.append(exchange.wait_for_input(60)))
    waiting.start()
    made.bench_loop(*arguments, 1, 0)
    waiting.join()
    assert woken == [True]
    assert not exchange.wait_for_input(0.001)


def test_a_sleeping_worker_can_be_woken(made):
    exchange = native_exchange(made)
    threading.Timer(0.02, exchange.wake).start()
    assert exchange.wait_for_input(60)
    assert not exchange.wait_for_input(0.001)


def test_every_format_s_planes_are_those_of_the_engine():
    assert [NUMBERS[pixel_format] for pixel_format in PixelFormat] == list(range(1, len(LAYOUTS) + 1))
