"""The crops that networks want."""

import numpy as np
import pytest

from obs_faceswap.engine.crop import templates
from obs_faceswap.engine.crop.align import to_crop
from obs_faceswap.engine.crop.templates import five_points, warp_to

TEMPLATES = [
    templates.ARCFACE_112,
    templates.ARCFACE_112_V1,
    templates.ARCFACE_128,
    templates.FFHQ_512,
    templates.MTCNN_512,
]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_points_that_lie_like_the_template_land_on_it(template):
    turn = np.array([[0.8, -0.6], [0.6, 0.8]]) * 2.5
    kps = (np.array(template.points) @ turn.T + (300, 200)).astype(np.float32)
    warp = warp_to(template, kps, template.side)
    np.testing.assert_allclose(to_crop(warp, kps), template.points, atol=1e-3)


def test_a_finer_crop_shows_the_same_part_of_the_picture():
    kps = np.array(templates.ARCFACE_128.points, np.float32)
    coarse, fine = warp_to(templates.ARCFACE_128, kps, 128), warp_to(templates.ARCFACE_128, kps, 512)
    corner = np.linalg.solve(coarse.matrix[:, :2], (-0.5, -0.5) - coarse.matrix[:, 2])
    np.testing.assert_allclose(to_crop(fine, corner[None].astype(np.float32))[0], (-0.5, -0.5), atol=1e-3)


def test_arcface_128_is_arcface_112_with_eight_pixels_around():
    np.testing.assert_allclose(
        np.array(templates.ARCFACE_128.points), np.array(templates.ARCFACE_112.points) + 8
    )


def test_five_points_stand_in_the_fields_order():
    landmarks = np.zeros((468, 2), np.float32)
    landmarks[[33, 133, 159, 145]] = [(10, 20), (30, 20), (20, 15), (20, 25)]
    landmarks[[263, 362, 386, 374]] = [(70, 20), (50, 20), (60, 15), (60, 25)]
    landmarks[[1, 61, 291]] = [(40, 40), (25, 60), (55, 60)]
    np.testing.assert_allclose(five_points(landmarks), [(20, 20), (60, 20), (40, 40), (25, 60), (55, 60)])
