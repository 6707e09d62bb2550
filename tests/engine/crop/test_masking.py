"""The one rule for masks, against DeepFaceLive's where they agree, and what it adds."""

from itertools import product

import cv2
import numpy as np
import pytest
import tiny_networks
from engine import reference
from fake_engine import TARGET
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.crop.align import to_crop, warp_for
from obs_faceswap.engine.crop.masking import face_masks
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.types import AlignedFace, SwappedFace

SIZE = 224  # DeepFaceLive's default resolution
SWITCH = {True: "on", False: "off"}


def aligned(size=SIZE):
    warp = warp_for(TARGET.landmarks, size)
    crop = np.full((size, size, 3), 128, np.uint8)
    return AlignedFace(crop, warp, to_crop(warp, TARGET.landmarks), TARGET)


def oval(center, axes, size=SIZE):
    mask = np.zeros((size, size), np.float32)
    cv2.ellipse(mask, center, axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (5, 5), 0)


LIVE, CELEB = oval((112, 118), (76, 92)), oval((106, 112), (80, 84))


def model(size=SIZE):
    content = tiny_networks.dfm(size, face_mask=LIVE, celeb_mask=CELEB, face=np.full((size, size, 3), 0.5))
    return DfmSwapper(Session(content, "cpu", 1))


def masks_of(swapped, visible=None, **chosen):
    return face_masks(swapped, aligned(), visible, Settings(**chosen))


@pytest.mark.parametrize(("source", "celeb", "outline"), list(product((True, False), repeat=3)))
def test_masks_combine_as_deepfacelives_do(source, celeb, outline):
    chosen = {
        "mask_source": SWITCH[source], "mask_celeb": SWITCH[celeb], "mask_landmarks": SWITCH[outline],
        "mask_erode": 5 * 100 / SIZE, "mask_blur": 25 * 100 / SIZE,
    }  # fmt: skip
    swapper = model()
    swapper.update(Settings(**chosen))
    found = masks_of(swapper.swap(aligned()), **chosen).shown
    hull = reference.filled_hull(aligned().landmarks, SIZE)
    wanted = reference.mask_rule(
        {"source": (source, LIVE), "celeb": (celeb, CELEB), "lmrks": (outline, hull)}, 5, 25
    )
    # The hull's edge is smooth here and hard there, which is up to a pixel after eroding.
    assert np.abs(found - wanted).max() < (0.06 if outline else 1e-4)


@pytest.mark.parametrize("turns", range(4))
def test_a_box_cuts_one_side_with_a_soft_edge(turns):
    key = ("mask_top", "mask_right", "mask_bottom", "mask_left")[turns]
    face = SwappedFace(aligned().crop, np.ones((SIZE, SIZE), np.float32))
    # A quarter of the side, 56 px; that side is turned to the top.
    cut, whole = (np.rot90(masks_of(face, **{key: value}).shown, turns) for value in (25, 0))
    assert cut[:40].max() < 0.01
    assert cut[56, 112] == pytest.approx(0.5, abs=0.1)
    assert np.abs(cut[80:] - whole[80:]).max() < 0.01


def test_a_box_takes_the_larger_of_its_side_and_the_fade():
    face = SwappedFace(aligned().crop, np.ones((SIZE, SIZE), np.float32))
    small, none = (masks_of(face, mask_top=value).shown for value in (4, 0))
    assert np.array_equal(small, none)  # 9 px; the blur fades 12


def half_hidden(side=64):
    """What lies before the right part of the face."""
    mask = np.ones((side, side), np.float32)
    mask[:, side * 5 // 8 :] = 0
    return Visible(mask, warp_for(TARGET.landmarks, side))


def test_what_lies_before_the_face_is_cut_out_with_its_own_edge():
    face = SwappedFace(aligned().crop, LIVE)
    free, hidden = masks_of(face), masks_of(face, half_hidden())
    assert not hidden.shown[:, 144:].any()
    assert not hidden.face[:, 144:].any()  # nor does it count for colors
    assert np.array_equal(hidden.shown[:, :136], free.shown[:, :136])  # no soft edge on the skin beside it
    assert np.array_equal(free.face, LIVE)


def test_nothing_that_would_leave_the_live_face_bare_is_believed():
    face = SwappedFace(aligned().crop, LIVE)
    nothing = Visible(np.zeros((64, 64), np.float32), warp_for(TARGET.landmarks, 64))
    assert np.array_equal(masks_of(face, nothing).shown, masks_of(face).shown)


def test_a_swap_of_too_little_of_the_face_is_none():
    sliver = SwappedFace(aligned().crop, oval((112, 60), (40, 10)))
    assert masks_of(sliver) is None
    assert face_masks(sliver, aligned(), half_hidden(), Settings()) is None


def test_kept_parts_are_cut_out_unless_the_swapper_kept_them():
    face = SwappedFace(aligned().crop, LIVE)
    eye = aligned().landmarks[[33, 133, 159, 145]].mean(0).astype(int)
    assert masks_of(face).shown[eye[1], eye[0]] > 0.9
    assert masks_of(face, keep_eyes="yes").shown[eye[1], eye[0]] < 0.2
    own = SwappedFace(aligned().crop, LIVE, alpha=LIVE)
    assert masks_of(own, keep_eyes="yes").shown[eye[1], eye[0]] > 0.9


@pytest.mark.parametrize("side", [SIZE, 112, 56])
def test_a_coarser_mask_gives_about_the_same(side):
    fine = masks_of(SwappedFace(aligned().crop, LIVE), half_hidden(), mask_landmarks="on").shown
    small = cv2.resize(LIVE, (side, side), interpolation=cv2.INTER_AREA)
    found = masks_of(SwappedFace(aligned().crop, small), half_hidden(), mask_landmarks="on").shown
    assert found.shape == (side, side)
    assert np.abs(cv2.resize(found, (SIZE, SIZE)) - fine).mean() < 0.02


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 99), st.integers(1, 64),
    st.fixed_dictionaries({
        "mask_erode": st.floats(-50, 50), "mask_blur": st.floats(0, 100),
        **{f"mask_{side}": st.floats(0, 50) for side in ("top", "right", "bottom", "left")},
        "mask_landmarks": st.sampled_from(["on", "off"]),
    }),
    st.floats(-500, 500), st.floats(0.01, 20),
)  # fmt: skip
def test_whatever_the_settings_masks_stay_masks(seed, side, chosen, shift, scale):
    random = np.random.default_rng(seed)
    face = SwappedFace(aligned().crop, random.random((side, side), dtype=np.float32))
    warp = warp_for(TARGET.landmarks * np.float32(scale) + np.float32(shift), 32)
    found = masks_of(face, Visible(random.random((32, 32), dtype=np.float32), warp), **chosen)
    if found is not None:
        for mask in (found.face, found.shown):
            assert mask.shape == (side, side)
            assert mask.dtype == np.float32
            assert mask.min() >= 0
            assert mask.max() <= 1 + 1e-5
