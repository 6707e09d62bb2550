"""A real OBS with the filter on, off and absent, and beside the same engine in a process of its own."""

import json
import re
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Self

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.settings import Settings
from obs_faceswap.ui import materials
from obs_faceswap.ui.bench.plan import Case, Figures, Plan
from obs_faceswap.ui.obs_config import Collection, media_source, source_filter
from obs_faceswap.ui.obs_websocket import ObsError
from obs_faceswap.ui.throwaway_obs import ThrowawayObs, WebSocketCrashError, find_obs

_CANVAS = (640, 360)  # rendered in software on few processors
_FILTER = "obs_faceswap"
_SOURCE = "Clip"
_SETTLE_S = 3.0
_FULL_S, _QUICK_S = 10.0, 6.0
_FIRST_SWAP_S = 180.0
_TRIES = 3
_ROUNDS = 2  # the second one backwards: what else the machine does comes and goes
_SWAPPING = "swapping"  # what the other process says first
_OF_THE_ENGINE = ("engine_fps", "callback_ms", "delay_ms")
_WITHOUT, _OFF, _ON, _ELSEWHERE = "absent", "off", "on", "same_load_in_another_process"
_KINDS = (_WITHOUT, _OFF, _ON, _ELSEWHERE)
_SUMS = ("frames", "skipped")
_LOADED = f"[face swap] {_SOURCE}: Wearing"  # in OBS's log
# OBS separates number and unit by one of Unicode's narrow spaces.
_TICK_SOURCES = re.compile(
    r"tick_sources: min=([\d.]+)\sms, median=([\d.]+)\sms, max=([\d.]+)\sms, 99th percentile=([\d.]+)\sms"
)


def obs(plan: Plan) -> Figures:
    """`obs`: OBS's missed frames and `tick_sources` beside a saturated engine, inside it and elsewhere.

    The engine wears the slowest of the measured faces. `tick_sources` is the part of a frame in which the
    graphics thread calls `filter_video`; OBS's own profile covers its whole run, its start included. Of
    several rounds the frames are added up, and the lower time counts: other programs only make it longer.
    """
    try:
        find_obs()
    except ObsError as error:
        return {"not_measured": str(error)}
    case = plan.all()[-1]
    figures: Figures = {"face": case.name, "canvas": "{} x {}".format(*_CANVAS)}
    plan.load(case).close()  # makes the network's faster form, which would be a load of its own
    turns = [kind for number in range(plan.count(_ROUNDS, 1)) for kind in _KINDS[:: (-1) ** number]]
    for number, kind in enumerate(turns):
        measured = _measured_whole(plan, case, kind)
        figures[kind] = _together(figures[kind], measured) if kind in figures else measured
        plan.on_progress("obs", (number + 1) / len(turns))
    return figures | _compared(figures)


def _together(one: Figures, other: Figures) -> Figures:
    """The figures of two rounds: frames are added up, of times the lower one is taken."""
    return {
        key: _together(value, other[key]) if isinstance(value, dict)
        else value + other[key] if key in _SUMS
        else min(value, other[key])
        for key, value in one.items()
    }  # fmt: skip


def _compared(figures: Figures) -> Figures:
    p99 = {kind: figures[kind]["tick_sources_ms"]["p99"] for kind in (_WITHOUT, _ON)}
    return {
        "tick_sources_p99_more_than_absent": round(p99[_ON] - p99[_WITHOUT], 3),
        "skipped_more_than_in_another_process": figures[_ON]["skipped"] - figures[_ELSEWHERE]["skipped"],
    }


def _measured_whole(plan: Plan, case: Case, kind: str) -> Figures:
    """The figures of a run of OBS that ended as it should: one that crashed by itself says no times."""
    for _ in range(_TRIES - 1):
        with suppress(WebSocketCrashError):
            return _measured(plan, case, kind)
    return _measured(plan, case, kind)


def _measured(plan: Plan, case: Case, kind: str) -> Figures:
    """The figures of one run of OBS, and of the engine beside it."""
    report = plan.folder / "obs-report.json"
    report.unlink(missing_ok=True)
    environment = {"OBS_FACESWAP_REPORT": str(report)}
    running = ThrowawayObs(_collection(plan, case, kind), canvas=_CANVAS, environment=environment)
    elsewhere = _Elsewhere(plan, case) if kind == _ELSEWHERE else nullcontext()
    with running as started, elsewhere as engine:
        if kind == _ON:
            started.wait_for(lambda: bool(_read(report).get("frames_swapped")), "a swap", _FIRST_SWAP_S)
        elif kind == _OFF:
            started.wait_for(lambda: _LOADED in started.log(), "the engine", _FIRST_SWAP_S)
        figures = _watched(started, _QUICK_S if plan.quick else _FULL_S)
        told = engine.end() if engine else _read(report) if kind == _ON else {}
        started.quit()
        figures["tick_sources_ms"] = tick_sources_ms(started.log())
    return figures | {key: told[key] for key in _OF_THE_ENGINE if key in told}


