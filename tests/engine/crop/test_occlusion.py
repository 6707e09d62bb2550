"""What lies before a face: each kind of occluder, where its mask lands, and nonsense."""

import cv2
import numpy as np
import pytest
import tiny_networks
from engine.find.test_hands import hand_network, palms
from fake_engine import TARGET, face_at
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.crop import front
from obs_faceswap.engine.crop.align import to_crop, warp_for
from obs_faceswap.engine.crop.mask import hull
from obs_faceswap.engine.crop.occluders import REGIONS, FaceNetwork, HandsBefore
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import ModelError, ModelMissingError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Occlusion, Settings, Switch
from obs_faceswap.engine.store import models
from obs_faceswap.engine.types import Face, Warp

PLAIN = Settings()
SIZE = 320, 240


def scene():
    return Picture.of(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))


def half(side=256, dtype=np.float32):
    """1 in the left half of a picture, 0 in the right one."""
    mask = np.zeros((side, side), dtype)
    mask[:, : side // 2] = 1
    return mask


def seen_by(content, chosen=PLAIN, face=TARGET):
    network = FaceNetwork(Session(content, "cpu", 1))
    (visible,) = network.visible(scene(), [face], 0, chosen)
    return network.name, visible


# --- where a mask lands ---


def test_a_mask_lies_in_another_crop_where_it_lies_in_the_frame():
    warp = Warp(np.array([[2, 0, -40], [0, 2, -20]], np.float32), 100)  # frame 20..70, 10..60
    visible = Visible(half(50), warp)
    crop = Warp(np.array([[0, 1, 0], [-1, 0, 100]], np.float32), 100)  # turned by a quarter
    seen = visible.at(crop, 100)
    # The mask's middle, x = 44.75 of the frame, is the crop's row 55.25; what is left of it lies below.
    assert seen.shape == (100, 100)
    assert (seen[58:] == 1).all()
    assert (seen[:53] == 0).all()


@pytest.mark.parametrize("size", [64, 100, 37])
def test_a_mask_in_its_own_crop_is_itself_at_any_side(size):
    warp = warp_for(TARGET.landmarks, 100)
    mask = cv2.GaussianBlur(half(100), (0, 0), 6)
    wanted = cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
    assert np.abs(Visible(mask, warp).at(warp, size) - wanted).max() < 0.02


# --- hands ---


def hand_at(x, y):
    """Occluder and scene with a palm at a place of the searched square's 192 pixels."""
    return HandsBefore(palms((x, y)), hand_network())


def test_a_hand_before_the_face_is_not_swapped():
    (visible,) = hand_at(96, 80).visible(scene(), [TARGET], 0, PLAIN)
    warp = warp_for(TARGET.landmarks, 128)
    seen = visible.at(warp, 128)
    assert 0 <= seen.min() < 0.01
    assert seen.max() == pytest.approx(1)
    outline = hull(to_crop(warp, TARGET.landmarks), 128)
    hidden = float(((1 - seen) * outline).sum() / outline.sum())
    assert 0.05 < hidden < 0.95


def test_without_hands_all_is_seen():
    nobody = HandsBefore(palms((96, 96), score=-9), hand_network())
    assert nobody.visible(scene(), [TARGET, face_at(250, 100)], 0, PLAIN) == [None, None]
    assert nobody.visible(scene(), [], 0, PLAIN) == []


def test_a_hand_that_is_not_sure_does_not_count_until_it_is():
    network = hand_network(presence=0.8)
    hands = HandsBefore(palms((96, 80)), network)
    assert hands.visible(scene(), [TARGET], 0, PLAIN) == [None]
    network.values["presence"][:] = 0.95
    assert hands.visible(scene(), [TARGET], 40_000_000, PLAIN) != [None]
    network.values["presence"][:] = 0.6  # still followed: no flicker
    assert hands.visible(scene(), [TARGET], 80_000_000, PLAIN) != [None]
    network.values["presence"][:] = 0.3
    assert hands.visible(scene(), [TARGET], 120_000_000, PLAIN) == [None]


def test_a_hand_far_from_the_face_is_nothing_to_look_at():
    network = hand_network()
    hands = HandsBefore(palms((96, 80)), network)
    hands.visible(scene(), [TARGET], 0, PLAIN)
    network.seen = None
    hands.visible(scene(), [face_at(5000, 5000)], 10_000_000, PLAIN)
    assert network.seen is None


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 191), st.floats(0, 191), st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(1, 3000)
)
def test_hands_anywhere_give_a_mask_or_none(x, y, face_x, face_y, height):
    hands = HandsBefore(palms((x, y)), hand_network())
    (visible,) = hands.visible(scene(), [face_at(face_x, face_y, height)], 0, PLAIN)
    if visible is not None:
        seen = visible.at(warp_for(TARGET.landmarks, 64), 64)
        assert np.isfinite(seen).all()
        assert 0 <= seen.min() <= seen.max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_nonsense_from_the_networks_of_hands_is_no_hand(value):
    for network, name in (
        ("palms", "boxes"),
        ("palms", "scores"),
        ("hands", "points"),
        ("hands", "presence"),
    ):
        made = {"palms": palms((96, 80)), "hands": hand_network()}
        made[network].values[name][:] = value
        (visible,) = HandsBefore(**made).visible(scene(), [TARGET], 0, PLAIN)
        if visible is not None:
            assert np.isfinite(visible.mask).all()


