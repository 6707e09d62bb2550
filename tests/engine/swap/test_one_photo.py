"""One-photo networks: each family's contract, with small networks of the same inputs and outputs."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_networks import double, model, one_photo

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.swap.one_photo import (
    FAMILIES,
    OnePhotoSwapper,
    Source,
    emap_of,
    family_of,
    joined,
    source_of_embedding,
    source_of_picture,
    split,
)
from obs_faceswap.engine.types import AlignedFace, Face, Warp

SIDE = 128
BY_NAME = {family.name: family for family in FAMILIES}
PICTURE_SIDES = {"blendswap": 112, "uniface": 256}


def network(family, side=SIDE, **more):
    shape = (1, 512) if family.source is not Source.PICTURE else (1, 3, *(PICTURE_SIDES[family.name],) * 2)
    return Session(one_photo(side, shape, **more), "cpu")


def aligned(side=SIDE, seed=1):
    y, x = np.meshgrid(np.linspace(0.2, 0.8, 26), np.linspace(0.25, 0.75, 18), indexing="ij")
    points = (np.stack([x.ravel(), y.ravel()], axis=1) * side).astype(np.float32)
    face = Face(points, np.zeros(468, np.float32), 1.0, 1)
    crop = np.random.default_rng(seed).integers(60, 190, (side, side, 3), np.uint8)
    return AlignedFace(crop, Warp(np.eye(2, 3, dtype=np.float32), side), points, face)


def zero_source(family):
    side = PICTURE_SIDES.get(family.name, 0)
    return np.zeros((1, 3, side, side) if side else (1, 512), np.float32)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_colors_come_back_as_they_went_in(family):
    """A network that gives its input back shows the crop, however the family counts colors."""
    face = aligned()
    if family.gives_colors:  # its output is 0..1 whatever its input is: take a family member that copies
        family = replace(family, colors=BY_NAME["inswapper"].colors)
    swapped = OnePhotoSwapper(network(family), family, zero_source(family)).swap(face)
    assert np.abs(swapped.crop.astype(int) - face.crop).max() <= 1


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_worn_at_the_side_of_its_file(family, side):
    session = network(family, side)
    swapper = OnePhotoSwapper(session, family_of(session, f"{family.name}_{side}.onnx"), zero_source(family))
    assert swapper.crop_size(1000) == side
    assert swapper.swap(aligned(side)).crop.shape == (side, side, 3)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_source_reaches_the_network(family):
    source = zero_source(family) + 0.2
    plain, moved = (
        OnePhotoSwapper(network(family), family, given).swap(aligned()).crop.astype(float)
        for given in (zero_source(family), source)
    )
    scale = np.ones(3) if family.gives_colors else np.array(family.colors.deviation)
    expected = 0.2 * 255 * scale[::-1].mean()
    seen = (moved - plain)[(moved < 255).all(axis=2) & (plain > 0).all(axis=2)]
    assert seen.mean() == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_file_is_known_by_its_name(family):
    assert family_of(network(family), f"{family.name}_256_fp16.onnx") is family


def test_a_network_without_a_telling_name_is_known_by_its_inputs():
    assert family_of(Session(one_photo(128), "cpu"), "face.onnx").name == "inswapper"
    masked = Session(one_photo(256, mask=np.ones((256, 256))), "cpu")
    assert family_of(masked, "face.onnx").name == "hyperswap"
    with pytest.raises(UnsupportedModelError, match="Rename"):
        family_of(Session(one_photo(256), "cpu"), "face.onnx")


def test_a_name_that_does_not_fit_the_inputs_is_refused():
    with pytest.raises(UnsupportedModelError, match="takes the source's picture"):
        family_of(Session(one_photo(256), "cpu"), "uniface_256.onnx")
    with pytest.raises(UnsupportedModelError, match="“source” and “target”"):
        family_of(Session(double(), "cpu"), "inswapper_128.onnx")


def test_the_mask_is_the_networks_own_inside_the_faces_outline():
    half = np.zeros((SIDE, SIDE), np.float32)
    half[:, : SIDE // 2] = 0.5
    family = BY_NAME["hyperswap"]
    mask = OnePhotoSwapper(network(family, mask=half), family, zero_source(family)).swap(aligned()).mask
    assert mask[SIDE // 2, SIDE // 3] == pytest.approx(0.5)
    assert mask[SIDE // 2, SIDE * 2 // 3] == 0
    assert mask[0, 0] == mask[-1, -1] == 0


@pytest.mark.parametrize("boost", [1, 2, 4])
def test_pixel_boost_keeps_the_crops_own_resolution(boost):
    family = BY_NAME["inswapper"]
    swapper = OnePhotoSwapper(network(family), family, zero_source(family), boost)
    face = aligned(swapper.crop_size(600))
    assert swapper.crop_size(600) == SIDE * boost
    assert np.abs(swapper.swap(face).crop.astype(int) - face.crop).max() <= 1


@pytest.mark.parametrize(("face_px", "boost"), [(50, 1), (128, 1), (129, 2), (300, 3), (900, 4)])
def test_pixel_boost_is_no_finer_than_the_face(face_px, boost):
    family = BY_NAME["inswapper"]
    swapper = OnePhotoSwapper(network(family), family, zero_source(family))
    assert swapper.crop_size(face_px) == SIDE
    swapper.update(Settings(pixel_boost=4))
    assert swapper.crop_size(face_px) == SIDE * boost


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_joining_undoes_splitting(boost, side, seed):
    crop = np.random.default_rng(seed).integers(0, 256, (boost * side, boost * side, 3), np.uint8)
    tiles = split(crop, boost)
    assert len(tiles) == boost * boost
    assert all(tile.shape == (side, side, 3) for tile in tiles)
    np.testing.assert_array_equal(joined(tiles), crop)


def test_embeddings_are_prepared_as_each_family_wants_them():
    embedding = np.arange(1, 513, dtype=np.float32)
    length = np.linalg.norm(embedding)
    swap_first_two = np.eye(512, dtype=np.float32)[[1, 0, *range(2, 512)]] * 3
    found = source_of_embedding(BY_NAME["inswapper"], embedding, swap_first_two)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found[0, :3] * length, [2, 1, 3], rtol=1e-4)
    np.testing.assert_array_equal(source_of_embedding(BY_NAME["ghost"], embedding), embedding[None])
    np.testing.assert_allclose(
        source_of_embedding(BY_NAME["simswap"], embedding), embedding[None] / length, rtol=1e-6
    )


def test_the_matrix_is_the_networks_last_initializer(tmp_path):
    matrix = np.random.default_rng(2).normal(size=(512, 512)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("MatMul", ["source", "emap"], ["moved"]),
        onnx.helper.make_node("Identity", ["moved"], ["output"]),
    ]
    path = tmp_path / "inswapper.onnx"
    path.write_bytes(model(nodes, {"source": (1, 512)}, {"output": (1, 512)}, {"emap": matrix}))
    np.testing.assert_array_equal(emap_of(path), matrix)
    path.write_bytes(double())
    with pytest.raises(UnsupportedModelError, match="512 x 512"):
        emap_of(path)


def test_a_source_picture_is_cut_by_the_familys_template():
    family = BY_NAME["uniface"]
    kps = np.array(family.source_template.points, np.float32)  # in a picture of 512 pixels
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[:, :256] = (255, 0, 0)  # the left half is blue
    found = source_of_picture(family, network(family), Picture.of(picture), kps)
    assert found.shape == (1, 3, 256, 256)
    np.testing.assert_allclose(found[0, :, 128, 20], (0, 0, 1), atol=0.01)
    np.testing.assert_allclose(found[0, :, 128, 235], (0, 0, 0), atol=0.01)


def test_values_that_are_no_numbers_are_an_error():
    family = BY_NAME["inswapper"]
    swapper = OnePhotoSwapper(network(family), family, np.full((1, 512), np.nan, np.float32))
    with pytest.raises(ModelError, match="no numbers"):
        swapper.swap(aligned())


def test_a_source_of_another_length_is_refused():
    with pytest.raises(UnsupportedModelError, match="recognition network"):
        OnePhotoSwapper(network(BY_NAME["ghost"]), BY_NAME["ghost"], np.zeros((1, 128), np.float32))
