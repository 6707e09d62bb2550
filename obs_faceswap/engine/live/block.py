"""The control block of one filter: what the exchange's two halves, Python and native code, both read.

No logic; native/block.h says the same, and a test compares them. Standard library only.
"""

import ctypes

# The control block's words, as native/block.h numbers them. A slot is named by its index plus one, so 0 means
# none.
LAYOUT_AT = 0  # address of the Layout in use
WANTED = 1  # key of the geometry of the frames that come in
OFFERED = 2  # sequence number of the newest input
INPUT_NEWEST = 3
INPUT_READ_WORKER = 4  # hazard
INPUT_READ_COVER = 5  # hazard
DONE = 6  # sequence number of the newest input that is finished
RESULT_NEWEST = 7
DUE = 8  # sequence number of the result the graphics thread chose last
BUDGET_NS = 9  # the worker's promise: how soon DONE will move while inputs come; 0 promises nothing
COVER_NEWEST = 10
COVER_READ = 11  # hazard of the graphics thread
COVER_WANTED_NS = 12  # when a cover was last wanted
POLICY = 13  # index of the chosen settings.Cover
SHOWING = 14  # whether anybody sees what the filter does
DUE_SEEN = 15  # graphics thread: DUE at its last look,
MOVED_NS = 16  # when the engine last kept up,
STALLED_NS = 17  # and since when no result has come in time; 0: results come
SHOWN = 18  # sequence number of the result shown last
DELAY_NS = 19  # from that frame's arrival to the moment it was first shown
CALLBACKS = 20
FRAMES_IN = 21
FRAMES_SHOWN = 22  # four words, by kind: swapped, frozen, covered, original
HOLD_NS = 26  # how old a frame is when its result is due; 0: at once
SHIFT_NS = 27  # the steady delay: so much earlier are the timestamps of the frames that go out
LAYOUT_READ = 28  # hazard of the graphics thread: the Layout it is in
WAKE = 29  # its low half counts how often sleepers were woken
SOURCE = 30  # libobs's address of the filter; 0: the filter is gone
PASSED = 31  # whether the picture OBS holds went through `filter_video`
UPDATES = 32  # how often the settings changed
PROBLEM = 33  # what the graphics thread found: a format's number plus 1, or PROBLEM_HDR; 0: nothing
TICKS = 34
WORDS = 48
NAME_BYTES = 256
_OWN_WORDS = 16
PROBLEM_HDR = 1 << 32
RING = 1024  # callback times kept: half a minute at 30 frames a second


class Color(ctypes.Structure):
    """How to read a frame's samples; laid out as in libobs's frame, so that one copy moves it."""

    _fields_ = (
        ("matrix", ctypes.c_float * 16),
        ("full_range", ctypes.c_bool),
        ("max_luminance", ctypes.c_uint16),
        ("range_min", ctypes.c_float * 3),
        ("range_max", ctypes.c_float * 3),
        ("flip", ctypes.c_bool),
        ("flags", ctypes.c_uint8),
        ("transfer", ctypes.c_uint8),
    )


class Meta(ctypes.Structure):
    """What is known of the frame in a slot."""

    _fields_ = (
        ("sequence", ctypes.c_uint64),
        ("arrival_ns", ctypes.c_uint64),  # on now_ns's clock
        ("timestamp_ns", ctypes.c_uint64),  # on the source's clock
        ("kind", ctypes.c_uint64),  # of a result: index of types.Shown
        ("ready", ctypes.c_uint64),  # of a result: its sequence number once it may be shown; else 0
        ("color", Color),
    )


class Layout(ctypes.Structure):
    """Where everything lies, for code that has no Slots; never changed once it is announced."""

    _fields_ = (
        ("key", ctypes.c_uint64),
        ("slots_at", ctypes.c_uint64),  # address of the first slot,
        ("slot_bytes", ctypes.c_uint64),  # and from there to the next
        ("metas_at", ctypes.c_uint64),
        ("results", ctypes.c_uint64),
        ("planes", ctypes.c_uint64 * 9),  # of up to three: offset in the slot, bytes per row, rows
    )


class Block(ctypes.Structure):
    """The control block of one filter. Native code knows a filter by its address."""

    _fields_ = (
        ("words", ctypes.c_uint64 * WORDS),
        ("ring", ctypes.c_uint64 * RING),
        ("name", ctypes.c_char * NAME_BYTES),  # of the filter's source
        ("own", ctypes.c_uint64 * _OWN_WORDS),  # native code's own
        ("next", ctypes.c_void_p),  # likewise
    )
