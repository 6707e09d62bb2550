"""DeepFaceLive's nine known defects: a test each that would catch it here.

The defects themselves are in deepfacelive.py; where a test uses one it also shows that it would be seen.
"""

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tiny_networks
from engine import deepfacelive, reference
from engine.live.test_exchange import KEY, MS, START, fill, finish, offer, ready
from fake_engine import (
    NOBODY,
    SEEN,
    TARGET,
    FakeFinder,
    FakeSwapper,
    face_at,
    frame_of,
    networks_of,
    pipeline_of,
)
from painted import ANNE, BEN, Stream

from obs_faceswap.engine.crop.align import CANONICAL_FACE, cut, warp_for
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.place import place_of, warp_at
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.recognize import Recognizer
from obs_faceswap.engine.finish.color import ColorMatch
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import AlignMode, Cover, Settings, Switch, Who
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.swap.one_photo import FAMILIES, OnePhotoSwapper
from obs_faceswap.engine.types import AlignedFace, Face, Shown, SwappedFace, Warp
from obs_faceswap.engine.wear import Worn

SIZE = deepfacelive.RESOLUTION


# --- 1. what it streams is not delayed ---


def test_1_whatever_goes_out_is_as_old_as_the_delay():
    """There the preview is delayed and the stream gets the picture before the delay."""
    exchange, _ = ready()
    exchange.results = 24
    exchange.lay_out()
    slots = exchange.current(KEY)
    exchange.words[ex.HOLD_NS] = 500 * MS
    ages_ms = []
    for number in range(1, 61):
        now = START + number * 33 * MS
        offer(exchange, slots, now, value=number)
        choice = exchange.choose(slots, now)
        exchange.chosen()
        if choice in slots.result_range:
            ages_ms += [(number - view[0]) * 33 for view in slots.plane_views(choice)]
        if number < 50:  # then the engine stalls, and what it made last stands in
            fill(slots, finish(exchange, slots), number)
    assert len(ages_ms) > 3 * 40
    assert min(ages_ms) >= 500
    assert sorted(ages_ms)[len(ages_ms) // 2] < 500 + 33


# --- 2. green and blue of the gamma after the model are exchanged ---


def test_2_gamma_after_the_model_acts_on_its_own_color():
    crop = np.random.default_rng(0).integers(20, 236, (32, 32, 3), dtype=np.uint8)
    swapper = DfmSwapper(Session(tiny_networks.dfm(32), "cpu", threads=1))
    swapper.update(Settings(post_gamma_red=0.8, post_gamma_green=2.0, post_gamma_blue=0.5))
    nowhere = np.zeros((468, 2), np.float32)
    face = Face(nowhere, nowhere[:, 0], 1.0, 1)
    found = swapper.swap(AlignedFace(crop, Warp(np.eye(2, 3, dtype=np.float32), 32), nowhere, face)).crop
    negative = 1 - crop / 255
    assert np.abs(found - 255 * deepfacelive.gamma(negative, 0.8, 2.0, 0.5)).max() <= 0.51
    assert np.abs(found - 255 * deepfacelive.post_gamma_swapped(negative, 0.8, 2.0, 0.5)).max() > 50


# --- 3. colors are measured outside the mask as well ---


def painted_face(skin, background):
    """A shaded face with brows and lips, (SIZE, SIZE, 3)."""
    picture = np.full((SIZE, SIZE, 3), background, np.float32)
    cv2.ellipse(picture, (112, 112), (54, 70), 0, 0, 360, skin, -1)
    cv2.ellipse(picture, (112, 160), (24, 9), 0, 0, 360, (95, 85, 180), -1)
    for x in (85, 139):
        cv2.line(picture, (x - 14, 86), (x + 14, 84), (50, 60, 80), 5)
    light = np.linspace(1.1, 0.75, SIZE)[:, None, None]
    return np.clip(cv2.GaussianBlur(picture, (9, 9), 0) * light, 0, 255).astype(np.uint8)


def test_3_colors_are_measured_inside_the_mask_alone():
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.ellipse(mask, (112, 112), (50, 66), 0, 0, 360, 1.0, -1)  # a fifth of the crop
    inside = mask > 0.5
    swapped, scene = painted_face((110, 140, 195), (90, 80, 70)), painted_face((105, 90, 110), (30, 20, 20))
    matched = ColorMatch().match(SwappedFace(swapped, mask), scene, 0)
    found = cv2.transform(swapped, matched.tone)
    theirs = 255 * deepfacelive.rct(swapped / 255, scene / 255, mask)
    assert off_from(scene, found, inside) < 1
    assert off_from(scene, theirs, inside) > 5
    assert np.abs(found - reference.rct(swapped, scene, mask).astype(float))[inside].mean() < 1.5


def off_from(scene, shown, inside):
    """Distance of two faces' mean colors in Lab."""
    means = [
        cv2.cvtColor((picture / 255).astype(np.float32), cv2.COLOR_BGR2Lab)[inside].mean(axis=0)
        for picture in (scene, shown)
    ]
    return float(np.linalg.norm(means[0] - means[1]))


# --- 4. points are smoothed by their face's place in a list ---


def test_4_nobody_is_mixed_with_anybody_else_when_their_order_changes():
    """A mean by place in the list, the largest first, lays faces between people who are about as large."""
    stream, settings = Stream(), Settings(smoothing=100, who=Who.ALL)
    theirs, worst = deepfacelive.MeanOfLast(4), 0.0
    for number in range(30):
        sides = (60, 64) if number % 2 else (64, 60)
        shown = [replace(person, side=side) for person, side in zip((ANNE, BEN), sides, strict=True)]
        found = stream.see(*shown, settings=settings)
        by_size = sorted(found.targets, key=lambda face: -np.ptp(face.landmarks, axis=0).mean())
        means = theirs.step([face.landmarks for face in by_size])
        for face in found.targets:
            x = float(face.landmarks[:, 0].mean())
            assert min(abs(x - person.x) for person in shown) < 3
        worst = max(worst, *(min(abs(float(m[:, 0].mean()) - p.x) for p in shown) for m in means))
    assert len(found.targets) == 2
    assert worst > 50  # pixels: the middle between both


# --- 5. one-photo networks get other pictures than they were trained on ---

# insightface, utils/face_align.py (arcface_dst): ArcFace's crop of 112 pixels; inswapper's of 128 has 8 more.
ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def rolled_face(roll=0.5):
    face = face_at(160, 120, 110)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return Face(((face.landmarks - (160, 120)) @ turn.T + (160, 120)).astype(np.float32), face.depth, 1.0, 1)


@functools.cache
def colorful():
    """A soft picture (240, 320, 3) whose colors differ everywhere."""
    noise = np.random.default_rng(5).uniform(0, 255, (240, 320, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 5), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def fed(monkeypatch, name):
    """What networks get as an input of this name from now on."""
    seen, run = [], Session.run
    monkeypatch.setattr(
        Session,
        "run",
        lambda self, feeds: (seen.append(feeds[name]) if name in feeds else None) or run(self, feeds),
    )
    return seen


def in_rgb(picture, face, side):
    """ArcFace's crop of a face, (1, 3, side, side), RGB 0..1."""
    template = (ARCFACE - 55.5) + (side - 1) / 2
    matrix = deepfacelive.umeyama(five_points(face.landmarks).astype(float), template)
    return deepfacelive.cut(picture / 255, matrix, side)[..., ::-1].transpose(2, 0, 1)[None]


def test_5_a_source_is_recognized_as_arcface_was_trained(monkeypatch):
    """There BGR, 0..1, of the detector's box: no five points, so a rolled face stays rolled."""
    recognizer, picture, face = (
        Recognizer(Session(tiny_networks.recognizer(), "cpu")),
        colorful(),
        rolled_face(),
    )
    seen = fed(monkeypatch, "input")
    recognizer.embedding(Picture.of(picture), five_points(face.landmarks))
    crop = in_rgb(picture, face, 112)
    assert np.abs(seen[0] - (2 * crop - 1)).mean() < 0.01
    assert np.abs(seen[0] - (2 * crop[:, ::-1] - 1)).mean() > 0.05  # BGR
    assert np.abs(seen[0] - crop).mean() > 0.05  # 0..1
    upright = in_rgb(picture, rolled_face(0.0), 112)
    assert np.abs(seen[0] - (2 * upright - 1)).mean() > 0.05  # not turned


def test_5_the_live_face_is_shown_as_inswapper_was_trained(monkeypatch):
    family = next(family for family in FAMILIES if family.name == "inswapper")
    session = Session(tiny_networks.one_photo(128), "cpu")
    worn = Worn(OnePhotoSwapper(session, family, np.zeros((1, 512), np.float32)), FaceKind.PHOTO)
    seen, frame, face = fed(monkeypatch, "target"), frame_of(), rolled_face()
    frame.planes[0][:] = colorful().reshape(frame.planes[0].shape)
    engine = Pipeline(networks_of(FakeFinder(Found(face, []))), worn)
    assert engine.process(frame, Settings()).shown is Shown.SWAPPED
    crop = in_rgb(colorful(), face, 128)
    assert np.abs(seen[0] - crop).mean() < 0.01
    assert np.abs(seen[0] - crop[:, ::-1]).mean() > 0.05  # BGR


# --- 6. a lost face freezes the picture for ever, or shows the live one ---


@pytest.mark.parametrize("policy", [policy for policy in Cover if policy is not Cover.ORIGINAL])
def test_6_a_lost_face_neither_freezes_for_ever_nor_is_shown(policy):
    engine = pipeline_of(SEEN, NOBODY)
    settings = Settings(cover=policy)
    swapped = frame_of()
    assert engine.process(swapped, settings).shown is Shown.SWAPPED
    for number in (1, 4, 8, 12, 40):  # of ten frames a second
        lost, live = frame_of(number), frame_of(number)
        shown = engine.process(lost, settings).shown
        assert shown is not Shown.ORIGINAL
        assert likeness(lost, live) < 0.2
    assert shown is Shown.COVERED
    assert likeness(lost, swapped) < 0.2


def likeness(one, other):
    """Correlation of two frames' samples; 0 for a frame of one color."""
    a, b = (frame.planes[0].astype(float).ravel() for frame in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(1.0, np.sqrt((a @ a) * (b @ b))))


# --- 7. freezing a crop's rotation moves it when the head turns ---


@pytest.mark.parametrize("yaw", [-0.6, 0.5])
def test_7_a_crop_that_stays_level_shows_the_same_middle(yaw):
    cos, sin = np.cos(-yaw), np.sin(-yaw)
    turned = CANONICAL_FACE * (1, -1, -1) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    points = (turned[:, :2] * 15 + (320, 240)).astype(np.float32)
    face = Face(points, (turned[:, 2] * 15).astype(np.float32), 1.0, 1)
    plain, level = (
        warp_at(face, SIZE, (640, 480), place_of(Settings(freeze_rotation=frozen)))
        for frozen in (Switch.OFF, Switch.ON)
    )
    moved = (middle(level) - middle(plain)) / square_px(plain)
    assert abs(level.matrix[0, 1]) == 0
    assert np.abs(moved).max() < 0.001
    assert abs(deepfacelive.frozen_shift(yaw)) > 0.15  # in the same unit


def middle(warp):
    """The frame's point in a crop's middle."""
    return np.linalg.solve(warp.matrix[:, :2].astype(float), (warp.size - 1) / 2 - warp.matrix[:, 2])


def square_px(warp):
    """The side of the square around the face."""
    return warp.size / float(np.hypot(*warp.matrix[0, :2])) / deepfacelive.COVERAGE


# --- 8. a graphics card gives another mask than the CPU ---


def test_8_every_device_gives_the_same_mask():
    """There a graphics card cuts the mask at a half and erodes black and white."""
    y, x = np.mgrid[:SIZE, :SIZE]
    soft = np.clip(1.5 - np.hypot((x - 112) / 70, (y - 118) / 90), 0, 1).astype(np.float32)
    settings = Settings(color_transfer="none", camera_match="off", mask_blur=1.0)
    content = tiny_networks.dfm(SIZE, face_mask=soft, face=np.ones((SIZE, SIZE, 3)))
    shown = []
    for device in ("cpu", "cuda", "directml:1"):
        session = Session(content, "cpu", threads=1)
        session.provider = device
        frame = frame_of()
        worn = Worn(DfmSwapper(session), FaceKind.DFM, session)
        engine = Pipeline(networks_of(FakeFinder(SEEN)), worn)
        engine.process(frame, replace(settings, device=device, detector_device=device))
        shown.append(frame.planes[0].reshape(240, 320, 3).astype(float))
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])
    weights = (shown[0] - live()) / (255 - live())
    rules = reference.erode_blur(soft, 5, 2), deepfacelive.graphics_card_mask([soft], 5)
    rule, card = (np.abs(weights.mean(axis=2) - in_frame(mask)) for mask in rules)
    assert rule.max() < 0.02
    assert card.max() > 0.4


