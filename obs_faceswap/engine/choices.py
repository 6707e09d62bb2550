"""What the settings that are chosen from a list can be. Standard library only."""

from enum import StrEnum


class Cover(StrEnum):
    """What is shown when there is no swapped frame."""

    FREEZE_BLUR = "freeze_blur"
    BLUR = "blur"
    HIDE = "hide"
    ORIGINAL = "original"


class OtherFaces(StrEnum):
    """What happens to faces that are not swapped."""

    AUTO = "auto"
    COVER = "cover"
    LEAVE = "leave"


class Who(StrEnum):
    """Whose face is swapped."""

    CHOSEN = "chosen"
    ALL = "all"
    KNOWN = "known"


class SortBy(StrEnum):
    """The order in which faces are counted."""

    LARGEST = "largest"
    CENTER = "center"
    LEFT_RIGHT = "left_right"
    RIGHT_LEFT = "right_left"
    TOP_BOTTOM = "top_bottom"
    BOTTOM_TOP = "bottom_top"


class Keep(StrEnum):
    """Whether a live part of the face is kept."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


class AlignMode(StrEnum):
    """What a model's crop follows."""

    POINTS = "points"
    BOX = "box"
    STATIC = "static"


class FaceType(StrEnum):
    """How much of a head a model was trained on."""

    CUSTOM = "custom"
    HALF = "half"
    MID_FULL = "mid_full"
    FULL = "full"
    WHOLE_FACE = "whole_face"
    HEAD = "head"


class ColorTransfer(StrEnum):
    """How the swapped face takes on the colours of the scene."""

    NONE = "none"
    RCT = "rct"
    LCT = "lct"
    MKL = "mkl"
    SOT = "sot"
    HISTOGRAM = "histogram"


class CameraFit(StrEnum):
    """Whether a swapped face is made as sharp and as grainy as the camera's picture."""

    AUTO = "auto"  # never sharper than it is
    SHARP = "sharp"
    OFF = "off"


class Reprojection(StrEnum):
    """Whether frames between two swaps show the newest swap, moved to where the face is now."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


class Target(StrEnum):
    """What the engine aims at when the machine is not fast enough for everything."""

    OFF = "off"
    SMOOTH = "smooth"
    GAME = "game"


class Delay(StrEnum):
    """How long finished frames are held, so that they come out evenly and sound can fit."""

    AUTO = "auto"
    FIXED = "fixed"
    OFF = "off"


class DebugView(StrEnum):
    """Whether what the engine did is drawn on its picture."""

    OFF = "off"
    PREVIEW = "preview"
    ALWAYS = "always"


class Occlusion(StrEnum):
    """What is kept in front of the swapped face."""

    AUTO = "auto"
    OFF = "off"
    HANDS = "hands"
    NETWORK = "network"


class Interpolation(StrEnum):
    """How the swapped face is resampled into the frame."""

    LINEAR = "bilinear"
    CUBIC = "bicubic"
    LANCZOS = "lanczos4"


class Blending(StrEnum):
    """How the swapped face goes over into the frame."""

    MASK = "mask"
    POISSON = "poisson"
