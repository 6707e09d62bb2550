"""The filter's report.json, for who asked for it with OBS_FACESWAP_REPORT=FILE."""

import json
import os
from pathlib import Path

from obs_faceswap.engine.stats import Report

VARIABLE = "OBS_FACESWAP_REPORT"


def wanted() -> Path | None:
    """The file that was asked for."""
    name = os.environ.get(VARIABLE, "")
    return Path(name) if name else None


def write(path: Path, report: Report) -> None:
    """Replaces the file at once, so that a reader never sees half a report; raises OSError."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
