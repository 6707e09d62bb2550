#!/usr/bin/env python3
"""Real OBS with a saturated engine, while everything is changed at random. Prints a report as JSON.

    python tests/soak/soak.py --minutes 10
    python tests/soak/soak.py --minutes 2 --hostile --seed 7 --out report.json

Two sources, one with frames in memory and one drawn by the GPU, wear the filter. Every second some settings
take random values, every ten seconds another face is put on (a photo, small models, one that takes half
a second, a broken file, a missing one), now and then a filter is switched off and on, or a source hidden
and shown. OBS's own recorder films it all without loss; afterwards every frame is compared with the live
picture.

The exit code is 0 when OBS went on, left by itself without leaks of ours, kept its memory, and no recorded
frame was raw except while a filter was off.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for what the tests share

import numpy as np  # noqa: E402
import obs_stage  # noqa: E402
import tiny_networks  # noqa: E402
from obs_driver import Report, enable_filter, lend_networks, read_clip, set_filter, wait_for_swaps  # noqa: E402
from obs_watch import (  # noqa: E402
    HangError,
    Heartbeat,
    hangs_are_told,
    resident_mb,
    slope_per_minute,
)

from obs_faceswap.engine.settings import OPTIONS, Cover, Kind  # noqa: E402
from obs_faceswap.ui import materials  # noqa: E402
from obs_faceswap.ui.bench.obs import tick_sources_ms  # noqa: E402
from obs_faceswap.ui.obs_config import PROGRAM_SCENE, Collection  # noqa: E402
from obs_faceswap.ui.throwaway_obs import ThrowawayObs  # noqa: E402

FPS = 30
SOURCES = ("Cam", "Picture")  # frames in memory, and on the GPU
TILE = (320, 180)
SWITCH_EVERY_S = 10
REST_EVERY_S, REST_S = 60, 12  # long enough for a face to be put on by a busy machine
SAMPLE_EVERY_S = 5
CHANGES = 3  # options a second and source
OFF_CHANCE, HIDE_CHANCE = 0.05, 0.05  # a second and source
OFF_S, HIDDEN_S = 1.0, 2.0
SURELY_OFF_S = 3  # the film must show that it can tell raw frames
# OBS's recorder may be so far behind what is drawn (its queue holds sixteen frames), and ahead of it.
BEHIND_S, AHEAD_S = 0.6, 0.1
OPEN_PART = 0.15  # the last part of the time, in which settings may let one's own face shine through
FLAT_MB_A_MINUTE = 3.0
LONG_S = 300.0  # shorter runs say nothing about memory

# Ranges and choices with which the middle of the face is always another one's: 3 levels or more from the live
# one in thousands of tries. Beyond them a user may see the live face because the settings say so; a second
# pass of the negative is the face itself.
SAME_LEVELS = 1.0  # of two raw frames it is next to nothing
VEILED = {
    "opacity": (0.8, 1.0),
    "morph": (0.8, 1.0),
    "mask_erode": (-50.0, 10.0),
    "mask_blur": (0.0, 40.0),
    "face_scale": (0.8, 1.5),
    "offset_x": (-0.05, 0.05),
    "offset_y": (-0.05, 0.05),
    "coverage": (1.8, 8.0),
    "align_x": (-0.1, 0.1),
    "align_y": (-0.1, 0.1),
    "mask_top": (0.0, 10.0),
    "mask_right": (0.0, 10.0),
    "mask_bottom": (0.0, 10.0),
    "mask_left": (0.0, 10.0),
}
VEILED_CHOICES = {
    "other_faces": ("auto", "cover"),  # the live face is another one where another one is chosen
    "two_pass": ("off",),
    "face_type": ("custom", "mid_full", "full", "whole_face", "head"),
    "align_mode": ("points", "box"),
    "debug_view": ("off", "preview"),  # what is drawn could hide a raw frame from who looks for one
}
DEVICES = ("auto", "auto", "cpu", "cpu", "no-such-device")
# The engine is to work all the time. What stays as it is, and why:
_FACE, _NETWORK, _PEOPLE = "changed by itself", "no such network is installed", "nobody is enrolled"
LEFT_OUT = {
    "face": _FACE,
    "face_file": _FACE,
    "network": _NETWORK,
    "enhancer": _NETWORK,
    "occlusion_network": _NETWORK,
    "detector": _NETWORK,
    "landmarker": _NETWORK,
    "person_name": _PEOPLE,
    **{f"{what}_{row}": _PEOPLE for what in ("person", "face") for row in range(1, 5)},
    "min_face": "most sizes are larger than the face",
    "face_number": "there is no second face",
}
WORKING = {"detection_threshold": (0.01, 0.6)}  # beyond it a face that was lost is not found again
WORKING_CHOICES = {
    "who": ("chosen", "all"),  # nobody is known
    "occlusion": ("auto", "off", "hands"),  # no network for it is installed
    "recognizer": ("", "off"),
}
RESTING = {"delay": "off"}  # an automatic one depends on what happened before, and takes memory


class Dice:
    """Random settings; the same for the same seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._options = [option for option in OPTIONS if option.key not in LEFT_OUT]

    def settings(self, veiled):
        """Some options with valid values; all but Show original, which shows the original."""
        chosen = self._random.sample(self._options, CHANGES)
        return {option.key: self._value(option, veiled) for option in chosen}

    def _value(self, option, veiled):
        if option.kind is Kind.NUMBER:
            full = WORKING.get(option.key, (option.minimum, option.maximum))
            low, high = VEILED.get(option.key, full) if veiled else full
            return self._random.choice((low, high, *(self._random.uniform(low, high) for _ in range(6))))
        if option.kind is Kind.CHOICE or option.key in WORKING_CHOICES:
            choices = VEILED_CHOICES.get(option.key) if veiled else None
            every = [value for value, _ in option.choices if value != Cover.ORIGINAL]
            return self._random.choice(choices or WORKING_CHOICES.get(option.key) or every)
        if option.kind is Kind.DEVICE:
            return self._random.choice((*DEVICES, *(value for value, _ in option.choices)))
        if option.kind is Kind.AUDIO:
            return self._random.choice(("", *SOURCES, "Nobody"))
        raise AssertionError(f"nobody has thought of {option.key}, a {option.kind}")

    def face(self, faces):
        return self._random.choice(faces)

    def happens(self, chance):
        return self._random.random() < chance


