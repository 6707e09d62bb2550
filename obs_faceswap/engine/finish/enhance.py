"""Face enhancers: networks that make a swapped face finer, for those who bring one and have the time.

GFPGAN, GPEN, RestoreFormer and CodeFormer share one contract (read in facefusion's face_enhancer.py, 3.x; no
code is taken from it): an input (1, 3, S, S), RGB, -1..1, of a face cut as FFHQ's pictures are, and an output
like it. GPEN of 256 pixels takes ArcFace's crop. CodeFormer has a second input: how true it has to stay.
"""

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import cut, scale_of
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import ARCFACE_128, FFHQ_512, five_points, warp_to
from obs_faceswap.engine.errors import ModelError, UnsupportedModelError
from obs_faceswap.engine.find.recognize import SIGNED, as_input
from obs_faceswap.engine.runtime.session import Session, TensorInfo
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, Points, SwappedFace, Swapper, Warp

_ARCFACE_SIDE = 256  # GPEN's small one
_STEP = 32  # pixels, in which crops are finer than the swapper's
_EDGE = 0.06  # of the crop's side, in which the finer face fades out
_ADVICE = "Choose another enhancer."


class Enhancer:
    """One network, on pictures that hold a face."""

    def __init__(self, session: Session) -> None:
        """Takes a loaded network; raises UnsupportedModelError if it is of another kind."""
        self._session = session
        self._picture, self._weight = _inputs(session)
        self.side = _side(self._picture)
        self._template = ARCFACE_128 if self.side == _ARCFACE_SIDE else FFHQ_512
        self._edge = _soft_box(self.side)
        self._blend, self._truth = 1.0, 0.5

    def update(self, settings: Settings) -> None:
        """Takes over `enhancer_blend` and `enhancer_weight`."""
        self._blend, self._truth = settings.enhancer_blend / 100, settings.enhancer_weight

    def enhanced(self, crop: ImageBGR, landmarks: Points) -> ImageBGR:
        """The finer picture.

        Args:
            crop: (S, S, 3).
            landmarks: (468, 2) of the face in it, in its pixels.

        Raises:
            FaceError: the landmarks are no numbers or lie in one place.
            ModelError: the network gives values that are no numbers.
            UnsupportedModelError: it gives another size.
        """
        if not self._blend:
            return crop
        points = five_points(landmarks)
        warp = warp_to(self._template, points, self.side)
        layers = np.dstack([self._run(cut(Picture.of(crop), warp)), self._edge])
        coarser = int(scale_of(warp))
        if coarser > 1:  # what is read between pixels that lie far apart would flicker
            warp = warp_to(self._template, points, self.side // coarser)
            layers = np.asarray(cv2.resize(layers, (warp.size,) * 2, interpolation=cv2.INTER_AREA), np.uint8)
        return _mixed(crop, _put_back(layers, warp, crop.shape[0]), self._blend)

    def _run(self, crop: ImageBGR) -> ImageBGR:
        feeds: dict[str, npt.NDArray[Any]] = {self._picture.name: as_input(crop, SIGNED, self._picture.dtype)}
        if self._weight is not None:
            feeds[self._weight.name] = np.full(
                len(self._weight.shape) * (1,), self._truth, self._weight.dtype
            )
        face = np.asarray(self._session.run(feeds)[0], np.float32)
        if face.shape != (1, 3, self.side, self.side):
            raise UnsupportedModelError(
                f"The enhancer gave {face.shape}, expected (1, 3, {self.side}, {self.side}). {_ADVICE}"
            )
        if not np.isfinite(face.sum(dtype=np.float64)):
            raise ModelError(
                f"The enhancer gave values that are no numbers on {self._session.provider}. "
                "Choose another device, or another enhancer."
            )
        return np.asarray(np.clip(face[0].transpose(1, 2, 0)[..., ::-1], -1, 1) * 127.5 + 128, np.uint8)


class Enhanced:
    """A swapper whose faces are enhanced; all else is the swapper's own.

    The crop is as fine as the face in its frame, up to the enhancer's side; the swapper gets it as fine as it
    asked for.
    """

    def __init__(self, swapper: Swapper, enhancer: Enhancer) -> None:
        self._swapper, self._enhancer = swapper, enhancer

    def __getattr__(self, name: str) -> Any:
        """What only some swappers have."""
        return getattr(self._swapper, name)

    @property
    def is_upright(self) -> bool:
        """As the swapper."""
        return self._swapper.is_upright

    def another(self) -> "Enhanced":
        """One for one more person."""
        make = getattr(self._swapper, "another", None)
        return Enhanced(make() if make is not None else self._swapper, self._enhancer)

    def update(self, settings: Settings) -> None:
        """Takes over the settings of both."""
        self._swapper.update(settings)
        self._enhancer.update(settings)

    def crop_size(self, face_side_px: float) -> int:
        """The face's own side, but no more than the enhancer's and no less than the swapper's."""
        own = self._swapper.crop_size(face_side_px)
        steps = math.ceil(face_side_px / _STEP)  # a face that moves a little keeps its size
        return own if self.is_upright else max(own, min(self._enhancer.side, steps * _STEP))

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The enhanced swap; raises as the swapper does, and as `Enhancer.enhanced` does."""
        size = aligned.warp.size
        own = size if self.is_upright else self._swapper.crop_size(size)
        swapped = self._swapper.swap(aligned if own == size else _smaller(aligned, own))
        if own != size:
            swapped = _sized(swapped, size)
        seen = _as_seen(swapped, aligned.crop)
        return replace(swapped, crop=self._enhancer.enhanced(seen, aligned.landmarks), tone=None)


def _sized(swapped: SwappedFace, size: int) -> SwappedFace:
    """A swap of another side; its mask may be coarser, not finer."""
    crop, mask = cv2.resize(swapped.crop, (size, size), interpolation=cv2.INTER_CUBIC), swapped.mask
    if len(mask) > size:
        mask = np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    return replace(swapped, crop=np.asarray(crop, np.uint8), mask=mask)


def _smaller(aligned: AlignedFace, size: int) -> AlignedFace:
    """The same face in a smaller crop."""
    part = size / aligned.warp.size
    matrix = aligned.warp.matrix.astype(np.float64) * part
    matrix[:, 2] += (part - 1) / 2  # pixel centers at whole numbers on both sides
    crop = cv2.resize(aligned.crop, (size, size), interpolation=cv2.INTER_AREA)
    return AlignedFace(
        np.asarray(crop, np.uint8),
        Warp(matrix.astype(np.float32), size),
        np.asarray((aligned.landmarks + 0.5) * part - 0.5, np.float32),
        aligned.face,
    )


def _as_seen(swapped: SwappedFace, live: ImageBGR) -> ImageBGR:
    """A swap's crop in its own tone, with what is live in it."""
    crop = swapped.crop
    if swapped.tone is not None:
        crop = np.asarray(cv2.transform(crop, swapped.tone), np.uint8)
    if swapped.alpha is None:
        return crop
    weights = swapped.alpha * np.float32(1 / 255) if swapped.alpha.dtype == np.uint8 else swapped.alpha
    return np.asarray(cv2.blendLinear(crop, live, weights, 1 - weights), np.uint8)


def _put_back(layers: npt.NDArray[np.uint8], warp: Warp, size: int) -> npt.NDArray[np.uint8]:
    """A cut-out's layers as they lie in the picture, nothing beyond it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(layers, warp.matrix, (size, size), flags=flags), np.uint8)


def _mixed(crop: ImageBGR, layers: npt.NDArray[np.uint8], part: float) -> ImageBGR:
    """A picture with a part of what lies on it, by its fourth channel."""
    weights = layers[..., 3] * np.float32(part / 255)
    finer = np.ascontiguousarray(layers[..., :3])
    return np.asarray(cv2.blendLinear(finer, crop, weights, 1 - weights), np.uint8)


def _soft_box(side: int) -> npt.NDArray[np.uint8]:
    """Full inside, nothing at the border."""
    at = (np.arange(side) + 0.5) / side
    ramp: Mask = np.clip(np.minimum(at, 1 - at) / _EDGE, 0, 1).astype(np.float32)
    return np.asarray(ramp * ramp[:, None] * 255, np.uint8)


def _inputs(session: Session) -> tuple[TensorInfo, TensorInfo | None]:
    """The picture, and how true it has to stay."""
    pictures = [info for info in session.inputs if len(info.shape) == 4]
    others = [info for info in session.inputs if len(info.shape) < 2]
    if len(pictures) != 1 or len(others) > 1 or len(pictures) + len(others) != len(session.inputs):
        names = ", ".join(f"{info.name} {info.shape}" for info in session.inputs)
        raise UnsupportedModelError(
            f"An enhancer takes (1, 3, S, S), and perhaps a number; this one takes {names}. {_ADVICE}"
        )
    return pictures[0], others[0] if others else None


def _side(picture: TensorInfo) -> int:
    side = picture.shape[-1]
    if not isinstance(side, int) or side < 1 or picture.shape[1:] != (3, side, side):
        raise UnsupportedModelError(f"Its picture should be (1, 3, S, S) and is {picture.shape}. {_ADVICE}")
    return side
