"""Paints skin, eyes and lashes with numpy: every texture is computed here, none is a photograph.

Everything is painted over a map that gives, for each texel, the place on the generic head. So a rule such as
"lips are inside the lip contour" is written once, in centimeters, and fits every invented person.
Images are float, RGB (sRGB), 0..1, row 0 at the top (texture coordinate v = 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from head import HeadModel
from people import Person

Image = npt.NDArray[np.float32]  # (S, S) or (S, S, 3)

_PLANE = 100  # texels per cm of the frontal drawing plane
_PLANE_HALF = 9.0  # cm, the plane reaches from -9 to 9 in x and y


@dataclass(frozen=True, slots=True)
class Skin:
    """One painted tile: color (S, S, 3), roughness (S, S), bump height (S, S) in units of 0.1 mm."""

    color: Image
    roughness: Image
    height: Image


def position_map(model: HeadModel, material: str, tile: int, size: int) -> Image:
    """Where on the generic head each texel lies, (size, size, 3) cm; empty texels take a neighbor's place."""
    places = np.zeros((size, size, 3), np.float32)
    filled = np.zeros((size, size), np.uint8)
    for number in model.triangles(material):
        corners = model.uv[model.tri_uv[number]] - [tile, 0.0]
        pixels = np.stack([corners[:, 0] * size, (1.0 - corners[:, 1]) * size], 1) - 0.5
        _fill_triangle(places, filled, pixels, model.neutral[model.tri[number]])
    return _spread(places, filled)


