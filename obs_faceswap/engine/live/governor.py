"""Gives up what costs most and shows least while the machine is too busy for everything.

Pure logic: once a second it is told how the engine and the program that shows the frames fare, and answers
with a plan. The plans lie on a ladder, best picture first; `stairs` decides when to move on it. Standard
library only.
"""

from collections import deque
from dataclasses import dataclass, replace

from obs_faceswap.engine.live.stairs import Stairs
from obs_faceswap.engine.settings import Reprojection, Settings, Target, covers_other_faces

_SEARCH_EVERY_S = 0.1  # as the finder does by itself
_COVERING_SEARCH_S = 0.2  # at most while other faces are covered: a passer-by is bare for so long
_SHORT = 0.9  # of the wanted frame rate: below it a second is bad,
_VERY_SHORT = 0.6  # and here two steps are taken at once
_FRONT_COSTS_MS = 1.0  # a frame: less is not worth to be told
_SWAPS_FPS = 8.0  # while reprojecting; with fewer the face's expression lags behind visibly
_ROOM = 0.8  # of the time between two frames: what the next better step may need
_LATE = 0.02  # of the shown program's frames: a second with more late ones is bad,
_VERY_LATE = 0.2
_HOST_BUSY = 0.8  # of the time for one frame that the program uses: no step back above it
_SHARE_OF_A_GAME = 0.25  # of the processors or of the graphics card that a game can spare
_BLAME_S = 60.0  # on the last step; when the program is as late as before, the engine is not why
_FIRST_PARDON_S = 300.0  # doubled each time
_LATE_GAIN = 0.1  # weight of a second in the mean of late frames
_RATE_GAIN = 0.2  # weight of a second in the camera's mean rate
_STICKS = 0.65  # between two numbers of frames left out; half would be the middle
_TOLD_S = 60.0  # late frames are told for so long
_NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the engine is to work. The defaults are what it does without a governor.

    Attributes:
        reproject: frames between two swaps show the newest swap moved to where the face is now.
        search_every_s: time between two searches for new faces while the face is followed.
        front_every: of so many frames one is looked at for what lies before faces.
        crop_limit_px: the longest side of the picture that a face is drawn in; None: as fine as the frame.
        max_fps: about how many frames a second are to be worked on at most; None: all.
        every: what comes nearest to that with even steps: one frame of so many is worked on.
        max_swap_fps: runs of the swap a second at most; None: all. It means something while reprojecting.
        low_priority: the engine's threads give way to all others.
        text: what was done, for the user; empty without a target.
    """

    reproject: bool = False
    search_every_s: float = _SEARCH_EVERY_S
    front_every: int = 1
    crop_limit_px: int | None = None
    max_fps: float | None = None
    every: int = 1
    max_swap_fps: float | None = None
    low_priority: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """How the last second or so went.

    Attributes:
        now_s: when it ended, on any steady clock.
        camera_fps: frames a second that came in.
        fps: frames a second that were finished, reprojected ones included.
        swap_fps: runs of the swap a second; 0 while no face is seen.
        frame_ms: mean time of one frame without its swap.
        swap_ms: mean time of one swap.
        front_ms: the part of `frame_ms` for what lies before faces.
        is_reprojected: frames were finished with swaps of earlier ones, because of the plan or not.
        share: part (0..1) of all processors, or of the graphics card, that the engine used.
        shown: frames that the program made in that time; 0 where nothing is known of it.
        late: of them those that came late or were left out.
        host_load: part of the time for one frame that the program needed.
    """

    now_s: float
    camera_fps: float
    fps: float
    swap_fps: float
    frame_ms: float
    swap_ms: float
    front_ms: float = 0.0
    is_reprojected: bool = False
    share: float = 0.0
    shown: int = 0
    late: int = 0
    host_load: float = 0.0

    @property
    def late_part(self) -> float:
        """Part (0..1) of the program's frames that were late."""
        return self.late / self.shown if self.shown else 0.0


