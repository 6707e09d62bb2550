"""Finds the faces of a stream: which one is swapped, and which others are there.

A face is followed by its own last landmarks; the detector only looks for new faces and for lost ones. What
counts as a face is the mesh network's presence, not the detector's score.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.detectors.decode import overlap
from obs_faceswap.engine.landmarks import roi_of_kps, roi_of_landmarks, shape_error
from obs_faceswap.engine.picture import Picture
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.track import CutWatch, Track, box_of
from obs_faceswap.engine.types import Detection, Detector, Face, Points

Floats = npt.NDArray[np.float32]

_SEARCH_EVERY_S = 0.1  # while the target is followed
_TARGET_KEPT_S = 1.0  # a lost target's place is held that long before another face may take it
_OTHER_KEPT_S = 0.5  # a lost other face is reported (and covered) that long where it was last seen
_OTHERS_A_FRAME = 4  # of many other faces only these are looked at in one frame, in turns
_NEW_FACES_A_SEARCH = 4

# Measured on the clips: faces have a presence of 1.00 (profiles and hands over them included), hands 0.00.
_PRESENCE_TO_START = 0.5
_PRESENCE_TO_HOLD = 0.3
_PRESENCE_WORTH_A_SECOND_LOOK = 0.1
# Residual of the mesh against the canonical head: faces up to 0.12 with any expression, hands from 0.12.
_SHAPE_TO_START = 0.12
_SHAPE_TO_HOLD = 0.17
# Doubt: that residual plus 1.5 times how far the points move when the crop does. Its mean over some checks
# stays below 0.13 for faces (0.148 at the worst frame of the wildest grimaces); puppets have 0.14 to 0.16.
_DRIFT_WEIGHT = 1.5
_DOUBT_TO_START = 0.135
_DOUBT_TO_HOLD = 0.15
_DOUBT_GAIN = 0.3  # weight of a new check
_CHECKS_A_FRAME = 2  # of faces that might become the target
_SETTLING = 3  # times that the mesh's own square is tried at most, until the points move less than this:
_SETTLED = 0.02  # face sizes
_QUARTERS = (math.pi, math.pi / 2, -math.pi / 2)

_SAME_FACE = 0.2  # overlap of a detector's box and a mesh's
_DOUBLE = 0.5  # overlap of two meshes that lie on one face
_SHIFT_OVER_A_CUT = 0.1  # overlap that a face may lose when only the light changed
_NEAR = 1.0  # face sizes: a face that turns up nearer to where the target was lost is the target
_ALIKE = 2.0  # and at most so many times larger or smaller

_SMALLEST_TILE_PX = 360  # the smallest faces found in it have 15 px (YuNet) to 45 px (BlazeFace)
_TILE_STEP = 0.75  # of a tile's side
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
    """

    target: Face | None
    others: list[Face]
    more: tuple[Face, ...] = ()
    lost: tuple[Face, ...] = ()

    @property
    def targets(self) -> tuple[Face, ...]:
        """All faces to swap."""
        return () if self.target is None else (self.target, *self.more)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face that the mesh saw where a detector pointed."""

    points: Points
    depth: Floats
    presence: float
    doubt: float

    @property
    def rank(self) -> float:
        """Smaller is better; a mesh that lies upside down on a face has more doubt or less presence."""
        return self.doubt + (1 - self.presence) / 10


@dataclass(frozen=True, slots=True)
class View:
    """A part of the picture, turned by quarters, for the detector to look at."""

    x0: int
    y0: int
    x1: int
    y1: int
    quarters: int = 0  # counterclockwise


class FaceFinder:
    """Finds and follows the faces of one stream; belongs to one thread.

    Attributes:
        search_every_s: time between two searches for new faces while the target is followed.
    """

    def __init__(self, detector: Detector, mesh: Mesh) -> None:
        """Starts without any face."""
        self.search_every_s = _SEARCH_EVERY_S
        self._detector = detector
        self._mesh = mesh
        self._cuts = CutWatch()
        self._tracks: list[Track] = []
        self._target: Track | None = None
        self._made = 0
        self._now_s = 0.0
        self._timestamp_ns: int | None = None
        self._search_at_s = 0.0
        self._views: Iterator[View] = iter(())
        self._views_of: tuple[int, int] = (0, 0)

    def find(self, picture: Picture, timestamp_ns: int, settings: Settings) -> Found:
        """The target, and all other faces, of the next picture of the stream.

        The target is the largest face at first and then the same one until it is gone for more than a second.
        It is None while it is out of sight.
        """
        starts = self._starts(picture)
        self._advance(timestamp_ns)
        cut = self._cuts.step(picture)
        self._follow(picture)
        self._part_doubles()
        if cut:
            self._start_over()
        if starts or cut or self._is_search_due():
            self._search(picture, settings.detection_threshold, thorough=starts or cut)
        self._forget()
        self._choose(picture)
        return self._report(settings.smoothing / 100)

    def adopt(self, old: "FaceFinder") -> None:
        """Goes on with another finder's stream: its clock, its faces, and which of them is the target."""
        self._cuts, self._tracks, self._target, self._made = old._cuts, old._tracks, old._target, old._made
        self._now_s, self._timestamp_ns, self._search_at_s = old._now_s, old._timestamp_ns, old._search_at_s
        self._views, self._views_of = old._views, old._views_of

    def _starts(self, picture: Picture) -> bool:
        """Whether nothing is known of pictures of this size; faces of another size lie somewhere else now."""
        width, height = picture.width, picture.height
        if self._views_of == (width, height):
            return False
        self._tracks, self._target = [], None
        return True

    # --- time ---

    def _advance(self, timestamp_ns: int) -> None:
        """Moves the clock on; timestamps that stand still or run backwards count as the next frame."""
        last = timestamp_ns if self._timestamp_ns is None else self._timestamp_ns
        passed_s = (timestamp_ns - last) / 1e9
        self._now_s += passed_s if passed_s > 0 else _FRAME_S
        self._timestamp_ns = timestamp_ns

    def _is_search_due(self) -> bool:
        is_lost = self._target is not None and not self._is_seen(self._target)
        return is_lost or self._now_s >= self._search_at_s

    def _is_seen(self, track: Track) -> bool:
        return track.seen_s == self._now_s

    # --- following ---

    def _follow(self, picture: Picture) -> None:
        """Looks for each face where it was last."""
        others = sorted((t for t in self._tracks if t is not self._target), key=lambda t: t.looked_s)
        due = others[:_OTHERS_A_FRAME]
        if self._target is not None:
            due.append(self._target)
        for track in due:
            track.looked_s = self._now_s
            if not _is_outside(track.box, picture):
                self._look(picture, track)

    def _look(self, picture: Picture, track: Track) -> None:
        points, depth, presence = self._mesh.find(picture, *roi_of_landmarks(track.points))
        if presence < _PRESENCE_TO_HOLD or shape_error(points, depth) > _SHAPE_TO_HOLD:
            return
        if _is_near(track, box_of(points)):
            track.update(points, depth, presence, self._now_s)

    # --- searching ---

    def _search(self, picture: Picture, threshold: float, thorough: bool) -> None:
        """Lets the detector look for new and lost faces, and checks the target again.

        Each time it looks at the whole picture and at one more view of it: a part, for small faces, or all of
        it turned, for lying heads. A thorough search takes all views at once.
        """
        self._search_at_s = self._now_s + self.search_every_s
        width, height = picture.width, picture.height
        views = _views(width, height)
        if self._views_of != (width, height):
            self._views, self._views_of = cycle(views[1:]), (width, height)
        chosen = views if thorough else [views[0], *islice(self._views, 1)]
        if self._target is not None and self._is_seen(self._target):
            self._check(picture, self._target)
        elif self._target is not None:
            chosen = [_around(self._target, width, height), *chosen]
        for view in chosen:
            self._take(picture, _detected(picture, view, self._detector, threshold))

    def _take(self, picture: Picture, found: list[Detection]) -> None:
        """Makes tracks of detections, and finds lost ones again."""
        new = [d for d in found if not any(not t.is_lost and _covers(t, d) for t in self._tracks)]
        for detection in new[:_NEW_FACES_A_SEARCH]:
            sighting = self._sighting(picture, detection)
            if sighting is not None:
                self._place(sighting)

    def _sighting(self, picture: Picture, detection: Detection) -> Sighting | None:
        """A detected face, or None if the mesh says that it is none."""
        center, side, roll = roi_of_kps(detection.kps)
        first = self._settled(picture, center, side, roll)
        if first is None or first.rank <= _DOUBT_TO_START or self._follows_target():
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
        face = sighting.points, sighting.depth, sighting.presence, self._now_s
        box = box_of(sighting.points)
        if any(not t.is_lost and _is_on(t, box) for t in self._tracks):
            return
        lost = [t for t in self._tracks if t.is_lost and _is_near(t, box)]
        lost.sort(key=lambda t: t is not self._target)
        if lost:
            lost[0].update(*face)
            return
        self._made += 1
        self._tracks.append(Track(self._made, *face, doubt=sighting.doubt))

    # --- which is which ---

    def _start_over(self) -> None:
        """After a cut, only a face that is in the same place in the new scene is still the same."""
        self._tracks = [t for t in self._tracks if self._is_seen(t) and t.shift < _SHIFT_OVER_A_CUT]
        for track in self._tracks:
            track.cut()
        if self._target not in self._tracks:
            self._target = None

    def _part_doubles(self) -> None:
        """Where two tracks lie on one face, the one that moved there loses it."""
        seen = sorted((t for t in self._tracks if self._is_seen(t)), key=lambda t: t.shift)
        for index, keeper in enumerate(seen):
            for other in seen[index + 1 :]:
                if self._is_seen(other) and float(overlap(keeper.box, other.box[None])[0]) > _DOUBLE:
                    other.undo()

    def _forget(self) -> None:
        """Drops the tracks that are lost for too long, and a target that is."""
        if self._target is not None and self._is_trusted(self._target):
            self._target.trusted_s = self._now_s
        elif self._target is not None and self._now_s - self._target.trusted_s > _TARGET_KEPT_S:
            self._target = None
        kept_s = {id(self._target): _TARGET_KEPT_S}
        self._tracks = [t for t in self._tracks if self._now_s - t.seen_s <= kept_s.get(id(t), _OTHER_KEPT_S)]

    def _choose(self, picture: Picture) -> None:
        """Takes the largest face that can be swapped as target if there is none."""
        if self._target is not None:
            return
        seen = sorted((t for t in self._tracks if self._is_seen(t)), key=lambda t: -t.size_px)
        for track in seen[:_CHECKS_A_FRAME]:
            if track.doubt > _DOUBT_TO_START:
                self._check(picture, track)
            if track.doubt <= _DOUBT_TO_START:
                self._target = track
                track.trusted_s = self._now_s
                return

    def _check(self, picture: Picture, track: Track) -> None:
        """Brings a track's doubt up to date."""
        track.doubt += _DOUBT_GAIN * (self._doubt(picture, track.points, track.depth) - track.doubt)

    def _doubt(self, picture: Picture, points: Points, depth: Floats) -> float:
        """A harder check than presence, which some puppets and animals pass.

        A real face has the shape of one, and its points stay where they are when the crop is moved.
        """
        center, side, roll = roi_of_landmarks(points)
        moved, _, _ = self._mesh.find(picture, center + side / 30, side * 1.12, roll + 0.12)
        return shape_error(points, depth) + _DRIFT_WEIGHT * _drift(moved, points)

    def _is_trusted(self, track: Track) -> bool:
        return self._is_seen(track) and track.doubt <= _DOUBT_TO_HOLD

    def _follows_target(self) -> bool:
        return self._target is not None and self._is_seen(self._target)

    def _report(self, strength: float) -> Found:
        target = self._target if self._target is not None and self._is_trusted(self._target) else None
        others = [t.face(strength) for t in self._tracks if t is not target]
        return Found(None if target is None else target.face(strength), others)


