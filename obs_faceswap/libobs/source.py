"""The filter's type in libobs: registered once per process, and the callbacks that find the right filter.

libobs keeps the callbacks' addresses until the process ends, whatever becomes of the script. Native code
stays where it is; the callbacks in Python live in this module, which a script's reload does not touch, and do
nothing but look up a filter by its handle.

What libobs calls on the graphics thread, with a lock held, or when the interpreter may have ended, is native:
Python would wait there for the interpreter, which may be held by a script that waits for that lock. Without
the native library it is Python nevertheless.

OBS waits while this module is imported, so it imports what the registration needs; a thread brings the rest.
"""

import atexit
import ctypes
import gc
import sys
import threading
from typing import TYPE_CHECKING, cast

from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.block import SOURCE, Block
from obs_faceswap.engine.live.native import Library
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.api import obs
from obs_faceswap.libobs.border import COMPLAINTS, guarded
from obs_faceswap.libobs.nursery import Nursery, prepare

if TYPE_CHECKING:
    from obs_faceswap.libobs.filter import Filter
    from obs_faceswap.libobs.python_path import PythonPath

ID = b"obs_faceswap"
NAME = b"Face Swap"

# How long a thread may keep the interpreter while another one, an engine or OBS itself, waits for it.
_SWITCH_S = 0.0005

# libobs keeps these two pointers.
_ID = ctypes.create_string_buffer(ID)
_NAME = ctypes.create_string_buffer(NAME)


