"""What a frame shows when there is no swap for it: a state machine over time. Standard library only."""

import math
from dataclasses import dataclass
from enum import StrEnum

from obs_faceswap.engine.settings import Cover

FREEZE_S = 0.5  # long enough for a blink of the detector, short enough not to look like a broken stream
FADE_S = 0.2
GOOD_FRAMES = 3  # swapped frames in a row that end the cover; one alone may be a mistake of the detector
_NO_WEIGHT = 1 / 255  # less of a picture is nothing
_STUCK_STEP_S = 1 / 60  # a clock that stands still or jumps back must not freeze the picture for ever


class Step(StrEnum):
    """What to do with one frame."""

    SHOW = "show"  # the frame with its swap
    FREEZE = "freeze"  # the last swapped frame
    FADE = "fade"  # the last swapped frame, on its way into the cover
    COVER = "cover"
    ORIGINAL = "original"  # the frame as it came; only where the user chose it


@dataclass(frozen=True, slots=True)
class Action:
    """One decision. `frozen_weight` is the frozen picture's part in a fade: 1 only it, 0 only the cover."""

    step: Step
    frozen_weight: float = 0.0


_SHOW = Action(Step.SHOW)
_FREEZE = Action(Step.FREEZE, 1.0)
_COVER = Action(Step.COVER)
_ORIGINAL = Action(Step.ORIGINAL)


class NoFacePolicy:
    """Decides frame by frame; one object for one stream of frames.

    The first swap of a stream is shown at once, so is one that returns while the picture is only frozen or
    under *Show original*. Once a cover was shown, it takes `GOOD_FRAMES` swaps in a row to come back.
    `cover` may be changed at any time.
    """

    def __init__(self, cover: Cover) -> None:
        self.cover = cover
        self._good = GOOD_FRAMES  # swaps in a row
        self._lost_s = math.inf  # time since the last frame that was shown with its swap
        self._last_s: float | None = None

    def step(self, has_swap: bool, now_s: float) -> Action:
        """The action for the next frame. `now_s` is that frame's time on any clock, in seconds."""
        self._lost_s += self._elapsed(now_s)
        self._good = min(self._good + 1, GOOD_FRAMES) if has_swap else 0
        if has_swap and (self._good == GOOD_FRAMES or self._returns_at_once()):
            self._good = GOOD_FRAMES
            self._lost_s = 0.0
            return _SHOW
        return self._without_swap()

    def _elapsed(self, now_s: float) -> float:
        last_s, self._last_s = self._last_s, now_s
        if last_s is None:
            return 0.0
        return now_s - last_s if now_s > last_s else _STUCK_STEP_S

    def _returns_at_once(self) -> bool:
        return self.cover is Cover.ORIGINAL or self._is_frozen()

    def _is_frozen(self) -> bool:
        return self.cover is Cover.FREEZE_BLUR and self._lost_s <= FREEZE_S

    def _without_swap(self) -> Action:
        if self.cover is Cover.ORIGINAL:
            return _ORIGINAL
        if self._is_frozen():
            return _FREEZE
        weight = 1.0 - (self._lost_s - FREEZE_S) / FADE_S
        if self.cover is Cover.FREEZE_BLUR and weight > _NO_WEIGHT:
            return Action(Step.FADE, weight)
        return _COVER
