"""The engine beside DeepFaceLive's mathematics, in one run: alignment, a model's stage, colors, mask, merge.

Where both agree the bound is that of bytes and of two ways to interpolate. Where they differ on purpose a
test says by how much, and why. The mask's rule by itself is in crop/test_masking.py, smoothing in numbers in
find/test_smoothing.py, and the defects in test_deepfacelive_defects.py.
"""

import functools

import cv2
import numpy as np
import pytest
import tiny_networks
from engine import deepfacelive, reference
from fake_engine import FakeFinder, networks_of

from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, to_crop, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.place import place_of, warp_at
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import ColorTransfer, FaceType, Settings, Switch
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.types import Face, Frame, Shown
from obs_faceswap.engine.wear import Worn

SIZE = deepfacelive.RESOLUTION
WIDTH, HEIGHT = 400, 320
LIVE_WIDTH = 1.0654  # how much wider than the canonical face the mesh network draws live ones


def mesh(roll=0.3, scale=9.0, center=(200.0, 160.0)):
    """A live face from the front, (468, 2) in frame pixels."""
    flat = CANONICAL_FACE[:, :2] * (LIVE_WIDTH, -1) * scale
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return (flat @ turn.T + center).astype(np.float32)


def face(**where):
    points = mesh(**where)
    return Face(points, np.zeros(468, np.float32), 1.0, 1)


