"""Painted scenes for a face finder: people whose faces are squares of two greys.

A painted face is a square of one grey for the upper half and the next grey for the lower half; the stand-ins
for the networks read these squares, so tests run through all geometry of views and crops.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.identity import Identities, Roster
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Detection

FRAME_NS = 33_333_333
SETTINGS = Settings(smoothing=0)
HEAD = CANONICAL_FACE * (1, -1, -1)
HEAD_SIDE = float(np.ptp(HEAD[:, :2], axis=0).mean())
KPS = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0.05], [-0.15, 0.25], [0.15, 0.25]])  # of the square's side


@dataclass(frozen=True)
class Person:
    """A face of a scene; the grey tells who it is."""

    grey: int  # a multiple of 4
    x: float
    y: float
    side: float
    quarters: int = 0  # how far the head is turned, counterclockwise


def paint(people, width=320, height=240, seed=0):
    image = backdrop(width, height, seed)
    for person in people:
        side = round(person.side)
        square = np.full((side, side), person.grey, np.uint8)
        square[side // 2 :] += 1
        x, y = round(person.x - side / 2), round(person.y - side / 2)
        image[y : y + side, x : x + side] = np.rot90(square, person.quarters)[..., None]
    return image


@functools.cache
def _backdrop(width, height, seed):
    grid = np.random.default_rng(seed).integers(0, 64, (9, 16)).astype(np.uint8) * 4 + 3  # a grey of nobody
    grid = cv2.resize(grid, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.repeat(grid[..., None], 3, axis=2)


def backdrop(width, height, seed):
    return _backdrop(width, height, seed).copy()


def read(image):
    """The people of a picture or of a part of it."""
    grey = image[..., 0]
    for value in np.unique(grey[grey % 4 == 0]):
        # Where greys were mixed by resizing, single pixels look like somebody: only the largest patch counts.
        both = np.uint8((grey == value) | (grey == value + 1))
        _, patches, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        patch = patches == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
        upper, lower = np.argwhere(patch & (grey == value)), np.argwhere(patch & (grey == value + 1))
        if min(len(upper), len(lower)) < 20:
            continue
        both = np.concatenate([upper, lower])
        y, x = (both.min(axis=0) + both.max(axis=0)) / 2
        down = lower.mean(axis=0) - upper.mean(axis=0)
        quarters = int(np.argmax([down[0], down[1], -down[0], -down[1]]))
        yield Person(int(value), x, y, float(np.ptp(both, axis=0).max()) + 1, quarters)


def turned(points, quarters):
    """Points (N, 2) about 0, turned counterclockwise in the picture."""
    for _ in range(quarters):
        points = np.stack([points[:, 1], -points[:, 0]], axis=1)
    return points


class Detector:
    """Finds painted faces that are upright and not too small, as real detectors do."""

    smallest = 0.05  # of the view's longer side
    side_px = 640

    def __init__(self):
        self.blind = False
        self.looks = 0
        self.scores = {}  # by grey

    def detect(self, image, threshold):
        self.looks += 1
        if self.blind:
            return []
        smallest = self.smallest * max(image.shape[:2])
        people = [p for p in read(image) if p.side >= smallest and p.quarters == 0]
        return [detection_of(p, self.scores.get(p.grey, 0.9)) for p in people]


def detection_of(person, score=0.9):
    center = np.array([person.x, person.y])
    half = person.side / 2
    box = np.array([*(center - half), *(center + half)], np.float32)
    return Detection(box, (KPS * person.side + center).astype(np.float32), score)


def _rolled(points, roll, center):
    cos, sin = np.cos(roll), np.sin(roll)
    return (points - center) @ np.array([[cos, sin], [-sin, cos]]) + center


class Mesh:
    """Finds the painted face nearest to a square's center, if it is in the square."""

    def __init__(self):
        self.presence = {}
        self.puppets = set()

    def find(self, picture, center_xy, side_px, roll_rad):
        center = np.asarray(center_xy)
        near = [(np.hypot(p.x - center[0], p.y - center[1]), p) for p in read(picture.bgr())]
        distance, person = min(near, key=lambda n: n[0], default=(np.inf, None))
        if person is None or distance > side_px * 0.4 or person.side < side_px * 0.2:
            return np.zeros((468, 2), np.float32), np.zeros(468, np.float32), 0.0
        head = HEAD * (person.side / HEAD_SIDE)
        points = turned(head[:, :2], person.quarters) + np.array([person.x, person.y])
        if person.grey in self.puppets:
            points = _rolled(points, 3 * roll_rad, (person.x, person.y))  # the points go where the crop goes
        return points.astype(np.float32), head[:, 2].astype(np.float32), self.presence.get(person.grey, 1.0)


class Recognizer:
    """Tells painted people apart by their greys; counts its looks."""

    label = "painted"

    def __init__(self):
        self.looks = []

    def embedding(self, picture, kps):
        x, y = kps.mean(axis=0)
        person = min(read(picture.bgr()), key=lambda p: np.hypot(p.x - x, p.y - y))
        self.looks.append(person.grey)
        return numbers_of(person.grey)


def numbers_of(grey):
    """What the recognition network says of a painted person: nobody is like anybody else."""
    return np.random.default_rng(grey).normal(size=128).astype(np.float32)


class Stream:
    """A finder and the scene in front of it."""

    def __init__(self, width=320, height=240, recognizes=False):
        self.detector, self.mesh = Detector(), Mesh()
        self.recognizer = Recognizer() if recognizes else None
        identities = Identities(self.recognizer, Roster(Recognizer.label))
        self.finder = FaceFinder(self.detector, self.mesh, identities)
        self.size = (width, height)
        self.now_ns = 0

    def see(self, *people, frames=1, settings=SETTINGS, seed=0):
        """Shows a scene for some frames; returns what is found in the last."""
        for _ in range(frames):
            self.now_ns += FRAME_NS
            picture = Picture.of(paint(people, *self.size, seed))
            found = self.finder.find(picture, self.now_ns, settings)
        return found


def place(face):
    """The painted square's center that a face lies on."""
    return face.landmarks - turned(HEAD[:, :2], 0) * (np.ptp(face.landmarks, axis=0).mean() / HEAD_SIDE)


def is_on(face, person):
    return face is not None and np.allclose(place(face).mean(axis=0), (person.x, person.y), atol=2)


ANNE = Person(40, 80, 120, 70)
BEN = Person(80, 230, 120, 50)
