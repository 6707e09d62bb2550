"""Finds the faces of a stream: which one is swapped, and which others are there.

A face is followed by its own last landmarks; the detector only looks for new faces and for lost ones. What
counts as a face is the mesh network's presence, not the detector's score.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.choose import DOUBT_TO_HOLD, DOUBT_TO_START, Chooser, Scene
from obs_faceswap.engine.find.detectors.decode import overlap, overlap_of
from obs_faceswap.engine.find.identity import Identities
from obs_faceswap.engine.find.landmarks import EYE_CORNERS, roi_of_kps, roi_of_landmarks, shape_error
from obs_faceswap.engine.find.track import CutWatch, Track, box_of
from obs_faceswap.engine.find.views import View, around, detected, views_of
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Detection, Detector, Face, Points

Floats = npt.NDArray[np.float32]

_SEARCH_EVERY_S = 0.1  # while the target is followed
_TARGET_KEPT_S = 1.0  # a lost target is looked for that long where it was
_OTHER_KEPT_S = 0.5  # a lost other face is reported (and covered) that long where it was last seen
_OTHERS_A_FRAME = 4  # of many other faces only these are looked at in one frame, in turns
_NEW_FACES_A_SEARCH = 4

# What a detector takes for a face and the mesh does not is covered: the mesh knows no profiles. Measured with
# YuNet on 2,500 frames of ten clips: seen twice from 0.6, or once from 0.8, it is a face or a puppet's; a
# hand is seen once with up to 0.76.
_LIKELY, _SURE = 0.6, 0.8
_LOOKS_LIKELY = 2

# Measured on the clips: faces have a presence of 1.00 (profiles and hands over them included), hands 0.00.
_PRESENCE_TO_START = 0.5
_PRESENCE_TO_HOLD = 0.3
_PRESENCE_WORTH_A_SECOND_LOOK = 0.1
# Residual of the mesh against the canonical head: faces up to 0.12 with any expression, hands from 0.12.
_SHAPE_TO_START = 0.12
_SHAPE_TO_HOLD = 0.17
_DRIFT_WEIGHT = 1.5  # doubt: that residual plus 1.5 times how far the points move when the crop does
_DOUBT_GAIN = 0.3  # weight of a new check
_CHECK_EVERY_S = 0.1  # at most, while others are looked for in each frame
_SETTLING = 3  # times that the mesh's own square is tried at most, until the points move less than this:
_SETTLED = 0.02  # face sizes
_QUARTERS = (math.pi, math.pi / 2, -math.pi / 2)

_SAME_FACE = 0.2  # overlap of a detector's box and a mesh's
_DOUBLE = 0.5  # overlap of two meshes that lie on one face
_SHIFT_OVER_A_CUT = 0.1  # overlap that a face may lose when only the light changed
_NEAR = 1.0  # face sizes: a face that turns up nearer to where the target was lost is the target
_ALIKE = 2.0  # and at most so many times larger or smaller

_LOOKS_AT_ONCE = 4  # of a recognition network, at the start and at a cut
_FRAME_S = 1 / 30  # between frames whose timestamps do not say it


class Mesh(Protocol):
    """What is used of `landmarks.FaceMesh`."""

    def find(
        self, picture: Picture, center_xy: npt.ArrayLike, side_px: float, roll_rad: float
    ) -> tuple[Points, Floats, float]:
        """Points (468, 2), depth (468,) and presence of the face in a square."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of one frame.

    Attributes:
        target: the one to swap, or the first of several.
        others: those that are not swapped, and for a while those that are lost, where they were last.
        more: the others that are swapped.
        lost: those of `others` that are swapped while they are seen.
        unclear: boxes (2, 2), two corners, of what the detector alone takes for a face, as profiles.
    """

    target: Face | None
    others: list[Face]
    more: tuple[Face, ...] = ()
    lost: tuple[Face, ...] = ()
    unclear: tuple[Points, ...] = ()

    @property
    def targets(self) -> tuple[Face, ...]:
        """All faces to swap."""
        return () if self.target is None else (self.target, *self.more)


@dataclass(slots=True)
class _Unclear:
    """Where a detector saw a face, and the mesh none."""

    box: Floats  # x0, y0, x1, y1
    seen_s: float
    looks: int
    score: float  # the best


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face that the mesh saw where a detector pointed."""

    points: Points
    depth: Floats
    presence: float
    doubt: float
    score: float = 0.0  # of the detector

    @property
    def rank(self) -> float:
        """Smaller is better; a mesh that lies upside down on a face has more doubt or less presence."""
        return self.doubt + (1 - self.presence) / 10


