"""Embeddings of faces."""

import numpy as np
import pytest
from tiny_networks import double, recognizer

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import ARCFACE_112
from obs_faceswap.engine.errors import FaceError, UnsupportedModelError
from obs_faceswap.engine.find.recognize import Recognizer, likeness, mean_of, normed
from obs_faceswap.engine.runtime.session import Session

KPS = np.array(ARCFACE_112.points, np.float32)
BGR = (40, 100, 200)


@pytest.mark.parametrize(
    ("length", "mean", "deviation"),
    [(512, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), (128, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))],
)
def test_colors_are_rgb_and_normalized_as_the_network_was_trained(length, mean, deviation):
    picture = Picture.of(np.full((112, 112, 3), BGR, np.uint8))
    found = Recognizer(Session(recognizer(length), "cpu")).embedding(picture, KPS)
    colors = (np.array(BGR[::-1]) / 255 - mean) / deviation
    np.testing.assert_allclose(found, colors.sum() * np.arange(1, length + 1), rtol=1e-3)


def test_a_network_with_other_shapes_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"\(1, 3, 112, 112\)"):
        Recognizer(Session(double(), "cpu"))


def test_likeness_is_the_cosine():
    one = np.array([3, 0, 0], np.float32)
    assert likeness(one, one * 5) == pytest.approx(1)
    assert likeness(one, np.array([0, 2, 0], np.float32)) == pytest.approx(0)
    assert likeness(one, -one) == pytest.approx(-1)
    assert np.linalg.norm(normed(one)) == pytest.approx(1)


def test_several_pictures_make_one_embedding():
    found = mean_of([np.array([1, 3], np.float32), np.array([3, 5], np.float32)])
    np.testing.assert_allclose(found, [2, 4])
    with pytest.raises(FaceError, match="No picture"):
        mean_of([])
