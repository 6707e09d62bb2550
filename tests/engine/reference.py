"""Slow, plain counterparts of the engine's fast paths: per-sample conversions and DeepFaceLive's merge.

Everything is float64 and follows the definitions word for word; nothing here imports the code under test but
the vocabulary (formats, types).
"""

import cv2
import numpy as np

from obs_faceswap.engine.formats import PixelFormat, plane_sizes
from obs_faceswap.engine.types import ColorSpace, Frame

# libobs' own numbers (media-io/video-matrices.c), rows R, G, B; columns Y, Cb, Cr, offset.
_BT601 = """
    1.164384  0.000000  1.596027 -0.874202
    1.164384 -0.391762 -0.812968  0.531668
    1.164384  2.017232  0.000000 -1.085631
"""
_BT709 = """
    1.164384  0.000000  1.792741 -0.972945
    1.164384 -0.213249 -0.532909  0.301483
    1.164384  2.112402  0.000000 -1.133402
"""
_BT709_FULL = """
    1.000000  0.000000  1.574800 -0.790488
    1.000000 -0.187324 -0.468124  0.329010
    1.000000  1.855600  0.000000 -0.931439
"""


def _color_space(matrix, full):
    numbers = tuple(map(float, matrix.split()))
    low, high = 16 / 255, 240 / 255
    return ColorSpace(numbers) if full else ColorSpace(numbers, (low, low, low), (235 / 255, high, high))


BT601_PARTIAL = _color_space(_BT601, full=False)
BT709_PARTIAL = _color_space(_BT709, full=False)
BT709_FULL = _color_space(_BT709_FULL, full=True)

RGB_ORDER = {
    PixelFormat.BGRA: (0, 1, 2),
    PixelFormat.BGRX: (0, 1, 2),
    PixelFormat.BGR3: (0, 1, 2),
    PixelFormat.RGBA: (2, 1, 0),
}


def random_frame(pixel_format, width, height, seed=0, color=None, flip=False, padding=0):
    """A frame of noise; `padding` bytes at the end of each row are not part of the picture."""
    rng = np.random.default_rng(seed)
    planes = []
    for row_bytes, rows in plane_sizes(pixel_format, width, height):
        memory = rng.integers(0, 256, (rows, row_bytes + padding), dtype=np.uint8)
        planes.append(memory[:, :row_bytes])
    return Frame(pixel_format, width, height, tuple(planes), color, flip)


def copied(frame):
    """A frame with planes of its own."""
    planes = tuple(plane.copy() for plane in frame.planes)
    return Frame(frame.format, frame.width, frame.height, planes, frame.color, frame.flip)


