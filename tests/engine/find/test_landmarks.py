"""The mesh lands where its crop was cut, and is told from nonsense."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.landmarks import FaceMesh, roi_of_kps, roi_of_landmarks, shape_error
from obs_faceswap.engine.runtime.session import Session

HEAD = CANONICAL_FACE * (1, -1, -1)  # as the network has it: y down, z away
PLACE = np.array([300, 200])


class Network:
    """Answers with given mesh (468, 3) and logit, and notes its input."""

    def __init__(self, mesh=None, logit=10.0, shape=(1, 192, 192, 3), order=1):
        mesh = np.zeros((468, 3)) if mesh is None else mesh
        outputs = [("mesh", mesh.reshape(1, 1, 1, 1404)), ("flag", np.full((1, 1, 1, 1), logit))][::order]
        self.inputs = [SimpleNamespace(name="crop", shape=shape)]
        self.outputs = [SimpleNamespace(name=name, shape=value.shape) for name, value in outputs]
        self.values = [value.astype(np.float32) for _, value in outputs]
        self.seen = None

    def run(self, feeds):
        self.seen = feeds["crop"]
        return self.values


def black(side):
    return Picture.of(np.zeros((side, side, 3), np.uint8))


def turned(points, roll):
    cos, sin = np.cos(roll), np.sin(roll)
    return points @ np.array([[cos, sin], [-sin, cos]])


def test_points_of_the_crop_land_in_the_picture():
    mesh = np.full((468, 3), 96.0)  # the crop's middle
    mesh[1] = (96 + 48, 96, -10)  # a quarter of the crop to the right
    points, depth, presence = FaceMesh(Network(mesh)).find(black(500), (200, 120), 384, np.pi / 2)
    assert points[0] == pytest.approx((200, 120), abs=1e-3)
    assert points[1] == pytest.approx((200, 120 + 96), abs=1e-3)  # right of a head that lies on its side
    assert depth[1] == pytest.approx(-20)
    assert presence == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("roll", [0.0, 0.7, -2.5])
@pytest.mark.parametrize("side", [100, 192, 700])
def test_the_network_sees_the_square_upright(roll, side):
    image = np.zeros((900, 900, 3), np.uint8)
    spot = np.array([450, 450]) + turned(np.array([0.25, -0.125]) * side, roll)
    cv2.circle(image, np.round(spot).astype(int).tolist(), side // 12, (255, 255, 255), -1)
    network = Network()
    FaceMesh(network).find(Picture.of(image), (450, 450), side, roll)
    y, x = np.nonzero(network.seen[0, :, :, 0] > 0.5)
    assert (x.mean(), y.mean()) == pytest.approx((95.5 + 48, 95.5 - 24), abs=1.5)


def test_the_network_gets_red_green_blue_of_0_to_1():
    network = Network()
    FaceMesh(network).find(Picture.of(np.full((50, 50, 3), (255, 51, 0), np.uint8)), (25, 25), 30, 0)
    assert network.seen.shape == (1, 192, 192, 3)
    assert network.seen[0, 9, 9] == pytest.approx((0, 0.2, 1))


def test_outputs_may_come_in_any_order():
    for order in (1, -1):
        _, _, presence = FaceMesh(Network(logit=-3, order=order)).find(black(9), (4, 4), 9, 0)
        assert presence == pytest.approx(1 / (1 + np.exp(3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_no_face(bad):
    mesh = np.zeros((468, 3))
    mesh[200, 1] = bad
    points, depth, presence = FaceMesh(Network(mesh)).find(black(50), (25, 25), 30, 0)
    assert presence == 0
    assert np.isfinite(points).all()
    assert np.isfinite(depth).all()
    assert FaceMesh(Network(logit=np.nan)).find(black(50), (25, 25), 30, 0)[2] == 0


@pytest.mark.parametrize("shape", [(1, 192, 192, 1), (1, 3, 192, 192), (1, 128, 192, 3), (1, 192)])
def test_a_network_that_is_no_mesh_is_refused(shape):
    with pytest.raises(UnsupportedModelError, match="mesh"):
        FaceMesh(Network(shape=shape))


@pytest.mark.parametrize("roll", [0.0, 0.5, 3.0, -1.6])
def test_the_next_square_is_turned_with_the_eyes_and_half_again_as_large(roll):
    upright = HEAD[:, :2] * 20
    low, high = upright.min(axis=0), upright.max(axis=0)
    points = (turned(upright, roll) + PLACE).astype(np.float32)
    center, side, found = roi_of_landmarks(points)
    assert center == pytest.approx(turned((low + high) / 2, roll) + PLACE, abs=0.01)
    assert side == pytest.approx(1.5 * (high - low).max(), rel=1e-4)
    assert found == pytest.approx(roll, abs=1e-4)


@pytest.mark.parametrize("roll", [0.0, 1.2, -2.0])
def test_the_first_square_fits_the_next(roll):
    points = (turned(HEAD[:, :2] * 20, roll) + PLACE).astype(np.float32)
    kps = np.stack(
        [points[[33, 133]].mean(0), points[[263, 362]].mean(0), points[1], points[61], points[291]]
    )
    center, side, found = roi_of_kps(kps)
    next_center, next_side, _ = roi_of_landmarks(points)
    assert side == pytest.approx(next_side, rel=0.15)
    assert np.linalg.norm(center - next_center) < 0.1 * side
    assert found == pytest.approx(roll, abs=1e-3)


def test_a_head_in_any_pose_and_size_has_no_shape_error():
    rng = np.random.default_rng(2)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    mesh = (HEAD @ turn.T * 7 + (50, 60, 70)).astype(np.float32)
    assert shape_error(mesh[:, :2], mesh[:, 2]) < 1e-3


def test_nonsense_has_a_large_shape_error():
    head = HEAD.astype(np.float32)
    noise = np.random.default_rng(3).normal(size=(468, 3)).astype(np.float32)
    nothing = np.zeros((468, 3), np.float32)
    for mesh in (head * (-1, 1, 1), head * (0.5, 1, 1), noise, nothing, nothing + np.nan):
        assert shape_error(mesh[:, :2], mesh[:, 2]) > 0.17


@pytest.mark.shared
def test_the_real_mesh_sees_a_face_and_none_beside_it(shared):
    mesh = FaceMesh(Session(shared / "models" / "mp_face_mesh_468_192.onnx", "cpu", 1))
    image = Picture.of(cv2.imread(str(shared / "image" / "astronaut.png")))
    points, depth, presence = mesh.find(image, (224, 118), 210, 0)
    assert presence > 0.99
    assert shape_error(points, depth) < 0.12
    assert np.abs(points.mean(axis=0) - (224, 118)).max() < 15
    assert mesh.find(image, (420, 60), 150, 0)[2] < 0.1
