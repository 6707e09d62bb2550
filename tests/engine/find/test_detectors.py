"""Detectors of other families: each decoder finds the face that a small network's outputs describe."""

import cv2
import numpy as np
import pytest
from answers import Answers, picture

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.detectors.blazeface import BlazeFace
from obs_faceswap.engine.find.detectors.centerface import CenterFace
from obs_faceswap.engine.find.detectors.decode import points_in
from obs_faceswap.engine.find.detectors.s3fd import S3fd
from obs_faceswap.engine.find.detectors.scrfd import Scrfd
from obs_faceswap.engine.find.detectors.ultraface import UltraFace
from obs_faceswap.engine.find.detectors.yolo5face import Yolo5Face
from obs_faceswap.engine.find.detectors.yunet import YuNet
from obs_faceswap.engine.runtime.session import Session

SIDE = 320
STRIDES = (8, 16, 32)
LOGIT_OF_90 = np.log(0.9 / 0.1)

# What every network below sees, in its input's pixels.
BOX = (80.0, 96.0, 160.0, 192.0)
POINTS = np.array([(100, 130), (140, 130), (120, 150), (104, 172), (136, 172)], float)


def blaze_back():
    scores, values = np.full((1, 896, 1), -20, np.float32), np.zeros((1, 896, 16), np.float32)
    anchor = 2 * (16 * 8 + 7)  # column 7, row 8 of 16 pixels: center 120, 136
    six = [*POINTS[:3], (120, 172), (85, 140), (155, 140)]
    scores[0, anchor] = LOGIT_OF_90
    values[0, anchor] = [0, 8, 80, 96, *(np.array(six) - (120, 136)).ravel()]
    return BlazeFace, Answers((1, 256, 256, 3), {"regressors": values, "classificators": scores})


def ultraface():
    scores, boxes = np.zeros((1, 4420, 2), np.float32), np.zeros((1, 4420, 4), np.float32)
    scores[0, 7] = 0.1, 0.9
    boxes[0, 7] = np.array(BOX) / (320, 240, 320, 240)
    return UltraFace, Answers((1, 3, 240, 320), {"scores": scores, "boxes": boxes})


def centerface():
    heat, size, offset, points = (np.zeros((1, maps, 80, 80), np.float32) for maps in (1, 2, 2, 10))
    at = (0, slice(None), 35, 29)  # row 35, column 29: centers of 4 pixels, at 118 and 142
    heat[at] = 0.9
    size[at] = np.log((96 / 4, 80 / 4))  # height first
    offset[at] = ((144 - 142) / 4, (120 - 118) / 4)
    points[at] = ((POINTS - BOX[:2]) / (80, 96))[:, ::-1].ravel()
    outputs = {"heat": heat, "size": size, "offset": offset, "points": points}
    return CenterFace, Answers((1, 3, SIDE, SIDE), outputs)