@dataclass
class Log:
    """What was done and seen."""

    exempt: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {s: [] for s in SOURCES})
    memory_mb: list[float] = field(default_factory=list)
    rest_mb: list[float] = field(default_factory=list)
    heaps: list[dict[str, float]] = field(default_factory=list)  # at rest, see `heaps`
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("changes", "faces", "switched_off", "hidden"), 0)
    )
    open_from_s: float = 0.0


def make_faces(stage, folder):
    """Settings that choose a face; the slow one more often than the others."""
    faces = folder / "data/faces"
    faces.mkdir(parents=True)
    (faces / "Photo.jpg").write_bytes(stage.worn_picture.read_bytes())
    (faces / "Negative.dfm").write_bytes(stage.negative.read_bytes())
    files = [folder / "64.dfm", folder / "256.dfm", folder / "broken.dfm", folder / "nobody.png"]
    files[0].write_bytes(tiny_networks.dfm(size=64))
    files[1].write_bytes(tiny_networks.dfm(size=256, morph=True))
    files[2].write_bytes(stage.negative.read_bytes()[:1000])
    chosen = [*files, stage.slow, stage.slow, stage.slow, stage.worn_picture]
    by_file = [{"face": "", "face_file": str(path)} for path in chosen]
    return [*by_file, {"face": "Photo"}, {"face": "Negative"}]


class Player:
    """Does what a restless user does, second after second."""

    def __init__(self, obs, report, faces, dice, heaps):
        self._obs, self._report, self._faces, self._dice = obs, report, faces, dice
        self._heaps = heaps
        self._heart = Heartbeat(obs)
        self._items = place(obs)
        self._until = {}  # (what, source): when it is undone, and when in the recording it began
        self.log = Log()

    def play(self, seconds):
        start = time.monotonic()
        open_from = seconds * (1 - OPEN_PART)
        for second in range(round(seconds)):
            self._second(second, veiled=second < open_from)
            time.sleep(max(0.0, start + second + 1 - time.monotonic()))
        for what, source in list(self._until):
            self._undo(what, source)

    def _second(self, second, veiled):
        """Changes something, or rests with the same settings every time so that memory can be compared."""
        self._heart.beat()
        if not veiled and not self.log.open_from_s:
            self.log.open_from_s = self._recorded_s()
        if second % SAMPLE_EVERY_S == 0:
            self.log.memory_mb.append(resident_mb(self._obs.pid))
        at = second % REST_EVERY_S - (REST_EVERY_S - REST_S)
        if at < 0:
            self._change(second, veiled)
        elif at == 0:
            self._rest()
        elif at == REST_S - 1:
            self.log.rest_mb.append(resident_mb(self._obs.pid))
            self.log.heaps.append(json.loads(self._heaps.read_text(encoding="utf-8")))

    def _change(self, second, veiled):
        for source in SOURCES:
            self._toggle(source, surely=second == SURELY_OFF_S)
            changed, is_new = self._dice.settings(veiled), second % SWITCH_EVERY_S == 0
            if is_new:  # and everything else as it was at first, or in the end no face would be found
                changed |= self._dice.face(self._faces)
                self.log.counts["faces"] += 1
            set_filter(self._obs, source, changed, overlay=not is_new)
            self.log.counts["changes"] += len(changed)

    def _rest(self):
        for what, source in list(self._until):
            self._undo(what, source)
        for source in SOURCES:
            set_filter(self._obs, source, self._faces[-1] | RESTING, overlay=False)

    def _toggle(self, source, surely):
        now = time.monotonic()
        for (what, of), (end, _) in list(self._until.items()):
            if of == source and now >= end:
                self._undo(what, source)
        if ("off", source) not in self._until and (surely or self._dice.happens(OFF_CHANCE)):
            self._until["off", source] = now + OFF_S, self._recorded_s()
            enable_filter(self._obs, source, False)
            self.log.counts["switched_off"] += 1
        if ("hidden", source) not in self._until and self._dice.happens(HIDE_CHANCE):
            self._until["hidden", source] = now + HIDDEN_S, self._recorded_s()
            self._show(source, False)
            self.log.counts["hidden"] += 1

    def _undo(self, what, source):
        _, began = self._until.pop((what, source))
        if what == "hidden":
            self._show(source, True)
            return
        enable_filter(self._obs, source, True)
        self.log.exempt[source].append((began - AHEAD_S, self._recorded_s() + BEHIND_S))

    def _show(self, source, visible):
        chosen = {"sceneName": PROGRAM_SCENE, "sceneItemId": self._items[source]}
        self._obs.request("SetSceneItemEnabled", {**chosen, "sceneItemEnabled": visible})

    def _recorded_s(self):
        return self._obs.request("GetRecordStatus")["outputDuration"] / 1000


