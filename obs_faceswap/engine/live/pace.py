"""How fast frames come and go, and whether the network can follow. Standard library only."""

from collections import deque
from statistics import median

_NS = 1_000_000_000
OLDEST_SWAP_NS = 1_250_000_000  # an older one has another expression, and is not moved to where the face is
_AGES = (0.65, 0.95)  # parts of it that a swap may reach for reprojection to begin, and to go on

_PACE_NS = 3 * _NS  # figures are a mean over so long
_LOG_EVERY_NS = 60 * _NS
_FRAMES = 200
_SPANS = 30
_KNOWN_AFTER = 5
_GAIN = 0.1  # weight of a new time in a mean

_TOO_SLOW = 1.15  # times between two frames: what needs longer cannot follow the camera,
_FAST_ENOUGH = 0.85  # and what needs less can without reprojection
_SLOW_NS = _NS  # so long it has to be too slow
_FAST_NS = 4 * _NS  # or fast enough; doubled after each change that was taken back soon
_LONGEST_FAST_NS = 120 * _NS
_SOON_NS = 30 * _NS


class Pace:
    """How many frames an engine finishes a second, and when that is told."""

    def __init__(self, now_ns: int) -> None:
        self._started_ns = now_ns
        self._ticks: deque[int] = deque(maxlen=_FRAMES)
        self._told_ns = 0

    def tick(self, at_ns: int) -> None:
        """Notes one finished frame."""
        self._ticks.append(at_ns)

    def per_second(self, at_ns: int) -> float | None:
        """Frames finished a second lately; None while that is not known yet."""
        if at_ns - self._started_ns < _PACE_NS:
            return None
        recent = [tick for tick in tuple(self._ticks) if at_ns - tick < _PACE_NS]
        span_ns = recent[-1] - recent[0] if len(recent) > 1 else 0
        return (len(recent) - 1) * 1e9 / span_ns if span_ns else 0.0

    def tell(self, at_ns: int) -> tuple[bool, bool]:
        """Whether there is a figure for the first time, and whether the log's next line is due."""
        if self.per_second(at_ns) is None or (self._told_ns and at_ns - self._told_ns < _LOG_EVERY_NS):
            return False, False
        first = not self._told_ns
        self._told_ns = at_ns
        return first, True


class Camera:
    """The time between two frames of a camera, of which some may not be seen."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._spans_ns: deque[float] = deque(maxlen=_SPANS)

    def arrived(self, arrival_ns: int, sequence: int) -> None:
        """Notes a frame; numbers that are left out count as frames."""
        last, self._last = self._last, (arrival_ns, sequence)
        if last is not None and sequence > last[1] and arrival_ns > last[0]:
            self._spans_ns.append((arrival_ns - last[0]) / (sequence - last[1]))

    @property
    def period_ns(self) -> float:
        """The median; 0 while it is not known."""
        return median(self._spans_ns) if len(self._spans_ns) >= _KNOWN_AFTER else 0.0


class Usual:
    """A running mean of times that come one by one."""

    def __init__(self) -> None:
        self.ns = 0.0

    def add(self, ns: float) -> None:
        """Notes one; the first one counts whole."""
        self.ns = ns if not self.ns else self.ns + _GAIN * (ns - self.ns)


class Reprojector:
    """Decides whether frames between two swaps are to be shown, and never changes its mind twice quickly."""

    def __init__(self) -> None:
        """Starts without reprojection."""
        self._since_ns: int | None = None  # the times have called for a change
        self._changed_ns = 0
        self._patience_ns = _FAST_NS
        self.is_on = False

    def step(self, now_ns: int, frame_ns: float, swap_ns: float, period_ns: float) -> bool:
        """The decision after one more finished frame.

        Args:
            now_ns: the time.
            frame_ns: what a frame usually takes without its swap,
            swap_ns: and what a swap takes; 0 while none was made.
            period_ns: time between two frames of the camera; 0 while it is not known.
        """
        if not self._calls_for_change(frame_ns, swap_ns, period_ns):
            self._since_ns = None
            return self.is_on
        self._since_ns = now_ns if self._since_ns is None else self._since_ns
        if now_ns - self._since_ns >= (self._patience_ns if self.is_on else _SLOW_NS):
            self._change(now_ns)
        return self.is_on

    def _calls_for_change(self, frame_ns: float, swap_ns: float, period_ns: float) -> bool:
        if not swap_ns or not period_ns:
            return False
        is_young = can_reproject(swap_ns, self.is_on)
        if self.is_on:
            return not is_young or frame_ns + swap_ns < _FAST_ENOUGH * period_ns
        return is_young and frame_ns + swap_ns > _TOO_SLOW * period_ns

    def _change(self, now_ns: int) -> None:
        self.is_on = not self.is_on
        if self.is_on and self._changed_ns and now_ns - self._changed_ns < _SOON_NS:
            self._patience_ns = min(2 * self._patience_ns, _LONGEST_FAST_NS)
        self._changed_ns, self._since_ns = now_ns, None


def can_reproject(swap_ns: float, is_on: bool) -> bool:
    """Whether swaps that take so long are young enough: each is shown until the next one is finished."""
    return 2 * swap_ns <= _AGES[is_on] * OLDEST_SWAP_NS