_SMOOTH = (
    Plan(),
    Plan(search_every_s=0.25, front_every=2),
    Plan(search_every_s=0.25, front_every=2, reproject=True),
    Plan(search_every_s=0.5, front_every=2, reproject=True, crop_limit_px=384),
    Plan(search_every_s=1.0, front_every=3, reproject=True, crop_limit_px=256),
    # From here on the frame rate gives way too, so only a program that is late leads here.
    Plan(search_every_s=1.0, front_every=3, reproject=True, crop_limit_px=256, max_swap_fps=10.0),
    Plan(
        search_every_s=1.0, front_every=2, reproject=True, crop_limit_px=256, max_swap_fps=8.0, max_fps=15.0
    ),
)
_SMOOTH_KEEPS_RATE = 4
_GAME = tuple(
    replace(plan, reproject=True, low_priority=True)
    for plan in (
        Plan(search_every_s=0.25, front_every=2, crop_limit_px=448, max_fps=30.0, max_swap_fps=20.0),
        Plan(search_every_s=0.5, front_every=2, crop_limit_px=384, max_fps=30.0, max_swap_fps=15.0),
        Plan(search_every_s=0.5, front_every=3, crop_limit_px=320, max_fps=30.0, max_swap_fps=12.0),
        Plan(search_every_s=1.0, front_every=2, crop_limit_px=256, max_fps=15.0, max_swap_fps=10.0),
        Plan(search_every_s=1.0, front_every=2, crop_limit_px=192, max_fps=15.0, max_swap_fps=7.5),
    )
)
_LADDERS = {Target.OFF: (Plan(),), Target.SMOOTH: _SMOOTH, Target.GAME: _GAME}


class _Camera:
    """The camera's frame rate, and which even part of it comes nearest to a limit."""

    def __init__(self) -> None:
        self._fps = 0.0
        self._known: dict[float, int] = {}

    def note(self, fps: float) -> None:
        """Notes a second's rate."""
        self._fps += _RATE_GAIN * (fps - self._fps) if self._fps else fps

    def every(self, limit_fps: float | None) -> int:
        """One frame of so many is to be worked on; it does not flicker between two numbers."""
        if limit_fps is None:
            return 1
        ratio, known = self._fps / limit_fps, self._known.get(limit_fps, 0)
        if abs(ratio - known) > _STICKS:
            self._known[limit_fps] = max(1, round(ratio))
        return max(1, self._known.get(limit_fps, 1))


class _Blame:
    """Finds out whether a program is late whatever the engine gives up; then that is not held against it."""

    def __init__(self) -> None:
        self.pardoned_until_s = _NEVER_S
        self._pardon_s = _FIRST_PARDON_S
        self._late = 0.0  # mean part of late frames,
        self._worst_late = 0.0  # and the largest before all was given up

    def is_pardoned(self, seen: Observation, stairs: Stairs) -> bool:
        """Notes a second; whether a pardon begins with it."""
        self._late += _LATE_GAIN * (seen.late_part - self._late)
        if not stairs.is_last:
            self._worst_late = max(self._worst_late, self._late)
            return False
        has_helped = self._late < max(self._worst_late / 2, _LATE)
        if has_helped or seen.now_s - stairs.moved_s < _BLAME_S or seen.now_s < self.pardoned_until_s:
            return False
        self.pardoned_until_s = seen.now_s + self._pardon_s
        self._pardon_s *= 2
        self._worst_late = 0.0
        return True


