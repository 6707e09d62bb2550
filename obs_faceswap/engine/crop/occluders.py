"""The kinds of occluders: hands that are drawn, and networks that know what is a face.

What the networks take, and what is made of their masks, was read in facefusion's face_masker.py and
choices.py; no code is taken from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop import templates
from obs_faceswap.engine.crop.align import similarity, warp_for
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.crop.picture import Picture, extent
from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.find.detectors.decode import Floats, Network, planes
from obs_faceswap.engine.find.hands import Hands, drawn
from obs_faceswap.engine.find.landmarks import crop_matrix
from obs_faceswap.engine.settings import Settings, Switch
from obs_faceswap.engine.store.own_networks import HAIR, MASKING, PARSING
from obs_faceswap.engine.types import Face, ImageBGR, Mask, Points, Warp

# In heights of a face's mesh.
_NEAR, _LOWER = 3.0, 0.25  # the square in which hands are looked for, and how far it lies below the face
_DRAWN = 1.6  # the square in which they are drawn

_DRAWN_SIDE = 192  # px
_HAND_SIGMA = 1.5  # px of that: a drawn hand's edge

_MASK_SIDE, _MASK_SIGMA = 256, 5.0  # px: facefusion's crop and its blur of a network's mask
_BOX_SCALE = 1.4  # the square that the network of faces without hair was trained on, in boxes of the face
_IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)  # RGB: mean, deviation

# Of CelebAMask-HQ's classes; ears, neck, clothes, hair and hat are none of a face's regions.
REGIONS = {
    "region_skin": (1,),
    "region_brows": (2, 3),
    "region_eyes": (4, 5),
    "region_glasses": (6,),
    "region_nose": (10,),
    "region_mouth": (11,),
    "region_lips": (12, 13),
}
_HAIR = 1  # the channel


class HandsBefore:
    """Hands before the face, from MediaPipe's two networks."""

    moves_with_face = False

    def __init__(self, palms: Network, hands: Network) -> None:
        """Takes both networks; raises UnsupportedModelError when their shapes are others."""
        self._hands = Hands(palms, hands)

    def visible(
        self, picture: Picture, faces: Sequence[Face], timestamp_ns: int, settings: Settings
    ) -> list[Visible | None]:
        """All of each face's surroundings but the hands; None where there are none."""
        if not faces:
            return []
        (x, y), height = _middle(np.concatenate([face.landmarks for face in faces]))
        hands = self._hands.find(picture, (x, y + _LOWER * height), _NEAR * height, timestamp_ns)
        return [_without(hands, face.landmarks) if hands else None for face in faces]


def _without(hands: Sequence[Points], landmarks: Points) -> Visible | None:
    """The surroundings of a face but hands that are drawn."""
    center, height = _middle(landmarks)
    matrix = crop_matrix(center, _DRAWN * height / _DRAWN_SIDE, 0.0, _DRAWN_SIDE)
    hidden = drawn(hands, _DRAWN_SIDE, matrix)
    if not hidden.any():
        return None
    seen = 1 - cv2.GaussianBlur(hidden, (0, 0), _HAND_SIGMA)
    return Visible(np.asarray(seen, np.float32), Warp(matrix, _DRAWN_SIDE))


@dataclass(frozen=True, slots=True)
class _Family:
    """What networks of one kind want and give.

    Attributes:
        fits: whether these are the name and shape of its input and the shape of its output.
        warp: the crop of a face, from landmarks and the input's side.
        tensor: the input, from a crop.
        mask: where the face is seen, (M, M), 0..1, from the output.
    """

    name: str
    fits: Callable[[str, tuple[Any, ...], tuple[Any, ...]], bool]
    warp: Callable[[Points, int], Warp]
    tensor: Callable[[ImageBGR], Floats]
    mask: Callable[[Floats, Settings], Mask]


class FaceNetwork:
    """A network that tells a face from what lies before and around it."""

    moves_with_face = True

    def __init__(self, network: Network) -> None:
        """Takes a network of a known kind; raises UnsupportedModelError for another."""
        self._network, self._family = network, _family_of(network)
        self._side = int(network.inputs[0].shape[2])
        self._shape = tuple(network.outputs[0].shape[1:])

    @property
    def name(self) -> str:
        """Its kind: XSeg, face, parser or hair."""
        return self._family.name

    def visible(
        self, picture: Picture, faces: Sequence[Face], timestamp_ns: int, settings: Settings
    ) -> list[Visible | None]:
        """What the network takes for each face; raises ModelError when it gives no numbers."""
        return [self._seen(picture, face.landmarks, settings) for face in faces]

    def _seen(self, picture: Picture, landmarks: Points, settings: Settings) -> Visible:
        warp = self._family.warp(landmarks, self._side)
        crop = picture.sample(warp.matrix, self._side)
        values = self._network.run({self._network.inputs[0].name: self._family.tensor(crop)})[0]
        if values.shape != (1, *self._shape):
            raise UnsupportedModelError(
                f"The network for occlusion gave {values.shape}, expected {(1, *self._shape)}. "
                "Choose another file."
            )
        if not np.isfinite(values).all():
            raise ModelError("The network for occlusion gives values that are no numbers. Choose another.")
        return Visible(self._family.mask(np.asarray(values[0], np.float32), settings), warp)