# --- networks ---


def test_an_xsegs_mask_is_sharpened_from_its_middle_inwards():
    """facefusion: clip, a Gaussian of 5 pixels, and what is above a half stretched to 0..1."""
    name, visible = seen_by(tiny_networks.xseg(half() * 3 - 1))
    assert name == "XSeg"
    soft = np.clip(cv2.GaussianBlur(half(), (0, 0), 5), 0.5, 1) * 2 - 1
    np.testing.assert_allclose(visible.mask, soft, atol=1e-5)
    np.testing.assert_allclose(visible.warp.matrix, warp_for(TARGET.landmarks, 256).matrix)


def test_a_network_of_faces_is_told_by_the_name_of_its_input():
    name, visible = seen_by(tiny_networks.xseg(half(), "serving_default_image_input:0"))
    assert name == "face"
    box = to_crop(visible.warp, TARGET.landmarks)
    width, height = np.ptp(box, axis=0)
    assert max(width, height) == pytest.approx(256 / 1.4, abs=0.5)
    assert (box.min(0) + box.max(0)) / 2 == pytest.approx((127.5, 127.5), abs=0.1)


@pytest.mark.parametrize(("key", "classes"), REGIONS.items())
def test_a_region_of_a_parser_is_left_out_where_it_is_switched_off(key, classes):
    for number in classes:
        seen = np.where(half(512) > 0, number, 0 if number == 1 else 1)
        _, all_of_it = seen_by(tiny_networks.parser(seen))
        name, visible = seen_by(tiny_networks.parser(seen), Settings(**{key: Switch.OFF}))
        assert name == "parser"
        assert all_of_it.mask[128, 64] == 1
        assert visible.mask[128, 64] == 0


@pytest.mark.parametrize("number", [0, 7, 8, 9, 14, 15, 16, 17, 18])
def test_ears_neck_clothes_and_hair_are_no_face(number):
    _, visible = seen_by(tiny_networks.parser(np.full((512, 512), number)))
    assert not visible.mask.any()


def test_a_parsers_crop_is_that_of_ffhq():
    _, visible = seen_by(tiny_networks.parser())
    eyes = to_crop(visible.warp, TARGET.landmarks)[[33, 133, 263, 362]]
    assert eyes[:2].mean(0) == pytest.approx((193, 240), abs=12)
    assert eyes[2:].mean(0) == pytest.approx((319, 240), abs=12)


def test_hair_lies_before_the_face():
    name, visible = seen_by(tiny_networks.hair(half(512)))
    assert name == "hair"
    assert visible.mask.shape == (256, 256)
    assert visible.mask[:, :120].max() < 0.01
    assert visible.mask[:, 136:].min() > 0.99


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("made", [tiny_networks.xseg, lambda mask: tiny_networks.xseg(mask, "image_input")])
def test_values_that_are_no_numbers_are_an_error(made, value):
    mask = half()
    mask[3, 3] = value
    with pytest.raises(ModelError, match="no numbers"):
        seen_by(made(mask))


def test_other_networks_are_refused():
    for content in (tiny_networks.yunet(), tiny_networks.mesh(), tiny_networks.dfm(256)):
        with pytest.raises(UnsupportedModelError, match="XSeg, parser, hair"):
            FaceNetwork(Session(content, "cpu", 1))


# --- loading ---


@pytest.fixture
def networks(home):
    folder = home / "data" / "networks"
    folder.mkdir(parents=True)
    (folder / "xseg.onnx").write_bytes(tiny_networks.xseg())
    (folder / "swapper.onnx").write_bytes(tiny_networks.one_photo())


def test_a_chosen_network_is_loaded_on_its_device(networks):
    loaded = front.load(Settings(occlusion="network", occlusion_network="xseg", occlusion_device="cpu"))
    assert loaded.stages == {"what is in front": "cpu"}
    other = face_at(200, 100, track_id=7)
    assert set(loaded.visible(scene(), [TARGET, other], 0, PLAIN)) == {TARGET.track_id, 7}
    loaded.close()


