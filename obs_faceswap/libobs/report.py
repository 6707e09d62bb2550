"""The filters' report.json, for who asked for it with OBS_FACESWAP_REPORT=FILE."""

import json
import os
import threading
from pathlib import Path

from obs_faceswap.engine.stats import Report

VARIABLE = "OBS_FACESWAP_REPORT"

_COUNTS = ("frames_in", "frames_swapped", "frames_frozen", "frames_covered", "frames_raw")


def wanted() -> Path | None:
    """The file that was asked for."""
    name = os.environ.get(VARIABLE, "")
    return Path(name) if name else None


class Reporter:
    """One report of all filters of the process: their frames together, the figures of one that is seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, dict[str, int]] = {}
        self._seen: Report = {}

    def write(self, path: Path, filter_number: int, report: Report, is_seen: bool) -> None:
        """Replaces the file at once, so that a reader never finds half a report; raises OSError."""
        with self._lock:
            self._counts[filter_number] = {key: _count(report, key) for key in _COUNTS}
            if is_seen or not self._seen:
                self._seen = report
            totals = {key: sum(counts[key] for counts in self._counts.values()) for key in _COUNTS}
            _replace(path, json.dumps(self._seen | totals, indent=2) + "\n")


def _count(report: Report, key: str) -> int:
    value = report.get(key)
    return value if isinstance(value, int) else 0


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


REPORTER = Reporter()
