"""Finding the face that a picture is about."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.swap.photo_shape import fit_pose
from obs_faceswap.engine.types import ImageBGR, Points

Floats: TypeAlias = npt.NDArray[np.float32]
# All faces of a picture: points (468, 2), depth (468,), presence 0..1; picture pixels.
FindLandmarks: TypeAlias = Callable[[ImageBGR], Sequence[tuple[Points, Floats, float]]]

_SMALLEST_FACE_PX = 48  # of a picture; below, the mesh is a guess and the texture a blur
_MOST_TURNED = 42  # degrees in the mesh, 50 to 60 of the head; in a profile half of the face is guessed
_CLEARLY_LARGER = 1.6  # a face so much larger than the next one is whom the picture is about


def the_face(name: str, picture: ImageBGR, find_landmarks: FindLandmarks) -> Floats:
    """The mesh (468, 3) of the face that a picture is about; raises FaceError."""
    faces = sorted(find_landmarks(picture), key=lambda face: -_side(face[0]))
    if not faces:
        raise FaceError(f"{name}: no face was found. Choose a picture that shows one face from the front.")
    if len(faces) > 1 and _side(faces[0][0]) < _CLEARLY_LARGER * _side(faces[1][0]):
        raise FaceError(
            f"{name}: {len(faces)} faces of about the same size were found, expected one. "
            f"Cut the picture so that it shows the face you want."
        )
    points, depth, _ = faces[0]
    if _side(points) < _SMALLEST_FACE_PX:
        raise FaceError(
            f"{name}: the face is {_side(points):.0f} pixels large, expected at least {_SMALLEST_FACE_PX}. "
            f"Choose a larger picture."
        )
    mesh = np.column_stack([points, depth]).astype(np.float32)
    turned = float(np.degrees(np.abs(fit_pose(mesh).yaw_pitch).max()))
    if turned > _MOST_TURNED:
        raise FaceError(
            f"{name}: the head is turned by {turned:.0f} degrees, expected at most {_MOST_TURNED}. "
            f"Choose a picture that shows the face more from the front."
        )
    return mesh


def _side(points: Points) -> float:
    return float(np.ptp(points, axis=0).max())