def _drift(points: Points, reference: Points) -> float:
    """How far apart two meshes of one face are, in face sizes."""
    return float(np.hypot(*(points - reference).T).mean() / max(1e-6, np.ptp(reference, axis=0).mean()))


def _covers(track: Track, detection: Detection) -> bool:
    """Whether a detection is the face of a track."""
    box = track.box
    center = detection.kps.mean(axis=0)
    inside = bool(((center > box[:2]) & (center < box[2:])).all())
    return inside and float(overlap(detection.bbox_xyxy, box[None])[0]) > _SAME_FACE


def _is_on(track: Track, box: Floats) -> bool:
    """Whether a box lies on the face of a track, if perhaps turned or of another size."""
    shared = float(overlap(box, track.box[None])[0])
    center = (box[:2] + box[2:]) / 2
    inside = bool(((center > track.box[:2]) & (center < track.box[2:])).all())
    return shared > _DOUBLE or (inside and shared > _SAME_FACE)


def _is_near(track: Track, box: Floats) -> bool:
    """Whether a face at a box may be the one that a track has lost."""
    size = float((box[2:] - box[:2]).mean())
    apart = float(np.hypot(*(box[:2] + box[2:] - track.box[:2] - track.box[2:]) / 2))
    return apart < _NEAR * track.size_px and 1 / _ALIKE < size / max(track.size_px, 1e-6) < _ALIKE


