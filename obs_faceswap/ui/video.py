"""Runs every frame of a video through a function and writes the result, sound and timing kept."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.types import ColorSpace, Frame, Plane
from obs_faceswap.ui.output import replacing, write_error

logger = logging.getLogger(__name__)

# Visually lossless settings of each container's usual encoder: (encoder, options).
_H264 = ("libx264", {"crf": "17", "preset": "veryfast"})
_VP9 = ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"})
ENCODERS = {".mp4": _H264, ".m4v": _H264, ".mov": _H264, ".mkv": _H264, ".avi": _H264, ".webm": _VP9}
_OPUS_ENCODER = "libopus"  # FFmpeg's own “opus” is experimental

_LEAST_READ = 0.9  # of the stated duration; the rest is a last packet of unknown length, or a subtitle

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
# AVColorSpace -> (Kr, Kb), ITU-T H.273 table 4
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
                 7: (0.212, 0.087), 9: (0.2627, 0.0593)}  # fmt: skip
_BT709, _BT601 = 1, 6
_NANOSECONDS = 1_000_000_000

OnFrame: TypeAlias = Callable[[Frame], None]
OnProgress: TypeAlias = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class _Picture:
    """What all frames of the output have in common, from the first frame of the input."""

    width: int  # upright, even
    height: int
    rotation: int  # quarter turns counterclockwise that bring a decoded frame upright
    colorspace: int
    full_range: bool
    color: ColorSpace
    primaries: int
    transfer: int
    aspect: Fraction | None


def process_video(source: Path, target: Path, on_frame: OnFrame, on_progress: OnProgress) -> int:
    """Writes `source` to `target` with every frame changed in place by `on_frame`; returns their number.

    Frames come as I420 (whatever the file holds), upright, with the file's colour matrix, and keep
    their timestamps. Sound is copied, or re-encoded where the container does not take it.
    `on_progress` gets the frames done and the expected total, if known. Odd sizes lose one row or column.
    Raises MediaError; `target` is then as it was before.
    """
    with replacing(target) as partial, _reading(source) as reader:
        picture = _first_picture(source)
        with _writing(target, partial) as writer:
            return _Copy(source, reader, writer, picture, target.suffix.lower()).run(on_frame, on_progress)


def check_video_target(target: Path) -> None:
    """Raises MediaError where `target`'s ending is none of a video this command can write."""
    if target.suffix.lower() not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise MediaError(f"{target.name} does not end like a video. Choose one of {known}.")


@contextmanager
def _reading(source: Path) -> Iterator[Any]:
    with _read_errors(source):
        reader = av.open(str(source))
    with reader:
        yield reader


