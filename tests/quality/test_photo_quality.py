import numpy as np
import pytest
from quality import measure_photo, photo_figures

from obs_faceswap.engine.settings import Settings


@pytest.mark.shared
@pytest.mark.parametrize(
    ("live", "source", "most"), [("synth_a", "synth_b", 0.28), ("synth_b", "synth_a", 0.31)]
)
def test_a_photo_on_the_same_motion_comes_close_to_the_exact_clip(shared, live, source, most):
    assert measure_photo.exact(shared, live, source, Settings()) <= most


def test_no_brightness_but_every_change_of_place_makes_a_difference():
    points = np.array([[x, y] for x in (10, 50) for y in (10, 50)] * 17)
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    dimmed = (picture * 0.5 + 20).astype(np.uint8)
    assert photo_figures.difference(dimmed, picture, points) < 0.01
    assert photo_figures.difference(picture[:, ::-1].copy(), picture, points) > 0.5
