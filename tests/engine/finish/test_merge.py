import cv2
import numpy as np
import pytest
from engine import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.crop import align
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.finish import blend, pixels
from obs_faceswap.engine.finish.merge import cover_region, merge
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.settings import Interpolation, Settings
from obs_faceswap.engine.types import SwappedFace, Warp

PLAIN = Settings()
SIZE = 32


def warp(scale=1.0, degrees=0.0, x=0.0, y=0.0, size=SIZE):
    """Frame to crop: the crop's center lies at x, y of the frame; `scale` crop pixels a frame pixel."""
    turn = np.exp(1j * np.deg2rad(degrees)) * scale
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    middle = (size - 1) / 2
    return Warp(np.column_stack([linear, middle - linear @ (x, y)]).astype(np.float32), size)


def disc(size=SIZE, soft=3.0):
    at = np.arange(size) - (size - 1) / 2
    return np.clip((size * 0.4 - np.hypot(at, at[:, None])) / soft + 0.5, 0, 1).astype(np.float32)


def noise_crop(size=SIZE, seed=3):
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def smooth_frame(pixel_format, width=90, height=70, flip=False):
    """A picture without sharp edges, and so with chroma that its blocks can hold."""
    frame = reference.random_frame(pixel_format, width, height, flip=flip)
    ys, xs = np.mgrid[:height, :width]
    picture = np.dstack([90 + xs / 2 + ys / 3, 150 - xs / 3 + ys / 4, 120 + 40 * np.sin(xs / 15 + ys / 20)])
    weights = np.ones((height, width), np.float32)
    blend.blend_bgr(frame, pixels.whole(frame), picture.astype(np.uint8), weights)
    return frame


def changed(frame, before):
    """Where the upright picture is not the same, (height, width)."""
    return (pixels.to_bgr(frame) != pixels.to_bgr(before)).any(2)