def locate(frame, component, x, y):
    """(plane, row, byte) of one component of the pixel at x, y of the upright picture."""
    row = frame.height - 1 - y if frame.flip else y
    match frame.format:
        case PixelFormat.I420:
            return (0, row, x) if component == 0 else (component, row // 2, x // 2)
        case PixelFormat.I422:
            return (0, row, x) if component == 0 else (component, row, x // 2)
        case PixelFormat.I444:
            return component, row, x
        case PixelFormat.NV12:
            return (0, row, x) if component == 0 else (1, row // 2, x // 2 * 2 + component - 1)
        case PixelFormat.YUY2:
            return 0, row, x * 2 if component == 0 else x // 2 * 4 + (1, 3)[component - 1]
        case PixelFormat.YVYU:
            return 0, row, x * 2 if component == 0 else x // 2 * 4 + (3, 1)[component - 1]
        case PixelFormat.UYVY:
            return 0, row, x * 2 + 1 if component == 0 else x // 2 * 4 + (0, 2)[component - 1]
        case PixelFormat.Y800:
            return 0, row, x
        case PixelFormat.BGR3:
            return 0, row, x * 3 + component
        case _:
            return 0, row, x * 4 + RGB_ORDER[frame.format][component]


def component(frame, index):
    """One component at every pixel of the upright picture, (height, width), float64."""
    found = np.empty((frame.height, frame.width))
    for y in range(frame.height):
        for x in range(frame.width):
            plane, row, byte = locate(frame, index, x, y)
            found[y, x] = frame.planes[plane][row, byte]
    return found


def color_of(frame):
    if frame.color is not None:
        return frame.color
    return BT709_PARTIAL if frame.height >= 720 else BT601_PARTIAL


def to_bgr(frame):
    """The upright picture, (height, width, 3), float64 0..255, not rounded."""
    if frame.format in RGB_ORDER:
        return np.dstack([component(frame, index) for index in range(3)])
    color = color_of(frame)
    count = 1 if frame.format is PixelFormat.Y800 else 3
    samples = [component(frame, index) / 255 for index in range(count)]
    samples += [np.full_like(samples[0], 128 / 255)] * (3 - count)
    clamped = [
        np.clip(s, low, high) for s, low, high in zip(samples, color.range_min, color.range_max, strict=True)
    ]
    matrix = np.array(color.matrix).reshape(3, 4)
    rgb = np.dstack([*clamped, np.ones_like(clamped[0])]) @ matrix.T
    return np.clip(rgb[..., ::-1], 0, 1) * 255


def from_bgr(bgr, color):
    """Y, Cb, Cr of a picture, (h, w, 3), float64 0..255, not rounded."""
    matrix = np.array(color.matrix).reshape(3, 4)
    rgb = np.asarray(bgr, np.float64)[..., ::-1] / 255
    return (rgb - matrix[:, 3]) @ np.linalg.inv(matrix[:, :3]).T * 255


def blend(frame, roi, bgr, mask):
    """What every component of a frame should be after blending: a dict {(plane, row, byte): value}."""
    x0, y0, x1, y1 = roi
    rgb_format = frame.format in RGB_ORDER
    new = np.asarray(bgr, np.float64) if rgb_format else from_bgr(bgr, color_of(frame))
    count = 1 if frame.format is PixelFormat.Y800 else 3
    places = {}
    for y in range(y0, y1):
        for x in range(x0, x1):
            for index in range(count):
                found = places.setdefault(locate(frame, index, x, y), [])
                found.append((new[y - y0, x - x0, index], mask[y - y0, x - x0]))
    wanted = {}
    for (plane, row, byte), values in places.items():
        value, weight = np.mean(values, axis=0)  # chroma: the block's means
        old = float(frame.planes[plane][row, byte])
        wanted[plane, row, byte] = old + weight * (value - old)
    return wanted


def erode_blur(mask, erode, blur):
    """DeepFaceLive's `erode_blur(fade_to_border=True)`, in pixels, on a mask padded by its own size."""
    size = mask.shape[0]
    padded = np.pad(mask.astype(np.float32), size)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    if erode:
        change = cv2.erode if erode > 0 else cv2.dilate
        padded = change(padded, ellipse, iterations=max(1, abs(erode) // 2))
    clip = size + blur // 2
    padded[:clip] = padded[-clip:] = 0
    padded[:, :clip] = padded[:, -clip:] = 0
    if blur:
        padded = cv2.GaussianBlur(padded, (0, 0), blur * 0.25)
    return padded[size:-size, size:-size]


def rct(swapped, scene, mask):
    """Reinhard's transfer over the mask only, all pixels through Lab; uint8 in and out."""
    inside = mask > 0.5
    ours, theirs = (cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_BGR2Lab) for p in (swapped, scene))
    moved = np.empty_like(ours)
    for channel in range(3):
        own, other = ours[..., channel][inside], theirs[..., channel][inside]
        moved[..., channel] = (ours[..., channel] - own.mean()) * other.std() / own.std() + other.mean()
    moved = np.clip(moved, (0, -127, -127), (100, 127, 127)).astype(np.float32)
    return np.clip(cv2.cvtColor(moved, cv2.COLOR_Lab2BGR) * 255, 0, 255).round().astype(np.uint8)


def bilinear(image, x, y, constant):
    """An image (H, W, C) at points; beyond its border 0 if `constant`, else its border."""
    rows, columns = image.shape[:2]
    x, y = np.clip(x, -4, columns + 3), np.clip(y, -4, rows + 3)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0.0
    for dy in (0, 1):
        for dx in (0, 1):
            xs, ys = left + dx, top + dy
            weight = (1 - np.abs(x - xs)) * (1 - np.abs(y - ys))
            if constant:
                weight = weight * ((xs >= 0) & (xs < columns) & (ys >= 0) & (ys < rows))
            values = image[np.clip(ys, 0, rows - 1), np.clip(xs, 0, columns - 1)]
            total = total + weight[..., None] * values
    return total


def merge(picture, crop, mask, matrix, scale=1.0, offset_x=0.0, offset_y=0.0, opacity=1.0):
    """DeepFaceLive's merge on the whole frame, float: (h, w, 3) of a BGR picture, with pixel centers at whole
    numbers; `matrix` (2, 3) takes frame to crop."""
    size = crop.shape[0]
    center = (size - 1) / 2
    ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float64)
    u = matrix[0, 0] * xs + matrix[0, 1] * ys + matrix[0, 2]
    v = matrix[1, 0] * xs + matrix[1, 1] * ys + matrix[1, 2]
    u = (u - center - offset_x * size) / scale + center
    v = (v - center - offset_y * size) / scale + center
    new = bilinear(crop.astype(np.float64), u, v, constant=False)
    weight = bilinear(mask.astype(np.float64)[..., None], u, v, constant=True)
    weight = np.where(weight < 1 / 255, 0, weight) * opacity
    return picture * (1 - weight) + new * weight


def mask_rule(masks, erode, blur):
    """DeepFaceLive's rule for its CPU: the product of the enabled masks (ones if there is none), finished."""
    product = np.ones_like(next(iter(masks.values()))[1])
    for is_enabled, mask in masks.values():
        if is_enabled:
            product = product * mask
    return erode_blur(product, erode, blur)


def filled_hull(points, size):
    """The convex hull of points (N, 2) as a hard mask: pixels whose centers lie inside."""
    corners = cv2.convexHull(points.astype(np.float32))
    return np.array(
        [
            [float(cv2.pointPolygonTest(corners, (float(x), float(y)), False) >= 0) for x in range(size)]
            for y in range(size)
        ],
        np.float32,
    )
