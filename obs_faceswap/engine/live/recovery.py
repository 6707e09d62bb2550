"""What goes wrong while an engine runs: when to load it anew, what to tell. Standard library only."""

import time

from obs_faceswap.engine.errors import explain

_FAULTS_ALLOWED = 5  # frames in a row; fewer are over before anybody could read of them
_RETRY_S = (2.0, 5.0, 10.0, 30.0)  # waits before loading again; the last one repeats
SHORTEST_STALL_NS = 1_000_000_000  # a shorter one is over before anybody could read of it
_REMEMBERED_S = 30.0  # what is over is told for so long


class Retries:
    """When something is tried again by itself: later each time. Times are of any steady clock, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._at_s: float | None = None

    def later(self, now_s: float) -> None:
        """Plans the next try, unless one is planned."""
        if self._at_s is None:
            self._at_s = now_s + _RETRY_S[min(self.count, len(_RETRY_S) - 1)]
            self.count += 1

    def is_due(self, now_s: float) -> bool:
        """Whether the planned time has come."""
        return self._at_s is not None and now_s >= self._at_s

    def is_patient(self) -> bool:
        """Whether what may be a mistake of the user's is still worth a try."""
        return self.count < len(_RETRY_S)

    def drop(self) -> None:
        """Forgets the planned try: it is made."""
        self._at_s = None

    def reset(self) -> None:
        """Forgets all tries: it works."""
        self.count, self._at_s = 0, None


class Trouble:
    """One engine's faults over time, and what to say of them."""

    def __init__(self) -> None:
        self.is_on = False  # whether it is worth telling
        self._what = ""
        self._streak = 0
        self._past = ""
        self._past_s = 0.0

    def fault(self, error: Exception) -> bool:
        """Notes a frame that failed by the engine's own fault; whether it is time to load the engine anew."""
        self._streak += 1
        self._what = explain(error)
        if self._streak != _FAULTS_ALLOWED:
            return False
        self.is_on = True
        return True

    def reloaded(self) -> None:
        """Counts anew for an engine that was loaded for a fault."""
        self._streak = 0

    def fine(self, now_s: float) -> bool:
        """Notes a frame without a fault; whether that ends a trouble that was told."""
        was_on, self.is_on = self.is_on, False
        self._streak = 0
        if was_on:
            self._remember(f"It failed until {_clock()} and works again: {self._what}", now_s)
        return was_on

    def answered(self, stuck_s: float, now_s: float) -> None:
        """Notes the end of a stall."""
        self._remember(f"The engine did not answer for {stuck_s:.0f} s until {_clock()}.", now_s)

    def _remember(self, text: str, now_s: float) -> None:
        self._past, self._past_s = text, now_s

    def text(self, now_s: float) -> str:
        """What is wrong, or was lately; empty if nothing."""
        if self.is_on:
            return self._what
        return self._past if now_s - self._past_s < _REMEMBERED_S else ""


def stall_text(stuck_s: float) -> str:
    """What to tell while the engine does not answer."""
    return (
        f"The engine has not answered for {stuck_s:.0f} s; what “Show instead” says is shown until it does. "
        "If it never does, choose another face or device, or restart OBS."
    )


def _clock() -> str:
    return time.strftime("%H:%M:%S")