class FilterType:
    """All filters of this process, by the handle libobs knows them by, and whether the script is loaded."""

    def __init__(self) -> None:
        self._filters: dict[int, Filter] = {}
        self._library: Library | None = None
        self._is_told = False  # how frames pass
        self._nursery: Nursery | None = None
        self._is_loaded = False
        self._usual_switch_s = sys.getswitchinterval()
        self._lock = threading.Lock()  # between a filter's beginning and its end

    def load(self) -> None:
        """Registers the type, or enables it again and starts the engines of the filters that are alive."""
        if not obs().obs_get_source_output_flags(ID):
            self._register()
        obs().obs_enable_source_type(ID, True)
        self._is_loaded = True
        for found in list(self._filters.values()):
            found.start_engine()
        if self._library is not None:
            self._close_nursery()
            self._nursery = Nursery(self._library, self._begin, self.adopt)
            self._nursery.start()
        else:
            self._begin()

    def _begin(self) -> None:
        """What OBS need not wait for."""
        from obs_faceswap.libobs import log
        from obs_faceswap.libobs.sound import SOUND

        log.install(obs())
        if not self._is_told:
            self._is_told = True
            log.tell_how_frames_pass(native.find())
        SOUND.start()

    def _register(self) -> None:
        found = native.find()
        self._library = found.library
        if found.library is not None:
            prepare(found.library, obs())
            found.library.ended_by(ctypes.cast(_destroy, ctypes.c_void_p).value)
            atexit.register(self._end_all)
        info = info_for(found.library)
        obs().obs_register_source_s(ctypes.addressof(info), abi.SOURCE_INFO_BYTES)
        if not obs().obs_get_source_output_flags(ID):
            raise RuntimeError("OBS did not accept the filter. See the lines above this one in its log.")

    def unload(self) -> None:
        """Stops all engines; the filters that are alive cover their pictures from now on."""
        from obs_faceswap.libobs.sound import SOUND

        self._close_nursery()
        SOUND.stop()
        self._is_loaded = False
        obs().obs_enable_source_type(ID, False)
        living = list(self._filters.values())
        for found in living:
            found.ask_to_stop()  # all at once, then wait for each
        for found in living:
            found.stop_engine()
        # Networks and large arrays must be gone before the interpreter ends.
        gc.collect()

    def _close_nursery(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.close()

    @property
    def collect(self) -> int | None:
        """The address of the native function that names OBS's audio sources; None without the library."""
        return self._library.address_of("collect") if self._library is not None else None

    def find(self, handle: int | None) -> "Filter | None":
        """The filter of a handle; None for a type's own properties or a filter that is gone."""
        return self._filters.get(handle or 0)

    def create(self, settings: int, source: int) -> int:
        """Makes a filter and returns its handle, never 0: libobs would show the picture as it is."""
        from obs_faceswap.libobs import filter as filters

        with self._lock:
            return self._keep(filters.python_filter(obs(), settings, source))

    def adopt(self, handle: int) -> None:
        """Gives a filter that native code made what it needs of Python, unless it has ended meanwhile."""
        from obs_faceswap.libobs import filter as filters

        with self._lock:
            if self._library is not None and Block.from_address(handle).words[SOURCE]:
                self._keep(filters.native_filter(obs(), self._library, handle))

    def _keep(self, made: "Filter") -> int:
        sys.setswitchinterval(min(_SWITCH_S, self._usual_switch_s))
        self._filters[made.handle] = made
        if self._is_loaded:
            made.start_engine()
        return made.handle

    def destroy(self, handle: int) -> None:
        """Ends a filter."""
        with self._lock:
            found = self._filters.pop(handle, None)
            if self._library is not None:
                Block.from_address(handle).words[SOURCE] = 0  # whoever adopts it now finds it gone
        if found is not None:
            found.close()
        elif self._library is not None:
            self._end_unseen(self._library, handle)
        if not self._filters:
            sys.setswitchinterval(self._usual_switch_s)

    def _end_all(self) -> None:
        """Ends the filters that somebody still holds: libobs destroys them when Python has ended."""
        for handle in list(self._filters):
            self.destroy(handle)
        if self._library is not None:
            self._library.ended_by(None)

    def _end_unseen(self, library: Library, handle: int) -> None:
        from obs_faceswap.libobs import filter as filters

        filters.end_unseen(obs(), library, handle)


TYPE = FilterType()


_NO_FILTER = (1 << 31) - 1  # the handle of a filter that could not be made: it hides the picture


@abi.GetName
@guarded(None)
def _get_name(_type_data: int) -> int:
    return ctypes.addressof(_NAME)


@abi.GetDefaults
@guarded(None)
def _get_defaults(settings: int) -> None:
    from obs_faceswap.libobs import stored

    stored.set_defaults(obs(), settings)


@abi.Create
@guarded(_NO_FILTER)
def _create(settings: int, source: int) -> int:
    return TYPE.create(settings, source)


@abi.Destroy
@guarded(None)
def _destroy(handle: int) -> None:
    TYPE.destroy(handle)


def _path(handle: int) -> "PythonPath | None":
    found = TYPE.find(handle)
    return cast("PythonPath", found.path) if found else None


@abi.Update
@guarded(None)
def _update(handle: int, settings: int) -> None:
    if path := _path(handle):
        path.update(settings)


@abi.VideoTick
@guarded(None)
def _video_tick(handle: int, _seconds: float) -> None:
    if path := _path(handle):
        path.tick()


@abi.VideoRender
@guarded(None)
def _video_render(handle: int, _effect: int) -> None:
    if path := _path(handle):
        path.render()


def _filter_video(handle: int, frame: int) -> int:
    # Not guarded from outside: the frame has to be returned, whatever happens.
    try:
        if path := _path(handle):
            path.filter_video(frame)
        else:
            from obs_faceswap.libobs.planes import hide

            hide(frame)
    except BaseException as error:  # noqa: BLE001  # libobs's border
        COMPLAINTS.log("filter_video", error)
    return frame


@abi.GetProperties
@guarded(None)
def _get_properties(handle: int | None) -> int:
    from obs_faceswap.libobs import properties

    return properties.build(handle)


# What the native library takes over, and what stands in its place.
_REPLACED = {
    "get_name": _get_name,
    "get_defaults": _get_defaults,
    "create": _create,
    "destroy": _destroy,
    "update": _update,
    "video_tick": _video_tick,
    "video_render": _video_render,
    "filter_video": abi.FilterVideo(_filter_video),
}


def info_for(library: Library | None) -> abi.SourceInfo:
    """What is registered; without a library all of it is Python."""
    info = abi.SourceInfo(
        id=ctypes.cast(_ID, ctypes.c_char_p),
        type=abi.OBS_SOURCE_TYPE_FILTER,
        output_flags=abi.OBS_SOURCE_VIDEO,
        get_properties=_get_properties,
        unversioned_id=ctypes.addressof(_ID),
        **_REPLACED,
    )
    if library is not None:
        for name, callback in _REPLACED.items():
            setattr(info, name, type(callback)(library.address_of(name)))
    return info
