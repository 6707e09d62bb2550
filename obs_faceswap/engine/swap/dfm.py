"""Trained faces in DeepFaceLive's `.dfm` format: an ONNX network with a fixed contract."""

from functools import reduce
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import FaceUnseenError, ModelError, UnsupportedModelError
from obs_faceswap.engine.runtime.session import Session, TensorInfo
from obs_faceswap.engine.settings import Settings, Switch
from obs_faceswap.engine.swap.grade import Grade
from obs_faceswap.engine.types import AlignedFace, ImageBGR, Mask, SwappedFace

# DeepFaceLive, modelhub/DFLive/DFMModel.py: names are looked for inside the tensors' names, outputs are taken
# by order.
_FACE, _MORPH = "in_face", "morph_value"
_OUTPUTS = ("out_face_mask", "out_celeb_face", "out_celeb_face_mask")
_CHANNELS = (1, 3, 1)
_TYPES = ("float32", "float16")

_BLACK = 2 / 255  # a network that fails in half precision gives this or less everywhere

_INFINITE = float(np.finfo(np.float32).max)  # a sum that large

_LEAST_MASK = 0.05  # of the crop; a whole face fills about 0.4, and less than this would show the live one

_ADVICE = "Choose another .dfm file."


class DfmSwapper:
    """Puts the face of a `.dfm` on aligned crops.

    Contract: input `in_face` (N, R, R, 3) float32 or float16, BGR, 0..1; perhaps a second input `morph_value`
    (1,); outputs in this order: the live face's mask (N, R, R, 1), the new face (N, R, R, 3), the new face's
    mask (N, R, R, 1).
    """

    def __init__(self, session: Session) -> None:
        """Takes a loaded network and tries it once.

        Raises:
            UnsupportedModelError: its inputs or outputs are not those of a `.dfm`.
            ModelError: it computes black or no numbers on this device.
        """
        self._session = session
        self._face, self._morph_input = _checked_inputs(session.inputs)
        _check_outputs(session.outputs)
        self._resolution = _resolution_of(self._face)
        self.update(Settings())
        self._try()

    @property
    def has_morph(self) -> bool:
        """Whether the model has a morph input."""
        return self._morph_input is not None

    @property
    def resolution(self) -> int:
        """The side of the network's picture, px."""
        return self._resolution

    def update(self, settings: Settings) -> None:
        """Takes over the settings: morph, the grade, a second pass, and which masks count."""
        self._morph = settings.morph
        self._grade = Grade.of(settings)
        self._passes_twice = settings.two_pass is Switch.ON
        self._uses_mask = settings.mask_source is Switch.ON
        self._uses_celeb_mask = settings.mask_celeb is Switch.ON

    @property
    def is_upright(self) -> bool:
        """No: networks are trained on faces turned upright."""
        return False

    def crop_size(self, face_side_px: float) -> int:
        """The network's own resolution, whatever the face's size."""
        return self._resolution

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The new face and the product of the masks that the settings ask for, of the crop's size.

        Raises:
            ModelError: an output of this frame is black or no number.
            FaceUnseenError: the masks leave next to nothing. Nothing is returned then, so the frame counts as
                one without a swap and the no-face policy covers it.
        """
        size = aligned.crop.shape[0]
        face_mask, face, celeb_mask = self._new_face(_resized(aligned.crop, self._resolution))
        mask = self._combined(face_mask, celeb_mask)
        if cv2.mean(mask)[0] < _LEAST_MASK:
            raise FaceUnseenError(
                "The model sees no face in this frame. Turn to the camera, or use more light."
            )
        return SwappedFace(_resized(_as_bytes(self._grade.finished(face)), size), _resized(mask, size))

    def _combined(self, face_mask: Mask, celeb_mask: Mask) -> Mask:
        """The product of the masks asked for, 0..1; all of the crop if none is."""
        pairs = (self._uses_mask, face_mask), (self._uses_celeb_mask, celeb_mask)
        masks = [np.clip(own, 0, 1) for asked, own in pairs if asked]
        return reduce(np.multiply, masks or [np.ones_like(face_mask)])

    def _new_face(self, crop: ImageBGR) -> tuple[Mask, Mask, Mask]:
        """The live face's mask, and the new face and its mask: those of the last pass."""
        face_mask, face, celeb_mask = self._run(self._grade.prepared(_as_values(crop)))
        if self._passes_twice:
            _, face, celeb_mask = self._run(np.clip(face, 0, 1))
        return face_mask, face, celeb_mask

    def _try(self) -> None:
        """Runs the network on a picture with something in it, which zeros (the warm-up) are not."""
        ramp = np.linspace(40, 215, self._resolution).astype(np.uint8)
        self._run(_as_values(np.tile(ramp[:, None], (self._resolution, 1, 3))))

    def _run(self, crop: Mask) -> tuple[Mask, Mask, Mask]:
        """Mask (R, R), face (R, R, 3), mask (R, R) for a crop (R, R, 3), 0..1."""
        seen = crop[None].astype(self._face.dtype, copy=False)
        feeds: dict[str, npt.NDArray[Any]] = {self._face.name: seen}
        if self._morph_input is not None:
            feeds[self._morph_input.name] = np.array([self._morph], self._morph_input.dtype)
        outputs = [np.asarray(output, np.float32) for output in self._session.run(feeds)]
        self._check_values(outputs)
        face_mask, face, celeb_mask = (output[0] for output in outputs)
        return face_mask[..., 0], face, celeb_mask[..., 0]

    def _check_values(self, outputs: list[npt.NDArray[np.float32]]) -> None:
        side = self._resolution
        for name, channels, output in zip(_OUTPUTS, _CHANNELS, outputs, strict=True):
            if output.shape != (1, side, side, channels):
                raise UnsupportedModelError(
                    f"The model's {name} should be (1, {side}, {side}, {channels}) and is {output.shape}. "
                    f"{_ADVICE}"
                )
            # One NaN or infinity anywhere makes the sum one; numbers that no picture has make it as large.
            if not cv2.norm(output[0], cv2.NORM_L1) < _INFINITE:
                self._session.distrust()
                raise ModelError(
                    f"The model gave values that are no numbers ({name}) on {self._session.provider}. "
                    "Choose another device, or another model."
                )
        if float(outputs[1].max()) <= _BLACK:
            self._session.distrust()
            raise ModelError(
                f"The model gave a black face on {self._session.provider}. "
                "Choose another device, or another model."
            )