def s3fd(last=False, logits=False):
    outputs = {}
    for stride in (4, 8, 16, 32, 64, 128):
        cells = -(-SIDE // stride)
        classes = np.zeros((1, 2, cells, cells), np.float32)
        classes[0, 0] = 4 if logits else 1
        moves = np.zeros((1, 4, cells, cells), np.float32)
        if stride == 16:
            at = (0, slice(None), 8, 7)  # an anchor of 64 pixels around 120, 136
            classes[at] = (-LOGIT_OF_90 / 2, LOGIT_OF_90 / 2) if logits else (0.1, 0.9)
            moves[at] = (0, 8 / 6.4, np.log(80 / 64) / 0.2, np.log(96 / 64) / 0.2)
        outputs[f"cls_{stride}"], outputs[f"reg_{stride}"] = classes, moves
    if last:
        outputs = {name: value.transpose(0, 2, 3, 1) for name, value in outputs.items()}
    return S3fd, Answers((1, 3, SIDE, SIDE), outputs)


def yolo5face():
    outputs = {
        f"out_{stride}": np.full((1, 48, SIDE // stride, SIDE // stride), -20, np.float32)
        for stride in STRIDES
    }
    width, height = 73, 105  # the third anchor at stride 16
    values = outputs["out_16"][0, 32:, 9, 7]  # cell 7, 9: its corner lies at 112, 144
    values[:2] = logit((np.array((120, 144)) / 16 - (7, 9) + 0.5) / 2)
    values[2:4] = logit(np.sqrt((80 / width, 96 / height)) / 2)
    values[4], values[15] = LOGIT_OF_90, 20
    values[5:15] = ((POINTS - (112, 144)) / (width, height)).ravel()
    return Yolo5Face, Answers((1, 3, SIDE, SIDE), outputs)


def scrfd(batch=False):
    widths = {"score": 1, "bbox": 4, "kps": 10}
    outputs = {
        f"{part}_{stride}": np.zeros((2 * (SIDE // stride) ** 2, width), np.float32)
        for part, width in widths.items()
        for stride in STRIDES
    }
    row = 2 * (9 * 20 + 7) + 1  # the second anchor of cell 7, 9 at stride 16: 112, 144
    outputs["score_16"][row] = 0.9
    outputs["bbox_16"][row] = np.array((112 - 80, 144 - 96, 160 - 112, 192 - 144)) / 16
    outputs["kps_16"][row] = ((POINTS - (112, 144)) / 16).ravel()
    if batch:
        outputs = {name: value[None] for name, value in outputs.items()}
    return Scrfd, Answers((1, 3, SIDE, SIDE), outputs)


def logit(share):
    return np.log(share / (1 - share))


FAMILIES = {
    "blazeface back": blaze_back,
    "ultraface": ultraface,
    "centerface": centerface,
    "s3fd": s3fd,
    "s3fd, values last": lambda: s3fd(last=True),
    "s3fd, before its softmax": lambda: s3fd(logits=True),
    "yolov5-face": yolo5face,
    "scrfd": scrfd,
    "scrfd with a batch": lambda: scrfd(batch=True),
}
WITHOUT_POINTS = (UltraFace, S3fd)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_network_is_known_by_its_outputs_and_finds_the_face(family):
    kind, network = family()
    detector = detector_for(network)
    assert type(detector) is kind
    sides = sorted(network.inputs[0].shape[1:], reverse=True)[:2]
    (found,) = detector.detect(picture(2 * sides[0], 2 * sides[1]), 0.5)  # twice as large as its input
    assert found.score == pytest.approx(0.9, abs=1e-3)
    assert found.bbox_xyxy == pytest.approx(2 * np.array(BOX), abs=0.1)
    points = points_in(np.array([BOX], np.float32))[0] if kind in WITHOUT_POINTS else POINTS
    if kind is BlazeFace:
        points = [*POINTS[:3], (104, 172), (136, 172)]
    np.testing.assert_allclose(found.kps, 2 * np.array(points), atol=0.1)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("size", [(4000, 300), (17, 900), (1, 1)])
def test_a_picture_of_any_size_fits_the_input(family, size):
    _, network = family()
    detector_for(network).detect(picture(*size), 0.5)
    assert network.seen.shape == tuple(network.inputs[0].shape)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_values_that_are_no_numbers_are_no_faces(family):
    _, network = family()
    for values in network.values.values():
        values[:] = np.nan
    assert detector_for(network).detect(picture(64, 64), 0.5) == []


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (ultraface, (np.array((0, 127, 255)) - 127) / 128),
        (centerface, (0, 127, 255)),
        (s3fd, (255 - 104, 127 - 117, 0 - 123)),
        (yolo5face, np.array((255, 127, 0)) / 255),
        (scrfd, (np.array((0, 127, 255)) - 127.5) / 128),
    ],
    ids=["ultraface", "centerface", "s3fd", "yolov5-face", "scrfd"],
)
def test_each_family_sees_the_colors_it_was_trained_on(family, expected):
    _, network = family()
    detector_for(network).detect(np.full((64, 64, 3), (255, 127, 0), np.uint8), 0.5)
    np.testing.assert_allclose(network.seen[0, :, 5, 5], expected, atol=1e-5)


def test_a_network_that_is_no_detector_is_refused():
    network = Answers((1, 3, 64, 64), {"output": np.zeros((1, 10), np.float32)})
    with pytest.raises(UnsupportedModelError, match="no face detector"):
        detector_for(network)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("mp_face_detector_back_256.onnx", BlazeFace),
        ("ultraface_rfb_320.onnx", UltraFace),
        ("yunet_n_dynamic.onnx", YuNet),
    ],
)
def test_the_real_network_finds_the_face_that_yunet_finds(shared, file, kind):
    image = cv2.imread(str(shared / "image" / "astronaut.png"))
    (expected,) = detector_for(Session(shared / "models" / "yunet_n_320.onnx", "cpu")).detect(image, 0.6)
    detector = detector_for(Session(shared / "models" / file, "cpu"))
    assert type(detector) is kind
    found = detector.detect(image, 0.6)[0]
    side = np.ptp(expected.bbox_xyxy[[0, 2]])
    assert np.abs(found.kps - expected.kps).max() < 0.25 * side
