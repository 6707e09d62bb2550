"""Following a face by the detector's five points alone."""

import cv2
import numpy as np
import pytest

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.five_points import FivePoints
from obs_faceswap.engine.find.landmarks import FaceMesh
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Detection

SQUARE = ((150, 120), 200.0)
HEAD = (CANONICAL_FACE[:, :2] * (1, -1) * 5 + (160, 160)).astype(np.float32)  # in the detector's 320 px


class Detector:
    """Says what it was told of each picture."""

    side_px = 320

    def __init__(self, *found):
        self.found, self.seen = found, []

    def detect(self, image, threshold):
        self.seen.append(image)
        return list(self.found)


def detection(points=HEAD, score=0.95, off=0.0):
    kps = five_points(points) + np.float32(off)
    return Detection(np.concatenate([kps.min(axis=0), kps.max(axis=0)]), kps, score)


def find(*found, roll=0.0):
    picture = Picture.of(np.zeros((240, 320, 3), np.uint8))
    return FivePoints(Detector(*found)).find(picture, *SQUARE, roll)


def test_the_mesh_lies_in_the_picture_where_the_points_are():
    landmarks, depth, presence = find(detection())
    wanted = (HEAD - 159.5) * (200 * 1.3 / 320) + (150, 120)
    np.testing.assert_allclose(landmarks, wanted, atol=0.5)
    assert presence == pytest.approx(0.9)
    assert depth[1] < depth[234]  # the nose's tip is nearer than an ear


def test_a_turned_square_turns_the_points():
    upright, turned = find(detection())[0] - SQUARE[0], find(detection(), roll=np.pi / 2)[0] - SQUARE[0]
    np.testing.assert_allclose(turned, upright @ [[0, 1], [-1, 0]], atol=0.5)


@pytest.mark.parametrize(
    "found",
    [
        [],
        [detection(off=120)],  # the next person
        [detection(off=np.nan)],
        [detection(score=0.52)],
        [detection(np.full((468, 2), 160, np.float32))],
        [detection(np.random.default_rng(3).uniform(60, 260, (468, 2)).astype(np.float32))],
    ],
    ids=["nothing", "beside", "no numbers", "unsure", "one place", "no head"],
)
def test_what_is_no_face_in_the_square_has_no_presence(found):
    landmarks, _, presence = find(*found)
    assert presence < 0.1
    assert np.isfinite(landmarks).all()


def test_of_several_the_surest_is_taken():
    other = detection(HEAD * 0.5 + 80, score=0.97)
    assert np.ptp(find(detection(), other)[0][:, 1]) < 0.6 * np.ptp(find(detection())[0][:, 1])


@pytest.mark.shared
@pytest.mark.parametrize("file", ["yunet_n_320.onnx", "mp_face_detector_short_128.onnx"])
def test_on_a_photograph_it_agrees_with_the_mesh(shared, file):
    picture = Picture.of(cv2.imread(str(shared / "image" / "astronaut.png")))
    detector = detector_for(Session(shared / "models" / file, "cpu", 1))
    mesh = FaceMesh(Session(shared / "models" / "mp_face_mesh_468_192.onnx", "cpu", 1))
    seen = [
        FaceFinder(detector, landmarker).find(picture, 0, Settings(smoothing=0)).target.landmarks
        for landmarker in (mesh, FivePoints(detector))
    ]
    apart = np.linalg.norm(seen[0] - seen[1], axis=1) / np.ptp(seen[0], axis=0).mean()
    assert apart.mean() < 0.06
