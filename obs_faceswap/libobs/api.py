"""The functions of `abi` bound to the OBS of this process: `obs().obs_source_showing(source)`."""

import ctypes
import os
from ctypes import PYFUNCTYPE, c_int, c_size_t, c_void_p
from functools import cache
from typing import Any

from obs_faceswap.libobs import abi

# ctypes.memmove and memset give the interpreter lock away for each call and wait to get it back.
move = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_size_t)(ctypes.cast(ctypes.memmove, c_void_p).value or 0)
fill = PYFUNCTYPE(c_void_p, c_void_p, c_int, c_size_t)(ctypes.cast(ctypes.memset, c_void_p).value or 0)


class Functions:
    """Every function that `abi` declares, as an attribute of its name."""

    def __init__(self, library: str | None) -> None:
        """Binds them; raises OSError or AttributeError where they are not: outside OBS."""
        self._bind(ctypes.CDLL(library), abi.RELEASING)
        self._bind(ctypes.PyDLL(library), abi.HOLDING)

    def _bind(self, library: ctypes.CDLL, prototypes: dict[str, Any]) -> None:
        for name, (result, arguments) in prototypes.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in obs_faceswap/libobs/abi.py.")


@cache
def obs() -> Functions:
    """The OBS of this process. The executable brings libobs along; looking for a file may find another."""
    return Functions(None if os.name == "posix" else "obs.dll")


def text(value: str) -> bytes:
    """A text as libobs takes it; a zero byte would end it early."""
    return value.replace("\0", "").encode(errors="replace")
