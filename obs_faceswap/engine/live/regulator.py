"""The governor of one worker with all that goes with it: measures, plan, rate and priority.

Standard library only.
"""

import threading
from collections.abc import Callable
from typing import TypeAlias

from obs_faceswap.engine.live.governor import Governor, Plan
from obs_faceswap.engine.live.meter import Host, Meter
from obs_faceswap.engine.live.priority import Priority
from obs_faceswap.engine.runtime.providers import CPU
from obs_faceswap.engine.settings import Settings

ReadHost: TypeAlias = Callable[[], Host | None]


def no_host() -> Host | None:
    """For a worker without a program that shows its frames."""
    return None


class Regulator:
    """Belongs to the worker's thread; `give_way` and `note_swap` are also called by the one that swaps."""

    def __init__(self, settings: Settings, read_host: ReadHost = no_host) -> None:
        """Starts with a full plan; `read_host` is asked about once a second."""
        self._governor = Governor(settings)
        self._read_host = read_host
        self._meter = Meter(CPU)
        self._of_thread = threading.local()  # the priority of each thread of the engine
        self._notice = ""
        self._begun = -1  # number of the frame that was begun last

    @property
    def plan(self) -> Plan:
        """What to do now."""
        return self._governor.plan

    @property
    def text(self) -> str:
        """What was done, for the user; empty without a target."""
        return " ".join(part for part in (self.plan.text, self._notice) if part)

    def give_way(self) -> None:
        """Gives the calling thread the plan's priority, and on Linux also the threads that it starts."""
        if not hasattr(self._of_thread, "priority"):
            self._of_thread.priority = Priority()
        priority: Priority = self._of_thread.priority
        priority.set_low(self.plan.low_priority)
        self._notice = priority.notice

    def use(self, provider: str) -> None:
        """Starts to measure an engine that swaps on another device."""
        self._meter = Meter(provider)

    def update(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self._governor.update(settings)

    def is_due(self, sequence: int) -> bool:
        """Whether the plan has a frame of that number worked on; True counts it as begun."""
        if 0 <= sequence - self._begun < self.plan.every:
            return False
        self._begun = sequence
        return True

    def note_frame(self, ms: float, front_ms: float = 0.0) -> None:
        """Notes a finished frame, its time without its swap, and how much of it went to what is in front."""
        self._meter.note_frame(ms, front_ms)

    def note_swap(self, ms: float) -> None:
        """Notes one run of the swap."""
        self._meter.note_swap(ms)

    def each_second(self, now_s: float, frames_in: int, is_reprojected: bool) -> None:
        """Judges the last second.

        Args:
            now_s: the time, on any steady clock.
            frames_in: frames that came in since the start.
            is_reprojected: whether frames show swaps of earlier ones now.
        """
        seen = self._meter.take(now_s, frames_in, self._read_host(), is_reprojected)
        if seen is not None:
            self._governor.observe(seen)
        if hasattr(self._of_thread, "priority"):  # else this thread is none of the engine's
            self.give_way()
