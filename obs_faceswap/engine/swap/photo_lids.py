"""Making the source blink when the live person does."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.eyes import Eyes
from obs_faceswap.engine.swap.photo_gaze import LOWER, UPPER, height_of
from obs_faceswap.engine.types import ImageBGR

Floats: TypeAlias = npt.NDArray[np.float32]

# Measured on the clips: open eyes are 0.6 to 1.1 cm high on the canonical head; closed ones, with their lids
# together in the picture, still have 0.4 to 0.67 of that in the mesh, and 0.15 to 0.4 in the network of eyes.
_OPEN_EYES = (0.6, 1.1)
_CLOSED, _WIDE = 0.6, 0.9  # in the mesh, where there is no other network
_SEEN_CLOSED = 0.4
_DOUBTED, _TRUSTED = 0.95, 0.85  # in the mesh: from there on downwards the network is asked, and is believed
_LOOKED_AT_EVERY = 8  # frames, an open eye
_OPENS, _FORGETS = 0.2, 1 / 300  # how fast the widest opening follows, a look


class Lids:
    """Closes the eyes of a mesh as far as the live ones, of which the mesh alone sees too little."""

    def __init__(self, eyes: Eyes | None = None) -> None:
        """Takes the network that looks at eyes, if there is one."""
        self._eyes = eyes
        self.reset()

    def reset(self) -> None:
        """Forgets how far the live person's eyes open."""
        self._mesh, self._seen = ([_Widest(), _Widest()] for _ in range(2))
        self._frames = 0

    def step(self, crop: ImageBGR, live: Floats, target: Floats, px_per_cm: float) -> tuple[float, ...]:
        """Moves the upper lids of `target` (468, 2 or more) in place, as the live eyes are open.

        Args:
            crop: the live crop.
            live: its mesh (468, 2 or more), px.
            target: where the swap has its mesh.
            px_per_cm: the head's scale; the width of an eye shrinks when the head turns.

        Returns:
            How much of each eye's opening in `target` is left, 0..1.
        """
        self._frames += 1
        picture, scale = Picture.of(crop), max(px_per_cm, 1e-6)
        return tuple(self._close(index, picture, live, target, scale) for index in range(len(UPPER)))

    def _close(self, index: int, picture: Picture, live: Floats, target: Floats, scale: float) -> float:
        upper, lower = UPPER[index], LOWER[index]
        opening = height_of(live[list(upper), :2], live[list(lower), :2]) / scale
        kept = self._kept(index, self._mesh[index].part(opening), picture, live, scale)
        over, under = list(upper[1:-1]), list(lower[1:-1])
        target[over, :2] = target[under, :2] + (target[over, :2] - target[under, :2]) * kept
        return kept

    def _kept(self, index: int, part: float, picture: Picture, live: Floats, scale: float) -> float:
        """How much is left of an eye's opening of which the mesh sees a part."""
        if self._eyes is None:
            return _between(part, _CLOSED, _WIDE)
        is_open = part >= _DOUBTED
        if is_open and (self._frames + index * _LOOKED_AT_EVERY // 2) % _LOOKED_AT_EVERY:
            return 1.0
        seen = self._eyes.opening(picture, live, index)
        if seen is None:
            return _between(part, _CLOSED, _WIDE)
        opened = _between(self._seen[index].part(seen / scale), _SEEN_CLOSED, 1.0)
        kept = min(opened / max(part, 1e-6), 1.0)
        return kept + (1 - kept) * _between(part, _TRUSTED, _DOUBTED)


class _Widest:
    """The widest opening of an eye so far; it follows widening at once and narrowing slowly."""

    def __init__(self) -> None:
        self._cm = 0.0

    def part(self, opening_cm: float) -> float:
        """An opening in parts of the widest."""
        widest = self._cm or float(np.clip(opening_cm, *_OPEN_EYES))
        self._cm = widest + (opening_cm - widest) * (_OPENS if opening_cm > widest else _FORGETS)
        return opening_cm / self._cm


def _between(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, and in proportion between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)