class FaceFinder:
    """Finds and follows the faces of one stream; belongs to one thread.

    Attributes:
        search_every_s: time between two searches for new faces while all who are swapped are seen; the
            settings may ask for another, but a longer one than usual counts.
    """

    def __init__(self, detector: Detector, mesh: Mesh, identities: Identities | None = None) -> None:
        """Starts without any face; `identities` tells people apart where there is a network for it."""
        self.search_every_s = _SEARCH_EVERY_S
        self._detector = detector
        self._mesh = mesh
        self._identities = identities or Identities()
        self._cuts = CutWatch()
        self._tracks: list[Track] = []
        self._unclear: list[_Unclear] = []
        self._chooser = Chooser()
        self._made = 0
        self._now_s = 0.0
        self._timestamp_ns: int | None = None
        self._searched_s = -math.inf
        self._frames = 0  # since the last search
        self._views: Iterator[View] = iter(())
        self._views_of: tuple[int, int] = (0, 0)

    def find(self, picture: Picture, timestamp_ns: int, settings: Settings) -> Found:
        """Who is swapped, and all other faces, in the next picture of the stream.

        Who is chosen stays so until they are gone for more than a second, see `choose`.
        """
        starts = self._starts(picture)
        self._advance(timestamp_ns)
        cut = self._cuts.step(picture)
        self._follow(picture)
        self._part_doubles()
        if cut:
            self._start_over()
        if starts or cut or self._is_search_due(int(settings.search_every)):
            self._search(picture, settings.detection_threshold, thorough=starts or cut)
        scene = self._scene(picture, settings)
        self._identify(picture, scene, _LOOKS_AT_ONCE if starts or cut else 1)
        self._chooser.step(scene)
        self._forget()
        return self._report(settings.smoothing / 100)

    def adopt(self, old: "FaceFinder") -> None:
        """Goes on with another finder's stream: its clock, its faces, and who of them is swapped."""
        self._cuts, self._tracks, self._chooser, self._made = old._cuts, old._tracks, old._chooser, old._made
        self._unclear = old._unclear
        self._now_s, self._timestamp_ns, self._searched_s = old._now_s, old._timestamp_ns, old._searched_s
        self._views, self._views_of, self._frames = old._views, old._views_of, old._frames
        if old._identities.network != self._identities.network:
            self._chooser.forget_numbers()
            for track in self._tracks:
                track.known, track.looks = None, 0

    @property
    def _targets(self) -> list[Track]:
        return self._chooser.targets

    def _scene(self, picture: Picture, settings: Settings) -> Scene:
        size, recognizes = (picture.width, picture.height), self._identities.is_on

        def check(track: Track) -> None:
            self._check(picture, track)

        return Scene(self._tracks, size, self._now_s, settings, check, recognizes)

    def _starts(self, picture: Picture) -> bool:
        """Whether nothing is known of pictures of this size; faces of another size lie somewhere else now."""
        width, height = picture.width, picture.height
        if self._views_of == (width, height):
            return False
        self._tracks, self._unclear = [], []
        self._chooser.keep([], self._now_s)
        return True

    # --- time ---

    def _advance(self, timestamp_ns: int) -> None:
        """Moves the clock on; timestamps that stand still or run backwards count as the next frame."""
        last = timestamp_ns if self._timestamp_ns is None else self._timestamp_ns
        passed_s = (timestamp_ns - last) / 1e9
        self._now_s += passed_s if passed_s > 0 else _FRAME_S
        self._timestamp_ns = timestamp_ns
        self._frames += 1

    def _is_search_due(self, every_frames: int) -> bool:
        if not all(self._is_seen(target) for target in self._targets):
            return True
        is_late = self._now_s >= self._searched_s + self.search_every_s
        if every_frames:
            return self._frames >= every_frames and (is_late or self.search_every_s <= _SEARCH_EVERY_S)
        return is_late

    def _is_seen(self, track: Track) -> bool:
        return track.seen_s == self._now_s

    # --- following ---

    def _follow(self, picture: Picture) -> None:
        """Looks for each face where it was last."""
        others = sorted((t for t in self._tracks if t not in self._targets), key=lambda t: t.looked_s)
        for track in [*others[:_OTHERS_A_FRAME], *self._targets]:
            was_lost, track.looked_s = track.is_lost, self._now_s
            if not _is_outside(track.box, picture):
                self._look(picture, track, was_lost)

    def _look(self, picture: Picture, track: Track, was_lost: bool) -> None:
        points, depth, presence = self._mesh.find(picture, *roi_of_landmarks(track.points))
        if presence < _PRESENCE_TO_HOLD or shape_error(points, depth) > _SHAPE_TO_HOLD:
            return
        if _is_near(track, box_of(points)):
            track.is_unsure |= was_lost  # somebody else may stand there now
            track.update(points, depth, presence, self._now_s)

    # --- searching ---

    def _search(self, picture: Picture, threshold: float, thorough: bool) -> None:
        """Lets the detector look for new and lost faces, and checks the target again.

        Each time it looks at the whole picture and at one more view of it: a part, for small faces, or all of
        it turned, for lying heads. A thorough search takes all views at once.
        """
        width, height = picture.width, picture.height
        views = views_of(width, height)
        if self._views_of != (width, height):
            self._views, self._views_of = cycle(views[1:]), (width, height)
        chosen = views if thorough else [views[0], *islice(self._views, 1)]
        for target in self._targets:
            if self._is_seen(target) and self._now_s >= target.checked_s + _CHECK_EVERY_S:
                self._check(picture, target)
        lost = [target for target in self._targets if not self._is_seen(target)]
        chosen = [*(_place_of(target, width, height) for target in lost), *chosen]
        for view in chosen:
            self._take(picture, detected(picture, view, self._detector, threshold))
        self._searched_s, self._frames = self._now_s, 0  # a search that failed is due again

    def _take(self, picture: Picture, found: list[Detection]) -> None:
        """Makes tracks of detections, and finds lost ones again."""
        new = [d for d in found if not any(not t.is_lost and _covers(t, d) for t in self._tracks)]
        new.sort(key=lambda d: self._unclear_at(d.bbox_xyxy) is not None)  # who was not looked at comes first
        for number, detection in enumerate(new):
            sighting = self._sighting(picture, detection) if number < _NEW_FACES_A_SEARCH else None
            if sighting is not None:
                self._place(replace(sighting, score=detection.score))
            elif detection.score >= _LIKELY:
                self._note(detection)

    def _note(self, detection: Detection) -> None:
        """Keeps where a detector saw a face that the mesh does not confirm."""
        box = detection.bbox_xyxy
        known = self._unclear_at(box)
        if known is None:
            known = _Unclear(box, self._now_s, 0, 0.0)
            self._unclear.append(known)
        known.box, known.seen_s = box, self._now_s
        known.looks, known.score = known.looks + 1, max(known.score, detection.score)

    def _unclear_at(self, box: Floats) -> _Unclear | None:
        if not self._unclear:
            return None
        shared = overlap(box, np.stack([unclear.box for unclear in self._unclear]))
        nearest = int(shared.argmax())
        return self._unclear[nearest] if shared[nearest] > _SAME_FACE else None

    def _sighting(self, picture: Picture, detection: Detection) -> Sighting | None:
        """A detected face, or None if the mesh says that it is none."""
        center, side, roll = roi_of_kps(detection.kps)
        first = self._settled(picture, center, side, roll)
        if first is None or first.rank <= DOUBT_TO_START or self._follows_target():
            return first
        # Detectors find lying and hanging heads too, but take them for upright ones.
        turned = (self._settled(picture, center, side, roll + turn) for turn in _QUARTERS)
        return min([first, *(s for s in turned if s is not None)], key=lambda s: s.rank)

    def _settled(self, picture: Picture, center: Floats, side: float, roll: float) -> Sighting | None:
        """The face in a square that a detector gave, seen from the mesh's own square."""
        points, depth, presence = self._mesh.find(picture, center, side, roll)
        for _ in range(_SETTLING):
            if presence < _PRESENCE_WORTH_A_SECOND_LOOK or _is_outside(box_of(points), picture):
                return None
            before = points
            points, depth, presence = self._mesh.find(picture, *roi_of_landmarks(points))
            if _drift(before, points) < _SETTLED:
                break
        if presence < _PRESENCE_TO_START or shape_error(points, depth) > _SHAPE_TO_START:
            return None
        return Sighting(points, depth, presence, self._doubt(picture, points, depth))

    def _place(self, sighting: Sighting) -> None:
        """Gives a sighting to the lost track that it belongs to, or to a new one."""
        face = sighting.points, sighting.depth, sighting.presence
        box = box_of(sighting.points)
        if any(not t.is_lost and _is_on(t, box) for t in self._tracks):
            return
        lost = [t for t in self._tracks if t.is_lost and _is_near(t, box)]
        lost.sort(key=lambda t: t not in self._targets)
        if lost:
            lost[0].is_unsure = True
            lost[0].update(*face, self._now_s)
            lost[0].score = sighting.score
            return
        self._made += 1
        self._tracks.append(
            Track(self._made, *face, self._now_s, self._now_s, doubt=sighting.doubt, score=sighting.score)
        )

    # --- which is which ---

    def _start_over(self) -> None:
        """After a cut, only a face that is in the same place in the new scene is still the same."""
        self._tracks = [t for t in self._tracks if self._is_seen(t) and t.shift < _SHIFT_OVER_A_CUT]
        self._unclear = []
        for track in self._tracks:
            track.cut()
            track.is_unsure = True
        self._chooser.keep(self._tracks, self._now_s)

    def _identify(self, picture: Picture, scene: Scene, most: int) -> None:
        """Has a recognition network put right who is who."""
        for stranger in self._identities.step(picture, scene, self._targets, most):
            self._made += 1
            stranger.forget(self._made)
            self._chooser.lose(stranger, self._now_s)

    def _part_doubles(self) -> None:
        """Where two tracks lie on one face, the one that moved there loses it."""
        seen = sorted((t for t in self._tracks if self._is_seen(t)), key=lambda t: t.shift)
        for index, keeper in enumerate(seen):
            for other in seen[index + 1 :]:
                if self._is_seen(other) and overlap_of(keeper.box, other.box) > _DOUBLE:
                    other.undo()

    def _forget(self) -> None:
        """Drops the tracks that are lost for too long; of a crowd not everybody is looked at in that time."""
        self._tracks = [t for t in self._tracks if not t.is_lost or self._now_s - t.seen_s <= self._kept_s(t)]
        self._unclear = [u for u in self._unclear if self._now_s - u.seen_s <= _OTHER_KEPT_S]

    def _kept_s(self, track: Track) -> float:
        return _TARGET_KEPT_S if track in self._targets else _OTHER_KEPT_S

    def _check(self, picture: Picture, track: Track) -> None:
        """Brings a track's doubt up to date."""
        track.checked_s = self._now_s
        track.doubt += _DOUBT_GAIN * (self._doubt(picture, track.points, track.depth) - track.doubt)

    def _doubt(self, picture: Picture, points: Points, depth: Floats) -> float:
        """A harder check than presence, which some puppets and animals pass.

        A real face has the shape of one, and its points stay where they are when the crop is moved.
        """
        center, side, roll = roi_of_landmarks(points)
        moved, _, _ = self._mesh.find(picture, center + side / 30, side * 1.12, roll + 0.12)
        return shape_error(points, depth) + _DRIFT_WEIGHT * _drift(moved, points)

    def _follows_target(self) -> bool:
        return bool(self._targets) and all(self._is_seen(target) for target in self._targets)

    def _report(self, strength: float) -> Found:
        swapped = [t for t in self._targets if self._is_seen(t) and t.doubt <= DOUBT_TO_HOLD]
        faces = {id(track): track.face(strength) for track in self._tracks}
        targets = [faces[id(track)] for track in swapped]
        others = [faces[id(track)] for track in self._tracks if track not in swapped]
        lost = tuple(faces[id(track)] for track in self._targets if track not in swapped)
        return Found(targets[0] if targets else None, others, tuple(targets[1:]), lost, self._unclear_boxes())

    def _unclear_boxes(self) -> tuple[Points, ...]:
        """What is likely enough to be a face, and is none that is followed."""
        likely = [u for u in self._unclear if u.score >= _SURE or u.looks >= _LOOKS_LIKELY]
        seen = [t for t in self._tracks if self._is_seen(t)]
        return tuple(u.box.reshape(2, 2) for u in likely if not any(_is_on(t, u.box) for t in seen))