@contextmanager
def _read_errors(source: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{source} does not exist. Check the path.") from error
    except av.FFmpegError as error:
        raise MediaError(
            f"{source} cannot be read as a video, or is damaged: {error.strerror}. Try another copy of it."
        ) from error


@contextmanager
def _writing(target: Path, partial: Path) -> Iterator[Any]:
    try:
        with av.open(str(partial), "w") as writer:
            yield writer
    except av.FFmpegError as error:
        raise write_error(target, OSError(error.errno, error.strerror)) from error


def _first_picture(source: Path) -> _Picture:
    with _reading(source) as reader:
        stream = _video_stream(reader, source)
        with _read_errors(source):
            for frame in reader.decode(stream):
                return _picture_of(frame, stream.sample_aspect_ratio)
    raise MediaError(f"{source} has no frame that can be decoded.")


def _video_stream(reader: Any, source: Path) -> Any:
    stream = reader.streams.best("video")
    if stream is None:
        raise MediaError(f"{source} has no picture in it. Give a video or a picture.")
    stream.thread_type = "AUTO"
    return stream


def _picture_of(frame: av.VideoFrame, aspect: Fraction | None) -> _Picture:
    quarter_turns = round(frame.rotation / 90) % 4
    size = (frame.width, frame.height)
    width, height = reversed(size) if quarter_turns % 2 else size
    if aspect and quarter_turns % 2:
        aspect = 1 / aspect
    is_yuv = not frame.format.is_rgb
    full_range = is_yuv and (frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj"))
    known = is_yuv and frame.colorspace in _LUMA_WEIGHTS
    colorspace = frame.colorspace if known else _BT709 if frame.height >= 720 else _BT601
    return _Picture(
        width & ~1, height & ~1, quarter_turns, colorspace, full_range, color_space(colorspace, full_range),
        frame.color_primaries, frame.color_trc, aspect,
    )  # fmt: skip


def color_space(colorspace: int, full_range: bool) -> ColorSpace:
    """The conversion of an AVColorSpace number, as libobs would state it."""
    red, blue = _LUMA_WEIGHTS[colorspace]
    green = 1.0 - red - blue
    black, luma, chroma = (0.0, 1.0, 1.0) if full_range else (16 / 255, 219 / 255, 224 / 255)
    rows = []
    for from_cb, from_cr in (
        (0.0, 2 * (1 - red)),
        (-2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green),
        (2 * (1 - blue), 0.0),
    ):
        y, cb, cr = 1 / luma, from_cb / chroma, from_cr / chroma
        rows += [y, cb, cr, -(black * y + (cb + cr) * 128 / 255)]
    if full_range:
        return ColorSpace(tuple(rows))
    return ColorSpace(tuple(rows), (16 / 255,) * 3, (235 / 255, 240 / 255, 240 / 255))


class _Copy:
    """One pass over a file."""

    def __init__(self, path: Path, reader: Any, writer: Any, picture: _Picture, suffix: str) -> None:
        self._path, self._reader, self._writer, self._picture = path, reader, writer, picture
        self._source = _video_stream(reader, path)
        self._video = self._add_video(suffix)
        self._audio = {stream.index: self._add_audio(stream) for stream in reader.streams.audio}
        self._last_pts: int | None = None
        writer.metadata.update(reader.metadata)

    def run(self, on_frame: OnFrame, on_progress: OnProgress) -> int:
        done, total = 0, self._expected_frames()
        for packet in self._packets():
            if packet.stream.index in self._audio:
                self._write_audio(packet)
                continue
            for decoded in self._decoded(packet):
                self._write_frame(decoded, on_frame)
                done += 1
                on_progress(done, total)
        self._flush()
        return done

    def _packets(self) -> Iterator[Any]:
        """All packets; raises MediaError where the file ends before it says it does."""
        reader, pictures, last_s = self._reader, 0, 0.0
        with _read_errors(self._path):
            for packet in reader.demux(self._source, *reader.streams.audio):
                if packet.is_corrupt:
                    raise self._cut_off(last_s)
                pictures += packet.stream is self._source and packet.size > 0
                if packet.pts is not None:
                    last_s = max(last_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                yield packet
        if pictures < self._source.frames or last_s < self._duration_s() * _LEAST_READ:
            raise self._cut_off(last_s)

    def _duration_s(self) -> float:
        return float((self._reader.duration or 0) / av.time_base)

    def _cut_off(self, last_s: float) -> MediaError:
        return MediaError(
            f"{self._path} is cut off or damaged: it states {self._duration_s():.1f} s and can be read up to "
            f"{last_s:.1f} s. Copy it again."
        )

    def _decoded(self, packet: Any) -> list[Any]:
        with _read_errors(self._path):
            return list(packet.decode())

    def _add_video(self, suffix: str) -> Any:
        encoder, options = ENCODERS[suffix]
        stream = self._writer.add_stream(encoder, rate=self._source.average_rate or 30, options=options)
        picture, context = self._picture, stream.codec_context
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
        context.time_base = self._source.time_base
        context.color_range = _FULL_RANGE if picture.full_range else 1
        context.colorspace = picture.colorspace
        context.color_primaries, context.color_trc = picture.primaries, picture.transfer
        if picture.aspect:
            context.sample_aspect_ratio = picture.aspect
        return stream

    def _add_audio(self, source: Any) -> tuple[Any, bool]:
        """The output stream, and whether packets are copied as they are."""
        if source.codec_context.codec.canonical_name in self._writer.supported_codecs:
            return self._writer.add_stream_from_template(source), True
        default = self._writer.default_audio_codec
        encoder = _OPUS_ENCODER if default == "opus" else default
        rate = 48000 if encoder == _OPUS_ENCODER else source.codec_context.sample_rate
        logger.info("The sound is encoded again as %s; the container does not take it as it is.", default)
        return self._writer.add_stream(encoder, rate=rate, layout=source.codec_context.layout.name), False

    def _expected_frames(self) -> int | None:
        source = self._source
        if source.frames:
            return int(source.frames)
        if source.duration and source.average_rate:
            return int(source.duration * source.time_base * source.average_rate)
        return None

    def _write_audio(self, packet: Any) -> None:
        stream, is_copied = self._audio[packet.stream.index]
        if not is_copied:
            for samples in self._decoded(packet):
                self._writer.mux(stream.encode(samples))
        elif packet.dts is not None:
            packet.stream = stream
            self._writer.mux(packet)

    def _write_frame(self, decoded: av.VideoFrame, on_frame: OnFrame) -> None:
        output = av.VideoFrame(self._picture.width, self._picture.height, "yuv420p")
        planes = tuple(_rows(plane) for plane in output.planes)
        for plane, samples in zip(planes, self._upright_planes(decoded), strict=True):
            plane[:] = samples[: plane.shape[0], : plane.shape[1]]
        output.time_base, output.pts = decoded.time_base, self._next_pts(decoded.pts)
        output.duration = decoded.duration
        output.color_range = _FULL_RANGE if self._picture.full_range else 1
        output.colorspace = self._picture.colorspace
        on_frame(self._frame(planes, output))
        self._writer.mux(self._video.encode(output))

    def _upright_planes(self, decoded: av.VideoFrame) -> list[npt.NDArray[np.uint8]]:
        frame = self._in_yuv420p(decoded)
        return [np.rot90(_rows(plane), self._picture.rotation) for plane in frame.planes]

    def _in_yuv420p(self, decoded: av.VideoFrame) -> av.VideoFrame:
        picture = self._picture
        size = (picture.height, picture.width) if picture.rotation % 2 else (picture.width, picture.height)
        is_same_size = (decoded.width & ~1, decoded.height & ~1) == size
        if is_same_size and decoded.format.name in ("yuv420p", "yuvj420p"):
            return decoded
        width, height = (decoded.width, decoded.height) if is_same_size else size
        return decoded.reformat(
            width, height, "yuv420p", dst_colorspace=picture.colorspace,
            dst_color_range=_FULL_RANGE if picture.full_range else 1,
        )  # fmt: skip

    def _next_pts(self, pts: int | None) -> int:
        """The frame's own time; where a file states none or steps back, the smallest step forward."""
        last = self._last_pts
        if last is None:
            pts = pts or 0
        elif pts is None:
            rate = self._source.average_rate or 30
            pts = last + max(1, round(1 / (rate * self._source.time_base)))
        else:
            pts = max(pts, last + 1)
        self._last_pts = pts
        return pts

    def _frame(self, planes: tuple[Plane, ...], output: av.VideoFrame) -> Frame:
        seconds = (output.pts or 0) * (output.time_base or Fraction(1, 1000))
        return Frame(
            PixelFormat.I420, self._picture.width, self._picture.height, planes, self._picture.color,
            timestamp_ns=int(seconds * _NANOSECONDS),
        )  # fmt: skip

    def _flush(self) -> None:
        self._writer.mux(self._video.encode(None))
        for stream, is_copied in self._audio.values():
            if not is_copied:
                self._writer.mux(stream.encode(None))


def _rows(plane: Any) -> Plane:
    """A plane as (rows, bytes per row), without the padding at the end of each row; a view."""
    rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
    return rows[:, : plane.width]