def test_hands_that_are_asked_for_must_be_there_and_automatic_takes_what_there_is(home):
    with pytest.raises(ModelMissingError, match="palm_192"):
        front.load(Settings(occlusion=Occlusion.HANDS))
    for how in (Occlusion.AUTO, Occlusion.OFF):
        loaded = front.load(Settings(occlusion=how))
        assert loaded.visible(scene(), [TARGET], 0, PLAIN) == {}
        assert (loaded.notice, loaded.stages) == ("", {})


def test_a_network_that_is_not_chosen_yet_is_asked_for(networks):
    assert "Choose the network" in front.load(Settings(occlusion="network")).notice
    with pytest.raises(UnsupportedModelError, match="here an XSeg"):
        front.load(Settings(occlusion="network", occlusion_network="swapper"))


def test_automatic_draws_hands_where_both_networks_are(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(models, "find", lambda name, models_from: asked.append(name) or tmp_path / name)
    made = {"palm_192": palms((96, 80)), "hand_224": hand_network()}
    for network in made.values():
        network.provider, network.notice, network.close = "cpu", "", lambda: None
    monkeypatch.setattr(front, "shared", lambda path, device: made[path.name])
    assert set(front.load(PLAIN).visible(scene(), [TARGET], 0, PLAIN)) == {TARGET.track_id}
    assert asked == ["palm_192", "hand_224"]


# --- every few frames ---


FRAME_NS = 33_000_000


class Said:
    """An occluder that says how often it was asked."""

    def __init__(self, moves_with_face):
        self.moves_with_face, self.asked = moves_with_face, []

    def visible(self, picture, faces, timestamp_ns, settings):
        self.asked.append(timestamp_ns // FRAME_NS)
        if self.asked[-1] == 50:
            raise ModelError("no numbers")
        return [Visible(half(), warp_for(face.landmarks, 256)) for face in faces]


def look(found, number, *faces, every):
    return found.visible(scene(), faces or [TARGET], number * FRAME_NS, PLAIN, every)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_of_several_frames_one_is_looked_at(every):
    said = Said(False)
    found = front.Front(said)
    assert all(TARGET.track_id in look(found, number, every=every) for number in range(7))
    assert said.asked == list(range(0, 7, every))


def test_a_new_face_an_old_word_and_a_clock_that_starts_again_are_looked_at_at_once():
    said = Said(False)
    found = front.Front(said)
    look(found, 10, every=9)
    look(found, 11, TARGET, face_at(200, 100, track_id=7), every=9)
    look(found, 12, every=9)
    look(found, 15, every=9)  # 0.13 s later
    look(found, 1, every=9)
    assert said.asked == [10, 11, 15, 1]


def test_after_an_error_nothing_that_was_said_before_counts():
    said = Said(True)
    found = front.Front(said)
    look(found, 48, every=2)
    look(found, 49, every=2)
    for _ in range(2):
        with pytest.raises(ModelError):
            look(found, 50, every=2)


def test_a_hand_stays_where_it_is_and_a_faces_edge_goes_with_the_face():
    moved = face_at(120, 100, 90)
    start = face_at(100, 90, 80)
    for moves_with_face, wanted in ((False, start), (True, moved)):
        found = front.Front(Said(moves_with_face))
        look(found, 0, start, every=2)
        visible = look(found, 1, moved, every=2)[start.track_id]
        assert visible.warp.matrix == pytest.approx(warp_for(wanted.landmarks, 256).matrix, abs=1e-3)


@pytest.mark.shared
def test_a_real_thumb_stays_in_front_and_a_bare_face_is_whole(shared):
    folder = shared / "models"
    mesh = np.zeros((468, 2), np.float32)
    mesh[:] = face_at(640, 300, 360).landmarks
    face = Face(mesh, np.zeros(468, np.float32), 1.0, 1)
    hands = HandsBefore(
        Session(folder / "mp_palm_detection_lite_192.onnx", "cpu", 1),
        Session(folder / "mp_hand_landmark_lite_224.onnx", "cpu", 1),
    )
    reader = cv2.VideoCapture(str(shared / "video" / "mps_thumb_over_face.mp4"))
    seen = []
    for number in range(101):
        image = reader.read()[1]
        if number in range(6) or number > 90:
            seen += hands.visible(Picture.of(image), [face], number * 40_000_000, PLAIN)
    assert seen[:6] == [None] * 6
    assert all(one is not None for one in seen[7:])
    upright = Warp(np.eye(2, 3, dtype=np.float32), 1280)
    last = seen[-1].at(upright, 1280)
    assert last[330, 522] < 0.1  # the thumb
    assert last[250, 650] > 0.9  # the face beside it
