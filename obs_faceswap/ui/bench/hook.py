"""What OBS calls with each frame of a source, without OBS: native code, or the Python in its place."""

import ctypes
from dataclasses import dataclass

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import native
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.engine.types import Frame
from obs_faceswap.libobs import abi, planes

_NUMBERS = {name: number for number, name in abi.VIDEO_FORMATS.items()}


@dataclass(frozen=True, slots=True)
class Hook:
    """A filter_video.

    Attributes:
        call: its address.
        data: what it gets first.
        kept: what has to live as long.
    """

    call: int
    data: int
    kept: tuple[object, ...]

    def show(self, frame: Frame) -> None:
        """Calls it as OBS does, without the interpreter's lock."""
        source = source_frame(frame.format, frame.width, frame.height)
        for number, plane in enumerate(frame.planes):
            source.data[number], source.linesize[number] = plane.ctypes.data, plane.shape[1]
        source.timestamp = frame.timestamp_ns
        abi.FilterVideo(self.call)(self.data, ctypes.addressof(source))


def hook_of(exchange: Exchange, library: native.Library | None) -> Hook:
    """The graphics thread's half of an exchange."""
    if library is not None:
        return Hook(library.address_of("filter_video"), exchange.address, (exchange,))
    return _python(exchange)


def bare_copies(library: native.Library, slot_bytes: int, slots: int) -> Hook:
    """What any filter has to pay: every plane copied to a slot, and back from the one before."""
    memory = ctypes.create_string_buffer(slot_bytes * slots)
    bare = native.Bare(ctypes.addressof(memory), slot_bytes, slots, 0)
    return Hook(library.address_of("bare_copies"), ctypes.addressof(bare), (memory, bare))


def _python(exchange: Exchange) -> Hook:
    def filter_video(_data: int, address: int) -> int:
        frame = abi.SourceFrame.from_address(address)
        slots = exchange.current(ex.key_of(abi.VIDEO_FORMATS[frame.format], frame.width, frame.height))
        exchange.note_frame()
        if slots is not None:
            now_ns = ex.now_ns()
            index = exchange.input_slot()
            planes.copy_in(frame, slots, index)
            exchange.offer(slots, index, now_ns)
            choice = exchange.choose(slots, now_ns)
            if choice >= 0:
                planes.copy_out(slots, choice, frame)
            exchange.chosen()
        return address

    pointer = abi.FilterVideo(filter_video)
    return Hook(ctypes.cast(pointer, ctypes.c_void_p).value or 0, 0, (exchange, pointer))


def source_frame(pixel_format: PixelFormat, width: int, height: int) -> abi.SourceFrame:
    """libobs's frame, without planes yet."""
    return abi.SourceFrame(width=width, height=height, format=_NUMBERS[pixel_format])