PLACES = {
    "upright": warp(1, 0, 45, 35),
    "on whole pixels": warp(1, 0, 45.5, 34.5),
    "turned, between pixels": warp(0.8, 33, 41.3, 30.7),
    "enlarged": warp(0.6, -20, 45.5, 33.1),
    "half outside": warp(1.1, 12, 2.4, 66.9),
    "larger than the frame": warp(0.2, 170, 40.2, 35.5),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize(
    "tuned", [{}, {"face_scale": 1.2, "offset_x": 0.1, "offset_y": -0.05, "opacity": 0.6}]
)
def test_merging_agrees_with_the_whole_frame_in_float(place, tuned):
    frame = smooth_frame(PixelFormat.BGR3)
    chosen = Settings(**tuned)
    wanted = reference.merge(
        pixels.to_bgr(frame).astype(np.float64), noise_crop(), disc(), place.matrix.astype(np.float64),
        chosen.face_scale, chosen.offset_x, chosen.offset_y, chosen.opacity,
    )  # fmt: skip
    assert merge(frame, SwappedFace(noise_crop(), disc()), place, disc(), chosen)
    # Two roundings with OpenCV 5; OpenCV 4 interpolates at every 32nd of a pixel.
    assert np.abs(pixels.to_bgr(frame) - wanted).max() <= 2


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_merging_a_plain_color_agrees_in_every_format(pixel_format):
    frame = smooth_frame(pixel_format)
    before = pixels.to_bgr(frame).astype(np.float64)
    gray = pixel_format is PixelFormat.Y800
    crop = np.full((SIZE, SIZE, 3), (120, 120, 120) if gray else (70, 90, 180), np.uint8)
    place = PLACES["turned, between pixels"]
    wanted = reference.merge(before, crop, disc(soft=12), place.matrix.astype(np.float64))
    merge(frame, SwappedFace(crop, disc()), place, disc(soft=12), PLAIN)
    assert np.abs(pixels.to_bgr(frame) - wanted).mean() < 1
    # A chroma sample has one weight for its block, the reference one for each pixel: their means agree.
    blocks = [
        cv2.resize(np.float64(p), (45, 35), interpolation=cv2.INTER_AREA)
        for p in (pixels.to_bgr(frame), wanted)
    ]
    assert np.abs(blocks[0] - blocks[1]).max() <= 2


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
@pytest.mark.parametrize("place", [(1.0, 21, 44.3, 36.8), (1.0, 0, 44.5, 35.5)])
def test_an_untouched_face_put_back_changes_nothing_beyond_interpolation(pixel_format, flip, place):
    frame = smooth_frame(pixel_format, flip=flip)
    before = pixels.to_bgr(frame)
    place = warp(*place, size=40)
    crop = align.cut(Picture.of(before), place)
    full = np.ones((40, 40), np.float32)
    assert merge(frame, SwappedFace(crop, full), place, full, PLAIN)
    difference = pixels.to_bgr(frame).astype(int) - before
    # Up to 3 levels a pixel: a shift of half a pixel would show as a mean of 0.3 or more.
    assert np.abs(difference).max() <= 4
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.25


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", [PixelFormat.I420, PixelFormat.NV12])
@pytest.mark.parametrize("place", [warp(0.2, 33, 45.2, 30.7), warp(0.35, -20, 20.5, 33.1)])
def test_a_crop_much_coarser_than_the_frame_is_put_back_as_where_chroma_is_not_halved(
    pixel_format, place, flip
):
    frame, fine = (smooth_frame(f, flip=flip) for f in (pixel_format, PixelFormat.I444))
    before = fine.planes[0].copy()
    for each in (frame, fine):
        merge(each, SwappedFace(noise_crop(), disc()), place, disc(), PLAIN)
    luma = [each.planes[0].astype(int) for each in (frame, fine)]
    assert np.abs(luma[1] - before).max() > 40
    assert np.abs(luma[0] - luma[1]).max() <= 6  # at the bends between two pixels of the crop
    assert np.abs(luma[0] - luma[1]).mean() < 0.6
    chroma = [cv2.resize(p, (45, 35), interpolation=cv2.INTER_AREA) for p in fine.planes[1:]]
    is_planar = pixel_format is PixelFormat.I420
    found = frame.planes[1:] if is_planar else cv2.split(frame.planes[1].reshape(35, 45, 2))
    for wanted, samples in zip(chroma, found, strict=True):
        assert np.abs(wanted.astype(int) - samples).mean() < 1


@pytest.mark.parametrize("shift", [(0.5, 0), (0, 0.25), (-0.5, 0.5)])
def test_a_crop_lands_where_its_warp_says_to_a_fraction_of_a_pixel(shift):
    frame = reference.random_frame(PixelFormat.BGR3, 60, 50)
    frame.planes[0][:] = 0
    at = np.arange(SIZE) - (SIZE - 1) / 2
    spot = np.exp(-(at**2 + at[:, None] ** 2) / 18)
    crop = np.repeat((spot * 200)[..., None], 3, 2).astype(np.uint8)
    full = np.ones((SIZE, SIZE), np.float32)
    center = np.array([30, 25]) + shift
    merge(frame, SwappedFace(crop, full), warp(1, 0, *center), full, PLAIN)
    light = pixels.to_bgr(frame)[..., 1].astype(np.float64)
    found = (light.sum(0) @ np.arange(60) / light.sum(), light.sum(1) @ np.arange(50) / light.sum())
    assert found == pytest.approx(tuple(center), abs=0.03)


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_every_plane_is_untouched_outside_the_region(pixel_format, flip):
    frame = reference.random_frame(pixel_format, 91, 71, flip=flip, padding=3)
    before = reference.copied(frame)
    roi = merge(frame, SwappedFace(noise_crop(), disc()), warp(1.2, 15, 40, 37), disc(), PLAIN)
    inside = np.zeros((71, 91), bool)
    inside[roi[1] : roi[3], roi[0] : roi[2]] = True
    places = {
        reference.locate(frame, index, x, y)
        for y, x in zip(*np.nonzero(inside), strict=True)
        for index in range(1 if pixel_format is PixelFormat.Y800 else 3)
    }
    count = 0
    for plane, (now, then) in enumerate(zip(frame.planes, before.planes, strict=True)):
        for row, byte in zip(*np.nonzero(now != then), strict=True):
            count += 1
            assert (plane, row, byte) in places
    assert count > 300


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_inside_the_region_pixels_without_mask_keep_their_values(pixel_format):
    frame = reference.random_frame(pixel_format, 91, 71)
    before = reference.copied(frame)
    place = warp(0.7, 40, 40.4, 37.2)
    roi = merge(frame, SwappedFace(noise_crop(), disc()), place, disc(), PLAIN)
    ones = np.full((71, 91, 1), 1.0)
    weight = 1 - reference.merge(ones, np.zeros((SIZE, SIZE, 1)), disc(), place.matrix)[..., 0]
    # A chroma block is free of the mask where all its pixels are.
    spared = cv2.dilate((weight > 0).astype(np.uint8), np.ones((3, 3))) == 0
    inside = spared[roi[1] : roi[3], roi[0] : roi[2]]
    assert inside.sum() > 100
    moved = pixels.to_bgr(frame, roi).astype(int) - pixels.to_bgr(before, roi)
    assert np.abs(moved[inside]).max() <= 1


def test_the_region_is_no_larger_than_the_mask_needs():
    frame = reference.random_frame(PixelFormat.I420, 200, 160)
    roi = merge(frame, SwappedFace(noise_crop(), disc()), warp(1, 0, 100.5, 80.5), disc(soft=1), PLAIN)
    width, height = roi[2] - roi[0], roi[3] - roi[1]
    assert 0.8 * SIZE <= width <= 0.8 * SIZE + 6
    assert 0.8 * SIZE <= height <= 0.8 * SIZE + 6


def test_settings_move_scale_and_fade_the_face():
    def light(**tuned):
        frame = reference.random_frame(PixelFormat.BGR3, 120, 100)
        frame.planes[0][:] = 0
        white = np.full((SIZE, SIZE, 3), 200, np.uint8)
        merge(frame, SwappedFace(white, disc()), warp(1, 0, 60, 50), disc(), Settings(**tuned))
        found = pixels.to_bgr(frame)[..., 0].astype(np.float64)
        return (
            found.sum(),
            found.sum(0) @ np.arange(120) / found.sum(),
            found.sum(1) @ np.arange(100) / found.sum(),
        )

    total, x, y = light()
    assert light(offset_x=0.25)[1] == pytest.approx(x + 0.25 * SIZE, abs=0.1)
    assert light(offset_y=-0.5)[2] == pytest.approx(y - 0.5 * SIZE, abs=0.1)
    assert light(face_scale=1.5)[0] == pytest.approx(total * 1.5**2, rel=0.03)
    assert light(face_scale=0.5)[1:] == pytest.approx((x, y), abs=0.1)
    assert light(opacity=0.25)[0] == pytest.approx(total * 0.25, rel=0.02)


def test_offsets_go_along_the_turned_face():
    frame = reference.random_frame(PixelFormat.BGR3, 120, 100)
    frame.planes[0][:] = 0
    white = np.full((SIZE, SIZE, 3), 200, np.uint8)
    # The crop's right is the frame's up when the crop is the frame turned clockwise.
    merge(frame, SwappedFace(white, disc()), warp(1, 90, 60, 50), disc(), Settings(offset_x=0.5))
    light = pixels.to_bgr(frame)[..., 0].astype(np.float64)
    assert light.sum(1) @ np.arange(100) / light.sum() == pytest.approx(50 - SIZE / 2, abs=0.1)


def test_an_opacity_of_zero_is_a_merge_that_changes_nothing():
    frame = smooth_frame(PixelFormat.NV12)
    before = reference.copied(frame)
    face = SwappedFace(noise_crop(), disc())
    assert merge(frame, face, warp(1, 0, 45, 35), disc(), Settings(opacity=0)) is not None
    assert not changed(frame, before).any()


def test_a_crop_much_finer_than_the_frame_is_averaged_and_does_not_flicker():
    checks = np.indices((256, 256)).sum(0) % 2 * 255
    crop = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    full = np.ones((256, 256), np.float32)
    frame = reference.random_frame(PixelFormat.BGR3, 40, 40)
    merge(frame, SwappedFace(crop, full), warp(16, 0, 20.2, 20.3, size=256), full, PLAIN)
    middle = pixels.to_bgr(frame)[16:24, 16:24]
    assert np.abs(middle.astype(int) - 127).max() <= 2


def test_a_much_finer_crop_lands_in_the_same_place():
    at = np.arange(256) - 127.5
    crop = np.repeat((np.exp(-(at**2 + at[:, None] ** 2) / 2000) * 200)[..., None], 3, 2).astype(np.uint8)
    full = np.ones((256, 256), np.float32)
    frame = reference.random_frame(PixelFormat.BGR3, 100, 90)
    frame.planes[0][:] = 0
    merge(frame, SwappedFace(crop, full), warp(5.3, 25, 47.3, 40.8, size=256), full, PLAIN)
    light = pixels.to_bgr(frame)[..., 1].astype(np.float64)
    found = (light.sum(0) @ np.arange(100) / light.sum(), light.sum(1) @ np.arange(90) / light.sum())
    assert found == pytest.approx((47.3, 40.8), abs=0.05)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((2, 3)), [[1, 2, 0], [2, 4, 0]], np.full((2, 3), np.nan), [[np.inf, 0, 0], [0, 1, 0]]],
    ids=["zero", "flat", "not a number", "infinite"],
)
def test_a_warp_that_cannot_be_turned_round_merges_nothing(matrix):
    frame = smooth_frame(PixelFormat.I420)
    before = reference.copied(frame)
    bad = Warp(np.array(matrix, np.float32), SIZE)
    assert merge(frame, SwappedFace(noise_crop(), disc()), bad, disc(), PLAIN) is None
    assert not changed(frame, before).any()


