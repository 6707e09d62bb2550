"""Who is who from frame to frame, where a recognition network is installed.

Faces are followed by where they are. That mixes people up when one passes before another, when somebody comes
back elsewhere, and at a cut. Then, and when a face is new, the network looks at it: at one face a frame.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.find import people
from obs_faceswap.engine.find.choose import Scene
from obs_faceswap.engine.find.detectors.decode import overlap, overlap_of
from obs_faceswap.engine.find.recognize import OTHER_PERSON, SAME_PERSON, Embedding, likeness, normed
from obs_faceswap.engine.find.track import Track
from obs_faceswap.engine.settings import Who
from obs_faceswap.engine.types import Points

_LOOKS = 3  # at a new face: the mean of so many is more like the person than one
_NEXT_LOOK_S = 0.3  # between these
_AGAIN_S = 2.0  # at somebody who is not known, while names matter
_SURE_S = 10.0  # at somebody who is
_CROSSING = 0.3  # overlap of two faces that pass each other
_APART = 0.1  # and of two that can be told apart again
_MOST_TURNED = 0.35  # of the distance between the eyes: the nose's way off the middle; more is a profile
_SMALLEST_PX = 24  # of a face with its forehead; the network sees 112
_WEIGHT = 0.25  # of a new look at somebody known
_READ_EVERY_S = 1.0
_CLEARLY = 0.05  # likeness by which the best of the enrolled people must be ahead of the second


class Recognition(Protocol):
    """What is used of `recognize.Recognizer`."""

    def embedding(self, picture: Picture, kps: Points) -> Embedding:
        """The face's numbers."""
        ...


class Roster:
    """The enrolled people, as long as a recognition network's numbers can be compared with theirs.

    Attributes:
        people: their numbers, of length 1, by name.
    """

    def __init__(self, network: str) -> None:
        """Knows nobody until `refresh`; `network` is how that recognition network calls itself."""
        self.network = network
        self.people: Mapping[str, Embedding] = {}
        self._read_s = -math.inf

    def refresh(self, now_s: float) -> None:
        """Reads who is enrolled, at most once a second."""
        if now_s - self._read_s < _READ_EVERY_S:
            return
        self._read_s = now_s
        known = (person for person in people.enrolled() if person.network == self.network)
        self.people = {person.name: np.array(person.embedding, np.float32) for person in known}


class Identities:
    """Looks at faces and puts right who they are."""

    def __init__(self, network: Recognition | None = None, roster: Roster | None = None) -> None:
        """Takes the network, if there is one, and the enrolled people."""
        self._network = network
        self._roster = roster or Roster("")

    @property
    def network(self) -> str:
        """How the recognition network calls itself."""
        return self._roster.network

    @property
    def is_on(self) -> bool:
        """Whether people are told apart."""
        return self._network is not None

    def step(self, picture: Picture, scene: Scene, targets: Sequence[Track], most: int = 1) -> list[Track]:
        """Looks at the faces that need it most; those who turned out to be somebody else than before.

        Args:
            picture: this frame.
            scene: its faces, and what is asked for.
            targets: those of them that are swapped: they come first.
            most: at how many faces.
        """
        if self._network is None:
            return []
        self._roster.refresh(scene.now_s)
        seen = [track for track in scene.tracks if scene.is_seen(track)]
        _doubt_crossings(seen)
        names = scene.settings.who is Who.KNOWN
        due = [track for track in seen if self._is_due(track, seen, scene.now_s, names)]
        due.sort(key=lambda track: (not track.is_unsure, track not in targets, track.asked_s))
        return [track for track in due[:most] if self._look(picture, track, scene)]

    def _look(self, picture: Picture, track: Track, scene: Scene) -> bool:
        """Looks at a face; whether it is somebody else's than before."""
        track.asked_s = scene.now_s
        try:
            embedding = self._network.embedding(picture, five_points(track.points)) if self._network else None
        except FaceSwapError:
            return False  # a look that fails says nothing; the next one may
        return embedding is not None and self._settle(track, scene.tracks, normed(embedding), scene.now_s)

    def _is_due(self, track: Track, seen: Sequence[Track], now_s: float, names: bool) -> bool:
        if track.size_px < _SMALLEST_PX or is_turned(track.points) or _most_overlap(track, seen) > _APART:
            return False
        if track.is_unsure or track.looks < _LOOKS:
            return track.looks == 0 or track.is_unsure or now_s - track.asked_s >= _NEXT_LOOK_S
        return names and now_s - track.asked_s >= (_SURE_S if track.person else _AGAIN_S)

    def _settle(self, track: Track, tracks: Sequence[Track], seen: Embedding, now_s: float) -> bool:
        """Puts right whose face was seen where a track is; whether it is nobody's who was there before."""
        owner = _owner(track, tracks, seen, now_s)
        if owner is not track:
            owner.exchange(track)
            owner.asked_s, track.is_unsure = now_s, track.known is not None
        elif track.known is not None and likeness(track.known, seen) < OTHER_PERSON:
            return True
        owner.learn(seen, _WEIGHT)
        owner.person = self._named(owner, seen)
        return False

    def _named(self, track: Track, seen: Embedding) -> str:
        """Whom of the enrolled people a look shows; a name is kept while nothing speaks against it."""
        known = {name: one for name, one in self._roster.people.items() if one.shape == seen.shape}
        likes = sorted((likeness(seen, one), name) for name, one in known.items())
        if likes and likes[-1][0] >= SAME_PERSON:
            second = likes[-2][0] if len(likes) > 1 else -1.0
            if likes[-1][0] - second >= _CLEARLY:
                return likes[-1][1]
        own = known.get(track.person)
        return track.person if own is not None and likeness(own, seen) >= OTHER_PERSON else ""


def _owner(track: Track, tracks: Sequence[Track], seen: Embedding, now_s: float) -> Track:
    """Whose face was seen where a track is: its own, or another's who is lost or was mixed up with it."""
    own = likeness(track.known, seen) if track.known is not None else None
    if own is not None and own >= OTHER_PERSON:
        return track
    best, owner = SAME_PERSON, track
    for other in tracks:
        may_be = other is not track and (other.is_unsure or other.seen_s != now_s)
        if may_be and other.known is not None and likeness(other.known, seen) >= best:
            best, owner = likeness(other.known, seen), other
    return owner


def _doubt_crossings(seen: Sequence[Track]) -> None:
    for index, track in enumerate(seen):
        for other in seen[index + 1 :]:
            if overlap_of(track.box, other.box) > _CROSSING:
                track.is_unsure = other.is_unsure = True


def _most_overlap(track: Track, seen: Sequence[Track]) -> float:
    others = [other.box for other in seen if other is not track]
    return float(overlap(track.box, np.stack(others)).max()) if others else 0.0


def is_turned(points: Points) -> bool:
    """Whether a face is seen from the side, which recognition networks are bad at."""
    left, right, nose = five_points(points)[:3].astype(np.float64)
    across = right - left
    length = float(across @ across)
    return length <= 0 or abs(float((nose - (left + right) / 2) @ across) / length) > _MOST_TURNED