def _fill_triangle(
    places: Image, filled: npt.NDArray[np.uint8], p: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> None:
    """Interpolate the corners' values over the texels of one triangle (half a texel of overlap)."""
    size = len(places)
    x0, y0 = np.maximum(np.floor(p.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(p.max(0)).astype(int) + 1, size)
    xs, ys = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    (ax, ay), (bx, by), (cx, cy) = p
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if abs(area) < 1e-12 or xs.size == 0:
        return
    v = ((xs - ax) * (cy - ay) - (cx - ax) * (ys - ay)) / area
    w = ((bx - ax) * (ys - ay) - (xs - ax) * (by - ay)) / area
    u = 1.0 - v - w
    slack = -0.75 / max(abs(area) ** 0.5, 1.0)
    inside = (u >= slack) & (v >= slack) & (w >= slack)
    weights = np.stack([u[inside], v[inside], w[inside]], 1)
    places[ys[inside], xs[inside]] = weights @ values
    filled[ys[inside], xs[inside]] = 1


def _spread(places: Image, filled: npt.NDArray[np.uint8]) -> Image:
    """Give unfilled texels the value of the nearest filled one, so that filtering finds no seam."""
    _, labels = cv2.distanceTransformWithLabels(1 - filled, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(labels.max() + 1, np.int64)
    flat = np.flatnonzero(filled)
    source[labels.ravel()[flat]] = flat
    return places.reshape(-1, 3)[source[labels.ravel()]].reshape(places.shape)


def smooth_contour(points: npt.NDArray[np.float64], closed: bool, steps: int = 12) -> npt.NDArray[np.float64]:
    """A Catmull-Rom curve through (N, D) points."""
    count = len(points)
    ends = np.arange(count if closed else count - 1)

    def pick(offset: int) -> npt.NDArray[np.float64]:
        index = ends + offset
        return points[index % count] if closed else points[np.clip(index, 0, count - 1)]

    a, b, c, d = (pick(k)[:, None] for k in (-1, 0, 1, 2))
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, points.shape[1])


class FrontPlane:
    """Signed distances (cm, positive inside) to contours drawn on the frontal plane."""

    def __init__(self, model: HeadModel) -> None:
        self._marks = model.neutral[model.landmarks][:, :2]

    def contour(self, ids: list[int]) -> Image:
        """The signed distance to the closed smooth contour through these of the 68 landmarks."""
        return self.polygon(smooth_contour(self._marks[ids], closed=True))

    def polygon(self, points: npt.NDArray[np.float64]) -> Image:
        """The signed distance to the closed polygon through (N, 2) points, cm."""
        side = int(2 * _PLANE_HALF * _PLANE)
        image = np.zeros((side, side), np.uint8)
        pixels = (points + _PLANE_HALF) * _PLANE * 16
        cv2.fillPoly(image, [np.round(pixels).astype(np.int32)], 1, shift=4)
        inside = cv2.distanceTransform(image, cv2.DIST_L2, 5)
        outside = cv2.distanceTransform(1 - image, cv2.DIST_L2, 5)
        return ((inside - outside) / _PLANE).astype(np.float32)

    @staticmethod
    def sample(field: Image, places: npt.NDArray[np.floating]) -> Image:
        """The field's values at (..., 3) places; far outside the plane it is far outside the contour."""
        x, y = ((places[..., k].astype(np.float32) + _PLANE_HALF) * _PLANE for k in (0, 1))
        inside = (x >= 0) & (y >= 0) & (x < len(field) - 1) & (y < len(field) - 1)
        column, row = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
        left, low = column.astype(np.int64), row.astype(np.int64)
        a, b = column - left, row - low
        value = (1 - b) * ((1 - a) * field[low, left] + a * field[low, left + 1])
        value += b * ((1 - a) * field[low + 1, left] + a * field[low + 1, left + 1])
        return np.where(inside, value, np.float32(-9.0)).astype(np.float32)


def brow_outline(model: HeadModel, right: bool, person: Person) -> npt.NDArray[np.float64]:
    """The closed outline of an eyebrow, (N, 2) frontal cm: full at the nose, thin at the temple."""
    ids = list(range(17, 22)) if right else list(range(26, 21, -1))
    line = smooth_contour(model.neutral[model.landmarks][ids][:, :2], closed=False)
    along = np.linspace(0.0, 1.0, len(line))  # 0 = tail
    lift = person.brow_lift * np.exp(-(((along - 0.35) / 0.25) ** 2)) - 0.28
    half = person.brow_thickness * np.interp(along, [0.0, 0.3, 0.8, 1.0], [0.05, 0.30, 0.40, 0.28])
    middle = line + np.stack([np.zeros_like(lift), lift], 1)
    up = np.stack([np.zeros_like(half), half], 1)
    return np.concatenate([middle + up, (middle - up)[::-1]])


def step(low: float, high: float, value: Image) -> Image:
    """A smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def blob(
    places: Image, center: tuple[float, float, float], radii: float | tuple[float, float, float]
) -> Image:
    """A soft spot, 1 at its center, on both sides of the face."""
    mirrored = np.concatenate([np.abs(places[..., :1]), places[..., 1:]], -1)
    offset = (mirrored - np.array(center, np.float32)) / np.array(radii, np.float32)
    return np.exp(-(offset**2).sum(-1))


def cloud(size: int, grain: float, seed: int) -> Image:
    """Smooth noise of about `grain` texels, mean 0, deviation 1."""
    rng = np.random.default_rng(seed)
    small = max(4, round(size / max(grain, 1.0)))
    image = rng.normal(size=(small, small)).astype(np.float32)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    if grain > 4.0:  # hide the grid
        image = cv2.GaussianBlur(image, (0, 0), grain * 0.4)
    return (image - image.mean()) / image.std()


def spots(size: int, count: int, radius: tuple[float, float], seed: int) -> Image:
    """Soft round spots at random places, 0..1; radius in texels."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size), np.float32)
    for x, y, r, depth in zip(
        *rng.uniform(0, size, (2, count)),
        rng.uniform(*radius, count),
        rng.uniform(0.3, 1.0, count),
        strict=True,
    ):
        cv2.circle(image, (int(x * 8), int(y * 8)), int(r * 8), float(depth), -1, cv2.LINE_AA, 3)
    return cv2.GaussianBlur(image, (0, 0), radius[0] * 0.5)


def _mix(color: Image, other: tuple[float, float, float] | Image, amount: Image) -> Image:
    """Blend towards another color where amount is 1."""
    return color + (np.asarray(other, np.float32) - color) * amount[..., None]


def _tint(color: Image, factor: tuple[float, float, float], amount: Image) -> Image:
    """Multiply by a factor where amount is 1."""
    return color * (1.0 + (np.array(factor, np.float32) - 1.0) * amount[..., None])


_RED = (1.02, 0.80, 0.78)
_BROWN = (0.84, 0.76, 0.72)
_LIPS_OUTER = list(range(48, 60))
_RIGHT_EYE, _LEFT_EYE = list(range(36, 42)), list(range(42, 48))


def _complexion(places: Image, person: Person, seed: int) -> Image:
    """Base tone with blood and pigment where a face has them."""
    size = len(places)
    color = np.broadcast_to(np.array(person.skin, np.float32), (size, size, 3)).copy()
    red = np.clip(
        0.7 * blob(places, (4.6, -0.2, 8.6), (2.6, 2.1, 3.0))
        + 0.9 * blob(places, (0.0, 0.2, 12.6), (1.5, 1.3, 2.0))
        + 0.35 * blob(places, (0.0, -6.4, 10.8), 1.4)
        + 0.9 * blob(places, (8.6, 1.5, 0.5), (1.2, 4.0, 3.0))
        + 0.25 * blob(places, (0.0, 6.5, 10.6), (2.0, 1.2, 2.0)),
        0.0,
        1.2,
    )
    color = _tint(color, _RED, person.redness * red * (1.0 + 0.25 * cloud(size, size / 40, seed)))
    color = _tint(color, (1.0, 0.72, 0.70), person.blush * blob(places, (5.2, 0.8, 8.0), (2.0, 1.5, 2.6)))
    under_eye = blob(places, (3.0, 2.2, 9.4), (1.6, 0.55, 2.0)) + 0.7 * blob(
        places, (1.5, 3.4, 9.4), (0.6, 0.9, 2.0)
    )
    color = _tint(color, (0.90, 0.80, 0.82), 0.75 * np.clip(under_eye, 0, 1))
    color = _tint(color, _BROWN, 0.35 * blob(places, (3.1, 4.4, 9.3), (1.9, 0.55, 2.0)))
    color = _tint(color, (0.86, 0.74, 0.70), blob(places, (0.9, -1.05, 11.2), (0.55, 0.3, 0.9)))
    blotches = cloud(size, size / 24, seed + 1) + 0.7 * cloud(size, size / 80, seed + 2)
    color = _tint(color, (0.96, 0.915, 0.91), 0.22 * blotches)
    return _tint(color, (0.97, 0.97, 0.975), 0.35 * cloud(size, size / 400, seed + 3))


def _marks(color: Image, places: Image, person: Person, seed: int) -> Image:
    """Freckles and a few moles."""
    size = len(places)
    where = blob(places, (3.4, 1.2, 9.6), (3.2, 1.7, 4.0)) + blob(places, (0.0, 1.8, 11.8), (1.5, 1.8, 2.0))
    scale = size / 2048
    freckle = spots(size, 2600, (1.6 * scale, 4.2 * scale), seed + 4) * np.clip(where, 0, 1)
    color = _tint(color, (0.72, 0.58, 0.50), 1.3 * person.freckles * freckle)
    mole = spots(size, 16, (2.5 * scale, 4.5 * scale), seed + 5)
    return _tint(color, (0.45, 0.34, 0.30), 0.55 * cv2.GaussianBlur(mole, (0, 0), scale))


def _beard(color: Image, places: Image, person: Person, lips: Image, seed: int) -> Image:
    """Stubble: a blue-gray shadow with short dark strokes."""
    size = len(places)
    x, y, z = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    cheek_line = np.interp(x, [0, 1.2, 2.8, 4.5, 6.2, 7.4], [-1.3, -1.2, -2.1, -3.6, -2.4, 1.5]).astype(
        np.float32
    )
    area = step(-0.5, 0.7, cheek_line - y) * step(-10.5, -8.2, y) * step(0.5, 2.5, z) * step(0.28, 0.0, lips)
    area *= 1.0 - 0.75 * blob(places, (1.7, -5.3, 10.6), (0.9, 0.6, 1.5))
    area *= np.clip(1.0 + 0.14 * cloud(size, size / 30, seed + 6), 0.2, 1.4)
    grain = cv2.GaussianBlur(cloud(size, 1.0, seed + 7), (3, 7), 0)
    grain = step(0.2, 1.6, grain / grain.std())
    color = _tint(color, (0.70, 0.72, 0.77), person.stubble * area)
    return _tint(color, (0.30, 0.27, 0.26), person.stubble * area * grain)


def _lips(color: Image, places: Image, person: Person, lips: Image, seed: int) -> Image:
    """Lip red with fine vertical lines and a soft border."""
    size = len(places)
    lines = cv2.GaussianBlur(
        cloud(size, 2.0, seed + 8), (0, 0), sigmaX=1.2 * size / 2048, sigmaY=12 * size / 2048
    )
    shade = 1.0 + 0.07 * lines / lines.std() - 0.14 * step(0.5, 0.0, lips)
    tone = np.array(person.lips, np.float32) * shade[..., None]
    return _mix(color, tone, step(-0.07, 0.10, lips) * 0.92)


def _eyes(color: Image, places: Image, person: Person, lid: Image) -> Image:
    """Pink lid rims, make-up liner and shadow."""
    front = step(5.0, 7.0, places[..., 2])
    color = _mix(color, (0.72, 0.42, 0.38), 0.55 * step(-0.12, 0.02, lid) * front)
    upper = step(-0.15, 0.15, places[..., 1] - 3.45)
    liner = step(-0.24, -0.12, lid) * (0.35 + 0.65 * upper) * front
    color = _mix(color, (0.05, 0.035, 0.03), person.liner * liner * 0.9)
    shadow = step(-1.05, -0.15, lid) * upper * front * step(1.2, 2.6, np.abs(places[..., 0]))
    return _tint(color, (0.60, 0.44, 0.40), person.shadow * shadow)


def _relief(places: Image, lips: Image, stubble: float, seed: int) -> Image:
    """Bump height: pores, fine skin texture, lip lines."""
    size = len(places)
    scale = size / 2048
    fine = cloud(size, 3.0 * scale, seed + 10) + cloud(size, 6.0 * scale, seed + 11)
    pores = -spots(size, 30000, (1.2 * scale, 2.4 * scale), seed + 12)
    porous = np.clip(
        blob(places, (2.6, 0.6, 10.5), (2.2, 2.0, 3.0))
        + blob(places, (0, 1, 12.5), 2.2)
        + 0.5 * blob(places, (0, 8, 10.5), (5, 3, 3)),
        0.15,
        1.0,
    )
    folds = cv2.GaussianBlur(cloud(size, 2.0, seed + 8), (0, 0), sigmaX=1.6 * scale, sigmaY=14 * scale)
    lip = step(-0.05, 0.12, lips)
    rough = 0.25 + 0.2 * stubble * step(0.5, -1.0, places[..., 1])
    return (rough * fine + 1.1 * pores * porous) * (1 - lip) + lip * 0.8 * folds / folds.std()


def _shine(places: Image, lips: Image, person: Person, seed: int) -> Image:
    """Roughness: oilier nose and forehead, glossy lips."""
    size = len(places)
    oily = blob(places, (0, 1, 12.3), (1.6, 2.6, 2.5)) + 0.7 * blob(places, (0, 8.5, 10.5), (3.5, 2.5, 3))
    oily += 0.5 * blob(places, (4.6, 1.6, 8.8), (1.6, 1.0, 2.5))
    rough = 0.52 - 0.10 * np.clip(oily, 0, 1) + 0.025 * cloud(size, size / 60, seed + 14)
    return rough + (0.42 - 0.22 * person.lip_gloss - rough) * step(-0.05, 0.1, lips)


def face(model: HeadModel, person: Person, size: int) -> Skin:
    """The tile of face, ears and front of the neck."""
    places = position_map(model, "M_Face", 0, size)
    plane = FrontPlane(model)
    front = step(4.0, 6.0, places[..., 2])
    lips = np.where(front > 0, plane.sample(plane.contour(_LIPS_OUTER), places), -9.0).astype(np.float32)
    eye = np.maximum(plane.contour(_RIGHT_EYE), plane.contour(_LEFT_EYE))
    lid = plane.sample(eye, places)
    seed = person.seed * 100
    color = _complexion(places, person, seed)
    color = _beard(_marks(color, places, person, seed), places, person, lips, seed)
    color = _eyes(_lips(color, places, person, lips, seed), places, person, lid)
    color = _brow_shade(color, places, model, person, front)
    color = _scalp(color, places, person)
    return Skin(
        np.clip(color, 0, 1), _shine(places, lips, person, seed), _relief(places, lips, person.stubble, seed)
    )


def _brow_shade(color: Image, places: Image, model: HeadModel, person: Person, front: Image) -> Image:
    """A faint ground below the brow hairs."""
    plane = FrontPlane(model)
    for right in (True, False):
        inside = plane.sample(plane.polygon(brow_outline(model, right, person)), places)
        color = _tint(
            color,
            (0.50, 0.44, 0.42),
            0.5 * step(-0.15, 0.28, inside) * front * step(0.9, 2.2, np.abs(places[..., 0])),
        )
    return color


_HAIRLINE_Z = [-12.0, -6.0, -3.0, -1.5, 0.5, 3.0, 3.5, 4.3, 5.0, 5.8, 7.0, 8.5, 10.0]
_HAIRLINE_Y = [-7.5, -6.0, -3.5, 0.5, 5.2, 5.4, 1.6, 1.8, 4.2, 6.7, 8.7, 10.1, 10.9]


def above_hairline(places: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How far (cm, about) a place on the generic head lies above the hairline; negative is bare skin."""
    y, z = places[..., 1], places[..., 2]
    x = np.abs(places[..., 0])
    line = np.interp(z, _HAIRLINE_Z, _HAIRLINE_Y) + 0.4 * np.exp(-(((x - 4.4) / 1.5) ** 2)) * (z > 5)
    line = line + 0.06 * np.sin(x * 3.3 + y * 2.1)
    ear = (np.abs(places[..., 0]) > 7.75) & (y < 5.3)
    return np.where(ear, -1.0, y - line)


def _scalp(color: Image, places: Image, person: Person) -> Image:
    """Darken the skin under the hair, so that it does not shine through."""
    low, high = (0.0, 2.2) if person.hair == "pulled_back" else (-0.25, 1.3)
    hair = step(low, high, above_hairline(places).astype(np.float32))
    tone = 0.10 + 0.35 * (1.0 - person.hair_melanin)
    return _mix(color, (tone * 1.15, tone * 0.85, tone * 0.7), 0.85 * hair)


def back(model: HeadModel, person: Person, size: int) -> Skin:
    """The tile of skull, neck, shoulders, mouth cavity and eye sockets."""
    places = position_map(model, "M_BackHead", 1, size)
    seed = person.seed * 100 + 50
    color = _scalp(_complexion(places, person, seed), places, person)
    color[: int(0.30 * size), : int(0.26 * size)] = (0.42, 0.16, 0.15)  # mouth cavity
    color[: int(0.17 * size), int(0.70 * size) :] = (0.62, 0.34, 0.30)  # eye sockets
    bare = np.full((size, size), -9.0, np.float32)
    return Skin(np.clip(color, 0, 1), _shine(places, bare, person, seed), _relief(places, bare, 0.0, seed))


def eye(model: HeadModel, person: Person, center: npt.NDArray[np.float64], size: int) -> Image:
    """The tile of the left eyeball: white with fine veins, iris with fibers, dark rim."""
    places = position_map(model, "M_IrisLeft", 0, size) - center.astype(np.float32)
    rows, columns = np.mgrid[:size, :size] - size / 2
    around = np.arctan2(rows, columns)
    pupil_rim = np.abs(np.hypot(rows, columns) / size - 0.12) < 0.02
    axis = places[pupil_rim].mean(0)
    cosine = (places @ axis) / (np.linalg.norm(places, axis=-1) * np.linalg.norm(axis))
    angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    white = _mix(
        np.full((size, size, 3), (0.84, 0.80, 0.77), np.float32),
        (0.78, 0.52, 0.46),
        np.clip(step(28, 62, angle) * (0.55 + 0.25 * cloud(size, size / 40, 3)), 0, 1),
    )
    return _mix(white, _iris(person, angle, around), step(24.6, 22.6, angle))


def _iris(person: Person, angle: Image, around: Image) -> Image:
    """The iris by angle from the optical axis (degrees) and direction around it (radians)."""
    rng = np.random.default_rng(5)
    fibers = sum(
        np.cos(around * k + rng.uniform(0, 6.28) + 0.05 * angle * rng.normal()) for k in range(19, 83, 3)
    )
    bright = 1.0 + 0.10 * np.asarray(fibers, np.float32) - 0.25 * step(15, 9, angle)
    color = np.array(person.iris, np.float32) * 1.35 * bright[..., None]
    color = _tint(color, (1.35, 1.05, 0.7), step(15, 10, angle))
    color = _mix(color, (0.05, 0.04, 0.04), 0.85 * step(20.3, 23.6, angle))
    return np.clip(_mix(color, (0.008, 0.007, 0.007), step(9.6, 8.4, angle)), 0, 1)


def lashes(person: Person, size: int) -> Image:
    """Coverage (0..1) of the lash tile: strokes that thin towards the tip, on six cards an eye."""
    rng = np.random.default_rng(11)
    image = np.zeros((size, size), np.float32)
    for row in range(6):
        for half in range(2):
            for along in np.linspace(0.02, 0.98, 38) + rng.uniform(-0.012, 0.012, 38):
                _stroke(image, row, half, float(along), person.lash_length, rng)
    return image


def _stroke(image: Image, row: int, half: int, along: float, length: float, rng: np.random.Generator) -> None:
    """One lash from the card's root edge upwards."""
    size = len(image)
    x0 = (0.012 + 0.49 * half + 0.48 * along) * size
    root, tip = (0.008 + row * 0.167) * size, (0.148 + row * 0.167) * size
    reach = min(1.0, 0.62 * length * rng.uniform(0.75, 1.1))
    lean = rng.normal(0, 0.008) * size
    for k in range(8):
        a, b = k / 8 * reach, (k + 1) / 8 * reach
        p = (int((x0 + lean * a * a) * 16), int((root + (tip - root) * a) * 16))
        q = (int((x0 + lean * b * b) * 16), int((root + (tip - root) * b) * 16))
        cv2.line(image, p, q, 1.0 - 0.09 * k, max(1, round(size / 420 * (1.2 - k / 8))), cv2.LINE_AA, 4)
