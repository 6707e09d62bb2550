"""Following faces from frame to frame: one face over time, smoothing of its points, and cuts of the scene."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture, extent
from obs_faceswap.engine.find.detectors.decode import overlap_of
from obs_faceswap.engine.types import Face, Points

Floats = npt.NDArray[np.float32]

# Strength 0..1 is mapped to these on a logarithmic scale; 0 itself turns the filter off. Measured on twelve
# clips at 0.5: a still face trembles 3 to 6 times less, a moving one is 5 ms late at most.
_CUTOFF_HZ = (8.0, 0.15)  # of a face at rest
_OPENING = (66.0, 6.0)  # Hz more for each face size a second
_SPEED_CUTOFF_HZ = 3.0  # of the speeds that open the filter
_SPEED_FLOOR = 0.03  # face sizes a second: slower than this is the network's own noise

_THUMBNAIL = (32, 18)
_CUT_CORRELATION = 0.5  # of two thumbnails in a row; a moving person stays above 0.9
_CUT_CONTRAST = 8.0  # grey levels; noise of a blank picture correlates with nothing


class OneEuro:
    """The One Euro filter (Casiez, Roussel, Vogel 2012) over all points of a face at once.

    A low-pass whose cutoff rises with speed: a still face is steadied, a moving one is not held back. Speeds
    are in face sizes a second, so near and far faces are treated alike.
    """

    def __init__(self) -> None:
        """Starts empty: the first values pass as they are."""
        self._values: Floats | None = None
        self._raw: Floats | None = None
        self._speed: Floats | None = None

    def reset(self) -> None:
        """Forgets the past, as at a cut."""
        self._values = self._raw = self._speed = None

    def step(self, raw: Floats, dt_s: float, size_px: float, strength: float) -> Floats:
        """The smoothed values.

        Args:
            raw: (N, 3), x, y and depth in pixels.
            dt_s: seconds since the last values.
            size_px: the face's size, the unit of speed.
            strength: 0 (off) to 1.
        """
        if self._values is None or self._raw is None or self._speed is None or strength <= 0:
            self._values = self._raw = raw
            self._speed = np.zeros_like(raw[:, :2])
            return raw
        velocity = (raw[:, :2] - self._raw[:, :2]) / (dt_s * size_px)
        self._speed = self._speed + _gain(_SPEED_CUTOFF_HZ, dt_s) * (velocity - self._speed)
        gain = _gain(_cutoff(self._speed, strength), dt_s)
        self._values = self._values + gain[:, None] * (raw - self._values)
        self._raw = raw
        return self._values


def _cutoff(velocity: Floats, strength: float) -> Floats:
    """Cutoff (N,) in Hz for velocities (N, 2) in face sizes a second."""
    own = np.hypot(velocity[:, 0], velocity[:, 1])
    # The head's own motion, the mean of all points, has less noise than a point's.
    head = math.hypot(*cv2.mean(velocity[None])[:2])
    speed = np.maximum(own, max(head, _SPEED_FLOOR)) - _SPEED_FLOOR
    return np.asarray(_between(_CUTOFF_HZ, strength) + _between(_OPENING, strength) * speed, np.float32)


def _between(ends: tuple[float, float], strength: float) -> float:
    return float(ends[0] * (ends[1] / ends[0]) ** strength)


def _gain(cutoff_hz: Floats | float, dt_s: float) -> Floats:
    """Weight of a new value in a low-pass."""
    return np.asarray(1 - np.exp(-2 * math.pi * dt_s * np.asarray(cutoff_hz)), np.float32)


@dataclass(slots=True, eq=False)
class Track:
    """One face over time. Times are seconds on the finder's clock."""

    track_id: int
    points: Points  # (468, 2), frame pixels, as the network gave them last
    depth: Floats  # (468,)
    presence: float
    seen_s: float  # when the mesh last held
    since_s: float = 0.0  # when it was first seen
    looked_s: float = 0.0  # when it was last looked for
    trusted_s: float = -math.inf  # when it was last good enough to be swapped
    doubt: float = 0.0  # mean of the checks that a swap needs, see finder
    shift: float = 1.0  # how little the last two sightings overlap, 0..1
    checked_s: float = -math.inf  # when its doubt was last brought up to date for a choice
    slot: int = 0  # which of the worn faces it gets
    known: Floats | None = None  # a recognition network's numbers, of length 1
    looks: int = 0  # how many looks they are the mean of
    asked_s: float = -math.inf  # when that network looked last
    is_unsure: bool = False  # whether it may be another person than before
    person: str = ""  # the enrolled person that it is
    score: float = 0.0  # of the detector when it found it last
    _filter: OneEuro = field(default_factory=OneEuro)
    _smooth: Floats | None = None
    _smooth_s: float = 0.0
    _before: tuple[Points, Floats, float, float] | None = None
    _boxed: tuple[Points, Floats] | None = None  # the points that the box is around, and the box

    @property
    def box(self) -> Floats:
        """x0, y0, x1, y1 around the points."""
        if self._boxed is None or self._boxed[0] is not self.points:
            self._boxed = self.points, box_of(self.points)
        return self._boxed[1]

    @property
    def is_lost(self) -> bool:
        """Whether the last look did not find it."""
        return self.seen_s < self.looked_s

    @property
    def size_px(self) -> float:
        """Mean of the box's sides."""
        x0, y0, x1, y1 = self.box.tolist()
        return float(x1 - x0 + y1 - y0) / 2

    def update(self, points: Points, depth: Floats, presence: float, now_s: float) -> None:
        """Takes a new sighting."""
        self._before = self.points, self.depth, self.presence, self.seen_s
        box = self.box
        self.points, self.depth, self.presence, self.seen_s = points, depth, presence, now_s
        self.shift = 1 - overlap_of(box, self.box)

    def undo(self) -> None:
        """Takes the last sighting back: it was another face."""
        if self._before is None:
            self.seen_s = -math.inf
        else:
            self.points, self.depth, self.presence, self.seen_s = self._before

    def cut(self) -> None:
        """Forgets the motion so far."""
        self._filter.reset()

    def learn(self, seen: Floats, least_weight: float) -> None:
        """Takes a look of a recognition network into account: numbers of length 1."""
        self.looks += 1
        before = seen if self.known is None else self.known
        mean = before + max(least_weight, 1 / self.looks) * (seen - before)
        self.known = np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
        self.is_unsure = False

    def forget(self, track_id: int) -> None:
        """Is somebody else from now on: nothing is known of them."""
        self.track_id, self.known, self.looks, self.person = track_id, None, 0, ""
        self._filter.reset()

    def exchange(self, other: "Track") -> None:
        """Two people were taken for each other: each goes on where the other is seen."""
        for name in _SIGHTING:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs)
            setattr(other, name, mine)

    def face(self, strength: float) -> Face:
        """The face with smoothed points."""
        if self._smooth is None or self._smooth_s != self.seen_s:
            raw = np.column_stack([self.points, self.depth])
            self._smooth = self._filter.step(raw, self.seen_s - self._smooth_s, self.size_px, strength)
            self._smooth_s = self.seen_s
        points, depth = self._smooth[:, :2], self._smooth[:, 2]
        return Face(
            points, depth, self.presence, self.track_id, self.slot, self.person, self.score, self.doubt
        )


