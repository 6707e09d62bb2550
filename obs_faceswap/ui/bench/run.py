"""Which sections there are, and running them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from obs_faceswap.engine.errors import SettingsError
from obs_faceswap.engine.settings import Settings
from obs_faceswap.ui import materials
from obs_faceswap.ui.bench import callback, cost, efficiency, live, merge, obs, processes, stages
from obs_faceswap.ui.bench.machine import machine
from obs_faceswap.ui.bench.plan import Figures, OnProgress, Plan


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the benchmark: what it says, and the function that measures it."""

    title: str
    measure: Callable[[Plan], Figures]


SECTIONS: dict[str, Section] = {
    "efficiency": Section(
        "Networks alone over the whole pipeline (goal: 0.95 where they take 60 ms or more)",
        efficiency.efficiency,
    ),
    "non_network_ms": Section(
        "Median ms of a frame outside the networks, one processor (goal at 1080p: 5)",
        efficiency.non_network_ms,
    ),
    "callback_ms": Section(
        "Ms of OBS's graphics thread for a 1080p frame (goal: p99 at most 0.5 above two bare copies)",
        callback.callback_ms,
    ),
    "delay_ms": Section(
        "Ms from a frame's arrival to its showing (goal: at most one camera frame more than the engine)",
        live.delay_ms,
    ),
    "obs": Section(
        "In real OBS, engine saturated: missed frames, and ms of its tick (goal: p99 within 0.5 of absent)",
        obs.obs,
    ),
    "memory": Section("Resident MB that a filter adds (goal: no growth over frames)", processes.memory),
    "cost": Section("Cost against work", cost.cost),
    "start": Section("Ms at the start (goal of the script's: 50)", processes.start),
    "merge": Section("Ms of putting a face back, one processor, beside other projects' ways", merge.merge),
    "stages": Section("Median ms of each step", stages.stages),
    "live": Section("A stream of 720p at 30 frames a second, as report.json has it", live.live),
}


def measure(
    names: Sequence[str], settings: Settings, picture: Path | None, quick: bool, models_from: Path | None,
    on_progress: OnProgress,
) -> Figures:  # fmt: skip
    """The figures of some sections, all of them if none is named; with what machine they are of.

    Times of different runs differ with the machine's load; compare figures of one run only.

    Args:
        names: keys of SECTIONS.
        settings: what is measured; without a face the demo's and two models with random weights.
        picture: a frame with a face; the demo's face without.
        quick: fewer frames.
        models_from: a folder of network files, tried first.
        on_progress: gets what is measured, and how much of it is done.

    Raises:
        FaceSwapError: a section is not known; the face, the picture or a network cannot be used, or the
            picture shows no face.
    """
    for name in names:
        if name not in SECTIONS:
            raise SettingsError(f"There is no section “{name}”. Use some of: {', '.join(SECTIONS)}.")
    with tempfile.TemporaryDirectory(prefix="obs-faceswap-bench-") as folder:
        shown = picture or materials.packaged("demo/face.jpg")
        plan = Plan(settings, shown, settings.face, quick, models_from, Path(folder), on_progress)
        figures: Figures = {"machine": machine(plan)}
        return figures | {name: SECTIONS[name].measure(plan) for name in names or SECTIONS}
