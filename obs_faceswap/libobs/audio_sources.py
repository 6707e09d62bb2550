"""OBS's audio sources by name, for the panel. Standard library only."""

import ctypes
from typing import Any

from obs_faceswap.libobs import abi

_ROOM = 64 * 1024  # bytes of names
_CHANNELS = range(1, 7)  # OBS's own: two of the desktop's sounds and four microphones


class _Names(ctypes.Structure):
    """struct names of native/sources.c."""

    _fields_ = (("used", ctypes.c_uint64), ("room", ctypes.c_uint64), ("text", ctypes.c_char * _ROOM))


def names(obs: Any, collect: int | None) -> list[str]:
    """The names of the audio sources, in alphabetical order.

    Args:
        obs: libobs's functions.
        collect: the address of the native `obs_faceswap_collect`. libobs calls it with its list of sources
            locked, where Python could wait for the interpreter for ever. None: only the sounds that are set
            in OBS's audio settings are found, which needs no callback.
    """
    return sorted(_all(obs, collect) if collect else _of_channels(obs), key=str.casefold)


def _all(obs: Any, collect: int) -> set[str]:
    found = _Names(0, _ROOM)
    obs.obs_enum_sources(collect, ctypes.addressof(found))
    used = ctypes.string_at(ctypes.addressof(found) + _Names.text.offset, found.used)
    return {name.decode(errors="replace") for name in used.split(b"\0") if name}


def _of_channels(obs: Any) -> set[str]:
    found = set()
    for channel in _CHANNELS:
        source = obs.obs_get_output_source(channel)
        if source:
            if obs.obs_source_get_output_flags(source) & abi.OBS_SOURCE_AUDIO:
                found.add((obs.obs_source_get_name(source) or b"").decode(errors="replace"))
            obs.obs_source_release(source)
    return found
