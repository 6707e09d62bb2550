"""Tiny clips, made on the spot."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE, FRAMES = 320, 240, 25, 12


def picture_of(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """An RGB picture with soft shapes that move, so that no codec makes it another one."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 29 + number / 5), np.cos(y / 23 - number / 7), np.sin((x + y) / 31)]
    return np.stack([128 + 70 * wave for wave in waves], axis=-1).astype(np.uint8)


def write_clip(path: Path, frames: int = FRAMES, audio: str = "", pix_fmt: str = "yuv420p",
               size=(WIDTH, HEIGHT), times=None, codec: str = "libx264", options=None) -> Path:  # fmt: skip
    """Writes a clip; `times` are the frames' times in milliseconds, 40 apart without."""
    with av.open(str(path), "w", options=options or {}) as writer:
        video = writer.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = Fraction(1, 1000)
        sound = writer.add_stream(audio, rate=48000, layout="mono") if audio else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture_of(number, *size), format="rgb24")
            frame.pts = times[number] if times else number * 1000 // RATE
            frame.time_base = Fraction(1, 1000)
            writer.mux(video.encode(frame))
        writer.mux(video.encode(None))
        if sound is not None:
            write_sound(writer, sound, frames / RATE)
    return path


def write_sound(writer, stream, seconds: float) -> None:
    for start in range(0, int(48000 * seconds), 1024):
        wave = 0.3 * np.sin(2 * np.pi * 440 * (start + np.arange(1024)) / 48000)
        samples = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 48000, start, Fraction(1, 48000)
        writer.mux(stream.encode(samples))
    writer.mux(stream.encode(None))
