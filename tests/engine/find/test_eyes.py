"""The network of eyes: what it sees, what it says of lids and iris, and nonsense."""

from types import SimpleNamespace

import numpy as np
import pytest

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.eyes import CORNERS, Eyes

WIDTH = 64 / 2.3  # px: then the network's pixels are the picture's
UPPER, LOWER = [11, 12, 13], [3, 4, 5]


class Network:
    """Answers with an upper lid so many pixels above the lower one and an iris there, and notes its input."""

    def __init__(self, apart=8.0, iris=32.0, shape=(1, 64, 64, 3), values=213):
        points = np.full((71, 3), 32.0, np.float32)
        points[UPPER, 1] -= apart
        points[[0, 8], 0] = 12, 52
        self.values = [np.resize(points, (1, values)), np.full((1, 15), 32.0, np.float32)]
        self.values[1][0, 0] = iris
        self.inputs = [SimpleNamespace(name="eye", shape=shape)]
        self.outputs = [SimpleNamespace(name=str(value.shape), shape=value.shape) for value in self.values]
        self.seen = None

    def run(self, feeds):
        self.seen = feeds["eye"]
        return self.values


def mesh(center, roll=0.0, width=WIDTH):
    """A mesh (468, 3) whose eyes both have their corners around a point."""
    points = np.zeros((468, 3), np.float32)
    half = np.array([np.cos(roll), np.sin(roll)]) * width / 2
    for first, last in CORNERS:
        points[first, :2], points[last, :2] = center - half, center + half
    return points


def spotted(spot):
    """A black picture with a red spot."""
    image = np.zeros((200, 200, 3), np.uint8)
    x, y = np.round(spot).astype(int)
    image[y - 3 : y + 4, x - 3 : x + 4, 2] = 255
    return image


@pytest.mark.parametrize("roll", [0.0, 0.6, -2.0])
@pytest.mark.parametrize("eye", [0, 1])
def test_the_network_sees_the_eye_upright_and_the_other_one_mirrored(eye, roll):
    center = np.array([100.0, 90.0])
    along = np.array([np.cos(roll), np.sin(roll)])
    network = Network()
    Eyes(network).look(spotted(center + along * 16), mesh(center, roll), eye)
    assert network.seen.shape == (1, 64, 64, 3)
    assert network.seen.dtype == np.float32
    red = network.seen[0, :, :, 0]
    assert red.max() == pytest.approx(1, abs=0.1)
    assert not network.seen[..., 1:].any()
    y, x = np.unravel_index(red.argmax(), red.shape)
    assert (x, y) == pytest.approx((31.5 - 16 if eye else 31.5 + 16, 31.5), abs=4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_opening_is_in_the_pictures_pixels(scale):
    points = mesh(np.array([100.0, 90.0]), width=WIDTH * scale)
    assert Eyes(Network(apart=5)).look(spotted((100, 90)), points, 0).opening == pytest.approx(
        5 * scale, rel=1e-3
    )


@pytest.mark.parametrize(("iris", "side"), [(12, -1), (32, 0), (42, 0.5), (99, 1)])
def test_the_irises_place_is_between_the_corners_and_for_the_other_eye_mirrored(iris, side):
    points = mesh(np.array([100.0, 90.0]))
    for eye, expected in ((0, side), (1, -side)):
        assert Eyes(Network(iris=iris)).look(spotted((100, 90)), points, eye).side == pytest.approx(expected)


@pytest.mark.parametrize("nonsense", [{"apart": np.nan}, {"apart": np.inf}, {"apart": 1e5}, {"iris": np.nan}])
def test_nonsense_is_no_answer(nonsense):
    assert Eyes(Network(**nonsense)).look(spotted((100, 90)), mesh(np.array([100.0, 90.0])), 0) is None


@pytest.mark.parametrize("width", [0.0, np.nan])
def test_an_eye_without_a_size_is_not_looked_at(width):
    network = Network()
    assert Eyes(network).look(spotted((100, 90)), mesh(np.array([100.0, 90.0]), width=width), 0) is None
    assert network.seen is None


def test_an_eye_outside_the_picture_harms_nothing():
    assert Eyes(Network()).look(spotted((100, 90)), mesh(np.array([-900.0, 90.0])), 0) is not None


@pytest.mark.parametrize("wrong", [{"shape": (1, 3, 64, 64)}, {"shape": (1, 64)}, {"values": 15}])
def test_another_network_is_refused(wrong):
    with pytest.raises(UnsupportedModelError, match=r"no network of eyes.*Fetch iris_64"):
        Eyes(Network(**wrong))


def test_an_answer_of_another_size_is_an_error():
    network = Network()
    eyes = Eyes(network)
    network.values[0] = np.zeros((1, 12), np.float32)
    with pytest.raises(UnsupportedModelError, match="looks at the eyes"):
        eyes.look(spotted((100, 90)), mesh(np.array([100.0, 90.0])), 0)