def _collection(plan: Plan, case: Case, kind: str) -> Collection:
    clip = materials.packaged("demo/clip.mp4")
    if kind in (_WITHOUT, _ELSEWHERE):
        return Collection([media_source(_SOURCE, clip)])
    settings = {"face": "", "face_file": str(Path(case.face).resolve()), "device": plan.settings.device}
    worn = source_filter("Face Swap", _FILTER, settings, enabled=kind == _ON)
    script = materials.write_script(plan.folder / "obs-script", materials.own_folders())
    return Collection([media_source(_SOURCE, clip, [worn])], script)


def _read(report: Path) -> Figures:
    try:
        content: Figures = json.loads(report.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _watched(started: ThrowawayObs, seconds: float) -> Figures:
    """What OBS counts in a while."""
    time.sleep(_SETTLE_S)
    before = started.request("GetStats")
    time.sleep(seconds)
    after = started.request("GetStats")
    frames, skipped = (int(after[key] - before[key]) for key in ("renderTotalFrames", "renderSkippedFrames"))
    return {
        "frames": frames,
        "skipped": skipped,
        "frame_render_ms": round(after["averageFrameRenderTime"], 3),
    }


def tick_sources_ms(log: str) -> dict[str, float]:
    """{"min", "p50", "max", "p99"} of `tick_sources`, from the log of an OBS that has ended.

    Raises:
        FaceSwapError: the log holds no profile; OBS did not end by itself.
    """
    found = _TICK_SOURCES.search(log)
    if found is None:
        raise FaceSwapError(f"OBS's log ends without its profile. Its last words:\n{log[-500:]}")
    return dict(zip(("min", "p50", "max", "p99"), map(float, found.groups()), strict=True))


# --- the same load in a process of its own ---


class _Elsewhere:
    """An engine in a process of its own, at work on a stream like OBS's while the context lasts."""

    def __init__(self, plan: Plan, case: Case) -> None:
        task = {
            "face": case.face,
            "device": plan.settings.device,
            "models_from": str(plan.models_from or ""),
            "picture": str(plan.picture),
            "folder": str(plan.folder),
        }
        command = [sys.executable, "-m", "obs_faceswap.ui.bench.obs", json.dumps(task)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        if self._line() != _SWAPPING:
            self._process.kill()
            raise FaceSwapError("The engine in a process of its own did not start; its words are above.")
        return self

    def _line(self) -> str:
        return self._process.stdout.readline().strip() if self._process.stdout else ""

    def end(self) -> Figures:
        """Ends the engine and returns its report; may be called twice."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
            figures: Figures = json.loads(self._line() or "{}")
            self._process.wait()
            return figures
        return {}

    def __exit__(self, *_error: object) -> None:
        self.end()


def main() -> None:
    """Runs one engine on a stream at 30 frames a second until standard input ends."""
    import threading

    from obs_faceswap.engine.live import exchange as ex
    from obs_faceswap.ui.bench import live
    from obs_faceswap.ui.bench.scene import FPS, Stream

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    task = json.loads(sys.argv[1])
    models_from = Path(task["models_from"]) if task["models_from"] else None
    settings = Settings(face=task["face"], device=task["device"])
    plan = Plan(settings, Path(task["picture"]), task["face"], True, models_from, Path(task["folder"]),
                lambda _label, _part: None)  # fmt: skip
    stream = Stream(plan.subject().scene(_CANVAS, _CANVAS[1] / 2))
    ended = threading.Event()
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with live.running(settings, _CANVAS, live.loading(plan)) as shown:
        told = False
        while not ended.is_set():
            live.play([shown], stream, FPS, plan, "obs")
            if not told and shown.exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED]:
                told = True
                sys.stdout.write(f"{_SWAPPING}\n")
                sys.stdout.flush()
        sys.stdout.write(json.dumps(shown.worker.report(None)) + "\n")


if __name__ == "__main__":
    main()
