"""Networks that take a face from one picture: inswapper, SimSwap, GHOST, HyperSwap, HifiFace and others.

They differ in the crop, in how colors become numbers, and in what they want to know of the source: its
embedding or its picture. What they expect was read in facefusion's face_swapper.py (3.x) and, for inswapper,
in insightface's model_zoo/inswapper.py; no code is taken from either.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import cut
from obs_faceswap.engine.crop.mask import hull
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import (
    ARCFACE_112,
    ARCFACE_112_V1,
    ARCFACE_128,
    FFHQ_512,
    MTCNN_512,
    Template,
    warp_to,
)
from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.find.recognize import (
    IMAGENET,
    PLAIN,
    SIGNED,
    Embedding,
    Normalization,
    as_input,
    normed,
)
from obs_faceswap.engine.runtime.session import Session, TensorInfo
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, Points, SwappedFace

_LATENT = 512  # length of the embeddings they take
_AROUND = 1.12  # how much larger than the landmarks' hull the mask is: the mesh ends below the hairline
LARGEST_BOOST = 4
_ADVICE = "Choose another file."


class Source(Enum):
    """What a network is told about the source."""

    MATRIX = "embedding through the network's own matrix"
    RAW = "embedding as the recognition network or its converter gives it"
    NORMED = "embedding of length 1"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Family:
    """What networks of one kind have in common.

    Attributes:
        name: part of their files' names.
        template: where the face lies in the crop.
        colors: what the crop's colors become.
        gives_colors: whether the output is 0..1; else it is like the input.
        source: what `source` holds.
        source_template: of a picture.
        needs_converter: whether ArcFace's embedding has to go through a converter network first.
    """

    name: str
    template: Template
    colors: Normalization
    source: Source
    gives_colors: bool = False
    source_template: Template = ARCFACE_112
    needs_converter: bool = False


FAMILIES = (
    Family("inswapper", ARCFACE_128, PLAIN, Source.MATRIX),
    Family("hyperswap", ARCFACE_128, SIGNED, Source.NORMED),
    Family("ghost", ARCFACE_112_V1, SIGNED, Source.RAW, needs_converter=True),
    Family("simswap_unofficial", ARCFACE_112_V1, PLAIN, Source.NORMED, True, needs_converter=True),
    Family("simswap", ARCFACE_112_V1, IMAGENET, Source.NORMED, True, needs_converter=True),
    Family("hififace", MTCNN_512, SIGNED, Source.NORMED, needs_converter=True),
    Family("blendswap", FFHQ_512, PLAIN, Source.PICTURE),
    Family("uniface", FFHQ_512, SIGNED, Source.PICTURE, source_template=FFHQ_512),
)
_BY_NAME = {family.name: family for family in FAMILIES}


def family_of(session: Session, file_name: str) -> Family:
    """The family of a network: told by its file's name, or by inputs only one family has.

    Raises:
        UnsupportedModelError: it has no inputs `source` and `target`, or its family cannot be told.
    """
    target, source = _inputs(session)
    named = [family for family in FAMILIES if family.name in file_name.lower()]
    if named:
        family = named[0]
    elif target.shape[-1] == ARCFACE_128.side and len(source.shape) == 2:
        family = _BY_NAME["inswapper"]
    elif len(session.outputs) > 1 and len(source.shape) == 2:
        family = _BY_NAME["hyperswap"]
    else:
        names = ", ".join(_BY_NAME)
        raise UnsupportedModelError(
            f"{file_name}: its kind cannot be told from its inputs. Expected one of {names} in its name. "
            "Rename the file."
        )
    takes_picture = len(source.shape) == 4
    if takes_picture != (family.source is Source.PICTURE):
        raise UnsupportedModelError(
            f"{file_name} looks like a {family.name} network, which takes the source's "
            f"{family.source.value}; its input “source” is {source.shape}. {_ADVICE}"
        )
    return family


def emap_of(path: Path) -> npt.NDArray[np.float32]:
    """The matrix (512, 512) an inswapper network carries for embeddings: its last initializer.

    Raises:
        UnsupportedModelError: it has none.
    """
    import onnx

    initializers = onnx.load(path, load_external_data=False).graph.initializer
    if not initializers or list(initializers[-1].dims) != [_LATENT, _LATENT]:
        found = list(initializers[-1].dims) if initializers else "none"
        raise UnsupportedModelError(
            f"{path.name}: an inswapper network ends with a matrix of {_LATENT} x {_LATENT} among its "
            f"initializers; found {found}. {_ADVICE}"
        )
    return np.asarray(onnx.numpy_helper.to_array(initializers[-1]), np.float32)


def source_of_embedding(
    family: Family, embedding: Embedding, emap: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """What a network's `source` gets, (1, 512).

    Args:
        family: not one that takes pictures.
        embedding: (512,) of ArcFace, through the family's converter where it needs one.
        emap: of an inswapper network, see `emap_of`.
    """
    if family.source is Source.RAW:
        return embedding[None]
    if family.source is Source.MATRIX and emap is not None:
        return normed(normed(embedding) @ emap)[None]
    return normed(embedding)[None]


def source_of_picture(
    family: Family, session: Session, picture: Picture, kps: Points
) -> npt.NDArray[np.float32]:
    """What a network's `source` gets: (1, 3, S, S), RGB 0..1, of a picture with five points in it."""
    side = _side(_inputs(session)[1])
    return np.asarray(as_input(cut(picture, warp_to(family.source_template, kps, side)), PLAIN), np.float32)