class Governor:
    """Watches one engine and plans how it works."""

    def __init__(self, settings: Settings) -> None:
        """Starts with the best picture that the settings' target allows."""
        self._settings = settings
        self._stairs: Stairs | None = None  # from the first observation on
        self._blame = _Blame()
        self._camera = _Camera()
        self._has_front = False  # whether it takes time to look for what lies before faces
        self._lates: deque[tuple[float, int]] = deque()
        self.plan = self._made()

    def update(self, settings: Settings) -> None:
        """Takes over changed settings; another target starts over."""
        before, self._settings = self._settings, settings
        if (before.target, before.target_fps) != (settings.target, settings.target_fps):
            self._stairs, self._blame = None, _Blame()
        if _front_of(before) != _front_of(settings):
            self._has_front = False
        self.plan = replace(self._made(), text=self.plan.text if self._stairs else "")

    def observe(self, seen: Observation) -> None:
        """Judges about one more second; `plan` is what to do from now on."""
        if self._settings.target is Target.OFF:
            return
        self._note_late(seen)
        stairs = self._stairs = self._stairs or Stairs(len(self._ladder) - 1, seen.now_s)
        if seen.swap_fps > 0:  # without a face nothing can be learned about the swap
            self._camera.note(seen.camera_fps)
            self._has_front |= seen.front_ms > _FRONT_COSTS_MS
            stairs.judge(seen.now_s, self._steps_called_for(seen), self._may_climb(seen))
            if self._settings.target is Target.SMOOTH and self._blame.is_pardoned(seen, stairs):
                stairs.forgive(seen.now_s)
        self.plan = replace(self._made(), text=self._text())

    @property
    def _ladder(self) -> tuple[Plan, ...]:
        return _LADDERS[self._settings.target]

    @property
    def _step(self) -> int:
        return self._stairs.step if self._stairs else 0

    def _made(self) -> Plan:
        plan, settings = self._ladder[self._step], self._settings
        if settings.target is Target.OFF:
            return plan
        if settings.reprojection is Reprojection.NO:
            plan = _without_reprojection(plan)
        if not self._has_front:
            plan = replace(plan, front_every=1)
        if covers_other_faces(settings):
            plan = replace(plan, search_every_s=min(plan.search_every_s, _COVERING_SEARCH_S))
        limits = [limit for limit in (plan.max_fps, settings.target_fps) if limit]
        max_fps = min(limits, default=None)
        return replace(plan, max_fps=max_fps, every=self._camera.every(max_fps))

    # --- down ---

    def _steps_called_for(self, seen: Observation) -> int:
        late = 0.0 if seen.now_s < self._blame.pardoned_until_s else seen.late_part
        for_lateness = (late > _LATE) + (late > _VERY_LATE)
        if self._settings.target is Target.GAME:
            return max(for_lateness, int(seen.share > _SHARE_OF_A_GAME))
        return max(for_lateness, min(self._steps_for_rate(seen), _SMOOTH_KEEPS_RATE - self._step))

    def _steps_for_rate(self, seen: Observation) -> int:
        wanted_fps = self._wanted_fps(seen)
        if seen.is_reprojected and seen.fps >= _SHORT * wanted_fps:
            return int(seen.swap_fps < min(_SWAPS_FPS, wanted_fps / 2))
        return (seen.fps < _SHORT * wanted_fps) + (seen.fps < _VERY_SHORT * wanted_fps)

    # --- back ---

    def _may_climb(self, seen: Observation) -> bool:
        if self._step == 0 or seen.host_load > _HOST_BUSY:
            return False
        if self._settings.target is Target.GAME:
            return seen.share < _ROOM * _SHARE_OF_A_GAME
        return self._has_room(seen)

    def _has_room(self, seen: Observation) -> bool:
        """Whether the next better step should keep the frame rate, were nothing to run beside anything."""
        better, wanted_fps = self._ladder[self._step - 1], self._wanted_fps(seen)
        is_finer = better.crop_limit_px != self.plan.crop_limit_px
        if is_finer and seen.swap_fps < min(2 * _SWAPS_FPS, wanted_fps / 2):
            return False
        needed_ms = seen.frame_ms + (0.0 if better.reproject else seen.swap_ms)
        if self._has_front:  # it grows as more frames are looked at
            needed_ms += seen.front_ms * (self.plan.front_every / better.front_every - 1)
        return needed_ms * wanted_fps <= _ROOM * 1000

    def _wanted_fps(self, seen: Observation) -> float:
        return seen.camera_fps / self._camera.every(self._settings.target_fps or None)

    # --- telling ---

    def _note_late(self, seen: Observation) -> None:
        self._lates.append((seen.now_s, seen.late))
        while self._lates[0][0] < seen.now_s - _TOLD_S:
            self._lates.popleft()

    def _text(self) -> str:
        done = ", ".join(_given_up(self._made())) or "nothing gives way"
        late = sum(count for _, count in self._lates)
        times = "once" if late == 1 else f"{late} times"
        told = f"; OBS was late {times}" if late else ""
        return f"{self._settings.target.capitalize()} target: {done}{told}."


def _without_reprojection(plan: Plan) -> Plan:
    """Every frame needs its own swap then, so there are no more frames than swaps."""
    limits = [limit for limit in (plan.max_fps, plan.max_swap_fps) if limit is not None]
    return replace(plan, reproject=False, max_fps=min(limits, default=None), max_swap_fps=None)


def _front_of(settings: Settings) -> tuple[str, ...]:
    return settings.occlusion, settings.occlusion_network, settings.occlusion_device


def _given_up(plan: Plan) -> list[str]:
    """What a plan does without, for the user; that frames are reprojected is told with their rate."""
    parts = []
    if plan.every > 1:
        parts.append(f"one frame of {plan.every}")
    if plan.max_swap_fps:
        parts.append(f"at most {plan.max_swap_fps:g} swaps a second")
    if plan.search_every_s > _SEARCH_EVERY_S:
        parts.append(f"new faces looked for every {plan.search_every_s:g} s")
    if plan.front_every > 1:
        parts.append(f"what is in front looked for in one frame of {plan.front_every}")
    if plan.low_priority:
        parts.append("low priority")
    return parts
