"""Decoding of both detectors, on networks that answer what a test wants."""

import cv2
import numpy as np
import pytest
from answers import Answers, picture

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detect import detector_for
from obs_faceswap.engine.find.detectors.blazeface import BlazeFace
from obs_faceswap.engine.find.detectors.decode import letterbox, overlap
from obs_faceswap.engine.find.detectors.yunet import YuNet
from obs_faceswap.engine.runtime.session import Session

STRIDES = (8, 16, 32)


def yunet_outputs(side=320):
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{part}_{stride}": np.zeros((1, (side // stride) ** 2, width), np.float32)
        for part, width in widths.items()
        for stride in STRIDES
    }


def with_face(outputs, stride, column, row, score=0.81, size=4.0):
    """Puts a face of `size` strides around one cell's corner."""
    index = row * (320 // stride) + column
    outputs[f"cls_{stride}"][0, index] = score
    outputs[f"obj_{stride}"][0, index] = 1
    outputs[f"bbox_{stride}"][0, index, 2:] = np.log(size)
    outputs[f"kps_{stride}"][0, index] = [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]
    return outputs


def yunet(outputs, shape=(1, 3, 320, 320)):
    network = Answers(shape, outputs)
    return YuNet(network), network


def blaze_outputs():
    return {
        "regressors": np.zeros((1, 896, 16), np.float32),
        "classificators": np.full((1, 896, 1), -20, np.float32),
    }


def blaze(outputs):
    network = Answers((1, 128, 128, 3), outputs)
    return BlazeFace(network), network


def test_yunet_finds_box_points_and_score_in_picture_pixels():
    detector, _ = yunet(with_face(yunet_outputs(), 16, column=5, row=3))
    (found,) = detector.detect(picture(640, 360), 0.5)  # twice the network's width
    assert found.bbox_xyxy == pytest.approx([2 * 48, 2 * 16, 2 * 112, 2 * 80])
    assert found.kps == pytest.approx(np.array([[128, 64], [192, 64], [160, 96], [128, 128], [192, 128]]))
    assert found.score == pytest.approx(0.9)  # sqrt(0.81 * 1)


def test_yunet_takes_outputs_by_name_not_by_order():
    outputs = with_face(yunet_outputs(), 16, column=5, row=3)
    backwards, _ = yunet(dict(reversed(outputs.items())))
    assert backwards.detect(picture(640, 360), 0.5)[0].score == pytest.approx(0.9)


def test_blazeface_finds_box_and_five_points_in_picture_pixels():
    outputs = blaze_outputs()
    anchor = 2 * (16 * 4 + 6)  # column 6, row 4 of the fine grid: center 52, 36
    outputs["classificators"][0, anchor] = 4
    outputs["regressors"][0, anchor] = [2, -1, 20, 30, -5, -5, 5, -5, 0, 0, 0, 6, -9, 0, 9, 0]
    detector, _ = blaze(outputs)
    (found,) = detector.detect(picture(128, 256), 0.5)  # twice the network's height
    assert found.bbox_xyxy == pytest.approx([88, 40, 128, 100])
    assert found.kps == pytest.approx(np.array([[94, 62], [114, 62], [104, 72], [96, 84], [112, 84]]))
    assert found.score == pytest.approx(1 / (1 + np.exp(-4)))


def test_blazefaces_coarse_anchors_follow_the_fine_ones():
    outputs = blaze_outputs()
    outputs["classificators"][0, 895] = 4  # the last of column 7, row 7: center 120, 120
    detector, _ = blaze(outputs)
    (found,) = detector.detect(picture(128, 128), 0.5)
    assert found.bbox_xyxy == pytest.approx([120, 120, 120, 120])


@pytest.mark.parametrize(("build", "outputs"), [(yunet, yunet_outputs()), (blaze, blaze_outputs())])
@pytest.mark.parametrize("size", [(4000, 3000), (320, 320), (17, 900), (1, 1)])
def test_the_networks_input_is_bounded_for_a_picture_of_any_size(build, outputs, size):
    detector, network = build(outputs)
    assert detector.detect(picture(*size), 0.5) == []
    assert network.seen.shape == tuple(network.inputs[0].shape)


def test_yunet_sees_blue_first_and_0_to_255_blazeface_red_first_and_minus_1_to_1():
    image = np.full((64, 64, 3), (255, 127, 0), np.uint8)
    detector, network = yunet(yunet_outputs())
    detector.detect(image, 0.5)
    assert network.seen[0, :, 5, 5].tolist() == [255, 127, 0]
    detector, network = blaze(blaze_outputs())
    detector.detect(image, 0.5)
    assert network.seen[0, 5, 5] == pytest.approx([-1, 127 / 127.5 - 1, 1])


def test_an_input_of_open_size_gets_a_fixed_one():
    for free in ("height", -1, None):
        detector, network = yunet(yunet_outputs(), shape=(1, 3, free, free))
        detector.detect(picture(1000, 600), 0.5)
        assert network.seen.shape == (1, 3, 320, 320)


def test_of_overlapping_boxes_the_best_stays_and_others_follow_by_score():
    outputs = with_face(yunet_outputs(), 16, column=5, row=3, score=0.5)
    with_face(outputs, 16, column=5, row=4, score=0.9)
    with_face(outputs, 8, column=30, row=30, score=0.7)
    detector, _ = yunet(outputs)
    assert [round(found.score**2, 2) for found in detector.detect(picture(320, 320), 0.1)] == [0.9, 0.7]


def test_threshold_is_on_the_score():
    detector, _ = yunet(with_face(yunet_outputs(), 16, column=5, row=3, score=0.81))
    assert len(detector.detect(picture(320, 320), 0.89)) == 1
    assert detector.detect(picture(320, 320), 0.91) == []


@pytest.mark.parametrize("part", ["cls_16", "bbox_16", "kps_16"])
def test_a_face_of_values_that_are_no_numbers_is_none(part):
    outputs = with_face(yunet_outputs(), 16, column=5, row=3)
    with_face(outputs, 8, column=30, row=30, score=0.7)
    outputs[part][0, 3 * 20 + 5] = np.nan
    detector, _ = yunet(outputs)
    assert [round(found.score**2, 2) for found in detector.detect(picture(320, 320), 0.5)] == [0.7]


def test_blazefaces_infinite_logits_are_scores_and_nan_is_none():
    outputs = blaze_outputs()
    outputs["classificators"][0, :2] = [[np.inf], [np.nan]]
    detector, _ = blaze(outputs)
    assert [found.score for found in detector.detect(picture(128, 128), 0.5)] == [1.0]


def test_a_network_that_is_no_detector_is_refused():
    wrong = Answers((1, 3, 224, 224), {"logits": np.zeros((1, 1000), np.float32)})
    with pytest.raises(UnsupportedModelError, match="YuNet"):
        YuNet(wrong)
    with pytest.raises(UnsupportedModelError, match="BlazeFace"):
        detector_for(wrong)


def test_the_detector_is_chosen_by_the_outputs():
    assert isinstance(detector_for(Answers((1, 3, 320, 320), yunet_outputs())), YuNet)
    assert isinstance(detector_for(Answers((1, 128, 128, 3), blaze_outputs())), BlazeFace)


def test_letterbox_keeps_the_shape_and_fills_with_black():
    boxed, scale = letterbox(np.full((300, 600, 3), 200, np.uint8), (100, 100))
    assert scale == pytest.approx(1 / 6)
    assert (boxed[:50] == 200).all()
    assert (boxed[50:] == 0).all()


def test_overlap_is_intersection_over_union():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [10, 0, 20, 10]], np.float32)
    assert overlap(box, others) == pytest.approx([1, 1 / 3, 0, 0])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["yunet_n_320.onnx", "mp_face_detector_short_128.onnx"])
def test_a_face_that_fills_a_large_frame_is_found(shared, name):
    detector = detector_for(Session(shared / "models" / name, "cpu", 1))
    image = cv2.imread(str(shared / "image" / "astronaut.png"))[20:220, 120:320]
    (found,) = detector.detect(cv2.resize(image, (2000, 2000)), 0.5)
    x0, y0, x1, y1 = found.bbox_xyxy
    assert x1 - x0 > 700
    assert (found.kps > (x0, y0)).all()
    assert (found.kps < (x1, y1)).all()
