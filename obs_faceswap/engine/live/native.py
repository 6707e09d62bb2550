"""The native library: what OBS's graphics thread runs in place of Python. Standard library only.

It is built from `native/` at the root of the repository and shipped for each system; it knows nothing of
Python, so one file serves every version of it. Where there is none, Python takes its place.
"""

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from ctypes import c_bool, c_char_p, c_double, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import NamedTuple

VARIABLE = "OBS_FACESWAP_NATIVE"  # "off": Python is used although the library is there
FOLDER = Path(__file__).resolve().parents[2] / "native"

_SYSTEMS = {"linux": ("linux", "so"), "win32": ("windows", "dll"), "darwin": ("macos", "dylib")}
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_CLOCKS_APART_NS = 1_000_000

# Called with the interpreter lock released: they may wait, or call into libobs.
_RELEASING = {
    "bench_loop": (None, (c_void_p, c_void_p, c_void_p, c_uint32, c_uint32, c_uint64, c_void_p)),
    "free": (None, (c_void_p,)),
    "merge": (c_bool, (c_void_p,)),
    "merge_doubled": (c_bool, (c_void_p,)),
    "wait": (c_uint32, (c_void_p, c_uint32, c_uint64)),
}
# Called with the interpreter lock held: a few instructions each.
_HOLDING = {
    "bind": (None, (c_uint32, c_void_p)),
    "births": (c_void_p, ()),
    "clock": (c_uint64, ()),
    "default_number": (c_bool, (c_char_p, c_double)),
    "default_text": (c_bool, (c_char_p, c_char_p)),
    "ended_by": (None, (c_void_p,)),
    "fence": (None, ()),
    "function": (c_char_p, (c_uint32,)),
    "newborn": (c_void_p, ()),
    "no_defaults": (None, ()),
    "sources": (c_char_p, ()),
    "wake": (None, (c_void_p,)),
}
# What libobs calls; named here so that a library without them is refused.
CALLBACKS = (
    "get_name", "get_defaults", "create", "destroy", "update", "video_tick", "video_render", "filter_video",
)  # fmt: skip
_PREFIX = "obs_faceswap_"