def place(obs):
    """Puts the sources side by side; {name: number of the scene's item}."""
    listed = obs.request("GetSceneItemList", {"sceneName": PROGRAM_SCENE})["sceneItems"]
    items = {item["sourceName"]: item["sceneItemId"] for item in listed}
    for number, source in enumerate(SOURCES):
        where = {"positionX": number * TILE[0], "boundsWidth": TILE[0], "boundsHeight": TILE[1]}
        chosen = {"sceneName": PROGRAM_SCENE, "sceneItemId": items[source]}
        obs.request("SetSceneItemTransform", {**chosen, "sceneItemTransform": where})
    return items


def boxes_of(stage):
    """{source: x0, y0, x1, y1 of the face from brows to chin in the recording}."""
    x0, y0, x1, y1 = stage.inner_box
    middle, reach = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) * 7 // 6, (y1 - y0) * 7 // 6)
    left, right = (middle[0] - reach[0]) // 2, (middle[0] + reach[0]) // 2
    top, bottom = (middle[1] - reach[1]) // 2, (middle[1] + reach[1]) // 2
    return {
        source: (left + number * TILE[0], top, right + number * TILE[0], bottom)
        for number, source in enumerate(SOURCES)
    }


def film_raw(stage):
    """(what the recording shows without the script, (H, W, 3), and the leaks OBS itself has)."""
    with ThrowawayObs(Collection([stage.cam(), stage.still()]), fps=FPS, lossless=True) as obs:
        place(obs)
        time.sleep(2.0)
        obs.start_recording()
        time.sleep(1.0)
        frames = list(read_clip(obs.stop_recording()))
        obs.quit()
        return frames[-1], obs.leaks()


def soak(seconds, seed, folder, hostile=()):
    """Plays for so many seconds in a folder of its own; returns the report. `hostile`: further scripts."""
    stage = obs_stage.build(_made(folder / "stage"))
    canvas, leaks = film_raw(stage)
    home, report = _made(folder / "home"), Report(folder / "report.json")
    lend_networks(home)
    faces = make_faces(stage, home)
    script = materials.write_script(folder / "script", materials.own_folders())
    witness = Path(shutil.copy(HERE / "heaps.py", _made(folder / "heaps")))
    worn = {"face_file": str(stage.slow)}
    collection = Collection([stage.cam(worn), stage.still(worn)], script, (witness, *hostile))
    running = ThrowawayObs(
        collection,
        fps=FPS,
        lossless=True,
        arguments=["--startrecording"],
        environment=report.environment | {"OBS_FACESWAP_HOME": str(home)},
    )
    with hangs_are_told(running) as obs:
        player = Player(obs, report, faces, Dice(seed), witness.with_suffix(".json"))
        wait_for_swaps(obs, report)
        player.play(seconds)
        told = _final(obs, report, player.log) | {"leaks_without_the_script": leaks}
    recording = next(folder.glob("*.avi"))
    told |= _filmed(recording, player.log, canvas, boxes_of(stage))
    told = {"seconds": seconds, "seed": seed, "hostile": len(hostile), **told}
    return told | {"problems": problems(told)}


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _final(obs, report, log):
    """Stops OBS and makes the report of it."""
    stats = Heartbeat(obs).beat()
    recording = obs.stop_recording()
    shutil.move(recording, report.path.parent)
    last = report.read()
    code = obs.quit()
    return {
        **log.counts,
        "frames": {key: value for key, value in last.items() if key.startswith("frames_")},
        "share_swapped": _share_swapped(last),
        "rendered": {"frames": stats["renderTotalFrames"], "skipped": stats["renderSkippedFrames"]},
        "callback_ms": last.get("callback_ms"),
        "tick_sources_ms": tick_sources_ms(obs.log()),
        "memory_mb": _memory(log),
        "exit_code": code,
        "leaks": obs.leaks(),
        "tracebacks": obs.log().count("Traceback"),
    }


