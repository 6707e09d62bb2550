"""Landmark networks of other schemes give the mesh."""

import cv2
import numpy as np
import pytest
from answers import Answers
from tiny_networks import grid_mesh

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.landmarkers import Fan68, Points68, Points106, landmarker_for
from obs_faceswap.engine.find.landmarks import FaceMesh, roi_of_kps, roi_of_landmarks
from obs_faceswap.engine.find.schemes import _PAIRS_OF_106, mesh_to_68
from obs_faceswap.engine.runtime.session import Session

SQUARE = ((150, 120), 200.0, 0.0)  # center, side and roll of where to look
HEAD = (CANONICAL_FACE[:, :2] * (1, -1) * 0.035 + 0.5).astype(np.float32)  # the mesh, 0..1 of a crop
POINTS = mesh_to_68(HEAD)


def black():
    return Picture.of(np.zeros((240, 320, 3), np.uint8))


def points68():
    output = np.concatenate([POINTS.ravel(), np.zeros(7)]).astype(np.float32)[None]
    return Answers((1, 3, 160, 160), {"output": output})


def fan():
    output = np.column_stack([POINTS * 64, np.ones(68)]).astype(np.float32)[None]
    return Answers((1, 3, 256, 256), {"landmarks_xyscore": output, "heatmaps": np.zeros((1, 68, 64, 64))})


def points106():
    output = np.zeros((106, 2), np.float32)
    for number, pair in enumerate(_PAIRS_OF_106):
        output[list(pair)] = POINTS[number] * 2 - 1
    return Answers((1, 3, 192, 192), {"fc1": output.reshape(1, 212)})


def mesh478():
    mesh = np.concatenate([grid_mesh(256), np.full((10, 3), 7.0)]).astype(np.float32)
    outputs = {
        "points": mesh.reshape(1, 1, 1, 1434),
        "presence": np.full((1, 1, 1, 1), 5, np.float32),
        "tongue": np.full((1, 1), -5, np.float32),
    }
    return Answers((1, 256, 256, 3), outputs)


@pytest.mark.parametrize(("network", "kind"), [(points68, Points68), (fan, Fan68)])
def test_few_points_become_a_mesh_in_picture_pixels(network, kind):
    landmarker = landmarker_for(network())
    assert type(landmarker) is kind
    found, depth, presence = landmarker.find(black(), *SQUARE)
    side = SQUARE[1] * kind.side_part
    corner = np.array(SQUARE[0]) - side / 2 + (0, 0.06 * side)
    np.testing.assert_allclose(found, HEAD * side + corner - 0.5, atol=0.6)
    assert presence == 1
    assert depth[1] < depth[234]  # the nose's tip is nearer than an ear


def test_a_turned_square_turns_the_points():
    center, side, _ = SQUARE
    upright = landmarker_for(points68()).find(black(), center, side, 0.0)[0]
    turned = landmarker_for(points68()).find(black(), center, side, np.pi / 2)[0]
    x, y = (upright - center).T
    np.testing.assert_allclose(turned - center, np.stack([-y, x], axis=1), atol=0.1)


def test_106_points_are_told_by_their_count():
    network = points106()
    landmarker = landmarker_for(network)
    assert type(landmarker) is Points106
    assert landmarker.find(black(), *SQUARE)[0].shape == (468, 2)
    assert network.seen.shape == (1, 3, 192, 192)


def test_a_mesh_with_irises_is_a_mesh():
    landmarker = landmarker_for(mesh478())
    assert type(landmarker) is FaceMesh
    found, _, presence = landmarker.find(black(), *SQUARE)
    expected = (grid_mesh(256)[:, :2] / 256 - 0.5) * 200 + SQUARE[0]
    np.testing.assert_allclose(found, expected - 0.5, atol=0.6)
    assert presence > 0.99


def test_nonsense_is_no_face():
    network = points68()
    network.values["output"][:] = np.random.default_rng(1).uniform(0, 1, network.values["output"].shape)
    assert landmarker_for(network).find(black(), *SQUARE)[2] == 0
    network.values["output"][:] = np.nan
    found, _, presence = landmarker_for(network).find(black(), *SQUARE)
    assert np.isfinite(found).all()
    assert presence == 0


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (points68, (np.array((255, 127, 0)) - 127) / 127),
        (fan, np.array((0, 127, 255)) / 255),
        (points106, (0, 127, 255)),
    ],
)
def test_each_network_sees_the_colors_it_was_trained_on(network, expected):
    answers = network()
    picture = Picture.of(np.full((240, 320, 3), (255, 127, 0), np.uint8))
    landmarker_for(answers).find(picture, *SQUARE)
    np.testing.assert_allclose(answers.seen[0, :, 20, 20], expected, atol=1e-5)


def test_a_network_of_other_shapes_is_refused():
    with pytest.raises(UnsupportedModelError, match="1434"):
        landmarker_for(Answers((1, 3, 64, 64), {"output": np.zeros((1, 10), np.float32)}))
    with pytest.raises(UnsupportedModelError, match="106 points"):
        Points106(points68())


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "part"), [("peppa_slim_68_160.onnx", 0.06), ("mp_face_landmarks_478_256.onnx", 0.04)]
)
def test_the_real_network_agrees_with_the_mesh_on_a_photograph(shared, file, part):
    models, picture = shared / "models", Picture.of(cv2.imread(str(shared / "image" / "astronaut.png")))
    mesh = FaceMesh(Session(models / "mp_face_mesh_468_192.onnx", "cpu", 1))
    found = detector_for(Session(models / "yunet_n_320.onnx", "cpu", 1)).detect(picture.bgr(), 0.6)[0]
    square = roi_of_kps(found.kps)
    for _ in range(3):
        expected = mesh.find(picture, *square)[0]
        square = roi_of_landmarks(expected)
    points, _, presence = landmarker_for(Session(models / file, "cpu", 1)).find(picture, *square)
    eyes = np.linalg.norm(expected[33] - expected[263])
    assert np.linalg.norm(mesh_to_68(points) - mesh_to_68(expected), axis=1)[17:].mean() < part * eyes
    assert presence > 0.5
