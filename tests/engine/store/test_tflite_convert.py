"""Each operator of the converter against plain numpy, and what it refuses."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tflite import TfliteFile

from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store.tflite_convert import convert

SAME, VALID = 0, 1
NO_ACTIVATION, RELU, RELU6, TANH = 0, 1, 3, 4


def run(data, *pictures):
    session = Session(convert(data), "cpu", threads=1)
    names = [info.name for info in session.inputs]
    return session.run(dict(zip(names, pictures, strict=True)))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def patches(image, kernel, stride, padding, fill):
    """((y, x) of the result, its window (kernel, kernel, C)), padded as TensorFlow pads."""
    side = image.shape[1]
    out = -(-side // stride) if padding == SAME else (side - kernel) // stride + 1
    total = max((out - 1) * stride + kernel - side, 0) if padding == SAME else 0
    widths = ((total // 2, total - total // 2),) * 2
    padded = np.pad(image[0], (*widths, (0, 0)), constant_values=fill)
    for y, x in np.ndindex(out, out):
        yield (y, x), padded[y * stride : y * stride + kernel, x * stride : x * stride + kernel]


def conv_file(weights, bias, stride, padding, activation, side, out_side):
    """A CONV_2D of weights (O, H, W, I), stored as float16 behind a DEQUANTIZE."""
    file = TfliteFile()
    picture = file.tensor((1, side, side, weights.shape[3]))
    stored = file.constant(weights, "float16")
    widened = file.operator("DEQUANTIZE", [stored], weights.shape)
    result = file.operator(
        "CONV_2D", [picture, widened, file.constant(bias)], (1, out_side, out_side, len(weights)),
        "Conv2DOptions", Padding=padding, StrideW=stride, StrideH=stride, DilationWFactor=1,
        DilationHFactor=1, FusedActivationFunction=activation,
    )  # fmt: skip
    return file.build([picture], [result])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side", "activation"),
    [
        (3, 1, SAME, 6, NO_ACTIVATION),
        (3, 2, SAME, 6, NO_ACTIVATION),
        (3, 2, SAME, 7, RELU),
        (5, 2, SAME, 8, NO_ACTIVATION),
        (1, 1, VALID, 5, RELU),
        (3, 1, VALID, 6, NO_ACTIVATION),
    ],
)
def test_convolution(kernel, stride, padding, side, activation):
    weights = noise(4, kernel, kernel, 3).astype(np.float16).astype(np.float32)
    bias, picture = noise(4, seed=1), noise(1, side, side, 3, seed=2)
    expected = {
        place: np.tensordot(weights, window, ([1, 2, 3], [0, 1, 2])) + bias
        for place, window in patches(picture, kernel, stride, padding, 0)
    }
    out_side = max(place[0] for place in expected) + 1
    (found,) = run(conv_file(weights, bias, stride, padding, activation, side, out_side), picture)
    assert found.shape == (1, out_side, out_side, 4)
    for place, values in expected.items():
        wanted = np.maximum(values, 0) if activation == RELU else values
        np.testing.assert_allclose(found[0][place], wanted, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolution(stride):
    weights, bias, picture = noise(1, 3, 3, 5), noise(5, seed=1), noise(1, 6, 6, 5, seed=2)
    out_side = -(-6 // stride)
    file = TfliteFile()
    start = file.tensor(picture.shape)
    result = file.operator(
        "DEPTHWISE_CONV_2D", [start, file.constant(weights), file.constant(bias)],
        (1, out_side, out_side, 5), "DepthwiseConv2DOptions", Padding=SAME, StrideW=stride, StrideH=stride,
        DepthMultiplier=1, DilationWFactor=1, DilationHFactor=1,
    )  # fmt: skip
    (found,) = run(file.build([start], [result]), picture)
    for place, window in patches(picture, 3, stride, SAME, 0):
        np.testing.assert_allclose(found[0][place], (weights[0] * window).sum((0, 1)) + bias, atol=1e-4)


@pytest.mark.parametrize(("side", "padding"), [(6, VALID), (6, SAME), (5, SAME)])
def test_max_pool(side, padding):
    picture = noise(1, side, side, 3) - 5  # below zero, where padding with zeros would win
    expected = dict(patches(picture, 2, 2, padding, -np.inf))
    out_side = max(place[0] for place in expected) + 1
    file = TfliteFile()
    start = file.tensor(picture.shape)
    result = file.operator(
        "MAX_POOL_2D", [start], (1, out_side, out_side, 3), "Pool2DOptions", Padding=padding,
        StrideW=2, StrideH=2, FilterWidth=2, FilterHeight=2,
    )  # fmt: skip
    (found,) = run(file.build([start], [result]), picture)
    for place, window in expected.items():
        np.testing.assert_array_equal(found[0][place], window.max((0, 1)))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=6))
def test_prelu_for_any_slope(slopes):
    picture = noise(1, 3, 4, len(slopes)) * 10
    file = TfliteFile()
    start = file.tensor(picture.shape)
    result = file.operator("PRELU", [start, file.constant(np.reshape(slopes, (1, 1, -1)))], picture.shape)
    (found,) = run(file.build([start], [result]), picture)
    expected = np.where(picture > 0, picture, picture * np.array(slopes, np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_add_relu_and_channel_pad():
    left, right = noise(1, 4, 4, 3), noise(1, 4, 4, 3, seed=1)
    file = TfliteFile()
    starts = [file.tensor(left.shape), file.tensor(right.shape)]
    total = file.operator("ADD", starts, left.shape, "AddOptions", FusedActivationFunction=NO_ACTIVATION)
    positive = file.operator("RELU", [total], left.shape)
    pads = file.constant([[0, 0], [1, 0], [0, 2], [0, 5]], "int32")
    result = file.operator("PAD", [positive, pads], (1, 5, 6, 8))
    (found,) = run(file.build(starts, [result]), left, right)
    expected = np.pad(np.maximum(left + right, 0), ((0, 0), (1, 0), (0, 2), (0, 5)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_reshape_and_concatenation_keep_the_order_of_height_width_and_channels():
    small, large = noise(1, 2, 2, 6), noise(1, 4, 4, 2, seed=1)
    file = TfliteFile()
    starts = [file.tensor(small.shape), file.tensor(large.shape)]
    rows = [
        file.operator("RESHAPE", [start, file.constant([1, count, 1], "int32")], (1, count, 1))
        for start, count in zip(starts, (24, 32), strict=True)
    ]
    result = file.operator("CONCATENATION", rows, (1, 56, 1), "ConcatenationOptions", Axis=1)
    (found,) = run(file.build(starts, [result]), small, large)
    np.testing.assert_array_equal(found.ravel(), np.concatenate([small.ravel(), large.ravel()]))


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenation_of_pictures(axis):
    left, right = noise(1, 3, 3, 3), noise(1, 3, 3, 3, seed=1)
    expected = np.concatenate([left, right], axis)
    file = TfliteFile()
    starts = [file.tensor(left.shape), file.tensor(right.shape)]
    result = file.operator("CONCATENATION", starts, expected.shape, "ConcatenationOptions", Axis=axis)
    (found,) = run(file.build(starts, [result]), left, right)
    np.testing.assert_array_equal(found, expected)


def test_reshape_to_a_picture():
    row = noise(1, 12)
    file = TfliteFile()
    start = file.tensor(row.shape)
    result = file.operator("RESHAPE", [start, file.constant([1, 2, 2, 3], "int32")], (1, 2, 2, 3))
    (found,) = run(file.build([start], [result]), row)
    np.testing.assert_array_equal(found, row.reshape(1, 2, 2, 3))


def test_an_unknown_operator_is_named():
    file = TfliteFile()
    start = file.tensor((1, 2, 2, 3))
    result = file.operator("TANH", [start], (1, 2, 2, 3))
    with pytest.raises(UnsupportedModelError, match="TANH"):
        convert(file.build([start], [result]))


def test_an_unknown_activation_is_refused():
    weights = noise(2, 1, 1, 3)
    with pytest.raises(UnsupportedModelError, match="activation 4"):
        convert(conv_file(weights, noise(2), 1, SAME, TANH, 4, 4))


@pytest.mark.parametrize("shapes", [((1, 2, 2, 3), (1, 2, 3, 3)), ((1, 2, 2, 3), (2, 1, 1, 1))])
def test_adding_shapes_that_do_not_fit_is_refused(shapes):
    file = TfliteFile()
    starts = [file.tensor(shape) for shape in shapes]
    result = file.operator("ADD", starts, (1, 2, 2, 3), "AddOptions", FusedActivationFunction=NO_ACTIVATION)
    with pytest.raises(UnsupportedModelError, match=r"different shapes|damaged"):
        convert(file.build(starts, [result]))


def test_adding_what_has_another_rank_is_refused():
    file = TfliteFile()
    starts = [file.tensor((1, 2, 2, 3)), file.tensor((2, 3))]
    result = file.operator("ADD", starts, (1, 2, 2, 3), "AddOptions", FusedActivationFunction=NO_ACTIVATION)
    with pytest.raises(UnsupportedModelError, match="different ranks"):
        convert(file.build(starts, [result]))


COMBINED = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide}


@pytest.mark.parametrize("code", COMBINED)
@pytest.mark.parametrize("other", [(1, 2, 3, 4), (1, 2, 3, 1), (1, 1, 1, 4)])
def test_pictures_are_combined_as_numpy_broadcasts(code, other):
    file = TfliteFile()
    starts = [file.tensor((1, 2, 3, 4)), file.tensor(other)]
    kind = f"{code.capitalize()}Options"
    result = file.operator(code, starts, (1, 2, 3, 4), kind, FusedActivationFunction=NO_ACTIVATION)
    pictures = noise(1, 2, 3, 4), noise(*other, seed=1) + 4
    found = run(file.build(starts, [result]), *pictures)[0]
    np.testing.assert_allclose(found, COMBINED[code](*pictures), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (1, 2, 3, 4)])
@pytest.mark.parametrize("kept", ["float32", "float16"])
def test_a_picture_is_combined_with_a_constant(shape, kept):
    file = TfliteFile()
    picture, values = file.tensor((1, 2, 3, 4)), np.asarray(noise(*shape, seed=2), np.float16)
    constant = file.constant(values, kept)
    if kept == "float16":
        constant = file.operator("DEQUANTIZE", [constant], shape)
    result = file.operator("MUL", [picture, constant], (1, 2, 3, 4), "MulOptions", FusedActivationFunction=0)
    found = run(file.build([picture], [result]), noise(1, 2, 3, 4))[0]
    np.testing.assert_allclose(found, noise(1, 2, 3, 4) * values.astype(np.float32), rtol=1e-5)


@pytest.mark.parametrize(
    ("code", "change"),
    [("SQRT", np.sqrt), ("NEG", np.negative), ("RSQRT", lambda values: 1 / np.sqrt(values))],
)
def test_functions_of_each_value(code, change):
    file = TfliteFile()
    picture = file.tensor((1, 2, 2, 3))
    values = np.abs(noise(1, 2, 2, 3)) + 0.1
    found = run(file.build([picture], [file.operator(code, [picture], (1, 2, 2, 3))]), values)[0]
    np.testing.assert_allclose(found, change(values), rtol=1e-5)


def test_a_squared_difference():
    file = TfliteFile()
    starts = [file.tensor((1, 2, 2, 3)), file.tensor((1, 2, 2, 1))]
    values = noise(1, 2, 2, 3), noise(1, 2, 2, 1, seed=1)
    data = file.build(starts, [file.operator("SQUARED_DIFFERENCE", starts, (1, 2, 2, 3))])
    np.testing.assert_allclose(run(data, *values)[0], (values[0] - values[1]) ** 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 3, 1, 2), (0, 2, 1, 3), (2, 0, 1)])
def test_a_transpose_is_one_of_tflites_axes(perm):
    file = TfliteFile()
    shape = (1, 2, 3, 4)[: len(perm)]
    values = noise(*shape)
    start = file.tensor(shape)
    wanted = values.transpose(perm)
    turned = file.operator("TRANSPOSE", [start, file.constant(np.array(perm), "int32")], wanted.shape)
    np.testing.assert_array_equal(run(file.build([start], [turned]), values)[0], wanted)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3)])
def test_a_sum_over_the_last_axis(shape):
    file = TfliteFile()
    start, last = file.tensor(shape), file.constant(np.array([-1]), "int32")
    result = file.operator("SUM", [start, last], (*shape[:-1], 1), "ReducerOptions", KeepDims=True)
    values = noise(*shape)
    found = run(file.build([start], [result]), values)[0]
    np.testing.assert_allclose(found, values.sum(axis=-1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "begin", "end", "masks", "wanted"),
    [
        ((1, 4, 5, 6), (0, 1, 0, 2), (1, 3, 5, 6), {}, np.s_[:, 1:3, :, 2:6]),
        ((1, 4, 5, 6), (9, 1, 9, 0), (0, 4, 2, 0), {"BeginMask": 5, "EndMask": 9}, np.s_[:, 1:4, :2, :]),
        ((2, 6), (1, 0), (2, 6), {"ShrinkAxisMask": 1}, np.s_[1]),
    ],
)
def test_a_slice_is_one_of_tflites_axes(shape, begin, end, masks, wanted):
    file = TfliteFile()
    start, values = file.tensor(shape), noise(*shape)
    limits = [file.constant(np.array(limit), "int32") for limit in (begin, end, (1,) * len(shape))]
    result = file.operator(
        "STRIDED_SLICE", [start, *limits], values[wanted].shape, "StridedSliceOptions", **masks
    )
    np.testing.assert_array_equal(run(file.build([start], [result]), values)[0], values[wanted])


def test_a_slice_that_adds_an_axis_is_refused():
    file = TfliteFile()
    start = file.tensor((2, 6))
    limits = [file.constant(np.array(limit), "int32") for limit in ((0, 0), (2, 6), (1, 1))]
    result = file.operator("STRIDED_SLICE", [start, *limits], (1, 2, 6), "StridedSliceOptions", NewAxisMask=1)
    with pytest.raises(UnsupportedModelError, match="slice"):
        convert(file.build([start], [result]))


def test_a_constant_and_a_picture_are_joined():
    file = TfliteFile()
    start, values = file.tensor((1, 1, 2, 3)), noise(1, 1, 1, 3, seed=3)
    result = file.operator(
        "CONCATENATION", [file.constant(values), start], (1, 1, 3, 3), "ConcatenationOptions", Axis=2,
        FusedActivationFunction=0,
    )  # fmt: skip
    found = run(file.build([start], [result]), noise(1, 1, 2, 3))[0]
    np.testing.assert_array_equal(found, np.concatenate([values, noise(1, 1, 2, 3)], axis=2))


def test_weights_of_another_type_are_refused():
    file = TfliteFile()
    start = file.tensor((1, 2, 2, 3))
    slopes = file.constant(np.ones((1, 1, 3)), "int8")
    result = file.operator("PRELU", [start, slopes], (1, 2, 2, 3))
    with pytest.raises(UnsupportedModelError, match="float or int32"):
        convert(file.build([start], [result]))


def test_several_subgraphs_are_refused():
    file = TfliteFile()
    start = file.tensor((1, 2))
    result = file.operator("RELU", [start], (1, 2))
    with pytest.raises(UnsupportedModelError, match="2 subgraphs"):
        convert(file.build([start], [result], subgraphs=2))


WHOLE = conv_file(noise(4, 3, 3, 3), noise(4, seed=1), 2, SAME, NO_ACTIVATION, 6, 3)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_any_cut_off_file_gives_a_model_error_or_the_same_network(length):
    try:
        network = convert(WHOLE[:length])
    except ModelError:
        return
    assert network == convert(WHOLE)  # only padding at the end was lost


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0\0\0\0TFL3", b"PK\3\4" + bytes(100), bytes(1000)])
def test_what_is_no_tflite_file_gives_a_model_error(data):
    with pytest.raises(UnsupportedModelError):
        convert(data)


def test_the_same_file_always_gives_the_same_bytes():
    assert convert(WHOLE) == convert(WHOLE)


def one_operator(code, picture, shape, options="", constants=(), **fields):
    """The answer of a network of one operator."""
    file = TfliteFile()
    start = file.tensor(picture.shape)
    inputs = [start, *(file.constant(values, dtype) for values, dtype in constants)]
    result = file.operator(code, inputs, shape, options, **fields)
    (found,) = run(file.build([start], [result]), picture)
    return found


def test_bilinear_enlarging_counts_from_pixel_centers():
    picture = noise(1, 4, 6, 3)
    found = one_operator(
        "RESIZE_BILINEAR", picture, (1, 8, 12, 3), "ResizeBilinearOptions",
        [([8, 12], "int32")], HalfPixelCenters=True,
    )  # fmt: skip
    expected = cv2.resize(picture[0], (12, 8), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_enlarging_from_corners_is_refused():
    with pytest.raises(UnsupportedModelError, match="half-pixel"):
        one_operator(
            "RESIZE_BILINEAR", noise(1, 4, 6, 3), (1, 8, 12, 3), "ResizeBilinearOptions",
            [([8, 12], "int32")], AlignCorners=True,
        )  # fmt: skip


@pytest.mark.parametrize(("keeps", "shape"), [(True, (1, 1, 1, 3)), (False, (1, 3))])
def test_a_mean_over_height_and_width(keeps, shape):
    picture = noise(1, 4, 6, 3)
    found = one_operator("MEAN", picture, shape, "ReducerOptions", [([1, 2], "int32")], KeepDims=keeps)
    assert found.shape == shape
    np.testing.assert_allclose(found.reshape(3), picture.mean((0, 1, 2)), atol=1e-5)


@pytest.mark.parametrize("activation", [NO_ACTIVATION, RELU, RELU6])
def test_a_fully_connected_layer_sees_a_picture_in_tflites_order(activation):
    picture, weights, bias = noise(1, 2, 3, 4) * 3, noise(5, 24, seed=1), noise(5, seed=2)
    found = one_operator(
        "FULLY_CONNECTED", picture, (1, 5), "FullyConnectedOptions",
        [(weights, "float32"), (bias, "float32")], FusedActivationFunction=activation,
    )  # fmt: skip
    expected = weights @ picture.ravel() + bias
    limits = {NO_ACTIVATION: (-np.inf, np.inf), RELU: (0, np.inf), RELU6: (0, 6)}[activation]
    np.testing.assert_allclose(found[0], np.clip(expected, *limits), atol=1e-4)


def test_a_logistic_is_between_0_and_1():
    picture = noise(1, 5)
    found = one_operator("LOGISTIC", picture, (1, 5))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-picture)), atol=1e-6)
