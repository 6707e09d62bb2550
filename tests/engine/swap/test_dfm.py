import cv2
import numpy as np
import onnx
import pytest
import tiny_networks
from onnx import helper

from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session, shared
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.swap.dfm import DfmSwapper
from obs_faceswap.engine.types import AlignedFace, Face, Warp

SIZE = 32


def swapper(network: bytes) -> DfmSwapper:
    return DfmSwapper(Session(network, "cpu", threads=1))


def aligned(crop) -> AlignedFace:
    nowhere = np.zeros((468, 2), np.float32)
    size = crop.shape[0]
    warp = Warp(np.eye(2, 3, dtype=np.float32), size)
    return AlignedFace(crop, warp, nowhere, Face(nowhere, nowhere[:, 0], 1.0, 1))


def picture(size=SIZE, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def network(inputs=None, outputs=None, nodes=None, constants=None) -> bytes:
    """A network of another contract; by default each output is the first input unchanged."""
    inputs = inputs or {"in_face:0": (1, SIZE, SIZE, 3)}
    shapes = ((1, SIZE, SIZE, 1), (1, SIZE, SIZE, 3), (1, SIZE, SIZE, 1))
    names = ("out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0")
    outputs = outputs or dict(zip(names, shapes, strict=True))
    constants = {"fixed_" + name: np.ones(shape, np.float32) for name, shape in outputs.items()} | (
        constants or {}
    )
    nodes = nodes or [helper.make_node("Identity", ["fixed_" + name], [name]) for name in outputs]
    return tiny_networks.model(nodes, inputs, outputs, constants)


def test_the_crop_goes_in_as_bgr_from_0_to_1_and_comes_back_so():
    crop = picture()
    assert np.array_equal(swapper(tiny_networks.dfm(SIZE)).swap(aligned(crop)).crop, 255 - crop)


def test_both_masks_are_multiplied():
    rng = np.random.default_rng(0)
    live, celeb = rng.random((2, SIZE, SIZE), dtype=np.float32)
    swapped = swapper(tiny_networks.dfm(SIZE, face_mask=live, celeb_mask=celeb)).swap(aligned(picture()))
    assert swapped.mask == pytest.approx(live * celeb, abs=1e-6)
    assert swapped.mask.dtype == np.float32


def test_values_beyond_0_and_1_are_cut_off():
    face = np.linspace(-1, 2, SIZE * SIZE * 3, dtype=np.float32).reshape(SIZE, SIZE, 3)
    mask = np.linspace(-1, 2, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    swapped = swapper(tiny_networks.dfm(SIZE, face=face, face_mask=mask, celeb_mask=mask)).swap(
        aligned(picture())
    )
    assert np.abs(swapped.crop - np.clip(face, 0, 1) * 255).max() <= 0.5
    assert swapped.mask == pytest.approx(np.clip(mask, 0, 1) ** 2, abs=1e-6)


@pytest.mark.parametrize("size", [64, 224, 256])
def test_any_resolution_is_taken_from_the_input(size):
    loaded = swapper(tiny_networks.dfm(size))
    assert loaded.resolution == size
    assert {loaded.crop_size(50), loaded.crop_size(900)} == {size}
    crop = picture(size)
    assert np.array_equal(loaded.swap(aligned(crop)).crop, 255 - crop)


@pytest.mark.parametrize("size", [20, 48, 100])
def test_a_crop_of_another_size_gets_its_own_size_back(size):
    crop = np.full((size, size, 3), (10, 100, 220), np.uint8)
    swapped = swapper(tiny_networks.dfm(SIZE)).swap(aligned(crop))
    assert swapped.crop.shape == crop.shape
    assert swapped.mask.shape == (size, size)
    assert np.array_equal(swapped.crop, 255 - crop)
    assert swapped.mask.min() == 1


def test_a_model_without_morph_says_so():
    loaded = swapper(tiny_networks.dfm(SIZE))
    loaded.update(Settings(morph=0.1))
    assert not loaded.has_morph
    assert np.array_equal(loaded.swap(aligned(picture())).crop, 255 - picture())


@pytest.mark.parametrize("morph", [0.0, 0.3, 1.0])
def test_morph_reaches_the_model(morph):
    loaded = swapper(tiny_networks.dfm(SIZE, morph=True))
    assert loaded.has_morph
    loaded.update(Settings(morph=morph))
    crop = picture().astype(np.float64)
    wanted = crop + morph * (255 - 2 * crop)
    assert np.abs(loaded.swap(aligned(picture())).crop - wanted).max() <= 0.51


def test_morph_starts_at_the_settings_default():
    loaded, told = (swapper(tiny_networks.dfm(SIZE, morph=True)) for _ in range(2))
    told.update(Settings())
    assert np.array_equal(loaded.swap(aligned(picture())).crop, told.swap(aligned(picture())).crop)


def test_outputs_of_other_names_are_taken_by_their_order():
    shapes = {"a": (1, SIZE, SIZE, 1), "b": (1, SIZE, SIZE, 3), "c": (1, SIZE, SIZE, 1)}
    half = {"fixed_b": np.full(shapes["b"], 0.5, np.float32)}
    swapped = swapper(network(outputs=shapes, constants=half)).swap(aligned(picture()))
    assert np.abs(swapped.crop - 127.5).max() <= 0.5
    assert swapped.mask.min() == 1


FACE, MASK = (1, SIZE, SIZE, 3), (1, SIZE, SIZE, 1)
BAD_INPUTS = {
    "another network": ({"input": FACE}, r"expected the input in_face .* found input"),
    "three inputs": (
        {"in_face:0": FACE, "morph_value:0": (1,), "x": (1,)},
        "found in_face:0, morph_value:0, x",
    ),
    "an unknown second": ({"in_face:0": FACE, "amount": (1,)}, "found in_face:0, amount"),
    "not square": ({"in_face:0": (1, 16, 32, 3)}, r"square picture .* is \(1, 16, 32, 3\)"),
    "channels first": ({"in_face:0": (1, 3, SIZE, SIZE)}, "square picture"),
    "gray": ({"in_face:0": (1, SIZE, SIZE, 1)}, "square picture"),
    "a batch of two": ({"in_face:0": (2, SIZE, SIZE, 3)}, "square picture"),
    "no fixed size": ({"in_face:0": (1, "H", "W", 3)}, "square picture"),
}


@pytest.mark.parametrize(("inputs", "words"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_other_inputs_are_refused_saying_what_was_expected_and_found(inputs, words):
    with pytest.raises(UnsupportedModelError, match=words):
        swapper(network(inputs))


BAD_OUTPUTS = {
    "two outputs": {"out_face_mask:0": MASK, "out_celeb_face:0": FACE},
    "a color mask": {"a": FACE, "b": FACE, "c": MASK},
    "names in another order": {
        "out_celeb_face_mask:0": MASK,
        "out_celeb_face:0": FACE,
        "out_face_mask:0": MASK,
    },
    "no pictures": {"a": (1, 10), "b": (1, 10), "c": (1, 10)},
}


@pytest.mark.parametrize("outputs", BAD_OUTPUTS.values(), ids=BAD_OUTPUTS.keys())
def test_other_outputs_are_refused_saying_what_was_expected_and_found(outputs):
    with pytest.raises(
        UnsupportedModelError, match=f"out_face_mask, out_celeb_face, .* found {next(iter(outputs))}"
    ):
        swapper(network(outputs=outputs))


def test_outputs_of_another_size_than_the_input_are_refused():
    small = (1, 16, 16, 1)
    with pytest.raises(UnsupportedModelError, match=r"should be \(1, 32, 32, 1\) and is \(1, 16, 16, 1\)"):
        swapper(network(outputs={"a": small, "b": FACE, "c": MASK}))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_computes_no_numbers_is_found_out_when_loaded(place, value):
    names = ("face_mask", "face", "celeb_mask")
    shape = (SIZE, SIZE, 3) if place == 1 else (SIZE, SIZE)
    answer = np.ones(shape, np.float32)
    answer[3, 4] = value
    with pytest.raises(ModelError, match=r"no numbers .* on cpu"):
        swapper(tiny_networks.dfm(SIZE, **{names[place]: answer}))


def test_a_model_that_computes_black_is_found_out_when_loaded():
    with pytest.raises(ModelError, match="black face on cpu"):
        swapper(tiny_networks.dfm(SIZE, face=np.zeros((SIZE, SIZE, 3))))


def test_a_frame_whose_output_is_no_number_raises_and_the_next_one_works():
    # 1 / blue: infinite where a pixel is black.
    nodes = [
        helper.make_node("Reciprocal", ["in_face:0"], ["out_celeb_face:0"]),
        helper.make_node("Identity", ["ones"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["ones"], ["out_celeb_face_mask:0"]),
    ]
    loaded = swapper(network(nodes=nodes, constants={"ones": np.ones(MASK, np.float32)}))
    bad = picture()
    bad[5, 5] = 0
    with pytest.raises(ModelError, match="no numbers"):
        loaded.swap(aligned(bad))
    assert loaded.swap(aligned(np.full((SIZE, SIZE, 3), 200, np.uint8))).crop.min() == 255


def test_a_frame_that_the_masks_leave_bare_raises():
    almost_nothing = np.zeros((SIZE, SIZE), np.float32)
    almost_nothing[:4, :4] = 1
    loaded = swapper(tiny_networks.dfm(SIZE, celeb_mask=almost_nothing))
    with pytest.raises(ModelError, match="sees no face"):
        loaded.swap(aligned(picture()))


@pytest.mark.parametrize("wrong", [np.nan, 0.0])
def test_who_loads_a_model_after_it_computed_nonsense_gets_another_session(tmp_path, monkeypatch, wrong):
    path = tmp_path / "anna.dfm"
    path.write_bytes(tiny_networks.dfm(SIZE))
    first = shared(path, "cpu")
    worn = DfmSwapper(first)
    good = first.run
    monkeypatch.setattr(first, "run", lambda feeds: [output * np.float32(wrong) for output in good(feeds)])
    with pytest.raises(ModelError, match=r"no numbers|black"):
        worn.swap(aligned(picture()))
    second = shared(path, "cpu")
    assert second._use.loaded is not first._use.loaded
    first.close()
    second.close()


def graded(crop, size=SIZE, **chosen):
    """The identity's answer: what the network gave of what it saw, twice inverted."""
    loaded = swapper(copying(size))
    loaded.update(Settings(**chosen))
    return loaded.swap(aligned(crop)).crop


def copying(size=SIZE, halves=False) -> bytes:
    """A `.dfm` that gives back what it sees, at half its brightness where told."""
    factor = {"factor": np.float32(0.5 if halves else 1.0), "ones": np.ones((1, size, size, 1), np.float32)}
    nodes = [
        helper.make_node("Mul", ["in_face:0", "factor"], ["out_celeb_face:0"]),
        helper.make_node("Identity", ["ones"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["ones"], ["out_celeb_face_mask:0"]),
    ]
    return network(nodes=nodes, constants=factor)


COLORS = ("blue", "green", "red")  # as pictures hold them


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("color", COLORS)
def test_each_gamma_changes_its_own_color_alone(place, color):
    """DeepFaceLive's post gamma takes green for blue and blue for green."""
    crop = picture()
    found = graded(crop, **{f"{place}_gamma_{color}": 2.0})
    wanted = crop.astype(np.float64)
    channel = COLORS.index(color)
    wanted[..., channel] = 255 * (wanted[..., channel] / 255) ** (1 / 2.0)
    assert np.abs(found - wanted).max() <= 0.51


def test_gamma_of_1_and_no_sharpening_change_nothing():
    assert np.array_equal(graded(picture()), picture())


@pytest.mark.parametrize("amount", [0.5, 3.0])
def test_the_crop_is_sharpened_by_what_a_blur_of_one_pixel_takes_away(amount):
    crop = picture()
    values = crop / 255
    soft = cv2.GaussianBlur(values, (0, 0), 1.0)
    wanted = np.clip(values * (1 + amount) - soft * amount, 0, 1) * 255
    assert np.abs(graded(crop, presharpen=amount) - wanted).max() <= 0.51


def test_sharpening_comes_before_gamma():
    crop = picture()
    values = crop / 255
    sharp = np.clip(2 * values - cv2.GaussianBlur(values, (0, 0), 1.0), 0, 1)
    found = graded(crop, presharpen=1.0, pre_gamma_red=3.0)[..., 2]
    assert np.abs(found - 255 * sharp[..., 2] ** (1 / 3)).max() <= 0.51


def test_two_passes_give_the_model_its_own_face():
    loaded = swapper(copying(halves=True))
    crop = picture()
    once = loaded.swap(aligned(crop)).crop
    loaded.update(Settings(two_pass="on"))
    twice = loaded.swap(aligned(crop)).crop
    assert np.abs(once - crop / 2.0).max() <= 0.51
    assert np.abs(twice - crop / 4.0).max() <= 0.51


def test_gamma_before_acts_once_and_after_once_with_two_passes():
    crop = picture()
    found = graded(crop, two_pass="on", pre_gamma_green=2.0, post_gamma_red=0.5)
    wanted = (crop / 255) ** (1.0, 0.5, 2.0) * 255
    assert np.abs(found - wanted).max() <= 0.51


def test_with_two_passes_the_live_faces_mask_is_the_first_and_the_new_ones_the_last():
    """The masks are the blue of what the network sees, the face is its half."""
    nodes = [
        helper.make_node("Mul", ["in_face:0", "half"], ["out_celeb_face:0"]),
        helper.make_node("Slice", ["in_face:0", "zero", "one", "axis"], ["blue"]),
        helper.make_node("Identity", ["blue"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["blue"], ["out_celeb_face_mask:0"]),
    ]
    constants = {
        "half": np.float32(0.5), "zero": np.array([0]), "one": np.array([1]), "axis": np.array([3]),
    }  # fmt: skip
    loaded = swapper(network(nodes=nodes, constants=constants))
    loaded.update(Settings(two_pass="on"))
    blue = picture()[..., 0] / 255
    assert loaded.swap(aligned(picture())).mask == pytest.approx(blue * blue / 2, abs=1e-5)


@pytest.mark.parametrize("morph", [False, True])
def test_a_model_in_half_precision_is_worn(morph):
    halved = as_half(tiny_networks.dfm(SIZE, morph=morph))
    assert {info.dtype for info in Session(halved, "cpu").inputs} == {"float16"}
    loaded = swapper(halved)
    loaded.update(Settings(morph=1.0))
    crop = picture()
    assert np.abs(loaded.swap(aligned(crop)).crop.astype(int) - (255 - crop)).max() <= 1
    assert loaded.swap(aligned(crop)).mask.dtype == np.float32


def as_half(network_bytes: bytes) -> bytes:
    """A network with float16 in the place of each float32."""
    made = onnx.load_from_string(network_bytes)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in made.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name))
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()
