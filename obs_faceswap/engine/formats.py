"""Pixel formats the filter accepts and the shape of their planes. Standard library only."""

from enum import StrEnum
from typing import NamedTuple


class PixelFormat(StrEnum):
    """8-bit formats, named as libobs names them."""

    I420 = "I420"
    NV12 = "NV12"
    YVYU = "YVYU"
    YUY2 = "YUY2"
    UYVY = "UYVY"
    RGBA = "RGBA"
    BGRA = "BGRA"
    BGRX = "BGRX"
    Y800 = "Y800"
    I444 = "I444"
    BGR3 = "BGR3"
    I422 = "I422"


class PlaneLayout(NamedTuple):
    """One plane of a format.

    A sample is the repeating unit of a row: one byte in a planar plane, a U-V pair in NV12's second plane,
    a two-pixel macro-pixel (four bytes) in YUY2, one pixel in BGRA.
    """

    x_step: int  # frame pixels per sample, horizontally
    y_step: int  # frame rows per plane row
    sample_bytes: int
    blank: tuple[int, ...]  # the bytes of one sample of a hidden picture (black)


_LUMA = PlaneLayout(1, 1, 1, (16,))
_RGB_BLANK = (0, 0, 0, 255)

LAYOUTS: dict[PixelFormat, tuple[PlaneLayout, ...]] = {
    PixelFormat.I420: (_LUMA, PlaneLayout(2, 2, 1, (128,)), PlaneLayout(2, 2, 1, (128,))),
    PixelFormat.NV12: (_LUMA, PlaneLayout(2, 2, 2, (128, 128))),
    PixelFormat.I422: (_LUMA, PlaneLayout(2, 1, 1, (128,)), PlaneLayout(2, 1, 1, (128,))),
    PixelFormat.I444: (_LUMA, PlaneLayout(1, 1, 1, (128,)), PlaneLayout(1, 1, 1, (128,))),
    PixelFormat.YUY2: (PlaneLayout(2, 1, 4, (16, 128, 16, 128)),),
    PixelFormat.YVYU: (PlaneLayout(2, 1, 4, (16, 128, 16, 128)),),
    PixelFormat.UYVY: (PlaneLayout(2, 1, 4, (128, 16, 128, 16)),),
    PixelFormat.BGRA: (PlaneLayout(1, 1, 4, _RGB_BLANK),),
    PixelFormat.BGRX: (PlaneLayout(1, 1, 4, _RGB_BLANK),),
    PixelFormat.RGBA: (PlaneLayout(1, 1, 4, _RGB_BLANK),),
    PixelFormat.BGR3: (PlaneLayout(1, 1, 3, (0, 0, 0)),),
    PixelFormat.Y800: (_LUMA,),
}


def plane_sizes(pixel_format: PixelFormat, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """(bytes per row, rows) of each plane, tightly packed; odd sizes round the subsampled planes up."""
    return tuple(
        (-(-width // layout.x_step) * layout.sample_bytes, -(-height // layout.y_step))
        for layout in LAYOUTS[pixel_format]
    )
