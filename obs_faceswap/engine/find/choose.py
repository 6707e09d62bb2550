"""Which of the people in a picture are swapped, and which of the worn faces each of them gets."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from obs_faceswap.engine.choices import SortBy, Who
from obs_faceswap.engine.find.assignment import Slot, slots_of
from obs_faceswap.engine.find.recognize import SAME_PERSON, Embedding, likeness
from obs_faceswap.engine.find.track import Track
from obs_faceswap.engine.finding import ANYBODY
from obs_faceswap.engine.settings import Settings

# Doubt, see finder: its mean over some checks stays below 0.13 for faces (0.148 at the worst frame of the
# wildest grimaces); puppets have 0.14 to 0.16.
DOUBT_TO_START = 0.135
DOUBT_TO_HOLD = 0.15

_KEPT_S = 1.0  # a lost target's place is held that long before another face may take it
_CHECKS_A_FRAME = 2  # of faces that might be swapped
_RECHECK_S = 0.1  # while somebody is swapped already
_HOLD_SIZE = 0.8  # of the smallest size to start with: somebody who leans back is still swapped
_WAIT_TO_KNOW_S = 0.3  # for a recognition network, before a place is given away


@dataclass(frozen=True, slots=True)
class Scene:
    """What a choice is made from.

    Attributes:
        tracks: all faces that are followed.
        size_wh: the picture's size.
        now_s: on the finder's clock.
        settings: what is asked for.
        check: brings a track's doubt up to date.
        recognizes: whether there is a recognition network.
    """

    tracks: Sequence[Track]
    size_wh: tuple[int, int]
    now_s: float
    settings: Settings
    check: Callable[[Track], None]
    recognizes: bool = False

    def is_seen(self, track: Track) -> bool:
        """Whether a face is seen in this frame."""
        return track.seen_s == self.now_s

    def is_trusted(self, track: Track) -> bool:
        """Whether a face that is swapped may go on to be."""
        return self.is_seen(track) and track.doubt <= DOUBT_TO_HOLD

    def is_large(self, track: Track, share: float = 1.0) -> bool:
        """Whether a face is as large as the settings ask for, or a share of that."""
        return track.size_px >= share * self.settings.min_face / 100 * self.size_wh[1]

    def in_order(self) -> list[Track]:
        """The faces that are seen and large enough, in the order of the settings."""
        seen = [track for track in self.tracks if self.is_seen(track) and self.is_large(track)]
        return sorted(seen, key=lambda track: _rank(track, self.settings.sort_by, self.size_wh))


class Chooser:
    """Remembers who is swapped: a choice is kept until the face is gone for more than a second.

    Attributes:
        targets: who is swapped while seen, in the order in which they were chosen.
    """

    def __init__(self) -> None:
        """Starts with nobody."""
        self.targets: list[Track] = []
        self._asked: tuple[object, ...] = ()
        self._remembered: Embedding | None = None  # the one chosen face's
        self._look_until_s = -math.inf  # who is new is looked at first, by the recognition network
        self._hold_until_s = -math.inf  # the place is held for who was there

    def keep(self, tracks: Sequence[Track], now_s: float) -> None:
        """Forgets all who are not among these, at once, as at a cut."""
        self.targets = [track for track in self.targets if track in tracks]
        self._look_until_s = now_s + _WAIT_TO_KNOW_S

    def forget_numbers(self) -> None:
        """Another recognition network has other numbers."""
        self._remembered = None

    def lose(self, stranger: Track, now_s: float) -> None:
        """Somebody else stands where the one chosen face was; nobody takes its place for a while."""
        if stranger in self.targets:
            self.targets.remove(stranger)
            self._hold_until_s = now_s + _KEPT_S

    def step(self, scene: Scene) -> None:
        """Drops who is gone, and fills the free places."""
        asked = _asked(scene.settings)
        if asked != self._asked:
            self._asked, self.targets, self._remembered = asked, [], None
        self.targets = [track for track in self.targets if self._is_kept(track, scene)]
        match scene.settings.who:
            case Who.CHOSEN:
                self._choose_one(scene)
            case Who.ALL:
                self._choose_all(scene)
            case Who.KNOWN:
                self._choose_known(scene)

    def _is_kept(self, track: Track, scene: Scene) -> bool:
        if scene.is_trusted(track):
            track.trusted_s = scene.now_s
        is_here = scene.now_s - track.trusted_s <= _KEPT_S
        return is_here and scene.is_large(track, _HOLD_SIZE)

    # --- one ---

    def _choose_one(self, scene: Scene) -> None:
        if not self.targets:
            number = int(scene.settings.face_number)
            chosen = self._known_again(scene, _good(scene, scene.in_order()[: number + 1]), number)
            if chosen is not None:
                self._take(chosen, 0, scene)
        if self.targets and self.targets[0].known is not None:
            self._remembered = self.targets[0].known

    def _known_again(self, scene: Scene, good: list[Track], number: int) -> Track | None:
        """Who was swapped before, if a recognition network finds them again; else who comes in order."""
        remembered = self._remembered
        if scene.recognizes and remembered is not None:
            known = [track for track in good if track.known is not None]
            again = [t for t in known if t.known is not None and likeness(t.known, remembered) >= SAME_PERSON]
            if again:
                return again[0]
            is_looking = 1 < len(good) > len(known) and scene.now_s < self._look_until_s
            if is_looking or scene.now_s < self._hold_until_s:
                return None
        return good[number - 1] if len(good) >= number else None

    # --- all ---

    def _choose_all(self, scene: Scene) -> None:
        most = int(scene.settings.max_faces) or len(scene.tracks)
        for track in _good(scene, self._free(scene)):
            if len(self.targets) < most:
                self._take(track, 0, scene)

    def _free(self, scene: Scene) -> list[Track]:
        """Those who are seen and not swapped, in order."""
        return [track for track in scene.in_order() if track not in self.targets]

    # --- each their own ---

    def _choose_known(self, scene: Scene) -> None:
        slots = slots_of(scene.settings)
        named = {slot.person: slot for slot in slots if slot.person != ANYBODY and scene.recognizes}
        self.targets = [track for track in self.targets if _fits(track, slots, named)]
        good = _good(scene, self._free(scene))
        # While it may turn out who somebody is, nobody takes a place that is for nobody in particular.
        is_clear = not any(_may_be_named(track, scene) for track in good)
        for track in good:
            slot = named.get(track.person) or (self._first_free(slots, named) if is_clear else None)
            if slot is not None and not any(other.slot == slot.number for other in self.targets):
                self._take(track, slot.number, scene)

    def _first_free(self, slots: Sequence[Slot], named: dict[str, Slot]) -> Slot | None:
        """The next place that is for nobody in particular."""
        taken = {track.slot for track in self.targets}
        free = (slot for slot in slots if slot not in named.values() and slot.number not in taken)
        return next(free, None)

    def _take(self, track: Track, slot: int, scene: Scene) -> None:
        track.slot, track.trusted_s = slot, scene.now_s
        self.targets.append(track)


def _may_be_named(track: Track, scene: Scene) -> bool:
    """Whether a recognition network is about to look at somebody new."""
    return scene.recognizes and track.known is None and scene.now_s - track.since_s < _WAIT_TO_KNOW_S


def _fits(track: Track, slots: Sequence[Slot], named: dict[str, Slot]) -> bool:
    """Whether somebody still wears what is meant for them."""
    own = named.get(track.person)
    if own is not None:
        return track.slot == own.number
    return any(slot.number == track.slot and slot not in named.values() for slot in slots)


def _good(scene: Scene, candidates: Sequence[Track]) -> list[Track]:
    """Those of the candidates that are faces for sure; a few that may not be are checked again."""
    left = _CHECKS_A_FRAME
    for track in candidates:
        if track.doubt > DOUBT_TO_START and left and scene.now_s - track.checked_s >= _RECHECK_S:
            left -= 1
            track.checked_s = scene.now_s
            scene.check(track)
    return [track for track in candidates if track.doubt <= DOUBT_TO_START]


def _asked(settings: Settings) -> tuple[object, ...]:
    """What of the settings makes a choice a new one."""
    if settings.who is Who.CHOSEN:
        return settings.who, settings.sort_by, settings.face_number
    return settings.who, settings.max_faces


def _rank(track: Track, order: SortBy, size_wh: tuple[int, int]) -> float:
    """The smaller, the earlier."""
    x, y = (track.box[:2] + track.box[2:]) / 2
    match order:
        case SortBy.LARGEST:
            return -track.size_px
        case SortBy.CENTER:
            return float(np.hypot(x - size_wh[0] / 2, y - size_wh[1] / 2))
        case SortBy.LEFT_RIGHT:
            return float(x)
        case SortBy.RIGHT_LEFT:
            return -float(x)
        case SortBy.TOP_BOTTOM:
            return float(y)
        case SortBy.BOTTOM_TOP:
            return -float(y)
