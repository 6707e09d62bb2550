"""Who a face belongs to, as numbers: the embedding of a recognition network."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import cut
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import ARCFACE_112, warp_to
from obs_faceswap.engine.errors import FaceError, ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.types import ImageBGR, Points

Embedding = npt.NDArray[np.float32]

# Likeness of two faces. MobileFaceNet on 32 clips: the same person 0.81 +- 0.10, two people 0.02 +- 0.11, and
# as many mistakes of both kinds at 0.44. ArcFace networks separate a little better.
SAME_PERSON = 0.4
OTHER_PERSON = 0.25

_FINGERPRINT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Normalization:
    """What a network's input is made of RGB values 0..1: (value - mean) / deviation."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


PLAIN = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIGNED = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# ArcFace networks (512 numbers) take -1..1; foamliu's MobileFaceNet (128) takes ImageNet's statistics.
_BY_LENGTH = {512: SIGNED, 128: IMAGENET}


def fingerprint(path: Path) -> str:
    """What tells one recognition network's file from another's: its size, its beginning and its end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        for start in (0, max(0, size - _FINGERPRINT_BYTES)):
            file.seek(start)
            digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:16]


class Recognizer:
    """A recognition network: input (1, 3, 112, 112), RGB, ArcFace's crop; output (1, 512) or (1, 128)."""

    def __init__(self, session: Session) -> None:
        """Takes a loaded network; raises UnsupportedModelError when its shapes are others."""
        self._session = session
        self._input = session.inputs[0]
        shape, found = self._input.shape, session.outputs[0].shape
        length = found[-1]
        if len(session.inputs) != 1 or tuple(shape[1:]) != (3, 112, 112) or length not in _BY_LENGTH:
            raise UnsupportedModelError(
                "A recognition network has one input (1, 3, 112, 112) and an output (1, 512) or (1, 128); "
                f"this one has {len(session.inputs)} inputs, the first {shape}, and an output {found}. "
                "Choose another file."
            )
        self._normalization = _BY_LENGTH[int(length)]

    def embedding(self, picture: Picture, kps: Points) -> Embedding:
        """The face's numbers as the network gives them, (512,) or (128,).

        Args:
            picture: shows the face.
            kps: five points (5, 2) in its pixels, see `templates.five_points`.

        Raises:
            ModelError: the network gives no numbers.
            FaceError: the points lie all in one place.
        """
        crop = cut(picture, warp_to(ARCFACE_112, kps, 112))
        found = self._session.run({self._input.name: as_input(crop, self._normalization, self._input.dtype)})
        embedding = np.asarray(found[0], np.float32).reshape(-1)
        if not np.isfinite(embedding).all() or not embedding.any():
            raise ModelError(
                f"The recognition network gave no numbers on {self._session.provider}. Choose another device."
            )
        return embedding


def as_input(
    image_bgr: ImageBGR, normalization: Normalization, dtype: str = "float32"
) -> npt.NDArray[np.generic]:
    """A BGR picture (S, S, 3) as a network's input (1, 3, S, S), RGB."""
    scale = (1 / (255 * np.array(normalization.deviation))).astype(np.float32)
    shift = (np.array(normalization.mean) / np.array(normalization.deviation)).astype(np.float32)
    rgb = image_bgr[..., ::-1] * scale - shift
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], dtype)


def mean_of(embeddings: Sequence[Embedding]) -> Embedding:
    """One embedding for several pictures of a person; raises FaceError without any."""
    if not embeddings:
        raise FaceError("No picture was given. Choose one with a face.")
    return np.asarray(np.mean(embeddings, axis=0), np.float32)


def normed(embedding: Embedding) -> Embedding:
    """The embedding with length 1."""
    return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


def likeness(one: Embedding, other: Embedding) -> float:
    """Cosine of two embeddings: 1 is the same, different people lie around 0."""
    return float(normed(one) @ normed(other))
