"""A whole engine over stand-ins that can be made to fail, and what holds for all its frames all the same."""

import warnings
from dataclasses import replace

import numpy as np
import tiny_networks
from engine.swap import photo_heads
from fake_engine import FRAME_NS, networks_of

from obs_faceswap.engine.crop.front import Front
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.detectors.decode import best
from obs_faceswap.engine.find.enroll import Enroller
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.identity import Identities, Roster
from obs_faceswap.engine.formats import LAYOUTS, PixelFormat, plane_sizes
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import OPTIONS, Cover, Kind
from obs_faceswap.engine.swap.animate import Animator
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.swap.one_photo import FAMILIES, OnePhotoSwapper
from obs_faceswap.engine.swap.photo import PhotoSwapper
from obs_faceswap.engine.types import Frame, Shown
from obs_faceswap.engine.wear import Worn

_GUARD, _GUARD_BYTE = 3, 0xA5
_WITH_ALPHA, _ALPHA = (PixelFormat.BGRA, PixelFormat.BGRX, PixelFormat.RGBA), 3
_FIVE = [33, 263, 1, 61, 291]  # of the mesh: eyes, nose, mouth
_FAR = 1e6  # px
_NOT_RAW = 3.0  # levels that a covered or swapped face differs at least from the camera's, in the mean


# --- networks ---


def _filled(value):
    return lambda outputs: [np.full_like(output, value) for output in outputs]