def _is_outside(box: Floats, picture: Picture) -> bool:
    """Whether a box's center is not in the picture, or the box is no size for a face."""
    width, height = picture.width, picture.height
    x, y = (box[:2] + box[2:]) / 2
    size = float((box[2:] - box[:2]).max())
    return not (0 <= x < width and 0 <= y < height and 8 <= size <= 4 * max(width, height))


def _views(width: int, height: int) -> list[View]:
    """The whole picture, then its parts and turns, each as often as it is worth."""
    turned = [View(0, 0, width, height, quarters) for quarters in (1, 3, 2)]
    large, side = [], min(width, height)
    if max(width, height) > side * 4 / 3:
        large = _tiles(width, height, side)
    small = _tiles(width, height, side // 2) if side // 2 >= _SMALLEST_TILE_PX else []
    return [View(0, 0, width, height), *large, *turned, *small]


def _around(track: Track, width: int, height: int) -> View:
    """The part of the picture where a lost face should be."""
    (x0, y0, x1, y1), margin = track.box, track.size_px
    x0, y0 = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    return View(x0, y0, max(x0 + 1, min(width, int(x1 + margin))), max(y0 + 1, min(height, int(y1 + margin))))


def _tiles(width: int, height: int, side: int) -> list[View]:
    return [View(x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin so that they overlap and reach both ends."""
    count = 1 + math.ceil((length - side) / (side * _TILE_STEP))
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def _detected(picture: Picture, view: View, detector: Detector, threshold: float) -> list[Detection]:
    """Detections in a view, in picture pixels."""
    longest = max(view.x1 - view.x0, view.y1 - view.y0)
    part, factor = picture.reduced((view.x0, view.y0, view.x1, view.y1), longest / detector.side_px)
    part = np.ascontiguousarray(np.rot90(part, view.quarters), np.uint8)
    found = detector.detect(part, threshold)
    return [_moved(detection, view, part.shape[:2], factor) for detection in found]


def _moved(detection: Detection, view: View, shape: tuple[int, ...], factor: int) -> Detection:
    """A detection of a view (of the given shape, so many times smaller) in picture pixels."""
    start = np.array([view.x0, view.y0], np.float32)
    corners = _unturned(detection.bbox_xyxy.reshape(2, 2), view.quarters, shape) * factor + start
    kps = _unturned(detection.kps, view.quarters, shape) * factor + start
    return Detection(box_of(corners), kps, detection.score)


def _unturned(points: Points, quarters: int, shape: tuple[int, ...]) -> Points:
    """Points (N, 2) of a picture of that shape before it was turned counterclockwise."""
    (height, width), (x, y) = shape, points.T
    if quarters == 1:
        x, y = height - 1 - y, x
    elif quarters == 2:
        x, y = width - 1 - x, height - 1 - y
    elif quarters == 3:
        x, y = y, width - 1 - x
    return np.stack([x, y], axis=1)
