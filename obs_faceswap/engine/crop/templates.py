"""Where a network expects a face's five points in its crop.

The five points are, in this order: the eye on the picture's left, the eye on its right, the nose's tip, and
the mouth's corners on the picture's left and right.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.crop.align import similarity
from obs_faceswap.engine.types import Points, Warp


@dataclass(frozen=True, slots=True)
class Template:
    """Five points in a square crop.

    Attributes:
        name: what the field calls it.
        side: side of the crop the points were published for, pixels.
        points: x, y of the five points there; pixel centers at whole numbers.
    """

    name: str
    side: int
    points: tuple[tuple[float, float], ...]

    def at(self, size: int) -> npt.NDArray[np.float64]:
        """The points (5, 2) in a crop of another size, in the same places of the picture."""
        return (np.array(self.points) + 0.5) * (size / self.side) - 0.5


# insightface, utils/face_align.py: arcface_dst, and its version for 128 pixels (8 more on each side).
_ARCFACE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
ARCFACE_112 = Template("arcface_112_v2", 112, _ARCFACE)
ARCFACE_128 = Template("arcface_128", 128, tuple((x + 8, y + 8) for x, y in _ARCFACE))
# The frontal one of insightface's older five templates (src3); SimSwap and GHOST were trained with it.
ARCFACE_112_V1 = Template(
    "arcface_112_v1",
    112,
    ((39.73, 51.138), (72.27, 51.138), (56.0, 68.493), (42.463, 87.01), (69.537, 87.01)),
)
# facexlib, face_restoration_helper.py: the mean face of the FFHQ pictures.
FFHQ_512 = Template(
    "ffhq_512", 512,
    ((192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043),
     (313.08905, 371.15118)),
)  # fmt: skip
# facefusion, face_helper.py, in 512 pixels: the one HifiFace was trained with.
MTCNN_512 = Template(
    "mtcnn_512", 512,
    ((187.2019, 239.2771), (324.1236, 238.5197), (256.0979, 317.1479), (199.8487, 397.3060),
     (313.2362, 396.6788)),
)  # fmt: skip

_COVERAGE = 2.2  # the setting's default, which leaves a template as it is

# MediaPipe's face mesh: corners and lids of both eyes, the nose's tip, the mouth's corners.
_LEFT_EYE, _RIGHT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
_NOSE, _MOUTH_LEFT, _MOUTH_RIGHT = 1, 61, 291


def five_points(landmarks: Points) -> Points:
    """The five points (5, 2) of a face mesh (468, 2)."""
    eyes = landmarks[[_LEFT_EYE, _RIGHT_EYE]].mean(axis=1)
    return np.vstack([eyes, landmarks[[_NOSE, _MOUTH_LEFT, _MOUTH_RIGHT]]]).astype(np.float32)


def placed(
    template: Template, landmarks: Points, size: int, coverage: float, offset_x: float, offset_y: float
) -> Warp:
    """The crop of a face for a network, as the settings have it.

    Args:
        template: the network's.
        landmarks: (468, 2) in frame pixels.
        size: the crop's side in pixels.
        coverage: 2.2 is the template as it was published; twice as much shows twice as much around it.
        offset_x: moves the cut-out to the right, in parts of its side.
        offset_y: the same, down.

    Raises:
        FaceError: the points are not finite or all in one place.
    """
    points = 0.5 + template.at(1) * (_COVERAGE / coverage) - (offset_x, offset_y)
    return Warp(similarity(five_points(landmarks), points * size - 0.5), size)


def warp_to(template: Template, kps: Points, size: int) -> Warp:
    """The crop of a face for a network.

    Args:
        template: the network's.
        kps: five points (5, 2) in frame pixels.
        size: the crop's side in pixels.

    Raises:
        FaceError: the points are not finite or all in one place.
    """
    return Warp(similarity(kps, template.at(size)), size)