def picture(low=30, high=225, seed=0):
    """A frame (HEIGHT, WIDTH, 3) of soft shapes."""
    noise = np.random.default_rng(seed).uniform(0, 1, (HEIGHT, WIDTH, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(soft, None, low, high, cv2.NORM_MINMAX).astype(np.uint8)


def oval(center, axes):
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.ellipse(mask, center, axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (5, 5), 0)


LIVE, CELEB, WHOLE = oval((112, 118), (76, 92)), oval((106, 112), (80, 84)), np.ones((SIZE, SIZE), np.float32)


def network(morph, masks):
    """What the tiny model computes: some of the picture's negative."""
    return lambda seen: (masks[0], seen + morph * (1 - 2 * seen), masks[1])


@functools.cache
def swapper(is_masked):
    live, celeb = (LIVE, CELEB) if is_masked else (WHOLE, WHOLE)
    content = tiny_networks.dfm(SIZE, morph=True, face_mask=live, celeb_mask=celeb)
    return DfmSwapper(Session(content, "cpu", threads=1))


def ours(frame_bgr, settings, is_masked=True):
    """The engine's frame."""
    frame = Frame(PixelFormat.BGR3, WIDTH, HEIGHT, (frame_bgr.reshape(HEIGHT, -1).copy(),))
    worn = Worn(swapper(is_masked), FaceKind.DFM)
    result = Pipeline(networks_of(FakeFinder(Found(face(), []))), worn).process(frame, settings)
    assert result.shown is Shown.SWAPPED
    return frame.planes[0].reshape(HEIGHT, WIDTH, 3).astype(float)


def theirs(frame_bgr, settings, is_masked=True):
    """DeepFaceLive's frame, by the same settings."""
    masks = (LIVE, CELEB) if is_masked else (WHOLE, WHOLE)
    matrix = deepfacelive.crop_matrix(mesh(), SIZE, settings.coverage)
    crop = deepfacelive.cut(frame_bgr / 255, matrix, SIZE)
    live, new, celeb = deepfacelive.model_stage(
        crop, network(settings.morph, masks), settings.presharpen, gamma("pre", settings),
        gamma("post", settings), settings.two_pass is Switch.ON,
    )  # fmt: skip
    if settings.color_transfer is ColorTransfer.RCT:
        new = deepfacelive.rct(new, crop, live * celeb)
    used = {
        "source": (settings.mask_source is Switch.ON, live),
        "celeb": (settings.mask_celeb is Switch.ON, celeb),
    }
    if settings.mask_landmarks is Switch.ON:
        used["lmrks"] = True, reference.filled_hull(mesh() @ matrix[:, :2].T + matrix[:, 2], SIZE)
    erode, blur = (round(part * SIZE / 100) for part in (settings.mask_erode, settings.mask_blur))
    mask = reference.mask_rule(used, erode, blur)
    merged = deepfacelive.merged(frame_bgr / 255, new, mask, matrix, settings)
    return 255 * deepfacelive.compressed(merged, settings.color_compression)


def gamma(place, settings):
    return tuple(getattr(settings, f"{place}_gamma_{color}") for color in ("red", "green", "blue"))


# --- alignment ---


@pytest.mark.parametrize("roll", [-2.0, 0.0, 0.3])
def test_a_live_face_meets_the_five_points_to_half_a_pixel(roll):
    points = to_crop(warp_for(mesh(roll), SIZE), deepfacelive.five(mesh(roll)))
    assert np.abs(points - (deepfacelive.FIVE_POINTS * SIZE - 0.5)).max() < 0.5


def test_canonical_proportions_meet_them_to_two_pixels():
    flat = (CANONICAL_FACE[:, :2] * (14, -14) + 200).astype(np.float32)
    points = to_crop(warp_for(flat, SIZE), deepfacelive.five(flat))
    assert np.abs(points - (deepfacelive.FIVE_POINTS * SIZE - 0.5)).max() < 2


@pytest.mark.parametrize("coverage", [1.0, 1.6, 2.2, 3.2, 8.0])
@pytest.mark.parametrize("offsets", [(0.0, 0.0), (0.3, -0.2)])
def test_coverage_and_offsets_give_the_same_corners(coverage, offsets):
    """Its offsets are in sides of the face's square, ours in sides of the crop."""
    own = warp_for(mesh(), SIZE, coverage, *(offset / coverage for offset in offsets))
    assert apart(own, deepfacelive.crop_matrix(mesh(), SIZE, coverage, *offsets)) < 1.0


def apart(warp, matrix):
    """How far the corners of one crop lie from those of another, in its pixels.

    A pixel is allowed: the still points of the mesh and its five points are two ways to see a face.
    """
    corners = np.float32([[0, 0], [SIZE - 1, 0], [SIZE - 1, SIZE - 1], [0, SIZE - 1]])
    there = np.linalg.solve(warp.matrix[:, :2].astype(float), (corners - warp.matrix[:, 2]).T).T
    return np.abs(there @ matrix[:, :2].T + matrix[:, 2] - corners).max()


def test_head_mode_is_wider_by_a_square_and_half_a_square_higher():
    warp = warp_at(face(), SIZE, (WIDTH, HEIGHT), place_of(Settings(head_mode=Switch.ON)))
    assert apart(warp, deepfacelive.crop_matrix(mesh(), SIZE, 3.2, 0.0, -0.5)) < 1.0


def test_a_frozen_crop_is_the_same_square_upright():
    matrix = deepfacelive.crop_matrix(mesh(), SIZE)
    center = np.linalg.solve(matrix[:, :2], (SIZE - 1) / 2 - matrix[:, 2])
    upright = np.eye(2) * np.sqrt(np.linalg.det(matrix[:, :2]))
    matrix = np.column_stack([upright, (SIZE - 1) / 2 - upright @ center])
    warp = warp_at(face(), SIZE, (WIDTH, HEIGHT), place_of(Settings(freeze_rotation=Switch.ON)))
    assert apart(warp, matrix) < 1.0


def test_a_whole_face_crop_meets_deepfacelabs_mean_face_as_nearly_as_deepfacelives_own():
    warp = warp_at(face(), SIZE, (WIDTH, HEIGHT), place_of(Settings(face_type=FaceType.WHOLE_FACE)))
    wanted = deepfacelive.WHOLE_FACE_POINTS
    own = np.abs((to_crop(warp, five_points(mesh())) + 0.5) / SIZE - wanted).max()
    assert own < np.abs(deepfacelive.FIVE_POINTS - wanted).max() + 0.002
    assert own < 5 / SIZE


# --- a whole frame ---

PLAIN = {"color_transfer": "none"}
ALIKE = {
    "as it starts, without colors": {},
    "half a morph": {"morph": 0.5},
    "all of a morph": {"morph": 1.0},
    "sharpened before": {"presharpen": 5.0},
    "gamma before": {"pre_gamma_red": 2.0, "pre_gamma_blue": 0.5},
    "gamma after": {"post_gamma_red": 1.5, "post_gamma_green": 0.6},
    "two passes": {"two_pass": "on", "morph": 0.9},
    "the source's mask": {"mask_celeb": "off"},
    "the celebrity's mask": {"mask_source": "off"},
    "the whole crop": {"mask_source": "off", "mask_celeb": "off"},
    "the outline": {"mask_source": "off", "mask_celeb": "off", "mask_landmarks": "on"},
    "a larger mask": {"mask_erode": -10.0, "mask_blur": 5.0},
    "a smaller, softer mask": {"mask_erode": 8.0, "mask_blur": 14.0},
    "half an opacity": {"opacity": 0.5},
    "moved": {"offset_x": 0.1, "offset_y": -0.05},
    "larger": {"face_scale": 1.2},
    "a narrow crop": {"coverage": 1.9},
}


@functools.cache
def as_it_starts():
    return theirs(picture(), Settings(**PLAIN))


@pytest.mark.parametrize("chosen", ALIKE.values(), ids=ALIKE.keys())
def test_a_frame_is_deepfacelives_to_a_shade_of_grey(chosen):
    """Bytes here and numbers with fractions there; the hull's edge is smooth here and hard there."""
    settings = Settings(**PLAIN | chosen)
    wanted = theirs(picture(), settings)
    difference = np.abs(ours(picture(), settings) - wanted)
    changed = np.abs(wanted - picture()).max(axis=2) > 2
    assert changed.mean() > 0.1
    assert difference[changed].mean() < 0.7
    assert difference.max() < (7 if settings.mask_landmarks is Switch.ON else 4)
    if chosen:  # else agreeing would mean nothing
        assert np.abs(wanted - as_it_starts())[changed].mean() > 2 * difference[changed].mean()


# --- colors ---


TINTS = {
    "its negative": {"morph": 0.9},
    "warm": {"morph": 0.0, "post_gamma_red": 1.8, "post_gamma_blue": 0.7},
    "dark": {"morph": 0.0, "post_gamma_red": 0.5, "post_gamma_green": 0.5, "post_gamma_blue": 0.6},
    "green": {"morph": 0.0, "post_gamma_green": 1.6},
}


@pytest.mark.parametrize("tint", TINTS.values(), ids=TINTS.keys())
def test_rct_over_the_whole_crop_is_deepfacelives(tint):
    """A mask that leaves nothing out: its statistics are right then. Ours are those of samples, and one
    affine change stands for a conversion of each pixel to Lab and back.
    """
    plain, settings = (
        Settings(**tint, mask_erode=0.0, mask_blur=0.0, color_transfer=kind) for kind in ("none", "rct")
    )
    frame = picture(60, 200)
    tinted, wanted = (theirs(frame, one, is_masked=False) for one in (plain, settings))
    shown = np.abs(tinted - frame).max(axis=2) > 2
    difference = np.abs(ours(frame, settings, is_masked=False) - wanted)[shown]
    assert np.abs(tinted - wanted)[shown].mean() > 8
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 5


# --- different on purpose ---


def test_a_flat_face_is_spread_twice_at_most():
    """There a face with a tenth of the scene's contrast gets ten times its own, noise included."""
    flat = {"morph": 0.45, "mask_erode": 0.0, "mask_blur": 0.0}
    settings, frame, inside = Settings(**flat), picture(60, 200), np.s_[140:180, 180:220]
    plain, own, there = (
        float(shown[inside].std())
        for shown in (
            theirs(frame, Settings(**flat, **PLAIN), is_masked=False),
            ours(frame, settings, is_masked=False),
            theirs(frame, settings, is_masked=False),
        )
    )
    assert 1.2 * plain < own < 2.2 * plain
    assert there > 8 * plain


def test_colors_are_compressed_in_the_face_alone():
    """There the whole picture gets fewer and brighter colors, here what the mask shows of the face."""
    settings = Settings(**PLAIN, color_compression=110.0)
    wanted, found = theirs(picture(), settings), ours(picture(), settings)
    away, inside = np.s_[:, :60], np.s_[140:180, 180:220]
    assert np.array_equal(found[away], picture()[away])
    assert np.abs(wanted - picture())[away].mean() > 5
    # Where a value lies between two levels a shade decides for one, so a few are a level (15) off.
    assert (np.abs(found - wanted)[inside] <= 2).mean() > 0.9


def test_beyond_the_frame_the_border_is_repeated_and_not_black():
    """A model sees skin go on where there it sees a black wall; what lies in the frame is the same."""
    half_out = mesh(center=(60.0, 160.0))
    matrix, warp = deepfacelive.crop_matrix(half_out, SIZE), warp_for(half_out, SIZE)
    own, there = cut(Picture.of(picture()), warp), 255 * deepfacelive.cut(picture() / 255, matrix, SIZE)
    covered = deepfacelive.cut(np.ones((HEIGHT, WIDTH)), matrix, SIZE)
    around = np.ones((9, 9))  # the cubic interpolation reaches over the border
    inside, outside = cv2.erode(covered, around) > 0.999, cv2.dilate(covered, around) < 0.001
    assert np.abs(own - there)[inside].mean() < 1
    assert outside.mean() > 0.1
    assert there[outside].max() == 0
    assert own[outside].min() > 25
