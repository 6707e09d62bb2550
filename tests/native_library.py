"""The native library for the tests: the shipped one, and one the machine's compiler makes of the sources."""

import ctypes
import importlib.util
import os
import shutil
from ctypes import c_void_p
from functools import cache
from pathlib import Path

import pytest

from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.live.native import Library
from obs_faceswap.libobs import abi

ROOT = Path(__file__).parents[1]
SHIPPED, COMPILED = "shipped", "compiled"


@cache
def builder():
    """native/build.py as a module."""
    spec = importlib.util.spec_from_file_location("build_native", ROOT / "native/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def library(which: str, folder: Path) -> Library:
    """The shipped library, or the one compiled into a folder; skips where there is none."""
    if which == COMPILED:
        if not shutil.which("gcc"):
            pytest.skip("There is no gcc on this machine.")
        path = folder / "compiled.so"
        builder().build_here(path, *os.environ.get("OBS_FACESWAP_TEST_CFLAGS", "").split())
        return Library(path)
    name = native.file_name()
    if name is None:
        pytest.skip("There is no native library for this system.")
    found = native.load(native.FOLDER / name)
    assert found.library is not None, found.reason
    return found.library


class Calls:
    """A filter's callbacks in the library, as libobs calls them."""

    def __init__(self, made: Library) -> None:
        self.create = _called(made, "create", c_void_p, c_void_p, c_void_p)
        self.update = _called(made, "update", None, c_void_p, c_void_p)
        self.video_tick = _called(made, "video_tick", None, c_void_p, ctypes.c_float)
        self.video_render = _called(made, "video_render", None, c_void_p, c_void_p)
        self.filter_video = _called(made, "filter_video", c_void_p, c_void_p, c_void_p)


def _called(made: Library, name: str, *prototype):
    return ctypes.CFUNCTYPE(*prototype)(made.address_of(name))


class _Pointed:
    """What a pointer from C points at, as ctypes.byref gives it to Python."""

    def __init__(self, pointer) -> None:
        self._obj = pointer.contents if pointer else None


def bind(made: Library, fake) -> list:
    """Puts a stand-in libobs (tests/fake_obs.py) under the library; what it returns must be kept alive."""
    prototypes = abi.RELEASING | abi.HOLDING
    kept = []
    for place, name in enumerate(made.needed()):
        kept.append(_callback(kept, fake, name, *prototypes[name]))
        made.bind(place, ctypes.cast(kept[-1], c_void_p).value)
    return kept


def _callback(kept: list, fake, name: str, result, arguments):
    def called(*values):
        given = [_Pointed(v) if isinstance(v, ctypes._Pointer) else v for v in values]
        returned = getattr(fake, name)(*given)
        if isinstance(returned, bytes):
            kept.append(ctypes.create_string_buffer(returned))
            return ctypes.addressof(kept[-1])
        return returned

    return ctypes.CFUNCTYPE(c_void_p if result is ctypes.c_char_p else result, *arguments)(called)


def native_exchange(made: Library) -> Exchange:
    """An exchange whose graphics thread's half is native, somebody watching."""
    return Exchange(makes_covers=False, native=made)
