"""What is measured in processes of their own: memory, and how long things take to start."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from obs_faceswap.ui import materials
from obs_faceswap.ui.bench import child
from obs_faceswap.ui.bench.child import Task
from obs_faceswap.ui.bench.plan import Case, Figures, Plan
from obs_faceswap.ui.bench.scene import i420
from obs_faceswap.ui.bench.timing import middle
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.obs_websocket import ObsError
from obs_faceswap.ui.throwaway_obs import ThrowawayObs, WebSocketCrashError, find_obs

_SIZE_WH = (320, 180)
_FACE_PX = 100  # few pixels: what grows with each frame grows with small ones too
_AT_ONCE = 2  # time does not matter
_MANY_FRAMES, _QUICK_FRAMES = 20_000, 200
_FRAMES = {
    "dfm_128": 2000,
    "dfm_224": 50,
}  # slow ones; the engine is the same

# What OBS does first with a script, without OBS; the interpreter itself already runs there.
_IMPORT = (
    "import sys, time; sys.path.insert(0, sys.argv[1]); started = time.perf_counter(); "
    "import obs_faceswap_filter; print((time.perf_counter() - started) * 1000)"
)

# Put round the script that OBS loads.
_BEFORE = "import time\n_began_s = time.perf_counter()\n"
_AFTER = """
_load = script_load

def script_load(settings):
    _load(settings)
    with open({answer!r}, "w", encoding="ascii") as file:
        file.write(str((time.perf_counter() - _began_s) * 1000))
"""


def memory(plan: Plan) -> Figures:
    """`memory`: resident megabytes that a filter adds, by face, and their growth over many frames."""
    scene = plan.folder / "memory.npy"
    np.save(scene, plan.subject().scene(_SIZE_WH, _FACE_PX))
    cases = plan.small() if plan.quick else plan.all()
    tasks = [
        _task(plan, case, "memory", scene, plan.count(_FRAMES.get(case.name, _MANY_FRAMES), _QUICK_FRAMES))
        for case in cases
    ]
    figures = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, (case, told) in enumerate(zip(cases, pool.map(child.ask, tasks), strict=True)):
            figures[case.name] = told
            plan.on_progress("memory", (number + 1) / len(cases))
    return figures


def start(plan: Plan) -> Figures:
    """`start`: milliseconds that the script adds to OBS's start, and to the first swapped frame.

    The script's own are of its import in a new process, and of its import and loading in a real OBS.
    """
    frame = plan.folder / "start.i420"
    i420(plan.subject().scene(_SIZE_WH, _FACE_PX)).tofile(frame)
    figures: Figures = {"script_import": _import_ms(plan), "script_in_obs": _in_obs_ms(plan)}
    cases = plan.small() if plan.quick else plan.all()
    for number, case in enumerate(cases):
        task = _task(plan, case, "start", frame, 0)
        runs = [child.ask(task)["first_swapped_frame"] for _ in range(plan.count(3, 1))]
        figures[f"first_swapped_frame_{case.name}"] = middle(runs)
        plan.on_progress("start", (number + 1) / len(cases))
    return figures


def _import_ms(plan: Plan) -> float:
    """The script's import in new processes."""
    folder = plan.folder / "script"
    materials.write_script(folder, [Path(__file__).parents[3]])
    command = [sys.executable, "-c", _IMPORT, str(folder)]
    runs = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(plan.count(9, 3))
    ]
    return middle(runs)


def _in_obs_ms(plan: Plan) -> float | None:
    """The script's import and its `script_load` in OBS; None where none can be started."""
    try:
        find_obs()
    except ObsError:
        return None
    answer, folder = plan.folder / "script-ms", plan.folder / "timed-script"
    script = materials.write_script(folder, materials.own_folders())
    text = script.read_text(encoding="utf-8")
    script.write_text(_BEFORE + text + _AFTER.format(answer=str(answer)), encoding="utf-8")
    runs = []
    for _ in range(plan.count(5, 1)):
        with ThrowawayObs(Collection([], script)) as started, suppress(WebSocketCrashError):
            started.quit()
        runs.append(float(answer.read_text("ascii")))
    return middle(runs)


def _task(plan: Plan, case: Case, what: str, picture: Path, frames: int) -> Task:
    own = str(plan.models_from) if plan.models_from else ""
    return Task(what, case.face, str(picture), _SIZE_WH, plan.settings.device, own, frames)
