"""What autotune found, for people and for programs."""

from typing import Any

from obs_faceswap.engine.live.autotune import Timing, Tuning
from obs_faceswap.engine.runtime import providers

_STAGES = {
    "detector": "find new faces",
    "landmarks": "follow the face",
    "occlusion": "keep in front",
    "recognizer": "tell apart",
    "swap": "swap",
    "enhancer": "make finer",
    "rest": "put it back",
}


def table(tuning: Tuning) -> str:
    """The times, the reasons, and the options that set what is proposed."""
    rows = [f"{_STAGES[timing.stage]:16} {providers.label_of(timing.device):32} {_cell(timing)}"
            for timing in tuning.timings]  # fmt: skip
    options = " ".join(f"--set {key}={value}" for key, value in tuning.settings.items())
    return "\n".join([*rows, "", *tuning.reasons, "", options])


def _cell(timing: Timing) -> str:
    return timing.problem if timing.ms is None else f"{timing.ms:8.2f} ms"


def as_dict(tuning: Tuning) -> dict[str, Any]:
    """The same as one object: "stages" has {stage: {device: ms or null}}, "problems" what null means."""
    stages: dict[str, dict[str, float | None]] = {}
    problems: dict[str, dict[str, str]] = {}
    for timing in tuning.timings:
        stages.setdefault(timing.stage, {})[timing.device] = timing.ms and round(timing.ms, 3)
        if timing.problem:
            problems.setdefault(timing.stage, {})[timing.device] = timing.problem
    return {
        "stages": stages,
        "problems": problems,
        "settings": tuning.settings,
        "reasons": list(tuning.reasons),
    }