def _place_of(track: Track, width: int, height: int) -> View:
    """The part of the picture where a lost face should be, turned so that the face stands upright."""
    left, right = track.points[EYE_CORNERS[0]], track.points[EYE_CORNERS[1]]
    roll = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    view = around(track.box, track.size_px, width, height)
    return replace(view, quarters=round(roll / (math.pi / 2)) % 4)


def _drift(points: Points, reference: Points) -> float:
    """How far apart two meshes of one face are, in face sizes."""
    return float(np.hypot(*(points - reference).T).mean() / max(1e-6, np.ptp(reference, axis=0).mean()))


def _covers(track: Track, detection: Detection) -> bool:
    """Whether a detection is the face of a track."""
    x, y = detection.kps.mean(axis=0).tolist()
    return _holds(track.box, x, y) and overlap_of(detection.bbox_xyxy, track.box) > _SAME_FACE


def _is_on(track: Track, box: Floats) -> bool:
    """Whether a box lies on the face of a track, if perhaps turned or of another size."""
    shared = overlap_of(box, track.box)
    return shared > _DOUBLE or (shared > _SAME_FACE and _holds(track.box, *_center(box)))


def _is_near(track: Track, box: Floats) -> bool:
    """Whether a face at a box may be the one that a track has lost."""
    x0, y0, x1, y1 = box.tolist()
    size, largest = (x1 - x0 + y1 - y0) / 2, track.size_px
    apart = math.dist(_center(box), _center(track.box))
    return apart < _NEAR * largest and 1 / _ALIKE < size / max(largest, 1e-6) < _ALIKE


def _is_outside(box: Floats, picture: Picture) -> bool:
    """Whether a box's center is not in the picture, or the box is no size for a face."""
    width, height = picture.width, picture.height
    x0, y0, x1, y1 = box.tolist()
    (x, y), size = _center(box), max(x1 - x0, y1 - y0)
    return not (0 <= x < width and 0 <= y < height and 8 <= size <= 4 * max(width, height))


def _center(box: Floats) -> tuple[float, float]:
    x0, y0, x1, y1 = box.tolist()
    return (x0 + x1) / 2, (y0 + y1) / 2


def _holds(box: Floats, x: float, y: float) -> bool:
    """Whether a point lies within a box."""
    x0, y0, x1, y1 = box.tolist()
    return bool(x0 < x < x1 and y0 < y < y1)