class Library:
    """The library's functions; an OSError or AttributeError where the file is not one.

    Attributes:
        path: where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._releasing, self._holding = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
        for library, functions in ((self._releasing, _RELEASING), (self._holding, _HOLDING)):
            for name, (result, arguments) in functions.items():
                function = getattr(library, _PREFIX + name)
                function.restype, function.argtypes = result, arguments
        for name in CALLBACKS:
            self.address_of(name)

    def address_of(self, name: str) -> int:
        """Where one of its functions lies, for libobs or for `bench_loop`."""
        return ctypes.cast(getattr(self._releasing, _PREFIX + name), c_void_p).value or 0

    @property
    def sources(self) -> str:
        """The hash of what it was built from, as native/build.py makes it."""
        return str(self._holding.obs_faceswap_sources().decode())

    def clock_ns(self) -> int:
        """Its clock, which must be exchange.now_ns."""
        return int(self._holding.obs_faceswap_clock())

    def fence(self) -> None:
        """Orders the loads and stores before it and after it, as seen from other processors."""
        self._holding.obs_faceswap_fence()

    # Sleeping.

    def wait(self, block: int, seen: int, timeout_ns: int) -> int:
        """Sleeps until a block was woken since `seen`; how often it was woken then."""
        return int(self._releasing.obs_faceswap_wait(block, seen, timeout_ns))

    def wake(self, block: int) -> None:
        """Wakes whoever sleeps on a block."""
        self._holding.obs_faceswap_wake(block)

    # Set-up, before the type is registered.

    def needed(self) -> Iterator[str]:
        """The names of the libobs functions it calls, in the order `bind` counts them."""
        place = 0
        while name := self._holding.obs_faceswap_function(place):
            yield name.decode()
            place += 1

    def bind(self, place: int, address: int) -> None:
        """Tells it where a function of libobs lies."""
        self._holding.obs_faceswap_bind(place, address)

    def declare(self, defaults: dict[str, float | str]) -> None:
        """Tells it the settings' defaults.

        Raises:
            ValueError: there are too many, or one is too long.
        """
        self._holding.obs_faceswap_no_defaults()
        for key, value in defaults.items():
            if isinstance(value, str):
                is_kept = self._holding.obs_faceswap_default_text(key.encode(), value.encode())
            else:
                is_kept = self._holding.obs_faceswap_default_number(key.encode(), value)
            if not is_kept:
                raise ValueError(f"The native library has no room for the default of “{key}”.")

    # The filters' lives.

    @property
    def births(self) -> int:
        """The block that is woken when libobs made a filter."""
        return int(self._holding.obs_faceswap_births())

    def newborn(self) -> int:
        """A filter libobs made that was not asked for before; 0: none. By one thread at a time."""
        return self._holding.obs_faceswap_newborn() or 0

    def ended_by(self, destroy: int | None) -> None:
        """Has a function of Python's end filters, given by its address; None: Python ends."""
        self._holding.obs_faceswap_ended_by(destroy)

    def free(self, block: int) -> None:
        """Frees a filter's objects of the GPU; inside the graphics context."""
        self._releasing.obs_faceswap_free(block)

    def merge(self, merge: int, is_half: bool) -> bool:
        """Blends a layer into a frame, see `finish.native_blend`; whether any of its weights is more than 0.

        Args:
            merge: the address of a struct merge.
            is_half: the layer is half as fine as luma.
        """
        blend = self._releasing.obs_faceswap_merge_doubled if is_half else self._releasing.obs_faceswap_merge
        return bool(blend(merge))

    def bench_loop(
        self, call: int, data: int, frames: list[int], calls: int, period_ns: int
    ) -> "ctypes.Array[c_uint64]":
        """Calls a filter_video at a steady rate from native code, this thread giving the interpreter away.

        Args:
            call: its address.
            data: what it gets first; a filter's block.
            frames: addresses of `abi.SourceFrame`s, used in turn.
            calls: how many.
            period_ns: from the start of one call to the next; 0 makes no pause.

        Returns:
            How long each call took, in nanoseconds.
        """
        took_ns = (c_uint64 * calls)()
        addresses = (c_void_p * len(frames))(*frames)
        self._releasing.obs_faceswap_bench_loop(
            call, data, addresses, len(frames), calls, period_ns, ctypes.addressof(took_ns)
        )
        return took_ns


class Bare(ctypes.Structure):
    """The data of the callback `bare_copies`: slots that every plane is copied to and back from, in turn."""

    _fields_ = (("memory", c_void_p), ("slot_bytes", c_uint64), ("slots", c_uint64), ("turn", c_uint64))


class Found(NamedTuple):
    """What there is to use.

    Attributes:
        library: None where Python takes its place.
        reason: why it does, as a sentence; empty with a library.
    """

    library: Library | None
    reason: str = ""


def file_name() -> str | None:
    """The library's file for this process; None for a system it is not built for."""
    system, ending = _SYSTEMS.get(sys.platform, ("", ""))
    machine = _MACHINES.get(_machine().lower(), "")
    is_known = system and machine and sys.maxsize > 2**32 and (system, machine) != ("windows", "aarch64")
    return f"obs_faceswap-{system}-{machine}.{ending}" if is_known else None


def _machine() -> str:
    # The platform module would run a program on some systems, and OBS is waiting.
    return os.environ.get("PROCESSOR_ARCHITECTURE", "") if os.name == "nt" else os.uname().machine


@cache
def find() -> Found:
    """The library for this process, looked for once."""
    if os.environ.get(VARIABLE, "") == "off":
        return Found(None, f"The environment variable {VARIABLE} turns the native library off.")
    name = file_name()
    if name is None:
        return Found(
            None, f"There is no native library for {sys.platform} on {_machine() or 'this machine'}."
        )
    return load(FOLDER / name)


def load(path: Path) -> Found:
    """Loads a library and looks whether it can be used."""
    if not path.is_file():
        return Found(None, f"The native library is missing: {path}")
    try:
        library = Library(path)
    except (OSError, AttributeError) as error:
        return Found(None, f"The native library {path.name} cannot be loaded: {error}")
    if abs(library.clock_ns() - time.perf_counter_ns()) > _CLOCKS_APART_NS:
        return Found(None, "The native library reads another clock than this Python does.")
    return Found(library)
