"""Blending a layer in one pass of native code; `blend` does the same where there is no native library."""

import ctypes
from ctypes import c_uint64, c_void_p

from obs_faceswap.engine.finish import pixels
from obs_faceswap.engine.finish.pixels import COMPONENTS, Roi, Samples
from obs_faceswap.engine.live import native
from obs_faceswap.engine.types import Frame


class _Component(ctypes.Structure):
    """struct component of native/merge.c."""

    _fields_ = (("first", c_void_p), ("stride", c_uint64), ("pitch", c_uint64))


class _Merge(ctypes.Structure):
    """struct merge of native/merge.c."""

    _fields_ = (
        ("layer", c_void_p), ("layer_columns", c_uint64), ("columns", c_uint64), ("rows", c_uint64),
        ("x_step", c_uint64), ("y_step", c_uint64), ("components", c_uint64), ("component", _Component * 3),
    )  # fmt: skip


def blend(frame: Frame, stored: Roi, layer: Samples, is_half: bool = False) -> bool | None:
    """Blends a layer into a region, in place; see `blend.blend_layer` and `blend.blend_half_layer`.

    Returns:
        Whether any of its weights is more than 0; None, with nothing changed, where native code cannot do it.

    Raises:
        ValueError: the layer is not of the region's size, or the frame must not be written.
    """
    library, components = native.find().library, COMPONENTS.get(frame.format)
    if library is None or components is None:
        return None
    x0, y0, x1, y1 = stored
    columns, rows = x1 - x0, y1 - y0
    expected = ((rows + 1) // 2 + 2, (columns + 1) // 2 + 2, 4) if is_half else (rows, columns, 4)
    if layer.shape != expected or layer.dtype != "uint8" or not layer.flags.c_contiguous:
        raise ValueError(f"Expected a layer of {expected} bytes, found {layer.shape} of {layer.dtype}.")
    merge = _Merge(layer.ctypes.data, layer.shape[1], columns, rows, *pixels.chroma_step(frame.format))
    merge.components = len(components)
    for place, where in enumerate(components):
        part = pixels.part_of(frame, where, stored)
        if not part.flags.writeable:
            raise ValueError("The frame's planes must not be written.")
        merge.component[place] = _Component(part.ctypes.data + where.channel, part.strides[0], where.pitch)
    return library.merge(ctypes.addressof(merge), is_half)