def live():
    return frame_of().planes[0].reshape(240, 320, 3).astype(float)


def in_frame(mask):
    matrix = warp_for(TARGET.landmarks, SIZE).matrix
    return cv2.warpAffine(mask, matrix, (320, 240), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)


# --- 9. crops lie half a pixel off ---


def test_9_a_crop_shows_the_frame_where_its_pixels_are():
    """Corners taken for pixels make a crop of half a frame's side show 2i where it should show 2i + 0.5."""
    frame = np.repeat((np.arange(64, dtype=np.uint8) * 4)[None, :, None], 64, axis=0).repeat(3, axis=2)
    settings = Settings(align_mode=AlignMode.STATIC)
    face = face_at(32, 32, 20)
    warp = warp_at(face, 32, (64, 64), place_of(settings))
    wanted = 4 * (2 * np.arange(32) + 0.5)
    found = cut(Picture.of(frame), warp)[16, :, 0].astype(float)
    assert np.abs(found - wanted)[2:-2].max() <= 1
    theirs = deepfacelive.cut(frame, deepfacelive.corner_matrix([[0, 0], [64, 0], [0, 64]], 32), 32)[16, :, 0]
    assert np.abs(theirs - wanted)[2:-2].min() >= 1.9


def test_9_a_mirrored_frame_gives_the_mirrored_crop():
    frame = colorful()
    face = rolled_face(0.2)
    mirrored = Face((face.landmarks * (-1, 1) + (319, 0)).astype(np.float32), face.depth, 1.0, 1)
    for mode in (AlignMode.BOX, AlignMode.STATIC):
        crop, other = (
            cut(Picture.of(picture), warp_at(one, 100, (320, 240), place_of(Settings(align_mode=mode))))
            for picture, one in ((frame, face), (frame[:, ::-1].copy(), mirrored))
        )
        assert np.abs(crop.astype(int) - other[:, ::-1]).max() <= 2


class Copying(FakeSwapper):
    """Gives the crop back as it is."""

    def swap(self, aligned):
        return SwappedFace(aligned.crop, np.ones(aligned.crop.shape[:2], np.float32))


def test_9_an_untouched_face_put_back_has_not_moved():
    frame = frame_of()
    frame.planes[0][:] = colorful().reshape(frame.planes[0].shape)
    settings = Settings(color_transfer="none", camera_match="off", keep_mouth="no", keep_eyes="no")
    face = Found(rolled_face(), [])
    engine = Pipeline(networks_of(FakeFinder(face)), Worn(Copying(), FaceKind.DFM))
    assert engine.process(frame, settings).shown is Shown.SWAPPED
    back = frame.planes[0].reshape(240, 320, 3)
    assert np.abs(back.astype(int) - colorful()).max() <= 12
    there = np.s_[90:150, 130:190]
    parts = (picture[there][..., 1].astype(np.float32) for picture in (colorful(), back))
    shift, _ = cv2.phaseCorrelate(*parts)
    assert np.abs(shift).max() < 0.03
