"""Steps that are taken down quickly and back slowly, so that nobody sees a swing. Standard library only.

One step down takes some bad seconds; one step back takes many good ones, and a step that had to be left
again stays closed for a while, each time for longer. So what lies just between two steps ends on the lower.
"""

# Chosen, not measured: a viewer should hardly ever see two changes in one minute.
_BAD_SECONDS = 3  # more bad than good seconds before a step down
_SETTLE_S = 4.0  # after a step its effect is waited for
_CALM_S = 20.0  # only seconds with room for it before a step back
_FAILED_WITHIN_S = 300.0  # a step back that has to be undone so soon has failed
_FIRST_WAIT_S = 60.0  # before it is tried again; doubled each time
_LONGEST_WAIT_S = 1800.0
_NEVER_S = float("-inf")


class Stairs:
    """Where on a ladder one stands. Step 0 is the best, `last` the cheapest."""

    def __init__(self, last: int, now_s: float) -> None:
        """Starts on the best step; times are on any steady clock."""
        self.step = 0
        self.moved_s = now_s
        self._last = last
        self._bad = 0
        self._calm_since_s = now_s
        self._climbed_s: dict[int, float] = {}  # when each step was last climbed back to,
        self._waits_s: dict[int, float] = {}  # how long it stayed closed when that failed last,
        self._closed_until_s: dict[int, float] = {}  # and until when that is

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to give up."""
        return self.step == self._last

    def judge(self, now_s: float, steps_down: int, may_climb: bool) -> None:
        """Takes one more second into account; call it about once a second.

        Args:
            now_s: when that second ended.
            steps_down: how many steps it calls for; 0 when it was a good one.
            may_climb: whether the next better step should hold.
        """
        self._bad = max(0, self._bad + (1 if steps_down else -1))
        if steps_down or not may_climb:
            self._calm_since_s = now_s
        if now_s - self.moved_s < _SETTLE_S:
            self._bad = 0
        elif steps_down and self._bad >= _BAD_SECONDS:
            self._go_down(now_s, steps_down)
        elif not self._bad and self._is_open(now_s):
            self._move(self.step - 1, now_s)
            self._climbed_s[self.step] = now_s

    def forgive(self, now_s: float) -> None:
        """Counts the seconds until now as good ones."""
        self._bad, self._calm_since_s = 0, now_s

    def _is_open(self, now_s: float) -> bool:
        is_calm = now_s - self._calm_since_s >= _CALM_S
        return self.step > 0 and is_calm and now_s >= self._closed_until_s.get(self.step - 1, _NEVER_S)

    def _go_down(self, now_s: float, steps: int) -> None:
        lower = min(self.step + steps, self._last)
        if lower == self.step:
            return
        for step in range(self.step, lower):
            self._note_failure(step, now_s)
        self._move(lower, now_s)

    def _note_failure(self, step: int, now_s: float) -> None:
        """Closes a step for a while if it was climbed back to not long ago."""
        wait_s = self._waits_s.get(step, _FIRST_WAIT_S / 2)
        if now_s - self._climbed_s.get(step, _NEVER_S) > max(_FAILED_WITHIN_S, 2 * wait_s):
            self._waits_s.pop(step, None)
            return
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        self._waits_s[step] = wait_s
        self._closed_until_s[step] = now_s + wait_s

    def _move(self, step: int, now_s: float) -> None:
        self.step = step
        self._bad = 0
        self.moved_s = self._calm_since_s = now_s
