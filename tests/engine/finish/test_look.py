"""What one face's swaps go through, together."""

import cv2
import numpy as np
import pytest
from engine.finish.test_camera import FACE, INSIDE, blurred, frame_of, luma_of, scene

from obs_faceswap.engine.finish.camera import texture_of
from obs_faceswap.engine.finish.look import Look
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, Face, SwappedFace, Warp

SIDE = 160
WARP = Warp(np.array([[1, 0, -40], [0, 1, -20]], np.float32), SIDE)
ALIGNED = AlignedFace(
    np.zeros((SIDE, SIDE, 3), np.uint8), WARP, FACE - (40, 20), Face(FACE, np.zeros(2, np.float32), 1.0, 1)
)


def shown(live=None, swap=None, **tuned):
    """A frame that a swap of another scene was put into, with a camera less sharp than the swap."""
    live = blurred(scene(0), 1.2) if live is None else live
    swap = scene(5) if swap is None else swap
    tuned = {"camera_match": "auto"} | tuned
    look, frame = Look(), frame_of(live)
    crop = np.clip(swap[20:180, 40:200], 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    swapped = SwappedFace(crop, np.ones((SIDE, SIDE), np.float32))
    assert look.put(frame, ALIGNED, swapped, np.ones((SIDE, SIDE), np.float32), Settings(**tuned))
    return luma_of(frame)


def sharpness(picture):
    return texture_of(picture[INSIDE]).sharpness


def detail(picture):
    """Mean of how far pixels are from those around them."""
    return float(np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 2))[INSIDE].mean())


def test_a_swap_fits_the_camera_unless_that_is_off():
    live = sharpness(blurred(scene(0), 1.2))
    assert sharpness(shown()) == pytest.approx(live, rel=0.15)
    assert sharpness(shown(camera_match="off")) == pytest.approx(sharpness(scene(5)), rel=0.1)


def test_only_a_face_that_may_be_sharpened_is():
    soft, sharp = blurred(scene(5), 1.3), blurred(scene(0), 0.7)
    plain, fitting, sharpened = (
        detail(shown(sharp, soft, camera_match=fit)) for fit in ("off", "auto", "sharp")
    )
    assert fitting == pytest.approx(plain, rel=0.02)
    assert sharpened > 1.1 * plain


def test_what_the_user_asks_for_is_not_corrected():
    sharper, fitting, coarser = map(detail, (shown(sharpen=3.0), shown(), shown(degrade_bicubic=90)))
    assert sharper > 1.5 * fitting
    assert coarser < 0.7 * fitting


def test_half_an_opacity_is_half_of_the_change():
    plain, half = shown(camera_match="off"), shown(camera_match="off", opacity=0.5)
    live = np.clip(blurred(scene(0), 1.2), 0, 255)
    assert half[INSIDE] == pytest.approx((plain + live)[INSIDE] / 2, abs=3)
    thin = shown(opacity=0.5, color_compression=120)
    assert (
        np.abs(thin - half)[INSIDE].mean() < 0.6 * np.abs(shown(color_compression=120) - plain)[INSIDE].mean()
    )


def test_a_swap_outside_the_frame_shows_nowhere():
    frame = frame_of(scene(0))
    warp = Warp(np.array([[1, 0, 4000], [0, 1, 4000]], np.float32), SIDE)
    away = AlignedFace(ALIGNED.crop, warp, ALIGNED.landmarks, ALIGNED.face)
    swapped = SwappedFace(ALIGNED.crop, np.ones((SIDE, SIDE), np.float32))
    assert not Look().put(frame, away, swapped, swapped.mask, Settings(sharpen=2.0))
