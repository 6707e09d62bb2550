"""Face enhancers: their contract, where they act, and how they are worn."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_networks
from fake_engine import FakeSwapper
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine import wear
from obs_faceswap.engine.crop.align import CANONICAL_FACE, to_crop, warp_for
from obs_faceswap.engine.crop.templates import ARCFACE_128, FFHQ_512, five_points
from obs_faceswap.engine.errors import FaceError, ModelError, ModelMissingError, UnsupportedModelError
from obs_faceswap.engine.finish.enhance import Enhanced, Enhancer
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, Face, SwappedFace
from obs_faceswap.engine.wardrobe import Wardrobe

FULL = Settings(enhancer_blend=100)
SIZE = 300
ON_FRAME = (CANONICAL_FACE[:, :2] * (12, -12) + (200, 200)).astype(np.float32)


def landmarks(size=SIZE):
    return to_crop(warp_for(ON_FRAME, size), ON_FRAME)


def picture(size=SIZE, level=200):
    smooth = np.linspace(-30, 30, size)[:, None, None] + np.linspace(-20, 20, size)[:, None]
    return np.clip(smooth + np.array([level, level - 40, level - 80]), 0, 255).astype(np.uint8)


def enhancer(content=None, settings=FULL):
    made = Enhancer(Session(content or tiny_networks.enhancer(256, factor=0.0), "cpu", threads=1))
    made.update(settings)
    return made


@pytest.mark.parametrize("side", [256, 512])
def test_a_network_that_changes_nothing_gives_the_picture_back(side):
    shown = enhancer(tiny_networks.enhancer(side)).enhanced(picture(), landmarks())
    assert np.abs(shown.astype(int) - picture()).max() <= 2


def test_what_the_network_gives_is_shown_where_the_face_is():
    shown = enhancer().enhanced(picture(), landmarks())  # 0 of -1..1 is gray
    eyes, corner = landmarks()[[33, 263]].mean(axis=0).astype(int), shown[0, 0]
    assert shown[eyes[1], eyes[0]].tolist() == [128] * 3
    assert corner.tolist() == picture()[0, 0].tolist()
    steps = np.abs(np.diff(shown.astype(int), axis=1)).max()
    assert steps < 40  # it fades out, no edge is seen


def test_the_setting_says_how_much_of_it_is_taken():
    eyes = landmarks()[[33, 263]].mean(axis=0).astype(int)
    at = np.s_[eyes[1], eyes[0]]
    half = enhancer(settings=Settings(enhancer_blend=50)).enhanced(picture(), landmarks())[at]
    assert half == pytest.approx((picture()[at].astype(int) + 128) / 2, abs=1)
    untouched = enhancer(settings=Settings(enhancer_blend=0)).enhanced(picture(), landmarks())
    assert np.array_equal(untouched, picture())


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_codeformers_number_is_given_in_its_own_type(kind, truth):
    content = tiny_networks.enhancer(256, weight=kind)
    settings = Settings(enhancer_blend=100, enhancer_weight=truth)
    shown = enhancer(content, settings).enhanced(picture(), landmarks())
    eyes = landmarks()[[33, 263]].mean(axis=0).astype(int)
    wanted = picture()[eyes[1], eyes[0]] if truth else [128] * 3
    assert shown[eyes[1], eyes[0]] == pytest.approx(np.array(wanted, int), abs=2)


@pytest.mark.parametrize(("side", "template"), [(256, ARCFACE_128), (512, FFHQ_512), (1024, FFHQ_512)])
def test_the_face_lies_where_the_network_wants_it(monkeypatch, side, template):
    made, seen = enhancer(tiny_networks.enhancer(side)), []
    monkeypatch.setattr(made, "_run", lambda crop: seen.append(crop) or crop)
    points = five_points(landmarks()).round().astype(int)
    marked = np.zeros((SIZE, SIZE, 3), np.uint8)
    for x, y in points.tolist():
        cv2.circle(marked, (x, y), 3, (255, 255, 255), -1)
    made.enhanced(marked, landmarks())
    for x, y in template.at(side).round().astype(int):
        reach = side // 16  # a real face is not quite the template
        assert seen[0][y - reach : y + reach, x - reach : x + reach].max() > 200


@pytest.mark.parametrize(
    "content",
    [
        tiny_networks.one_photo(256, (1, 3, 256, 256)), tiny_networks.dfm(64), tiny_networks.one_photo(128),
    ],
    ids=["two pictures", "colors last", "a latent"],
)  # fmt: skip
def test_another_kind_of_network_is_refused(content):
    with pytest.raises(UnsupportedModelError, match="Choose another enhancer"):
        enhancer(content)


def test_values_that_are_no_numbers_are_told():
    with pytest.raises(ModelError, match="no numbers"):
        enhancer(tiny_networks.enhancer(256, factor=np.nan)).enhanced(picture(), landmarks())


def test_a_picture_of_another_size_is_told():
    with pytest.raises(UnsupportedModelError, match=r"gave \(1, 512\)"):
        enhancer(tiny_networks.recognizer()).enhanced(picture(), landmarks())


def test_landmarks_that_are_no_numbers_are_told():
    with pytest.raises(FaceError):
        enhancer().enhanced(picture(), np.full((468, 2), np.nan, np.float32))


def aligned(size):
    warp = warp_for(ON_FRAME, size)
    face = Face(ON_FRAME, np.zeros(468, np.float32), 1.0, 1)
    return AlignedFace(picture(size), warp, to_crop(warp, ON_FRAME), face)


class Coarse(FakeSwapper):
    """A swapper of 64 pixels whose face is its crop; notes what it was given."""

    template = "its own"

    def __init__(self, tone=None, alpha=None):
        super().__init__()
        self.given, self.tone, self.alpha = [], tone, alpha

    is_upright = False

    def crop_size(self, face_side_px):
        return 64

    def swap(self, one):
        self.given.append(one)
        mask = np.ones((64, 64), np.float32)
        return SwappedFace(one.crop.copy(), mask, self.alpha, self.tone)


@pytest.mark.parametrize(("face_px", "size"), [(40, 64), (64, 64), (100, 128), (250, 256), (900, 256)])
def test_a_crop_is_as_fine_as_the_face_but_no_finer_than_the_enhancer(face_px, size):
    assert Enhanced(Coarse(), enhancer()).crop_size(face_px) == size


def test_the_swapper_gets_its_own_size_and_the_same_face():
    inner = Coarse()
    swapped = Enhanced(inner, enhancer(tiny_networks.enhancer(256))).swap(aligned(256))
    given = inner.given[0]
    assert given.crop.shape == (64, 64, 3)
    assert given.landmarks == pytest.approx(to_crop(warp_for(ON_FRAME, 64), ON_FRAME), abs=0.01)
    assert given.warp.matrix == pytest.approx(warp_for(ON_FRAME, 64).matrix, abs=0.01)
    assert (swapped.crop.shape, swapped.mask.shape) == ((256, 256, 3), (64, 64))
    assert np.abs(swapped.crop.astype(int) - picture(256)).max() <= 8


def test_a_swapper_that_wants_more_than_the_crop_holds_gives_a_mask_that_fits():
    """As for one frame when *Pixel boost* is raised."""
    swapped = Enhanced(Coarse(), enhancer(tiny_networks.enhancer(256))).swap(aligned(48))
    assert (swapped.crop.shape, swapped.mask.shape) == ((48, 48, 3), (48, 48))
    assert swapped.mask.min() == 1


def test_what_only_the_swapper_has_stays_to_be_seen():
    made = Enhanced(Coarse(), enhancer())
    assert made.template == "its own"
    assert isinstance(made.another(), Enhanced)
    with pytest.raises(AttributeError):
        _ = made.fills_frame
    made.update(FULL)
    assert made._swapper.updates == [FULL]


def test_a_swap_with_a_tone_and_live_parts_is_enhanced_as_it_looks():
    alpha = np.ones((64, 64), np.float32)
    alpha[:32] = 0
    tone = np.eye(3, 4) * 0.5
    swapped = Enhanced(Coarse(tone, alpha), enhancer(tiny_networks.enhancer(256))).swap(aligned(64))
    assert swapped.tone is None
    assert swapped.alpha is alpha
    assert swapped.crop[20, 30] == pytest.approx(picture(64)[20, 30], abs=2)
    assert swapped.crop[44, 30] == pytest.approx(picture(64)[44, 30] * 0.5, abs=2)


@given(st.integers(1, 200), st.integers(0, 99))
def test_any_face_in_any_picture_can_be_enhanced(size, seed):
    random = np.random.default_rng(seed)
    crop = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    points = random.uniform(-2 * size, 3 * size, (468, 2)).astype(np.float32)
    assert ENHANCER.enhanced(crop, points).shape == crop.shape


ENHANCER = enhancer(tiny_networks.enhancer(256))


@pytest.fixture
def folder(home) -> Path:
    made = home / "data" / "networks"
    made.mkdir(parents=True)
    (made / "gfpgan.onnx").write_bytes(tiny_networks.enhancer(256, factor=0.0))
    (made / "arcface.onnx").write_bytes(tiny_networks.recognizer())
    return made


def worn_with(name, tmp_path):
    model = tmp_path / "anna.dfm"
    model.write_bytes(tiny_networks.dfm(64))
    return wear.wear(Settings(face_file=str(model), enhancer=name, device="cpu", enhancer_blend=100))


def test_a_model_is_worn_with_an_enhancer_from_the_folder(folder, tmp_path):
    worn = worn_with("gfpgan", tmp_path)
    worn.swapper.update(FULL)
    swapped = worn.swapper.swap(aligned(worn.swapper.crop_size(200)))
    middle = swapped.crop[110:130, 100:120].astype(int)
    assert np.abs(middle - 128).max() <= 1
    worn.close()


@pytest.mark.parametrize(("device", "asked"), [("same", "one"), ("two", "two")])
def test_the_enhancer_runs_on_a_device_of_its_own(folder, tmp_path, monkeypatch, device, asked):
    real, devices = wear.shared, []

    def on_the_cpu(path, name, **more):
        devices.append(name)
        session = real(path, "cpu", **more)
        session.provider = name
        return session

    monkeypatch.setattr(wear, "shared", on_the_cpu)
    (tmp_path / "anna.dfm").write_bytes(tiny_networks.dfm(64))
    settings = Settings(
        face_file=str(tmp_path / "anna.dfm"), device="one", enhancer="gfpgan", enhancer_device=device
    )
    worn = wear.wear(settings)
    assert devices == ["one", asked]
    assert Wardrobe(worn).stages == {"faces made finer": asked}
    worn.close()


@pytest.mark.parametrize(
    ("name", "error"), [("nothing", ModelMissingError), ("arcface", UnsupportedModelError)]
)
def test_an_enhancer_that_is_none_is_told_before_anything_is_worn(folder, tmp_path, name, error):
    with pytest.raises(error, match=r"Installed are: gfpgan|one that makes faces finer"):
        worn_with(name, tmp_path)
