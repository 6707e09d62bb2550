"""Counts and times of a running engine, and the report made of them. Standard library only."""

import math
from collections import Counter
from collections.abc import Mapping

Report = dict[str, object]

_CAPACITY = 1024  # half a minute at 30 frames a second: recent, and enough for a 99th percentile


class Times:
    """The newest durations of one thing, in a ring of fixed size; adding never allocates a new list."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._ring = [0.0] * capacity
        self._count = 0

    def add(self, ms: float) -> None:
        """Notes one duration in milliseconds; the oldest is forgotten when the ring is full."""
        self._ring[self._count % len(self._ring)] = ms
        self._count += 1

    def percentile(self, percent: float) -> float | None:
        """The smallest noted value that `percent` (0..100) of them do not exceed; None without any."""
        known = sorted(self._ring[: self._count])
        if not known:
            return None
        return known[max(0, math.ceil(len(known) * percent / 100) - 1)]

    def summary(self) -> dict[str, float | None]:
        """{"p50": ms, "p99": ms}, rounded to a microsecond; None where nothing was noted."""
        return {"p50": _rounded(self.percentile(50)), "p99": _rounded(self.percentile(99))}


class Stats:
    """What happened to the frames of one stream, for `report.json` and the status line."""

    def __init__(self) -> None:
        self.frames_in = 0
        self.shown: Counter[str] = Counter()  # by the values of types.Shown
        self.switches = 0  # changes of what is shown from one frame to the next
        self.callback = Times()
        self.delay = Times()  # from a frame's arrival to its finished swap
        self.engine = Times()  # one frame's way through the engine
        self.stages: dict[str, Times] = {}
        self._last_shown = ""
        self._first_s: float | None = None
        self._last_s = 0.0

    def add(self, shown: str, stages_ms: Mapping[str, float], engine_ms: float, now_s: float) -> None:
        """Notes one processed frame; `now_s` is its time on the stream's clock, in seconds."""
        self.shown[shown] += 1
        self.switches += self._last_shown not in ("", shown)
        self._last_shown = shown
        self._first_s = now_s if self._first_s is None else self._first_s
        self._last_s = now_s
        self.engine.add(engine_ms)
        for stage, ms in stages_ms.items():
            self.stages.setdefault(stage, Times()).add(ms)

    def engine_fps(self) -> float | None:
        """Frames a second the engine could do, from the median time of the newest frames."""
        engine_ms = self.engine.percentile(50)
        return _rounded(1000.0 / engine_ms) if engine_ms else None

    def switches_per_minute(self) -> float:
        """Changes between swapped, frozen, covered and original in a minute of the stream."""
        seconds = self._last_s - self._first_s if self._first_s is not None else 0.0
        return round(self.switches * 60.0 / seconds, 3) if seconds > 0 else 0.0

    def report(self, provider: str, obs_version: str | None = None) -> Report:
        """The content of `report.json`; figures without a meaning here are null, no key is ever missing."""
        return {
            "obs_version": obs_version,
            "provider": provider,
            "frames_in": self.frames_in,
            "frames_swapped": self.shown["swapped"],
            "frames_frozen": self.shown["frozen"],
            "frames_covered": self.shown["covered"],
            "frames_raw": self.shown["original"],
            "switches_per_minute": self.switches_per_minute(),
            "engine_fps": self.engine_fps(),
            "delay_ms": _rounded(self.delay.percentile(50)),
            "callback_ms": self.callback.summary(),
            "stages_ms": {stage: _rounded(times.percentile(50)) for stage, times in self.stages.items()},
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
