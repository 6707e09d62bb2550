"""The smoothing of points against DeepFaceLive's: the mean of the last N frames, by place in the list."""

import cv2
import numpy as np
import pytest
from engine.deepfacelive import MeanOfLast
from painted import ANNE, BEN, Stream, is_on

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.finder import FaceFinder
from obs_faceswap.engine.find.landmarks import FaceMesh
from obs_faceswap.engine.find.schemes import mesh_to_68
from obs_faceswap.engine.find.track import OneEuro
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings, Who

FPS = 30.0
DEFAULT = Settings().smoothing / 100
RAW = Settings(smoothing=0)
INNER = np.arange(17, 68)  # without the outline, which both schemes have elsewhere


def averaged(frames, count):
    mean = MeanOfLast(count)
    return np.stack([mean.step([frame])[0] for frame in frames])


def filtered(frames, strength=DEFAULT):
    smoother, size = OneEuro(), side_of(frames)
    steps = (np.column_stack([points, np.zeros(len(points))]).astype(np.float32) for points in frames)
    return np.stack([smoother.step(step, 1 / FPS, size, strength)[:, :2] for step in steps])


def side_of(frames):
    return float(np.ptp(frames[0], axis=0).mean())


def tremble(frames):
    """How much points move from frame to frame, after a second, in face sizes."""
    return float(np.diff(frames[30:], axis=0).std()) / side_of(frames)


def lag_ms(frames, truth):
    """By how much the points are late: the regression of their error on the true velocity."""
    velocity = np.gradient(truth, axis=0)[:, INNER] * FPS
    error = np.stack([mesh_to_68(points) for points in frames])[:, INNER] - truth[:, INNER]
    error -= error.mean(axis=0)  # the schemes' own difference
    return -1000 * float((error * velocity).sum() / (velocity**2).sum())


# --- in numbers, on rendered heads with known motion ---


@pytest.fixture(scope="module", params=["synth_a", "synth_b"])
def head(request, shared):
    """A still head in a noisy picture, a fast one, and where the fast one truly is."""
    folder = shared / "synth" / "clips"
    pictures = list(_pictures(folder / f"{request.param}.mp4"))
    noise = np.random.default_rng(0)
    still = [
        np.clip(pictures[0] + noise.normal(0, 5, pictures[0].shape), 0, 255).astype(np.uint8)
        for _ in range(60)
    ]
    truth = np.load(folder / f"{request.param}_gt.npz")["landmarks68"]
    # Every other frame: twice as fast, up to 0.8 face sizes a second.
    return _points(still, shared), _points(pictures[::2], shared), truth[::2]


def _pictures(path):
    capture = cv2.VideoCapture(str(path))
    while (read := capture.read())[0]:
        yield read[1]


def _points(pictures, shared):
    networks = [
        Session(shared / "models" / name, "cpu") for name in ("yunet_n_320.onnx", "mp_face_mesh_468_192.onnx")
    ]
    finder = FaceFinder(detector_for(networks[0]), FaceMesh(networks[1]))
    found = [
        finder.find(Picture.of(image), round(number * 1e9 / FPS), RAW)
        for number, image in enumerate(pictures)
    ]
    return np.stack([each.target.landmarks for each in found])


@pytest.mark.shared
def test_a_still_face_trembles_five_times_less_and_a_fast_one_is_not_late(head):
    still, fast, truth = head
    assert tremble(filtered(still)) < tremble(still) / 5
    assert lag_ms(filtered(fast), truth) - lag_ms(fast, truth) < 6  # less than a fifth of a frame


@pytest.mark.shared
def test_the_mean_that_is_as_steady_is_ten_times_as_late(head):
    still, fast, truth = head
    count = next(n for n in range(1, 30) if tremble(averaged(still, n)) <= 1.1 * tremble(filtered(still)))
    own, theirs = (
        lag_ms(points, truth) - lag_ms(fast, truth) for points in (filtered(fast), averaged(fast, count))
    )
    assert theirs > 40
    assert theirs > 8 * own


@pytest.mark.shared
def test_the_shortest_mean_is_less_steady_and_later(head):
    still, fast, truth = head
    assert tremble(averaged(still, 2)) > 2 * tremble(filtered(still))
    assert lag_ms(averaged(fast, 2), truth) > lag_ms(filtered(fast), truth) + 5


# --- of several people; when their order changes: see test_deepfacelive_defects.py ---


def test_a_face_that_leaves_does_not_drag_its_points_over_to_another():
    stream, settings = Stream(), Settings(smoothing=100, who=Who.ALL)
    stream.see(ANNE, BEN, frames=10, settings=settings)
    found = stream.see(BEN, settings=settings)
    assert is_on(found.target, BEN)
