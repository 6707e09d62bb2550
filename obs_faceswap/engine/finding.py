"""The settings of who is swapped and how faces are found, see `settings`. Standard library only."""

from typing import Any

from obs_faceswap.engine.choices import SortBy, Who
from obs_faceswap.engine.options import PEOPLE, TRACKING, Kind, Shown, declare, number, stage_device

ANYBODY = "*"  # a person's setting: whoever comes next in the order
NO_RECOGNIZER = "off"
FIVE_POINTS = "detector"  # a landmarker: none but the detector

WHO: Any = declare(
    Kind.CHOICE, Who.CHOSEN, "Swap",
    "Whose face is swapped where the camera sees several people.", PEOPLE,
    choices=(
        (Who.CHOSEN, "One face"),
        (Who.ALL, "All faces"),
        (Who.KNOWN, "Each person their own face"),
    ),
    deepfacelive="swap_all_faces off",
)  # fmt: skip
SORT_BY: Any = declare(
    Kind.CHOICE, SortBy.LARGEST, "Order of faces",
    "In which order they are counted when somebody has to be chosen. Who is chosen stays so until they are "
    "gone for a second.", PEOPLE,
    choices=(
        (SortBy.LARGEST, "Largest first"),
        (SortBy.CENTER, "Nearest to the middle first"),
        (SortBy.LEFT_RIGHT, "From left to right"),
        (SortBy.RIGHT_LEFT, "From right to left"),
        (SortBy.TOP_BOTTOM, "From top to bottom"),
        (SortBy.BOTTOM_TOP, "From bottom to top"),
    ),
    deepfacelive="sort_by LARGEST",
)  # fmt: skip
FACE_NUMBER: Any = number(
    1.0, 1.0, 16.0, 1.0, "Number of the face", "Which one in that order is swapped.", PEOPLE,
    shown=Shown.ONE_FACE, deepfacelive="face_id 0",
)  # fmt: skip
MAX_FACES: Any = number(
    0.0, 0.0, 32.0, 1.0, "Most faces", "At most so many are swapped, the first in that order. 0 is no limit.",
    PEOPLE, shown=Shown.ALL_FACES, deepfacelive="max_faces 1",
)  # fmt: skip
MIN_FACE: Any = number(
    0.0, 0.0, 100.0, 0.5, "Smallest face",
    "Smaller faces are not swapped: they count as other faces. The mean of a face's width and height, in "
    "percent of the picture's height: 10 % of 1080 rows are 108 pixels. 0 is no limit.", PEOPLE, unit="%",
)  # fmt: skip
RECOGNIZER: Any = declare(
    Kind.NETWORK, "", "Tell people apart by",
    "A recognition network of yours; see docs/people.md. It finds people again after they passed before each "
    "other or left, and knows enrolled ones. Without one faces are told apart by where they are.", PEOPLE,
    choices=(("", "Automatic (the network, where one is installed)"), (NO_RECOGNIZER, "Where they are")),
)  # fmt: skip
RECOGNIZER_DEVICE: Any = stage_device(
    "Device to tell people apart", "What that network runs on; it is asked now and then.", PEOPLE,
    same="Same as the device to find faces", deepfacelive="",
)  # fmt: skip
PERSON_NAME: Any = declare(
    Kind.TEXT, "", "Name of a new person",
    "For the button below. A name that is there already is known better by one more look.", PEOPLE,
    shown=Shown.KNOWN_FACES,
)  # fmt: skip


def person(row: int) -> Any:
    """Whom a row of the table is for."""
    return declare(
        Kind.PERSON, "", f"Person {row}", "An enrolled person, or whoever comes next in the order.", PEOPLE,
        choices=(("", "Nobody"), (ANYBODY, "Whoever is next")), shown=Shown.KNOWN_FACES,
    )  # fmt: skip


def face(row: int) -> Any:
    """What a row's person wears."""
    return declare(
        Kind.FACE, "", f"Face of person {row}", "What that person wears.", PEOPLE,
        choices=(("", "The face chosen above"),), shown=Shown.KNOWN_FACES,
    )  # fmt: skip


COVERAGE: Any = number(
    2.2, 0.1, 8.0, 0.1, "Coverage",
    "How much around the face is cut out for the network. 2.2 suits whole-face models.", TRACKING,
    deepfacelive="face_coverage 2.2",
)  # fmt: skip
ALIGN_X: Any = number(
    0.0, -0.5, 0.5, 0.01, "Crop offset sideways", "Moves the cut-out, in parts of its side.", TRACKING,
    deepfacelive="x_offset 0",
)  # fmt: skip
ALIGN_Y: Any = number(
    0.0, -0.5, 0.5, 0.01, "Crop offset up or down", "Moves the cut-out, in parts of its side.", TRACKING,
    deepfacelive="y_offset 0",
)  # fmt: skip
DETECTOR: Any = declare(
    Kind.NETWORK, "", "Network to find faces",
    "Automatic takes YuNet where it is installed, else BlazeFace. Or a detector in the folder of networks; "
    "see docs/models.md.", TRACKING,
    choices=(("", "Automatic"),), deepfacelive="detector_type YoloV5",
)  # fmt: skip
DETECTION_SIZE: Any = number(
    0.0, 0.0, 4096.0, 32.0, "Window to find faces in",
    "The longer side that the detector sees, for networks that take any size: larger finds smaller faces and "
    "takes longer. 0 is the network's usual one.", TRACKING, unit="px",
    deepfacelive="fixed_window_size 480",
)  # fmt: skip
DETECTOR_DEVICE: Any = stage_device(
    "Device to find faces",
    "What the network runs on that looks for faces, about ten times a second.",
    TRACKING,
)
DETECTION_THRESHOLD: Any = number(
    0.5, 0.01, 1.0, 0.01, "Detection threshold",
    "Lower finds more faces and more mistakes, higher fewer of both.", TRACKING,
    deepfacelive="threshold 0.5",
)  # fmt: skip
SEARCH_EVERY: Any = number(
    0.0, 0.0, 300.0, 1.0, "Look for new faces every",
    "In between, faces are followed by their own points. 0 is automatic: about ten times a second. A lost "
    "face is looked for in each frame.", TRACKING, unit="frames", deepfacelive="none (each frame)",
)  # fmt: skip
LANDMARKER: Any = declare(
    Kind.NETWORK, "", "Network to follow faces",
    "Automatic is MediaPipe's face mesh. Or a network of 68, 106, 468 or 478 points in the folder of "
    "networks; see docs/models.md. The detector's five points know no expression.", TRACKING,
    choices=(("", "Automatic"), (FIVE_POINTS, "The five points of the network that finds faces")),
    deepfacelive="marker_type Google FaceMesh",
)  # fmt: skip
LANDMARKS_DEVICE: Any = stage_device(
    "Device to follow faces",
    "What the network runs on that finds a face's points in every frame. It is small: while the face "
    "itself runs on a busy graphics card, the CPU may be faster.", TRACKING,
)  # fmt: skip
SMOOTHING: Any = number(
    50.0, 0.0, 100.0, 1.0, "Smoothing", "Steadies a still face; a moving one stays quick.", TRACKING,
    unit="%", deepfacelive="temporal_smoothing 1 (off)",
)  # fmt: skip
