"""Finding hands: decoding, following, and what is drawn of them."""

import cv2
import numpy as np
import pytest
from answers import Answers

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.hands import Hands, drawn
from obs_faceswap.engine.runtime.session import Session

SIZE = (384, 384)  # twice the network's side
WHOLE = (191.5, 191.5), 384.0  # the square that is searched
STEP_NS = 40_000_000

# A hand with its fingers up, 0..1 of the square around it.
WRIST = (0.5, 0.85)
HAND = np.array(
    [
        WRIST, (0.38, 0.75), (0.30, 0.65), (0.25, 0.57), (0.21, 0.50),
        (0.40, 0.50), (0.34, 0.36), (0.31, 0.27), (0.28, 0.20),
        (0.48, 0.48), (0.48, 0.32), (0.48, 0.22), (0.48, 0.14),
        (0.56, 0.50), (0.57, 0.36), (0.58, 0.27), (0.59, 0.20),
        (0.63, 0.55), (0.66, 0.45), (0.68, 0.38), (0.70, 0.32),
    ]
)  # fmt: skip


def palms(*centers, score=5.0):
    """A network that sees palms with these centers, in its 192 pixels."""
    scores, values = np.full((1, 2016, 1), -20, np.float32), np.zeros((1, 2016, 18), np.float32)
    for x, y in centers:
        column, row = int(x // 8), int(y // 8)
        anchor = 2 * (24 * row + column)
        dx, dy = x - (column + 0.5) * 8, y - (row + 0.5) * 8
        scores[0, anchor] = score
        points = np.tile((dx, dy), (7, 1))
        points[0, 1] += 12  # the wrist below the middle finger
        values[0, anchor] = [dx, dy, 30, 30, *points.ravel()]
    return Answers((1, 192, 192, 3), {"boxes": values, "scores": scores})


def hand_network(presence=0.95):
    points = np.column_stack([HAND * 224, np.zeros(21)]).astype(np.float32)
    outputs = {
        "points": points.reshape(1, 63),
        "presence": np.full((1, 1), presence, np.float32),
        "side": np.zeros((1, 1), np.float32),
    }
    return Answers((1, 224, 224, 3), outputs)


def black():
    return Picture.of(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))


def test_a_palm_leads_to_the_hands_points_in_picture_pixels():
    (found,) = Hands(palms((100, 100)), hand_network()).find(black(), *WHOLE, 0)
    side = 2.6 * 60
    center = np.array((200, 200 - 0.5 * 60))  # towards the fingers
    np.testing.assert_allclose(found, center + (HAND - 0.5) * side - 0.5, atol=1.0)


def test_a_hand_is_followed_without_looking_for_palms_in_every_frame():
    network = palms((100, 100))
    hands = Hands(network, hand_network())
    hands.find(black(), *WHOLE, 0)
    network.values["scores"][:] = -20
    network.seen = None
    assert len(hands.find(black(), *WHOLE, STEP_NS)) == 1
    assert network.seen is None  # too soon
    assert len(hands.find(black(), *WHOLE, 10 * STEP_NS)) == 1
    assert network.seen is not None


def test_two_hands_at_most_and_none_twice():
    both = Hands(palms((40, 40), (150, 150), (40, 150)), hand_network())
    assert len(both.find(black(), *WHOLE, 0)) == 2
    again = both.find(black(), *WHOLE, 10 * STEP_NS)
    assert len(again) == 2


def test_no_hand_without_presence_or_score():
    assert Hands(palms((100, 100)), hand_network(presence=0.2)).find(black(), *WHOLE, 0) == []
    assert Hands(palms((100, 100), score=-2), hand_network()).find(black(), *WHOLE, 0) == []
    broken = hand_network()
    broken.values["points"][:] = np.nan
    assert Hands(palms((100, 100)), broken).find(black(), *WHOLE, 0) == []


def test_networks_of_other_shapes_are_refused():
    with pytest.raises(UnsupportedModelError, match="2016"):
        Hands(hand_network(), hand_network())
    with pytest.raises(UnsupportedModelError, match="63"):
        Hands(palms(), palms())


def test_a_hand_is_drawn_with_palm_and_fingers():
    mask = drawn([(HAND * 200).astype(np.float32)], 200, np.eye(2, 3, dtype=np.float32))
    assert mask.dtype == np.float32
    assert mask[int(0.6 * 200), int(0.5 * 200)] == 1  # the palm
    assert mask[int(0.14 * 200), int(0.48 * 200)] == 1  # a finger's tip
    assert mask[int(0.2 * 200), int(0.38 * 200)] == 0  # between two fingers
    assert mask[:10].max() == mask[:, -20:].max() == 0


def test_a_finger_is_drawn_longer_than_its_points_say():
    up = (HAND * 200).astype(np.float32)
    mask = drawn([up], 200, np.eye(2, 3, dtype=np.float32))
    tips, before = up[[8, 12, 16, 20]], up[[7, 11, 15, 19]]
    beyond = np.round(tips + (tips - before) * 0.4).astype(int)
    assert (mask[beyond[:, 1], beyond[:, 0]] == 1).all()


def test_a_hand_far_outside_draws_nothing():
    far = (HAND * 200 + 1e7).astype(np.float32)
    assert drawn([far], 100, np.eye(2, 3, dtype=np.float32)).max() == 0
    assert drawn([], 100, np.eye(2, 3, dtype=np.float32)).max() == 0


@pytest.mark.shared
def test_a_real_thumb_before_a_face_is_found(shared):
    models = shared / "models"
    hands = Hands(
        Session(models / "mp_palm_detection_lite_192.onnx", "cpu", 1),
        Session(models / "mp_hand_landmark_lite_224.onnx", "cpu", 1),
    )
    reader = cv2.VideoCapture(str(shared / "video" / "mps_thumb_over_face.mp4"))
    found = []
    for number in range(101):
        image = reader.read()[1]
        found.append(hands.find(Picture.of(image), (640, 450), 1100, number * STEP_NS))
    assert all(len(hands) >= 1 for hands in found[60:])
    mask = drawn(found[-1], 1280, np.eye(2, 3, dtype=np.float32))
    assert mask[330, 522] == 1  # the thumb's middle, looked up in the picture
    assert mask[250, 650] == 0  # the face beside it