def _with_one(value):
    def spoil(outputs):
        changed = [output.copy() for output in outputs]
        for output in changed:
            output.flat[output.size // 2] = value
        return changed

    return spoil


# What a network may give that it should not, by what is wrong with it.
SPOILED = {
    "NaN": _filled(np.nan),
    "one NaN": _with_one(np.nan),
    "infinite": _filled(np.inf),
    "huge": _filled(1e30),
    "largest": _filled(np.finfo(np.float32).max),
    "least": _filled(np.finfo(np.float32).min),
    "zeros": _filled(0),
    "empty": lambda outputs: [output[:0] for output in outputs],
    "nothing": lambda outputs: [np.zeros(0, np.float32) for _ in outputs],
    "cut": lambda outputs: [output[..., :-1] for output in outputs],
    "flat": lambda outputs: [output.ravel() for output in outputs],
    "a number": lambda outputs: [np.float32(1) for _ in outputs],
    "twice": lambda outputs: [np.concatenate([output, output]) for output in outputs],
    "too few": lambda outputs: outputs[:-1],
}


class Network:
    """A network, or a stand-in for one, whose outputs a test may change.

    `well` is what it gives by itself, `spoil` what it gives while it is ill.
    """

    def __init__(self, network, well=list):
        self._network, self._well, self.spoil = network, well, None

    def __getattr__(self, name):
        return getattr(self._network, name)

    def run(self, feeds):
        outputs = self._well(self._network.run(feeds))
        return outputs if self.spoil is None else self.spoil(outputs)


class Detector:
    """Knows where the faces are; `other`, once set, is asked instead."""

    side_px = 640

    def __init__(self, scene):
        self._scene, self.other = scene, None

    def detect(self, image, threshold):
        if self.other is not None:
            return self.other.detect(image, threshold)
        scale = image.shape[1] / self._scene.width
        if image.shape[0] != self._scene.height * image.shape[1] // self._scene.width:
            return []  # a part of the picture, or a turned one
        points = np.reshape([face.landmarks * scale for face in self._scene.faces], (-1, 468, 2))
        boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
        return best(np.full(len(points), 0.9), boxes, points[:, _FIVE], threshold, same_iou=0.9)


class Mesh:
    """Knows the face nearest to where it is asked to look; `other`, once set, is asked instead."""

    def __init__(self, scene):
        self._scene, self.other = scene, None

    def find(self, picture, center_xy, side_px, roll_rad):
        if self.other is not None:
            return self.other.find(picture, center_xy, side_px, roll_rad)
        with np.errstate(invalid="ignore", over="ignore"):
            away = [np.hypot(*(face.landmarks.mean(axis=0) - center_xy)) for face in self._scene.faces]
        nearest = int(np.argmin(away)) if away else -1
        if nearest < 0 or away[nearest] > side_px:
            return np.zeros((468, 2), np.float32), np.zeros(468, np.float32), 0.0
        face = self._scene.faces[nearest]
        if not all((np.abs(values) < _FAR).all() for values in (face.landmarks, face.depth)):
            return np.zeros((468, 2), np.float32), np.zeros(468, np.float32), 0.0  # as real ones do
        return face.landmarks, face.depth, face.presence


# --- the engine ---


class Engine:
    """A pipeline with its real finder, and what the camera shows it."""

    def __init__(self, swapper, kind=FaceKind.PHOTO, occluder=None, recognizer=None, size=(320, 240)):
        self.width, self.height = size
        self.faces = []
        self.detector, self.mesh = Detector(self), Mesh(self)
        finder = FaceFinder(self.detector, self.mesh, Identities(recognizer, Roster("")))
        networks = networks_of(finder)
        networks.enroller = Enroller(recognizer)
        self.pipeline = Pipeline(networks, Worn(swapper, kind), Front(occluder))
        self.number = 0

    def show(self, settings, is_opaque=True, **more):
        """One frame of noise through the engine; the result, after all was checked that always holds."""
        scene = guarded_frame((self.width, self.height), number=self.number, **more)
        self.number += 1
        return checked(self.pipeline, *scene, settings, self.faces, is_opaque)

    def shows(self, settings, count, **more):
        """What is shown in so many frames."""
        return [self.show(settings, **more).shown for _ in range(count)]


class Late:
    """A pipeline whose frames are finished with the swap of the first one."""

    def __init__(self, pipeline):
        self._pipeline, self._swap = pipeline, None

    def process(self, frame, settings):
        begun = self._pipeline.begin(frame, settings)
        self._swap = self._swap or self._pipeline.swap(begun)
        return self._pipeline.finish(frame, begun, self._swap)


def guarded_frame(size, pixel_format=PixelFormat.BGR3, number=0, flip=False, alpha=0, value=None):
    """A frame of noise, or of one value, that lies in larger buffers, and these; its alpha is all one."""
    random = np.random.default_rng(number)
    planes, buffers = [], []
    for stride, rows in plane_sizes(pixel_format, *size):
        buffer = np.full((rows + 2 * _GUARD, stride + 2 * _GUARD), _GUARD_BYTE, np.uint8)
        plane = buffer[_GUARD:-_GUARD, _GUARD:-_GUARD]
        plane[:] = random.integers(60, 190, plane.shape, np.uint8) if value is None else value
        if pixel_format in _WITH_ALPHA:
            plane[:, _ALPHA::4] = alpha
        planes.append(plane)
        buffers.append(buffer)
    frame = Frame(pixel_format, *size, tuple(planes), flip=flip, timestamp_ns=number * FRAME_NS)
    return frame, buffers


def checked(pipeline, frame, buffers, settings, faces=(), is_opaque=True):
    """Processes a frame and checks what has to hold for every frame, whatever comes in; the result.

    `is_opaque` says that a swap hides these faces and nothing else, which not all settings want.
    """
    before = [plane.copy() for plane in frame.planes]
    kept = replace(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pipeline.process(frame, settings)
    assert frame == kept
    assert isinstance(result.shown, Shown)
    for buffer, plane in zip(buffers, frame.planes, strict=False):
        assert_guarded(buffer, plane)
    if result.fault is not None or result.notice:
        assert_told(result.notice)
    if result.shown is Shown.SWAPPED and is_opaque:
        assert_alpha_kept(frame, before)
    if settings.cover is not Cover.ORIGINAL:
        assert result.shown is not Shown.ORIGINAL
        for face in faces if is_opaque or result.shown is not Shown.SWAPPED else ():
            assert_not_raw(frame, before, face)
    return result


def assert_alpha_kept(frame, before):
    if frame.format in _WITH_ALPHA:
        assert np.array_equal(frame.planes[0][:, _ALPHA::4], before[0][:, _ALPHA::4])


def assert_guarded(buffer, plane):
    rest = np.ones(buffer.shape, bool)
    rest[_GUARD:-_GUARD, _GUARD:-_GUARD] = False
    assert (buffer[rest] == _GUARD_BYTE).all()
    assert plane.base is buffer or np.shares_memory(plane, buffer)


def assert_told(notice):
    """What is said are sentences for a user, and not just an error of numpy's or OpenCV's."""
    assert notice[:1].isupper()
    assert notice.endswith(".")


def assert_not_raw(frame, before, face):
    """The middle of a face that is in the frame is not what the camera saw."""
    with np.errstate(all="ignore"):
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        center, reach = (low + high) / 2, (high - low) / 8
    if not np.isfinite([*center, *reach]).all():
        return
    layout = LAYOUTS[frame.format][0]
    (x0, y0), (x1, y1) = (
        np.clip(corner, 0, (frame.width, frame.height)).astype(int)
        for corner in (center - reach, center + reach)
    )
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    if frame.flip:
        y0, y1 = frame.height - y1, frame.height - y0
    columns = slice(x0 // layout.x_step * layout.sample_bytes, x1 // layout.x_step * layout.sample_bytes)
    old, new = before[0][y0:y1, columns].astype(int), frame.planes[0][y0:y1, columns].astype(int)
    assert np.abs(new - old).mean() > _NOT_RAW


# --- faces to wear, of every kind ---


def one_photo():
    session = Network(
        Session(tiny_networks.one_photo(128), "cpu", 1), lambda outputs: [outputs[0][..., ::-1]]
    )
    return Worn(OnePhotoSwapper(session, FAMILIES[0], np.zeros((1, 512), np.float32)), FaceKind.PHOTO)


def photo():
    points = photo_heads.posed()
    picture = photo_heads.picture_of(photo_heads.skin(), points)
    return Worn(PhotoSwapper([picture], photo_heads.finder(points)), FaceKind.PHOTO)


def animator():
    picture = np.random.default_rng(9).integers(0, 40, (48, 64, 3), np.uint8)
    return Worn(Animator(Session(tiny_networks.animator(64), "cpu", 1), picture), FaceKind.PHOTO)


def dfm():
    return Worn(DfmSwapper(Session(tiny_networks.dfm(64, morph=True), "cpu", 1)), FaceKind.DFM)


WORN = {"photo": photo, "dfm": dfm, "one photo": one_photo, "animator": animator}


# --- settings ---


def values_of(option):
    """What a test tries of an option: the ends of its range, its default, all of its choices."""
    if option.kind is Kind.NUMBER:
        middle = (option.minimum + option.maximum) / 2
        return list(dict.fromkeys((option.default, option.minimum, option.maximum, middle)))
    if option.kind is Kind.CHOICE:
        return [value for value, _ in option.choices]
    return ["", "*"] if option.kind is Kind.PERSON else [option.default]


VALUES = {option.key: values_of(option) for option in OPTIONS}
