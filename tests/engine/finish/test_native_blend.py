"""Native code blends as Python does."""

import numpy as np
import pytest

from obs_faceswap.engine.finish import native_blend, pixels
from obs_faceswap.engine.finish.blend import blend_half_layer, blend_layer
from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.live import native
from obs_faceswap.engine.types import Frame

SIZES = [(64, 48), (63, 47), (1, 1), (1030, 6), (1025, 3)]  # native code works on 1024 columns at once
BOTH_HALVED = [f for f in pixels.COMPONENTS if pixels.chroma_step(f) == (2, 2)]

pytestmark = pytest.mark.skipif(native.find().library is None, reason="There is no native library here.")


def made(pixel_format, size_wh, seed=0):
    """A frame of noise, with rows longer than its picture."""
    rng = np.random.default_rng(seed)
    sizes = plane_sizes(pixel_format, *size_wh)
    planes = tuple(rng.integers(0, 256, (rows, stride + 5), np.uint8)[:, :stride] for stride, rows in sizes)
    return Frame(pixel_format, *size_wh, planes)


def layer_of(rows, columns, seed=1):
    """Noise, with weights of 0, of 255 and between them."""
    rng = np.random.default_rng(seed)
    layer = rng.integers(0, 256, (rows, columns, 4), np.uint8)
    layer[..., 3] = np.clip(rng.integers(-100, 500, (rows, columns)), 0, 255)
    return layer


def by_both(blend, pixel_format, size_wh, roi, layer, monkeypatch):
    """The planes and the answers of native code and of Python."""
    frames, answers = [], []
    for found in (native.find(), native.Found(None)):
        frame = made(pixel_format, size_wh)
        with monkeypatch.context() as patched:
            patched.setattr(native, "find", lambda found=found: found)
            answers.append(blend(frame, roi, layer.copy()))
        frames.append([plane.astype(int) for plane in frame.planes])
    return *frames, answers


@pytest.mark.parametrize("size_wh", SIZES)
@pytest.mark.parametrize("pixel_format", list(PixelFormat))
def test_a_layer_is_blended_alike(pixel_format, size_wh, monkeypatch):
    frame = made(pixel_format, size_wh)
    x0, y0, x1, y1 = pixels.on_grid(frame, (size_wh[0] // 3, size_wh[1] // 3, *size_wh))
    layer = layer_of(y1 - y0, x1 - x0)
    fast, slow, answers = by_both(blend_layer, pixel_format, size_wh, (x0, y0, x1, y1), layer, monkeypatch)
    assert all(np.array_equal(mine, its) for mine, its in zip(fast, slow, strict=True))
    assert answers[0] == answers[1] == layer[..., 3].any()


@pytest.mark.parametrize("size_wh", SIZES)
@pytest.mark.parametrize("pixel_format", BOTH_HALVED)
def test_a_layer_of_half_the_size_is_blended_alike(pixel_format, size_wh, monkeypatch):
    frame = made(pixel_format, size_wh)
    x0, y0, x1, y1 = pixels.on_grid(frame, (size_wh[0] // 3, size_wh[1] // 3, *size_wh))
    layer = layer_of((y1 - y0 + 1) // 2 + 2, (x1 - x0 + 1) // 2 + 2)
    fast, slow, answers = by_both(
        blend_half_layer, pixel_format, size_wh, (x0, y0, x1, y1), layer, monkeypatch
    )
    assert np.abs(fast[0] - slow[0]).max() <= 3  # a weight and a sample, each one off
    assert np.abs(fast[0] - slow[0]).mean() < 0.5
    assert all(np.array_equal(mine, its) for mine, its in zip(fast[1:], slow[1:], strict=True))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("blend", [blend_layer, blend_half_layer])
def test_what_has_no_weight_keeps_its_bytes(blend, monkeypatch):
    layer = layer_of(34, 34) if blend is blend_half_layer else layer_of(64, 64)
    layer[..., 3] = 0
    before = [plane.astype(int) for plane in made(PixelFormat.I420, (64, 64)).planes]
    fast, slow, answers = by_both(blend, PixelFormat.I420, (64, 64), (0, 0, 64, 64), layer, monkeypatch)
    for planes in (fast, slow):
        assert all(np.array_equal(mine, its) for mine, its in zip(planes, before, strict=True))
    assert answers == [False, False]


def test_native_code_is_given_no_memory_but_what_fits():
    frame = made(PixelFormat.I420, (64, 64))
    for layer in (layer_of(63, 64), layer_of(64, 64).astype(np.float32), layer_of(64, 128)[:, ::2]):
        with pytest.raises(ValueError, match="Expected a layer"):
            native_blend.blend(frame, (0, 0, 64, 64), layer)
    frame.planes[1].setflags(write=False)
    with pytest.raises(ValueError, match="must not be written"):
        native_blend.blend(frame, (0, 0, 64, 64), layer_of(64, 64))


def test_rgb_is_left_to_python():
    assert native_blend.blend(made(PixelFormat.BGRA, (8, 8)), (0, 0, 8, 8), layer_of(8, 8)) is None
