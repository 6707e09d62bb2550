#!/usr/bin/env python3
"""Sound and picture in a recording of real OBS, while the filter delays the picture. Prints a report as JSON.

    python tests/soak/sound.py
    python tests/soak/sound.py --delay-ms 67

A clip flashes and beeps at the same instants, and a second source, the chosen one, beeps at another pitch.
OBS records them with the filter off, on with a fixed delay, and off again; the delay is the only thing that
differs. For each flash the report has how much later the beep comes, in milliseconds. OBS places the sound of
a source that begins to within 70 ms only, and a recording's own sound to within some hundredths of a second
of its pictures; so the time after the filter was on is what the rest is compared with.

The exit code is 0 when, with the filter on, both beeps are within one frame of where they are without it.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for what the tests share

import av  # noqa: E402
import numpy as np  # noqa: E402
import tiny_networks  # noqa: E402
from obs_driver import enable_filter, face_swap  # noqa: E402

from obs_faceswap.ui import materials  # noqa: E402
from obs_faceswap.ui.obs_config import Collection, source  # noqa: E402
from obs_faceswap.ui.throwaway_obs import ThrowawayObs  # noqa: E402

FPS, RATE = 30, 48000
EVERY_S, LASTS_S = 4.0, 0.1
OWN_HZ, CHOSEN_HZ = 1000, 3000
PHASES = {"before": 10.0, "on": 24.0, "after": 12.0}
SETTLED_S = 6.0  # after the filter was switched: the engine loads, the sound is placed anew
CLIP, MIC = "Clip", "Mic"
FRAME_MS = 1000 / FPS


def write_clip(path, seconds, pitch_hz, has_picture):
    """A clip with a flash and a beep every EVERY_S seconds, both LASTS_S long."""
    with av.open(str(path), "w") as clip:
        video = clip.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"}) if has_picture else None
        if video:
            video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = clip.add_stream("aac" if has_picture else "pcm_s16le", rate=RATE)
        audio.layout = "mono"
        for second in range(seconds):
            for number in range(FPS if video else 0):
                level = 235 if is_on(second + number / FPS) else 60
                picture = np.full((180, 320, 3), level, np.uint8)
                clip.mux(video.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
            at = second + np.arange(RATE) / RATE
            wave = np.where(is_on(at), 0.5 * np.sin(2 * np.pi * pitch_hz * at), 0)
            frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, second * RATE
            clip.mux(audio.encode(frame))
        for stream in filter(None, (video, audio)):
            clip.mux(stream.encode())


def is_on(at_s):
    """Whether it flashes and beeps at a time; not at the very beginning."""
    return ((at_s % EVERY_S) < LASTS_S) & (at_s > 1)


def flashes(path):
    """When each flash begins, in seconds."""
    begun, was_on = [], False
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            now_on = frame.reformat(format="gray").to_ndarray().mean() > 130
            if now_on and not was_on:
                begun.append(float(frame.time))
            was_on = now_on
    return begun


def beeps(path, pitch_hz):
    """When each beep of a pitch begins, in seconds."""
    start_s, samples = samples_of(path)
    window = RATE // 100
    turned = samples * np.exp(-2j * np.pi * pitch_hz * np.arange(len(samples)) / RATE)
    power = np.abs(np.convolve(turned, np.ones(window) / window, "valid"))
    on = power > 0.5 * np.percentile(power, 99.5)
    edges = start_s + (np.flatnonzero(on[1:] & ~on[:-1]) + 1 + window / 2) / RATE
    return [at for at, before in zip(edges, [-9.0, *edges], strict=False) if at - before > 1]


def samples_of(path):
    """The time of the first sample, and all of them, (N,), gaps filled with silence."""
    pieces, start_s = [], None
    with av.open(str(path)) as clip:
        for frame in clip.decode(audio=0):
            start_s = float(frame.time) if start_s is None else start_s
            gap = round((float(frame.time) - start_s) * RATE) - sum(len(piece) for piece in pieces)
            piece = frame.to_ndarray().astype(np.float32).mean(0)
            pieces.extend((np.zeros(max(0, gap), np.float32), piece))
    return start_s, np.concatenate(pieces)


def lateness_ms(begun, heard):
    """(when, how much later the nearest beep is) of each flash."""
    return [(at, (min(heard, key=lambda beep: abs(beep - at)) - at) * 1000) for at in begun]


def film(folder, delay_ms):
    """Records the three phases; the file, and when each began in it."""
    write_clip(folder / "clip.mp4", 90, OWN_HZ, True)
    write_clip(folder / "mic.wav", 90, CHOSEN_HZ, False)
    model = folder / "face.dfm"
    model.write_bytes(tiny_networks.dfm(size=64))
    delay = {"delay": "fixed", "delay_ms": delay_ms, "sync_audio": MIC}
    settings = {"face_file": str(model), "cover": "original", **delay}
    playing = {"looping": False, "hw_decode": False, "restart_on_activate": False}
    clip = source(CLIP, "ffmpeg_source", {"local_file": str(folder / "clip.mp4"), **playing},
                  [face_swap(settings, enabled=False)])  # fmt: skip
    mic = source(MIC, "ffmpeg_source", {"local_file": str(folder / "mic.wav"), **playing})
    script = materials.write_script(folder / "script", materials.own_folders())
    begun_s = {}
    with ThrowawayObs(Collection([mic, clip], script)) as obs:
        obs.start_recording()
        start_s = time.monotonic()
        for phase, seconds in PHASES.items():
            enable_filter(obs, CLIP, phase == "on")
            begun_s[phase] = time.monotonic() - start_s
            time.sleep(seconds)
        recording = obs.stop_recording()
        kept = recording.rename(folder / recording.name)
        obs.quit()
    return kept, begun_s


def median_ms(found, since_s, until_s):
    """The median lateness in a part of the recording."""
    return round(float(np.median([late for at, late in found if since_s <= at < until_s])), 1)


def measured(path, begun_s):
    """The report: the median lateness of both beeps in each phase."""
    ends = [*list(begun_s.values())[1:], float("inf")]
    report = {}
    for name, pitch_hz in (("own", OWN_HZ), ("chosen", CHOSEN_HZ)):
        found = lateness_ms(flashes(path), beeps(path, pitch_hz))
        report[f"{name}_ms"] = {
            phase: median_ms(found, start_s + (SETTLED_S if phase != "before" else 1), end_s)
            for (phase, start_s), end_s in zip(begun_s.items(), ends, strict=True)
        }
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delay-ms", type=float, default=500.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measured(*film(Path(folder), chosen.delay_ms))
    print(json.dumps({"delay_ms": chosen.delay_ms, **report}, indent=2))
    moved = [abs(late["on"] - late["after"]) for late in (report["own_ms"], report["chosen_ms"])]
    return 0 if max(moved) <= FRAME_MS else 1


if __name__ == "__main__":
    sys.exit(main())
