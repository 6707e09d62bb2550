"""How long finished frames are held, so that they come out evenly spaced. Pure logic, standard library only.

An engine needs now 40 ms for a frame and then 70. Shown as they come, frames of an even camera come out
unevenly, and no sound fits. So each is held until a whole number of the camera's periods has passed since it
came in: OBS then shows it in the very callback that many frames later. The automatic delay is the smallest
that nearly all frames reach in time. It rises at once when too many come late and falls only after a long
calm, each time a longer one, because every change is seen and heard.
"""

import math
from collections import deque
from collections.abc import Iterable

from obs_faceswap.engine.settings import Delay, Settings

_NS = 1_000_000_000
LONGEST_MS = 5000  # of a fixed delay, as in DeepFaceLive; the automatic one ends there too
MEMORY_BYTES = 1 << 30  # of one filter's finished frames: 5 s of 1080p in 4:2:0 at 60 frames a second

_LOOK_EVERY_NS = _NS // 4
_KNOWN_AFTER = 6  # frames in, and results, before there is a delay
_PERIODS_KEPT = 512  # a long mean: 150 periods of a fixed delay must not be out by half a one
_NEW_PERIOD_NS = 2 * _NS  # a camera's new rate counts after so long: OBS itself may lag for a moment,
_NEW_PERIOD = 0.15  # where it differs by this part
_GAP = 2.6  # periods; OBS's clock makes up to two of one, what is longer is an interruption
_SAME = 0.125  # parts of a period the delay may be out before it is set anew

_RECENT = 40  # results that are looked at for late ones
_TOO_MANY = 4  # late ones among them; one stall of the machine makes up to three
_CALM_NS = 20 * _NS  # before the delay may fall,
_FIRST_CALM_NS = 4 * _NS  # or, within that of the first one, which a new engine's slow frames have set,
_LONGEST_CALM_NS = 320 * _NS  # doubled whenever a fall was a mistake
_MISTAKE_NS = 120 * _NS  # a rise so soon after a fall says that it was one
_SPARE = 0.25  # parts of a period results must be early for the delay to fall

_WRITTEN_AND_SHOWN = 3  # slots of the ring beside those that wait: newest shown, read, written
_RINGS = (
    6,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    320,
    480,
    640,
)  # a change of size interrupts the picture


_Span = tuple[int, int, int]  # when it ended, how long it lasted, frames in it


