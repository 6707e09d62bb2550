"""Making the source blink when the live person does."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.find.eyes import Eye
from obs_faceswap.engine.swap.photo_gaze import LOWER, UPPER

Floats: TypeAlias = npt.NDArray[np.float32]

# Measured on the clips: open eyes are 0.6 to 1.1 cm high on the canonical head. Closed ones, with their lids
# together in the picture, still have 0.4 to 0.67 of that in the mesh, and 0.15 to 0.4 in the network of eyes.
_OPEN_EYES = (0.6, 1.1)
_CLOSED, _WIDE = 0.6, 0.9  # in the mesh, where the network says nothing
_SEEN_CLOSED, _SEEN_OPEN = 0.4, 0.9
_OPENS, _FORGETS = 0.2, 1 / 300  # how fast the widest opening follows, a frame
_SURE = 0.15  # of the widest opening: a smaller change may be the network's noise and is followed slowly


class Lids:
    """Closes a mesh's eyes as far as the live ones; to the mesh closed and lowered ones are alike."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets how far the live person's eyes open."""
        self._mesh, self._seen = ([_Widest(), _Widest()] for _ in range(2))
        self._steady: list[float | None] = [None, None]

    def step(
        self, eyes: Sequence[Eye | None], live: Floats, target: Floats, px_per_cm: float
    ) -> tuple[float, ...]:
        """Moves the upper lids of `target` (468, 2 or more) in place, as the live eyes are open.

        Args:
            eyes: the live ones; without one the mesh says how far it is open, roughly.
            live: the live mesh (468, 2 or more), px.
            target: where the swap has its mesh.
            px_per_cm: the head's scale; the width of an eye shrinks when the head turns.

        Returns:
            How much of each eye's opening in `target` is left, 0..1.
        """
        left, scale = [], max(px_per_cm, 1e-6)
        for index, (upper, lower) in enumerate(zip(UPPER, LOWER, strict=True)):
            part = self._mesh[index].part(_height(live[list(upper), :2], live[list(lower), :2]) / scale)
            kept, eye = _between(part, _CLOSED, _WIDE), eyes[index]
            if eye is not None:
                seen = self._steadied(index, self._seen[index].part(eye.opening / scale))
                opened = _between(seen, _SEEN_CLOSED, _SEEN_OPEN)
                kept = min(opened / max(part, 1e-6), 1.0)
            over, under = list(upper[1:-1]), list(lower[1:-1])
            target[over, :2] = target[under, :2] + (target[over, :2] - target[under, :2]) * kept
            left.append(kept)
        return tuple(left)

    def _steadied(self, index: int, part: float) -> float:
        """An eye's opening as the network sees it, without its noise: a blink is followed at once."""
        last = self._steady[index]
        if last is not None:
            change = part - last
            part = last + change * min(abs(change) / _SURE, 1.0) ** 2
        self._steady[index] = part
        return part


class _Widest:
    """The widest opening of an eye so far; it follows widening at once and narrowing slowly."""

    def __init__(self) -> None:
        self._cm = 0.0

    def part(self, opening_cm: float) -> float:
        """An opening in parts of the widest."""
        widest = self._cm or float(np.clip(opening_cm, *_OPEN_EYES))
        widest += (opening_cm - widest) * (_OPENS if opening_cm > widest else _FORGETS)
        self._cm = max(widest, _OPEN_EYES[0])  # eyes that stay closed are no narrow ones
        return opening_cm / self._cm


def _between(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, and in proportion between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _height(over: Floats, under: Floats) -> float:
    """How far apart an eye's lids (9, 2) are in its middle."""
    return float(np.linalg.norm(over[3:6] - under[3:6], axis=1).mean())
