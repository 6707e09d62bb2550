"""Values that pass between the stages of the engine."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.settings import Settings

ImageBGR: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3), blue-green-red, 0..255
Mask: TypeAlias = npt.NDArray[np.float32]  # (H, W), 0..1, 1 = take the swap
Plane: TypeAlias = npt.NDArray[np.uint8]  # (rows, bytes per row)
Tone: TypeAlias = npt.NDArray[np.floating]  # (3, 4) affine of blue, green, red, 0..255
Points: TypeAlias = npt.NDArray[np.float32]  # (N, 2), x and y; pixel centres lie at whole numbers
Matrix: TypeAlias = npt.NDArray[np.float32]  # (2, 3) affine


@dataclass(frozen=True, slots=True)
class ColorSpace:
    """How YCbCr samples become RGB, both in 0..1.

    `matrix` is the upper 3x4 of libobs' row-major color_matrix: rows R, G, B; columns Y, Cb, Cr, offset.
    Samples are clamped to `range_min`..`range_max` first.
    """

    matrix: tuple[float, ...]
    range_min: tuple[float, float, float] = (0.0, 0.0, 0.0)
    range_max: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(slots=True)
class Frame:
    """A picture in its own pixel format. Planes are writable views of memory we own.

    Attributes:
        stays: whether the planes keep what the engine made of them until it has finished the stream's next
            frame, so that it need not keep a copy.
    """

    format: PixelFormat
    width: int
    height: int
    planes: tuple[Plane, ...]
    color: ColorSpace | None = (
        None  # None: RGB, or not stated (BT.709 from 720 rows up, else BT.601; partial)
    )
    flip: bool = False  # rows run from bottom to top
    timestamp_ns: int = 0
    stays: bool = False


class LandmarkScheme(StrEnum):
    """Which points, in which order."""

    FIVE = "five"  # eye, eye, nose tip, mouth corner, mouth corner; left to right in the picture
    IBUG_68 = "ibug_68"
    MESH_468 = "mesh_468"  # MediaPipe's canonical face mesh


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected face: box x0, y0, x1, y1 and five points, all in frame pixels, and a score 0..1."""

    bbox_xyxy: npt.NDArray[np.float32]  # (4,)
    kps: Points  # (5, 2)
    score: float


@dataclass(frozen=True, slots=True)
class Face:
    """A tracked face of the current frame."""

    landmarks: Points  # (468, 2), frame pixels, smoothed
    depth: npt.NDArray[np.float32]  # (468,), same scale as the landmarks; smaller is nearer
    presence: float  # 0..1, how sure the mesh network is that this is a face
    track_id: int
    slot: int = 0  # which of the worn faces this person gets
    person: str = ""  # the name of an enrolled person whom a recognition network took it for
    score: float = 0.0  # 0..1, of the detector when it found this face last
    doubt: float = 0.0  # how little it is like a real face, see `find.choose`


@dataclass(frozen=True, slots=True)
class Warp:
    """The similarity that takes frame pixels to the pixels of a square crop.

    Convention: pixel centres at whole numbers on both sides, so a crop of side S covers -0.5..S-0.5.
    """

    matrix: Matrix  # frame -> crop
    size: int  # crop's side, px


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """A face cut out of a frame."""

    crop: ImageBGR  # (S, S, 3)
    warp: Warp
    landmarks: Points  # (468, 2), crop pixels
    face: Face


@dataclass(frozen=True, slots=True)
class SwappedFace:
    """What a swapper made of a crop, and where it may be shown (before erode and blur)."""

    crop: ImageBGR  # (S, S, 3)
    mask: Mask  # (M, M); M is S, or less where a mask is soft anyway
    alpha: Mask | None = None  # (S, S), how much of the crop is shown, for the rest is live; None: all of it
    tone: Tone | None = None  # how the crop's colors are changed when it is put back


class Detector(Protocol):
    """Finds faces."""

    @property
    def side_px(self) -> int:
        """Side of the square that the network sees: of larger pictures it sees no more."""
        ...

    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """All faces of a picture of any size, best first."""
        ...


class Swapper(Protocol):
    """Puts one source on an aligned face. One class per family of models."""

    def update(self, settings: Settings) -> None:
        """Takes over the settings that act on this swapper."""
        ...

    @property
    def is_upright(self) -> bool:
        """Whether it takes faces as they lie in the frame, in whole frame pixels, where the size allows.

        Then nothing is resampled on the way in and out. A network wants them turned upright.
        """
        ...

    def crop_size(self, face_side_px: float) -> int:
        """The crop's side for a face whose crop covers that many frame pixels."""
        ...

    def swap(self, aligned: AlignedFace) -> SwappedFace:
        """The swapped crop, of the same size as the crop given."""
        ...


class Shown(StrEnum):
    """What a finished frame shows."""

    SWAPPED = "swapped"
    FROZEN = "frozen"  # the last swapped frame, or its fade into the cover
    COVERED = "covered"
    ORIGINAL = "original"  # only where the user chose it


@dataclass(slots=True)
class Result:
    """One processed frame: its planes were changed in place."""

    shown: Shown
    faces: list[Face] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    notice: str = ""  # for the status line, e.g. “No face in the picture”
    fault: Exception | None = None  # what went wrong in the engine itself
