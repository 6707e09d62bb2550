"""Sharpness and colors of what goes into a model's network and of what comes out.

DeepFaceLive's rules (apps/DeepFaceLive/backend/FaceSwapDFM.py, xlib/image/ImageProcessor.py), but for one:
its post gamma takes the green slider for blue and the blue one for green.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.settings import Settings

Floats = npt.NDArray[np.float32]
Gamma = tuple[float, float, float]  # of blue, green and red: the order of all pictures here

_SIGMA_PX = 1.0  # of the blur that sharpening takes away
_NEUTRAL = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Grade:
    """What the settings want done before and after a network.

    Attributes:
        sharpen: 0..10, how many times the detail is added.
        before: gamma of what the network sees; above 1 is brighter.
        after: gamma of what it gives.
    """

    sharpen: float = 0.0
    before: Gamma = _NEUTRAL
    after: Gamma = _NEUTRAL

    @classmethod
    def of(cls, settings: Settings) -> "Grade":
        """The settings' grade."""
        return cls(
            settings.presharpen,
            (settings.pre_gamma_blue, settings.pre_gamma_green, settings.pre_gamma_red),
            (settings.post_gamma_blue, settings.post_gamma_green, settings.post_gamma_red),
        )

    def prepared(self, crop: Floats) -> Floats:
        """A crop (R, R, 3), BGR 0..1, as the network is to see it."""
        if self.sharpen:
            crop = _sharpened(crop, self.sharpen)
        return _with_gamma(crop, self.before)

    def finished(self, face: Floats) -> Floats:
        """A network's face (R, R, 3), BGR 0..1, as it is to be shown."""
        return _with_gamma(face, self.after)


def _sharpened(crop: Floats, amount: float) -> Floats:
    soft = cv2.GaussianBlur(crop, (0, 0), _SIGMA_PX)
    return np.asarray(np.clip(cv2.addWeighted(crop, 1 + amount, soft, -amount, 0), 0, 1), np.float32)


def _with_gamma(picture: Floats, gamma: Gamma) -> Floats:
    if gamma == _NEUTRAL:
        return picture
    channels = cv2.split(np.clip(picture, 0, 1))
    powers = [cv2.pow(channel, 1 / value) for channel, value in zip(channels, gamma, strict=True)]
    return np.asarray(cv2.merge(powers), np.float32)