@pytest.mark.parametrize("where", [warp(1, 0, -200, 30), warp(1, 0, 40, 500), warp(1, 0, 1e9, -1e9)])
def test_a_face_outside_the_frame_merges_nothing(where):
    frame = smooth_frame(PixelFormat.I420)
    assert merge(frame, SwappedFace(noise_crop(), disc()), where, disc(), PLAIN) is None


def test_an_empty_mask_merges_nothing():
    frame = smooth_frame(PixelFormat.I420)
    assert merge(frame, SwappedFace(noise_crop(), disc()), warp(1, 0, 45, 35), disc() * 0, PLAIN) is None


def test_a_mask_of_another_size_is_refused():
    frame = smooth_frame(PixelFormat.I420)
    face = SwappedFace(noise_crop(), disc())
    for other in (disc(size=34), disc()[1:]):
        with pytest.raises(ValueError, match=r"\(32, 32\)"):
            merge(frame, face, warp(1, 0, 45, 35), other, PLAIN)
    with pytest.raises(ValueError, match=r"\(30, 30, 3\)"):
        merge(frame, SwappedFace(noise_crop(30), disc()), warp(1, 0, 45, 35), disc(), PLAIN)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_coarser_mask_is_enlarged(place):
    frame, other = smooth_frame(PixelFormat.BGR3), smooth_frame(PixelFormat.BGR3)
    coarse = cv2.resize(disc(soft=9), (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
    assert merge(frame, SwappedFace(noise_crop(), coarse), place, coarse, PLAIN)
    fine = cv2.resize(coarse, (SIZE, SIZE))
    merge(other, SwappedFace(noise_crop(), fine), place, fine, PLAIN)
    assert np.abs(pixels.to_bgr(frame).astype(int) - pixels.to_bgr(other)).max() <= 2


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("pixel_format", [PixelFormat.BGR3, PixelFormat.I420, PixelFormat.Y800])
def test_what_is_not_new_in_a_crop_is_not_put_back(pixel_format, place):
    frame, other = smooth_frame(pixel_format), smooth_frame(pixel_format)
    alpha = disc(soft=8)
    merge(frame, SwappedFace(noise_crop(), disc(), alpha), place, disc(), PLAIN)
    both = disc() * alpha
    merge(other, SwappedFace(noise_crop(), both), place, both, PLAIN)
    assert np.abs(pixels.to_bgr(frame).astype(int) - pixels.to_bgr(other)).max() <= 4


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("pixel_format", [PixelFormat.BGRA, PixelFormat.NV12, PixelFormat.Y800])
def test_a_tone_changes_the_crops_colors(pixel_format, place):
    frame, other = smooth_frame(pixel_format), smooth_frame(pixel_format)
    tone = np.array([[0.6, 0.1, 0, 20], [0, 0.5, 0.1, 30], [0.1, 0, 0.7, 10]])
    toned = cv2.transform(noise_crop(), tone)
    merge(frame, SwappedFace(noise_crop(), disc(), tone=tone), place, disc(), PLAIN)
    merge(other, SwappedFace(toned, disc()), place, disc(), PLAIN)
    assert np.abs(pixels.to_bgr(frame).astype(int) - pixels.to_bgr(other)).max() <= 4


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", [PixelFormat.BGR3, PixelFormat.I420, PixelFormat.YUY2])
@pytest.mark.parametrize("method", ["bicubic", "lanczos4"])
def test_finer_interpolations_restore_more_of_a_face(method, pixel_format, flip):
    """An untouched face, cut out finely and put back, is nearer to what it was."""
    place = warp(1.0, 21, 44.3, 36.8, size=48)
    full = np.ones((48, 48), np.float32)
    errors = []
    for chosen in ("bilinear", method):
        frame = smooth_frame(pixel_format, flip=flip)
        before = pixels.to_bgr(frame)
        grain = np.random.default_rng(2).normal(0, 6, before.shape[:2])
        rough = np.clip(before + cv2.GaussianBlur(grain, (0, 0), 0.8)[..., None] * 2, 0, 255).astype(np.uint8)
        blend.blend_bgr(frame, pixels.whole(frame), rough, np.ones(rough.shape[:2], np.float32))
        before = pixels.to_bgr(frame).astype(int)
        crop = align.cut(Picture.of(before.astype(np.uint8)), place)
        assert merge(frame, SwappedFace(crop, full), place, full, Settings(interpolation=chosen))
        errors.append(np.abs(pixels.to_bgr(frame) - before)[28:46, 36:54].mean())
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("method", ["bicubic", "lanczos4"])
@pytest.mark.parametrize("pixel_format", [PixelFormat.BGR3, PixelFormat.NV12])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_finer_interpolation_blends_by_the_same_mask(place, pixel_format, method):
    plain, fine = smooth_frame(pixel_format), smooth_frame(pixel_format)
    face = SwappedFace(np.full((SIZE, SIZE, 3), (70, 90, 180), np.uint8), disc())
    roi = merge(plain, face, place, disc(), PLAIN)
    assert merge(fine, face, place, disc(), Settings(interpolation=method)) == roi
    # A crop of one color is the same in every interpolation.
    assert np.abs(pixels.to_bgr(plain).astype(int) - pixels.to_bgr(fine)).max() <= 4


FRAMES = st.builds(
    reference.random_frame,
    st.sampled_from(list(PixelFormat)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 99),
    flip=st.booleans(),
    padding=st.integers(0, 3),
)
NUMBERS = st.floats(-50, 50, width=32) | st.floats(width=32)


@settings(max_examples=300)
@given(FRAMES, st.lists(NUMBERS, min_size=6, max_size=6), st.sampled_from(Interpolation))
def test_any_warp_on_any_frame_changes_its_region_only(frame, numbers, method):
    before = reference.copied(frame)
    anywhere = Warp(np.array(numbers, np.float32).reshape(2, 3), SIZE)
    chosen = Settings(interpolation=method)
    roi = merge(frame, SwappedFace(noise_crop(), disc()), anywhere, disc(), chosen)
    differs = changed(frame, before)
    if roi is not None:
        differs[roi[1] : roi[3], roi[0] : roi[2]] = False
    assert not differs.any()


@settings(max_examples=150)
@given(FRAMES, st.floats(0.05, 3), st.floats(-180, 180), st.floats(-10, 50), st.floats(-10, 50))
def test_a_full_mask_hides_every_pixel_of_the_crop(frame, scale, degrees, x, y):
    place = warp(scale, degrees, x, y)
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    full = np.ones((SIZE, SIZE), np.float32)
    merge(frame, SwappedFace(white, full), place, full, PLAIN)
    ys, xs = np.mgrid[: frame.height, : frame.width]
    u, v = np.tensordot(place.matrix[:, :2], [xs, ys], 1) + place.matrix[:, 2][:, None, None]
    # A finer crop is made smaller first, and its soft border is up to three of its pixels wide then. Color is
    # shared with the neighbor in the frame, which may lie in that border, aslant too.
    inner = np.maximum(np.abs(u - 15.5), np.abs(v - 15.5)) < 12.5 - 1.5 * scale
    assert (pixels.to_bgr(frame)[inner] >= 235).all()


# --- covering other faces ---


def face_points(center, half):
    angles = np.linspace(0, 2 * np.pi, 40)
    return (np.column_stack([np.cos(angles), np.sin(angles)]) * half + center).astype(np.float32)


@pytest.mark.parametrize("flip", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_covered_face_keeps_none_of_its_detail(pixel_format, flip):
    frame = reference.random_frame(pixel_format, 101, 81, flip=flip)
    if pixel_format is not PixelFormat.Y800 and pixel_format not in reference.RGB_ORDER:
        for x in range(101):  # noise in luma alone: a face's detail
            for y in range(81):
                for index in (1, 2):
                    plane, row, byte = reference.locate(frame, index, x, y)
                    frame.planes[plane][row, byte] = 128
    before = pixels.to_bgr(frame)
    points = face_points((50, 40), (16, 22))
    roi = cover_region(frame, points)
    after = pixels.to_bgr(frame)
    low, high = points.min(0).astype(int), points.max(0).astype(int) + 1
    face = (slice(low[1], high[1]), slice(low[0], high[0]))
    sharp = np.abs(np.diff(after[face].astype(int), axis=1)).max()
    assert np.abs(np.diff(before[face].astype(int), axis=1)).max() > 100
    assert sharp <= 20
    differs = (after != before).any(2)
    differs[roi[1] : roi[3], roi[0] : roi[2]] = False
    assert not differs.any()


def test_two_different_faces_under_the_cover_look_the_same():
    """What is left of a face is the means of large cells: pixels moved about inside a cell change nothing."""
    pictures = []
    for seed in (1, 2):
        frame = smooth_frame(PixelFormat.BGR3, 160, 120)
        rng = np.random.default_rng(seed)
        face = frame.planes[0].reshape(120, 160, 3)[40:80, 60:100]
        face[:] = rng.permutation(np.repeat(np.arange(0, 240, 15, dtype=np.uint8), 100)).reshape(40, 40, 1)
        cover_region(frame, np.array([[60, 40], [99, 79]], np.float32))
        pictures.append(pixels.to_bgr(frame).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() < 30


def test_the_cover_is_opaque_up_to_the_corners_of_the_box():
    frame = reference.random_frame(PixelFormat.BGR3, 160, 120)
    frame.planes[0][:] = 0
    face = frame.planes[0].reshape(120, 160, 3)[40:80, 60:100]
    face[::2, ::2] = 255
    before = pixels.to_bgr(frame)
    cover_region(frame, np.array([[60, 40], [99, 79]], np.float32))
    covered = pixels.to_bgr(frame)[40:80, 60:100].astype(int)
    assert np.abs(np.diff(before[40:80, 60:100].astype(int), axis=0)).max() == 255
    assert np.abs(np.diff(covered, axis=0)).max() <= 8
    assert np.abs(np.diff(covered, axis=1)).max() <= 8


@pytest.mark.parametrize("points", [np.empty((0, 2)), [[5, 5], [np.nan, 9]], [[np.inf, 0], [1, 1]]])
def test_a_face_at_an_unknown_place_covers_the_whole_frame(points):
    frame = reference.random_frame(PixelFormat.I420, 64, 48)
    assert cover_region(frame, np.array(points, np.float32)) == (0, 0, 64, 48)
    assert np.abs(np.diff(pixels.to_bgr(frame).astype(int), axis=1)).max() <= 25


def test_a_face_outside_the_frame_needs_no_cover():
    frame = reference.random_frame(PixelFormat.I420, 64, 48)
    assert cover_region(frame, face_points((-300, 20), (20, 20))) is None


@settings(max_examples=200)
@given(FRAMES, st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_any_box_on_any_frame_can_be_covered(frame, one, other):
    before = reference.copied(frame)
    roi = cover_region(frame, np.array([one, other], np.float32))
    differs = changed(frame, before)
    if roi is not None:
        differs[roi[1] : roi[3], roi[0] : roi[2]] = False
    assert not differs.any()