# What a track knows of where its face is, and not of whose it is.
_SIGHTING = (
    "points", "depth", "presence", "seen_s", "looked_s", "doubt", "shift", "checked_s",
    "score", "_filter", "_smooth", "_smooth_s", "_before",
)  # fmt: skip


def box_of(points: Points) -> Floats:
    """x0, y0, x1, y1 around points (N, 2)."""
    return np.concatenate(extent(points))


class CutWatch:
    """Says whether a picture belongs to another scene than the one before."""

    def __init__(self) -> None:
        """Starts without a picture: the first is no cut."""
        self._last: tuple[Floats, float] | None = None  # and its contrast

    def step(self, picture: Picture) -> bool:
        """Whether this picture starts a new scene."""
        thumbnail = _thumbnail(picture)
        contrast = math.sqrt(float(np.vdot(thumbnail, thumbnail)))
        before, self._last = self._last, (thumbnail, contrast)
        if before is None:
            return False
        last, spread = before[0], before[1] * contrast
        if spread < _CUT_CONTRAST**2 * last.size:
            return False
        return float(np.vdot(last, thumbnail)) < _CUT_CORRELATION * spread


def _thumbnail(picture: Picture) -> Floats:
    """Grey, tiny, with mean 0: a flash or a dimmed light is no cut."""
    grey = picture.thumbnail(_THUMBNAIL).astype(np.float32)
    return np.asarray(grey - np.float32(cv2.mean(grey)[0]), np.float32)
