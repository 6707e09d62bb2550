"""Stand-ins for the networks: a finder that finds what it is told, a swapper that paints, detailed frames."""

from types import SimpleNamespace

import numpy as np

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.enroll import Enroller
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Face, Frame, SwappedFace
from obs_faceswap.engine.wear import Worn

WIDTH, HEIGHT = 320, 240
FRAME_NS = 100_000_000


def face_at(x: float, y: float, height: float = 90.0, track_id: int = 1) -> Face:
    """A frontal face with its middle at (x, y)."""
    shape = CANONICAL_FACE[:, :2] * (1, -1)
    scale = height / np.ptp(shape[:, 1])
    points = ((shape - shape.mean(0)) * scale + (x, y)).astype(np.float32)
    return Face(points, (-CANONICAL_FACE[:, 2] * scale).astype(np.float32), 1.0, track_id)


TARGET, OTHER = face_at(90, 120), face_at(240, 110, 60, track_id=2)
SEEN, NOBODY = Found(TARGET, []), Found(None, [])


class FakeFinder:
    """Gives what it was told, the last of it for ever."""

    def __init__(self, *found: Found | Exception) -> None:
        self.found = list(found)
        self.adopted = None

    def find(self, picture, timestamp_ns, settings):
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found

    def adopt(self, old):
        self.adopted = old


class FakeSwapper:
    """Paints the crop blue; `swapped` may replace what it gives."""

    is_upright = False

    def __init__(self) -> None:
        self.updates: list[Settings] = []
        self.sides: list[float] = []
        self.swapped = None

    def update(self, settings):
        self.updates.append(settings)

    def crop_size(self, face_side_px):
        self.sides.append(face_side_px)
        return 128

    def swap(self, aligned):
        if isinstance(self.swapped, Exception):
            raise self.swapped
        return self.swapped or painted(aligned.crop.shape[0])


def painted(size: int, mask: float = 1.0) -> SwappedFace:
    crop = np.full((size, size, 3), (200, 40, 40), np.uint8)
    return SwappedFace(crop, np.full((size, size), mask, np.float32))


def networks_of(finder: FakeFinder) -> SimpleNamespace:
    return SimpleNamespace(
        finder=finder,
        provider="cpu",
        stages={},
        notice="",
        close=lambda: None,
        enroller=Enroller(),
    )


def pipeline_of(*found: Found | Exception, swapper: FakeSwapper | None = None) -> Pipeline:
    return Pipeline(networks_of(FakeFinder(*found)), Worn(swapper or FakeSwapper(), FaceKind.PHOTO))


def frame_of(number: int = 0, pixel_format: PixelFormat = PixelFormat.BGR3, size=(WIDTH, HEIGHT)) -> Frame:
    """A frame full of detail, another one for each number."""
    random = np.random.default_rng(number)
    planes = tuple(
        random.integers(60, 190, (rows, stride), np.uint8)
        for stride, rows in plane_sizes(pixel_format, *size)
    )
    return Frame(pixel_format, *size, planes, timestamp_ns=number * FRAME_NS)