def _checked_inputs(inputs: tuple[TensorInfo, ...]) -> tuple[TensorInfo, TensorInfo | None]:
    names = [info.name for info in inputs]
    good = 1 <= len(names) <= 2 and _FACE in names[0] and (len(names) == 1 or _MORPH in names[1])
    if not good:
        raise UnsupportedModelError(
            f"This is no .dfm model: expected the input {_FACE} and perhaps {_MORPH}, "
            f"found {', '.join(names) or 'none'}. {_ADVICE}"
        )
    for info in inputs:
        if info.dtype not in _TYPES:
            raise UnsupportedModelError(
                f"The model's {info.name} should be {' or '.join(_TYPES)} and is {info.dtype}. {_ADVICE}"
            )
    return inputs[0], inputs[1] if len(inputs) == 2 else None


def _resolution_of(face: TensorInfo) -> int:
    shape = face.shape
    square = len(shape) == 4 and isinstance(shape[1], int) and shape[1] == shape[2] and shape[1] > 0
    if not square or shape[3] != 3 or shape[0] in range(2, 1 << 16):
        raise UnsupportedModelError(
            f"The model's {face.name} should be a square picture (1, side, side, 3) and is {shape}. {_ADVICE}"
        )
    return int(shape[1])


def _check_outputs(outputs: tuple[TensorInfo, ...]) -> None:
    found = ", ".join(f"{info.name} {info.shape}" for info in outputs)
    if len(outputs) != 3 or not all(map(_may_be, outputs, _CHANNELS)) or _misnamed(outputs):
        raise UnsupportedModelError(
            f"This is no .dfm model: expected the outputs {', '.join(_OUTPUTS)} in this order, "
            f"with 1, 3 and 1 channels, found {found or 'none'}. {_ADVICE}"
        )


def _may_be(info: TensorInfo, channels: int) -> bool:
    """Whether an output's stated shape allows (N, R, R, channels); a free axis allows anything."""
    if not info.shape:
        return True
    stated = info.shape[-1]
    return len(info.shape) == 4 and (not isinstance(stated, int) or stated in (-1, channels))


def _misnamed(outputs: tuple[TensorInfo, ...]) -> bool:
    """Whether an output carries the name of another place; other names are left to the order."""
    names = [info.name.partition(":")[0] for info in outputs]
    return any(name in _OUTPUTS and name != place for name, place in zip(names, _OUTPUTS, strict=True))


def _as_values(crop: ImageBGR) -> Mask:
    return crop * np.float32(1 / 255)


def _as_bytes(face: Mask) -> ImageBGR:
    return np.asarray(cv2.convertScaleAbs(np.maximum(face, 0), alpha=255), np.uint8)


def _resized(picture: npt.NDArray[Any], size: int) -> Any:
    """A square picture or mask at another side: bilinear, or averaged when made much smaller."""
    old = picture.shape[0]
    if old == size:
        return picture
    how = cv2.INTER_AREA if old >= 2 * size else cv2.INTER_LINEAR
    return cv2.resize(picture, (size, size), interpolation=how)