def _family_of(network: Network) -> _Family:
    name, given = network.inputs[0].name, tuple(network.inputs[0].shape)
    made = tuple(network.outputs[0].shape)
    is_alone = len(network.outputs) == 1 or made[1:] == PARSING[1]  # parsers may give coarser masks as well
    for family in _FAMILIES:
        if len(network.inputs) == 1 and is_alone and family.fits(name, given[1:], made[1:]):
            return family
    raise UnsupportedModelError(
        "This is no network for occlusion that is known here: expected one of "
        f"{', '.join(family.name for family in _FAMILIES)}, found the input {given} and the output {made}. "
        "Choose another file."
    )


def _middle(landmarks: Points) -> tuple[npt.NDArray[np.float64], float]:
    """The middle of a face's box, and the box's height."""
    low, high = (end.astype(np.float64) for end in extent(landmarks))
    return (low + high) / 2, max(float(high[1] - low[1]), 1.0)


# The crops.


def _whole_face(landmarks: Points, side: int) -> Warp:
    return warp_for(landmarks, side)


def _around_box(landmarks: Points, side: int) -> Warp:
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    pixel = _BOX_SCALE * max(float((high - low).max()), 1.0) / side
    return Warp(crop_matrix(np.asarray((low + high) / 2, np.float64), pixel, 0.0, side), side)


def _as_in_ffhq(landmarks: Points, side: int) -> Warp:
    target = templates.FFHQ_512.at(side)
    return Warp(similarity(templates.five_points(landmarks), target), side)


# The inputs.


def _bgr(crop: ImageBGR) -> Floats:
    return crop[None] * np.float32(1 / 255)


def _rgb(crop: ImageBGR) -> Floats:
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)[None] * np.float32(1 / 255)


def _normalized(crop: ImageBGR) -> Floats:
    return planes((_rgb(crop)[0] - _IMAGENET[0]) / _IMAGENET[1])


def _with_no_past(crop: ImageBGR) -> Floats:
    """RGB, and as fourth channel the hair of the frame before, which is left to the network to find."""
    return np.concatenate([_rgb(crop), np.zeros((1, *crop.shape[:2], 1), np.float32)], axis=3)


# The outputs.


def _of_one_channel(values: Floats, _settings: Settings) -> Mask:
    return _softened(np.clip(values[..., 0], 0, 1))


def _of_regions(values: Floats, settings: Settings) -> Mask:
    chosen = [
        number
        for key, numbers in REGIONS.items()
        if getattr(settings, key) is Switch.ON
        for number in numbers
    ]
    return _softened(np.isin(values.argmax(axis=0), chosen).astype(np.float32))


def _of_no_hair(values: Floats, _settings: Settings) -> Mask:
    """The rest that two channels' softmax leaves."""
    hair = 1 / (1 + np.exp(np.clip(values[..., 1 - _HAIR] - values[..., _HAIR], -40, 40)))
    small = cv2.resize(np.float32(1) - hair, (_MASK_SIDE, _MASK_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _softened(mask: Mask) -> Mask:
    """A network's mask with a smooth edge inside its own, as facefusion makes it."""
    if len(mask) != _MASK_SIDE:
        mask = np.asarray(cv2.resize(mask, (_MASK_SIDE, _MASK_SIDE), interpolation=cv2.INTER_AREA))
    soft = cv2.GaussianBlur(mask, (0, 0), _MASK_SIGMA)
    return np.asarray((np.clip(soft, 0.5, 1) - 0.5) * 2, np.float32)


# Networks of faces have XSeg's shapes; the known one was made by Keras, which names its input so.
_KERAS_INPUT = "image_input"

_FAMILIES = (
    _Family(
        "face",
        lambda name, given, made: (given, made) == MASKING and _KERAS_INPUT in name,
        _around_box, _rgb, _of_one_channel,
    ),
    _Family(
        "XSeg", lambda _name, given, made: (given, made) == MASKING, _whole_face, _bgr, _of_one_channel
    ),
    _Family(
        "parser",
        lambda _name, given, made: (given, made) == PARSING,
        _as_in_ffhq, _normalized, _of_regions,
    ),
    _Family(
        "hair",
        lambda _name, given, made: (given, made) == HAIR,
        _whole_face, _with_no_past, _of_no_hair,
    ),
)  # fmt: skip
