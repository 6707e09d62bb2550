"""Networks that judge a swap: whose face it is, and which expression. They are the user's own, see docs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.templates import five_points
from obs_faceswap.engine.errors import ModelMissingError
from obs_faceswap.engine.find.landmarks import FaceMesh, roi_of_landmarks
from obs_faceswap.engine.find.recognize import Embedding, Recognizer, normed
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store import models
from obs_faceswap.engine.types import ImageBGR, Points

RECOGNIZERS = ("mobilefacenet_128",)
EXPRESSION = ("facemesh_478", "blendshapes_52")

# MediaPipe, face_blendshapes_graph.cc: the landmarks its network of expressions takes.
_SUBSET = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70,
    78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149,
    150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195,
    197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300,
    308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375,
    377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454,
    466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip


class Identity:
    """Whose face a picture shows."""

    def __init__(self, models_from: Path | None) -> None:
        """Loads a recognition network; raises ModelMissingError."""
        self._session = Session(_first(RECOGNIZERS, models_from), "cpu")
        self._recognizer = Recognizer(self._session)

    def of(self, image: ImageBGR, landmarks: Points) -> Embedding:
        """The embedding, of length 1, of the face with these landmarks (468, 2)."""
        return normed(self._recognizer.embedding(Picture.of(image), five_points(landmarks)))

    def close(self) -> None:
        """Frees the network."""
        self._session.close()


class Expression:
    """Which of 52 expressions a face shows, each 0..1."""

    def __init__(self, models_from: Path | None) -> None:
        """Loads the two networks; raises ModelMissingError."""
        paths = [models.find(name, models_from) for name in EXPRESSION]
        self._sessions = [Session(path, "cpu") for path in paths]
        self._mesh = FaceMesh(self._sessions[0])

    def of(self, image: ImageBGR, landmarks: Points) -> npt.NDArray[np.float32]:
        """(52,) for the face with these landmarks (468, 2)."""
        points = self._mesh.find_all(Picture.of(image), *roi_of_landmarks(landmarks))[0]
        network = self._sessions[1]
        feeds = {network.inputs[0].name: points[list(_SUBSET)][None].astype(np.float32)}
        return np.asarray(network.run(feeds)[0], np.float32).reshape(-1)

    def close(self) -> None:
        """Frees the networks."""
        for session in self._sessions:
            session.close()


def _first(names: Sequence[str], models_from: Path | None) -> Path:
    for name in names[:-1]:
        try:
            return models.find(name, models_from)
        except ModelMissingError:
            continue
    return models.find(names[-1], models_from)