class OnePhotoSwapper:
    """Puts one source on aligned faces through a network with the inputs `source` and `target`.

    `target` is (1, 3, R, R) RGB, the first output alike, a second one, if there is, a mask (1, 1, R, R).
    """

    def __init__(
        self, session: Session, family: Family, source: npt.NDArray[np.float32], boost: int = 1
    ) -> None:
        """Takes a loaded network.

        Args:
            session: the network.
            family: its kind, see `family_of`.
            source: what its `source` gets.
            boost: 1..4; the crop is so many times as fine, and the network runs boost * boost times on it.

        Raises:
            UnsupportedModelError: the source does not fit the network.
        """
        self._session, self._family = session, family
        self._target, self._source_input = _inputs(session)
        expected = self._source_input.shape[1:]
        if any(
            isinstance(side, int) and side != found
            for side, found in zip(expected, source.shape[1:], strict=True)
        ):
            raise UnsupportedModelError(
                f"The network's source should be {self._source_input.shape} and is {source.shape}. "
                "Choose the recognition network that belongs to it."
            )
        self._source = source.astype(self._source_input.dtype)
        self._resolution = _side(self._target)
        self._boost = min(max(boost, 1), LARGEST_BOOST)

    @property
    def template(self) -> Template:
        """Where the face has to lie in the crop."""
        return self._family.template

    @property
    def is_upright(self) -> bool:
        """No: the network wants its template."""
        return False

    def update(self, settings: Settings) -> None:
        """Takes over the pixel boost; all else acts on the crop's mask and colors later."""
        self._boost = int(settings.pixel_boost)

    def crop_size(self, face_side_px: float) -> int:
        """The network's resolution times the boost, or times less where the face is not so fine."""
        return self._resolution * min(self._boost, max(1, math.ceil(face_side_px / self._resolution)))

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The swapped crop and the mask: the landmarks' outline, and the network's own mask if it gives one.

        Raises:
            ModelError: the network gives values that are no numbers.
        """
        boost = aligned.crop.shape[0] // self._resolution
        tiles = [self._run(tile) for tile in split(aligned.crop, boost)]
        crop = joined([face for face, _ in tiles])
        mask = _outline(aligned.landmarks, crop.shape[0])
        if tiles[0][1] is not None:
            mask = mask * joined([own for _, own in tiles if own is not None])
        return SwappedFace(crop, mask)

    def _run(self, crop: ImageBGR) -> tuple[ImageBGR, Mask | None]:
        target = as_input(crop, self._family.colors, self._target.dtype)
        outputs = self._session.run({self._source_input.name: self._source, self._target.name: target})
        face = np.asarray(outputs[0], np.float32)
        if face.shape != (1, 3, self._resolution, self._resolution):
            raise UnsupportedModelError(
                f"The network gave {face.shape}, expected (1, 3, {self._resolution}, {self._resolution}). "
                f"{_ADVICE}"
            )
        if not np.isfinite(face.sum(dtype=np.float64)):
            raise ModelError(
                f"The network gave values that are no numbers on {self._session.provider}. "
                "Choose another device, or another network."
            )
        return self._colors(face[0]), _mask_of(outputs, self._resolution)

    def _colors(self, face: npt.NDArray[np.float32]) -> ImageBGR:
        rgb = face.transpose(1, 2, 0)
        if not self._family.gives_colors:
            colors = self._family.colors
            rgb = rgb * np.array(colors.deviation, np.float32) + np.array(colors.mean, np.float32)
        return np.asarray(np.clip(rgb[..., ::-1], 0, 1) * 255 + 0.5, np.uint8)


def split(crop: npt.NDArray[Any], boost: int) -> list[npt.NDArray[Any]]:
    """A crop (S, S, ...) as boost * boost coarser views of the whole face, of S / boost pixels each.

    Every boost-th pixel, from each of the first ones on: the network sees a whole face each time, as it was
    trained to, and the views joined again have the crop's own resolution.
    """
    return [crop[y::boost, x::boost] for y in range(boost) for x in range(boost)]


def joined(tiles: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """What `split` took apart."""
    boost = round(len(tiles) ** 0.5)
    side = tiles[0].shape[0] * boost
    whole = np.empty((side, side, *tiles[0].shape[2:]), tiles[0].dtype)
    for number, tile in enumerate(tiles):
        whole[number // boost :: boost, number % boost :: boost] = tile
    return whole


def _mask_of(outputs: Sequence[npt.NDArray[Any]], side: int) -> Mask | None:
    if len(outputs) < 2 or outputs[1].size != side * side:
        return None
    mask = np.nan_to_num(np.asarray(outputs[1], np.float32).reshape(side, side))
    return np.clip(mask, 0, 1)


def _outline(landmarks: Points, size: int) -> Mask:
    """The landmarks' hull, somewhat larger; never up to the crop's border, where the network saw no face."""
    center = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
    mask = hull((center + (landmarks - center) * _AROUND).astype(np.float32), size)
    return np.asarray(cv2.min(mask, np.ones_like(mask)), np.float32)


def _inputs(session: Session) -> tuple[TensorInfo, TensorInfo]:
    """The inputs `target` and `source`, told apart by name."""
    by_name = {info.name: info for info in session.inputs}
    if set(by_name) != {"source", "target"}:
        raise UnsupportedModelError(
            f"A one-photo network has the inputs “source” and “target”; this one has {', '.join(by_name)}. "
            f"{_ADVICE}"
        )
    target = by_name["target"]
    if len(target.shape) != 4 or target.shape[1] != 3:
        raise UnsupportedModelError(f"Its target should be (1, 3, R, R) and is {target.shape}. {_ADVICE}")
    return target, by_name["source"]


def _side(info: TensorInfo) -> int:
    side = info.shape[-1]
    if not isinstance(side, int) or len(info.shape) != 4 or info.shape[-2] != side:
        raise UnsupportedModelError(f"The input {info.name} should be square and is {info.shape}. {_ADVICE}")
    return side