class SteadyDelay:
    """The steady delay of one stream of frames. All times are on `exchange.now_ns`'s clock.

    Args:
        fixed_ms: 0 to 5000; 0 holds nothing. None finds the smallest delay that holds. `follow` changes it.
        memory_bytes: how much the frames that wait may take.
    """

    def __init__(self, fixed_ms: float | None, memory_bytes: int = MEMORY_BYTES) -> None:
        self._fixed_ms = fixed_ms
        self._camera = _Camera()
        self._steps = _Steps()
        self._shift_ns = 0
        self._ring = _RINGS[0]
        self._memory_bytes = memory_bytes
        self._slot_bytes = 0
        self._looked_ns = 0

    def follow(self, settings: Settings) -> None:
        """Takes over what the user chose; what is known of camera and engine is kept."""
        chosen: float | None = {Delay.AUTO: None, Delay.FIXED: settings.delay_ms, Delay.OFF: 0.0}[
            settings.delay
        ]
        if chosen != self._fixed_ms:
            self._fixed_ms = chosen
            self._ring = _RINGS[0]
            self._looked_ns = 0

    def arrived(self, arrival_ns: int, sequence: int) -> None:
        """Notes a frame that came in; frames may be left out, their numbers tell how many."""
        self._camera.arrived(arrival_ns, sequence)

    def note(self, arrival_ns: int, done_ns: int) -> None:
        """Notes a finished frame."""
        is_late = self._steps.note(arrival_ns, done_ns, self._camera)
        if is_late or done_ns - self._looked_ns >= _LOOK_EVERY_NS:
            self._looked_ns = done_ns
            self._look(done_ns)

    def sized(self, slot_bytes: int) -> None:
        """Tells how large a finished frame is: a long delay of large frames may not fit into the memory."""
        self._slot_bytes = slot_bytes

    @property
    def shift_ns(self) -> int:
        """The steady delay: a whole number of the camera's periods; 0 while it is not known yet."""
        return self._shift_ns

    @property
    def hold_ns(self) -> int:
        """How old a frame must be to be shown: half a period less, so that jitter does not matter."""
        return max(0, self._shift_ns - self._camera.period_ns // 2) if self._shift_ns else 0

    @property
    def results_needed(self) -> int:
        """Slots for the ring of finished frames. They change seldom: that may cost a frame."""
        return self._ring

    @property
    def notice(self) -> str:
        """What to tell the user about a fixed delay that cannot be kept; empty if it can."""
        if not self._fixed_ms or not self._shift_ns:
            return ""
        if self._fixed_ms * 1e6 - self._shift_ns > self._camera.period_ns:
            return self._too_large(self._fixed_ms)
        usual_ns = self._steps.usual_ns()
        if usual_ns > self._shift_ns:
            return (
                f"The engine needs {usual_ns / 1e6:.0f} ms for a picture, more than the fixed delay of "
                f"{self._fixed_ms:.0f} ms. Choose a longer or the automatic delay."
            )
        return ""

    def _too_large(self, fixed_ms: float) -> str:
        needed_mb = self._needed(round(fixed_ms * 1e6)) * self._slot_bytes / 2**20
        return (
            f"A delay of {fixed_ms:.0f} ms needs {needed_mb:.0f} MB for frames of this size, and "
            f"{self._memory_bytes / 2**20:.0f} MB are allowed: it is {self._shift_ns / 1e6:.0f} ms. "
            "Choose a shorter delay or a smaller source."
        )

    def _look(self, now_ns: int) -> None:
        """Sets the delay anew where it must change."""
        if self._camera.look(now_ns):
            self._steps.start_again(now_ns)
        period_ns = self._camera.period_ns
        if not period_ns:
            return
        wanted_ns = self._wanted_steps(now_ns) * period_ns
        if abs(wanted_ns - self._shift_ns) > _SAME * period_ns:
            self._shift_ns = wanted_ns
        wide = self._wide(self._needed(self._shift_ns))
        enough = self._wide(self._shift_ns // period_ns + _WRITTEN_AND_SHOWN)  # however fast the engine is
        self._ring = max(self._ring if 2 * enough > self._ring else enough, wide)

    def _wide(self, slots: int) -> int:
        """The ring with room for so many, as far as the memory allows."""
        return min(next((size for size in _RINGS if size >= slots), _RINGS[-1]), self._slots())

    def _wanted_steps(self, now_ns: int) -> int:
        if self._fixed_ms is None:
            steps = self._steps.look(now_ns, self._camera)
        else:
            steps = self._fixed_steps(round(self._fixed_ms * 1e6))
        return min(steps, self._longest_steps())

    def _fixed_steps(self, fixed_ns: int) -> int:
        """The nearest number of periods; between two of them the one it was before."""
        period_ns = self._camera.period_ns
        is_near = abs(self._shift_ns - fixed_ns) <= (0.5 + _SAME) * period_ns
        return round((self._shift_ns if is_near else fixed_ns) / period_ns)

    def _needed(self, shift_ns: int) -> int:
        """Slots for a delay: each result waits from when it is finished."""
        waiting_ns = max(0, shift_ns - self._steps.shortest_ns())
        return math.ceil(waiting_ns / self._camera.period_ns) + _WRITTEN_AND_SHOWN

    def _longest_steps(self) -> int:
        longest = round(LONGEST_MS * 1e6 / self._camera.period_ns)
        engine = self._steps.shortest_ns() // self._camera.period_ns
        return min(longest, self._slots() - _WRITTEN_AND_SHOWN + engine)

    def _slots(self) -> int:
        """How many the memory allows."""
        return max(_RINGS[0], self._memory_bytes // self._slot_bytes) if self._slot_bytes else _RINGS[-1]


class _Camera:
    """The time between the frames that come in, and how far it wanders."""

    def __init__(self) -> None:
        self.period_ns = 0
        self.jitter_ns = 0
        self._last: tuple[int, int] | None = None
        self._spans: deque[_Span] = deque(maxlen=_PERIODS_KEPT)

    def arrived(self, arrival_ns: int, sequence: int) -> None:
        """Notes one frame."""
        last, self._last = self._last, (arrival_ns, sequence)
        if last is not None and sequence > last[1] and arrival_ns > last[0]:
            self._spans.append((arrival_ns, arrival_ns - last[0], sequence - last[1]))

    def look(self, now_ns: int) -> bool:
        """Measures the period; whether it is another than before."""
        if len(self._spans) < _KNOWN_AFTER:
            return False
        newest = self._newest(now_ns)
        is_new = self._is_another(newest)
        if is_new:
            self._spans = deque(newest[len(newest) // 2 :], _PERIODS_KEPT)
        self.period_ns = _mean_ns(self._spans)
        early = (max(0, self.period_ns * frames - lasted) for _, lasted, frames in self._spans)
        self.jitter_ns = min(_percentile(early, 0.9), self.period_ns // 2)
        return is_new

    def _newest(self, now_ns: int) -> list[_Span]:
        """Those of the time after which a new rate counts, or a few more of a very slow engine."""
        count = sum(span[0] >= now_ns - _NEW_PERIOD_NS for span in self._spans)
        return list(self._spans)[-max(count, 2 * _KNOWN_AFTER) :]

    def _is_another(self, newest: list[_Span]) -> bool:
        """Whether both halves tell of the same new period: one alone may hold the change itself."""
        if not self.period_ns or len(newest) < 2 * _KNOWN_AFTER:
            return False
        half = len(newest) // 2
        first_ns, second_ns = _mean_ns(newest[:half]), _mean_ns(newest[half:])
        differs = all(_differ(self.period_ns, mean_ns) for mean_ns in (first_ns, second_ns))
        return differs and not _differ(first_ns, second_ns)


class _Steps:
    """How many periods the engine needs: the automatic delay."""

    def __init__(self) -> None:
        self._steps = 0
        self._latest: deque[int] = deque(maxlen=_RECENT)
        self._all: deque[tuple[int, int]] = deque()  # when it was finished, and after how long
        self._calm_ns = _FIRST_CALM_NS
        self._changed_ns = 0
        self._fell_ns = -_MISTAKE_NS

    def note(self, arrival_ns: int, done_ns: int, camera: _Camera) -> bool:
        """Notes a finished frame; whether it came late."""
        self._latest.append(done_ns - arrival_ns)
        self._all.append((done_ns, done_ns - arrival_ns))
        while done_ns - self._all[0][0] > _CALM_NS:
            self._all.popleft()
        return bool(self._steps) and self._is_late(self._latest[-1], camera)

    def _is_late(self, latency_ns: int, camera: _Camera) -> bool:
        return latency_ns > self._steps * camera.period_ns - camera.jitter_ns

    def usual_ns(self) -> int:
        """The median time the engine lately needed, waiting included; 0 while it is not known."""
        return _percentile(self._latest, 0.5) if len(self._latest) >= _KNOWN_AFTER else 0

    def shortest_ns(self) -> int:
        """What nearly all frames lately needed at least; 0 while it is not known."""
        return _percentile(self._latest, 0.1) if len(self._latest) >= _KNOWN_AFTER else 0

    def start_again(self, now_ns: int) -> None:
        """Forgets the delay that was right for another camera period."""
        self._set(0, now_ns)

    def look(self, now_ns: int, camera: _Camera) -> int:
        """The periods to wait."""
        if len(self._latest) < _KNOWN_AFTER:
            return self._steps
        late = sum(self._is_late(latency_ns, camera) for latency_ns in self._latest)
        if not self._steps or late >= _TOO_MANY:
            self._rise(now_ns, camera)
        elif now_ns - self._changed_ns >= self._calm_ns:
            self._fall(now_ns, camera)
            if now_ns - self._changed_ns >= _CALM_NS:
                self._calm_ns = max(self._calm_ns, _CALM_NS)
        return self._steps

    def _rise(self, now_ns: int, camera: _Camera) -> None:
        if now_ns - self._fell_ns < _MISTAKE_NS and self._steps:
            self._calm_ns = min(2 * self._calm_ns, _LONGEST_CALM_NS)
            self._fell_ns = -_MISTAKE_NS
        share = 0.95 if len(self._latest) == _RECENT else 0.8  # the first frames of an engine are slow
        self._set(max(self._steps, _steps_for(_percentile(self._latest, share), camera)), now_ns)

    def _fall(self, now_ns: int, camera: _Camera) -> None:
        spare_ns = int(_SPARE * camera.period_ns)
        lasted = [latency_ns for done_ns, latency_ns in self._all if now_ns - done_ns <= self._calm_ns]
        enough = _steps_for(_percentile(lasted, 0.98) + spare_ns, camera)
        if enough < self._steps:
            self._fell_ns = now_ns
            self._set(enough, now_ns)

    def _set(self, steps: int, now_ns: int) -> None:
        if steps != self._steps:
            if self._steps:
                self._calm_ns = max(self._calm_ns, _CALM_NS)
            self._steps = steps
            self._changed_ns = now_ns


def _steps_for(latency_ns: int, camera: _Camera) -> int:
    return max(1, math.ceil((latency_ns + camera.jitter_ns) / camera.period_ns))


def _percentile(values: Iterable[int], share: float) -> int:
    """The smallest of the values that this share of them (0..1) does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _differ(period_ns: int, other_ns: int) -> bool:
    return abs(period_ns - other_ns) > _NEW_PERIOD * period_ns


def _mean_ns(spans: Iterable[_Span]) -> int:
    """The mean period of spans of frames, interruptions left out."""
    known = [(lasted, frames) for _, lasted, frames in spans]
    longest = _GAP * _percentile([lasted // frames for lasted, frames in known], 0.5)
    whole = [(lasted, frames) for lasted, frames in known if lasted <= longest * frames]
    return round(sum(lasted for lasted, _ in whole) / sum(frames for _, frames in whole))
