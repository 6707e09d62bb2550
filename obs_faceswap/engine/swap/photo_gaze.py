"""Making the source's eyes look where the live ones look.

Convention: a place in an eye is (s, t): s runs from -1 to 1 between the eye's corners, to the right in the
picture, t from 0 at the upper lid to 1 at the lower one. Lids move with the mesh, so what is left of a gaze
is how far the irises are to the side.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.swap import photo_mesh as mesh
from obs_faceswap.engine.types import ImageBGR

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Sides: TypeAlias = tuple[float | None, ...]

# Vertices of the lids from the picture's left to its right, corners included.
UPPER = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (362, 398, 384, 385, 386, 387, 388, 466, 263))
LOWER = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (362, 382, 381, 380, 374, 373, 390, 249, 263))

_FARTHEST = 0.45  # an iris that touches the corner
_GAIN = 1.25  # of an iris's way about two thirds are left when the network saw it and it was drawn
_FOLLOW = 0.5  # of the way to a new frame's gaze
_SURE = 0.15  # s: a smaller change may be the network's noise and is followed slowly
_REST = 0.02  # of the way back to the source's own gaze in a frame that shows none
_SHUT = 0.4  # of its opening: below, an eye shows no gaze and more and more of it is painted over,
_LASHES = 0.1  # by the upper lid's edge, so many heights of the eye above it
_STILL_AT, _GONE_AT = 0.45, 0.98  # |s| up to which the eye moves along with the iris, and where nothing does


class Gaze:
    """Follows the live gaze and turns the eyes of a texture after it."""

    def __init__(self, side: int) -> None:
        """Prepares for textures of a side of `side` px."""
        at = mesh.texture_points(side)[: len(mesh.HEAD)]
        self._eyes = [_Opening(at, upper, lower) for upper, lower in zip(UPPER, LOWER, strict=True)]
        self._drawn_on: ImageBGR | None = None
        self._turned: ImageBGR | None = None
        self.reset()

    def reset(self) -> None:
        """Looks as the source does until the live gaze is known."""
        self._shift = 0.0

    def step(
        self, texture: ImageBGR, source: Sides, live: Sides, opened: tuple[float, ...] = (1.0, 1.0)
    ) -> ImageBGR:
        """The texture with its eyes turned after the live ones; good until the next call.

        Args:
            texture: with the source's own gaze.
            source: where its two irises are, s; None where that is not known.
            live: where the live ones are.
            opened: what `Lids` said; however narrow an eye is drawn, what lies in it shines through.
        """
        shifts = [
            seen - own
            for seen, own, part in zip(live, source, opened, strict=True)
            if seen is not None and own is not None and part > _SHUT
        ]
        if shifts:
            shift = sum(shifts) / len(shifts) * _GAIN  # eyes move together
            change = min(max(shift, -_FARTHEST), _FARTHEST) - self._shift
            self._shift += change * _FOLLOW * min(abs(change) / _SURE, 1.0)
        else:
            self._shift -= self._shift * _REST
        if self._turned is None or self._drawn_on is not texture:
            self._drawn_on, self._turned = texture, texture.copy()
        for eye, part in zip(self._eyes, opened, strict=True):
            eye.turn(texture, self._turned, self._shift, min(part / _SHUT, 1.0))
        return self._turned


class _Opening:
    """The opening between the lids of one eye in a texture."""

    def __init__(self, at: Floats, upper: tuple[int, ...], lower: tuple[int, ...]) -> None:
        over, under = at[list(upper)].astype(np.float64), at[list(lower)].astype(np.float64)
        ring = np.concatenate([over, under[::-1]])
        x0, y0 = np.floor(ring.min(axis=0)).astype(int) - 2
        x1, y1 = np.ceil(ring.max(axis=0)).astype(int) + 3
        self._part = slice(y0, y1), slice(x0, x1)
        self._over, self._under = over, under
        mask = np.zeros((y1 - y0, x1 - x0), np.float32)
        cv2.fillPoly(mask, [np.round((ring - (x0, y0)) * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        self._mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0), np.float32)
        self._x = np.arange(x0, x1, dtype=np.float64)
        left, right = over[0, 0], over[-1, 0]
        s = (self._x - left) / (right - left) * 2 - 1
        along = np.clip((_GONE_AT - np.abs(s)) / (_GONE_AT - _STILL_AT), 0, 1)
        self._moves = along * along * (3 - 2 * along) * (right - left) / 2
        y = np.arange(y0, y1, dtype=np.float64)[:, None]
        self._t = (y - self._lid(over, self._x)) / self._height(self._x)

    def turn(self, texture: ImageBGR, turned: ImageBGR, shift: float, opened: float) -> None:
        """Draws the opening of `texture`, its iris moved by `shift` (s), on `turned`.

        Where it is `opened` less than 1, it becomes the upper lid's edge.
        """
        from_x = self._x - shift * self._moves
        t = self._t * opened - _LASHES * (1 - opened)
        from_y = self._lid(self._over, from_x) + t * self._height(from_x)
        x, y = (np.broadcast_to(place, from_y.shape).astype(np.float32) for place in (from_x, from_y))
        moved = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        still = np.ascontiguousarray(texture[self._part])
        turned[self._part] = cv2.blendLinear(moved, still, self._mask, 1 - self._mask)

    def _height(self, x: Doubles) -> Doubles:
        return np.maximum(self._lid(self._under, x) - self._lid(self._over, x), 1.0)

    def _lid(self, lid: Doubles, x: Doubles) -> Doubles:
        return np.asarray(np.interp(x, lid[:, 0], lid[:, 1]), np.float64)