def _share_swapped(report):
    """The part of the frames shown that were swapped; hidden or with the filter off there are none."""
    shown = {key: report.get(f"frames_{key}", 0) for key in ("swapped", "frozen", "covered", "raw")}
    return round(shown["swapped"] / max(1, sum(shown.values())), 3)


def _memory(log):
    """Settings, a long delay above all, and faces take memory; at rest they are always the same.

    The first half does not count: faces that are no longer worn stay loaded, and the heap of every thread has
    to have been at its largest once. What leaks goes on.
    """
    in_use = [told["in_use_mb"] for told in log.heaps]
    return {
        "first": round(log.memory_mb[0]),
        "most": round(max(log.memory_mb)),
        "at_rest": [round(value) for value in log.rest_mb],
        "growth_a_minute": _growth(log.rest_mb),
        "in_use_at_rest": [round(value) for value in in_use],
        "growth_in_use_a_minute": _growth(in_use),
        "freed_at_rest": [round(told["freed_mb"]) for told in log.heaps],
    }


def _growth(at_rest):
    """MB a minute in the second half."""
    settled = at_rest[len(at_rest) // 2 :]
    return round(slope_per_minute([number * REST_EVERY_S for number in range(len(settled))], settled), 2)


def _filmed(recording, log, canvas, boxes):
    """What the recording shows, before the time in which settings may let the live face through."""
    times, count = same_times(recording, canvas, boxes)
    raw, while_off = {}, 0
    for source in boxes:
        before = [at for at in times[source] if at < (log.open_from_s or count / FPS)]
        allowed = [at for at in before if any(low <= at <= high for low, high in log.exempt[source])]
        while_off += len(allowed)
        raw[source] = [round(at, 2) for at in before if at not in set(allowed)]
    return {"recorded_frames": count, "raw_at_s": raw, "raw_while_off": while_off}


def same_times(recording, canvas, boxes):
    """{source: seconds into a recording at which it shows what the canvas does}, and its length in frames."""
    times, count = {source: [] for source in boxes}, 0
    for image in read_clip(recording):
        for source, (x0, y0, x1, y1) in boxes.items():
            if np.abs(image[y0:y1, x0:x1].astype(int) - canvas[y0:y1, x0:x1]).mean() < SAME_LEVELS:
                times[source].append(count / FPS)
        count += 1
    return times, count


def problems(told):
    """What the run shows that must not be."""
    memory = told["memory_mb"]
    checks = {
        "OBS ended with an error": told["exit_code"] != 0,
        "OBS leaked": told["leaks"] is None or told["leaks"] > told["leaks_without_the_script"],
        "a callback failed": told["tracebacks"] > 0,
        "raw frames were recorded": any(told["raw_at_s"].values()),
        "frames were shown raw on purpose": told["frames"].get("frames_raw", 1) > 0,
        "no frame was swapped": not told["frames"].get("frames_swapped"),
        "frames are missing in the recording": told["recorded_frames"] < 0.9 * FPS * told["seconds"],
        "the film cannot tell raw frames": not told["raw_while_off"],
        "memory grew": told["seconds"] >= LONG_S and memory["growth_a_minute"] > FLAT_MB_A_MINUTE,
        "more memory is in use": told["seconds"] >= LONG_S
        and memory["growth_in_use_a_minute"] > FLAT_MB_A_MINUTE,
    }
    return [problem for problem, is_so in checks.items() if is_so]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hostile", action="store_true", help="beside scripts that keep the interpreter")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="obs-faceswap-soak-") as name:
        told = _run(options, Path(name))
    text = json.dumps(told, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if told["problems"] else 0


def _run(options, folder):
    import obs_hostile

    hostile = obs_hostile.written(_made(folder / "hostile"), "all of them") if options.hostile else ()
    try:
        return soak(options.minutes * 60, options.seed, folder / "soak", hostile)
    except HangError as error:
        return {"problems": ["OBS hung"], "where": str(error)}


if __name__ == "__main__":
    sys.exit(main())
