"""Every setting of the filter, declared once. Standard library only.

OBS properties, command-line options (`--set key=value`) and the table in docs/settings.md are made from
`OPTIONS`; nothing else in the project names a range, a default, a label or a help text.
"""

from dataclasses import Field, dataclass, fields, replace
from typing import Any, cast

from obs_faceswap.engine import finding, pacing
from obs_faceswap.engine.choices import (
    AlignMode,
    Blending,
    CameraFit,
    ColorTransfer,
    Cover,
    DebugView,
    Delay,
    FaceType,
    Interpolation,
    Keep,
    Occlusion,
    OtherFaces,
    Reprojection,
    SortBy,
    Switch,
    Target,
    Who,
)
from obs_faceswap.engine.errors import SettingsError
from obs_faceswap.engine.options import (
    DEBUG,
    EYE_CHOICES,
    FACE,
    KEEP_CHOICES,
    LOOK,
    MASK,
    MODEL,
    PEOPLE,
    PERFORMANCE,
    PRIVACY,
    SAME,
    SOUND,
    SWITCH_CHOICES,
    TRACKING,
    Kind,
    Option,
    Shown,
    Value,
    box_side,
    checked,
    declare,
    gamma,
    number,
    region,
    stage_device,
)

__all__ = [
    "DEBUG",
    "FACE",
    "LOOK",
    "MASK",
    "MODEL",
    "OPTIONS",
    "PEOPLE",
    "PERFORMANCE",
    "PRIVACY",
    "SAME",
    "SOUND",
    "TRACKING",
    "AlignMode",
    "Blending",
    "CameraFit",
    "ColorTransfer",
    "Cover",
    "DebugView",
    "Delay",
    "FaceType",
    "Interpolation",
    "Keep",
    "Kind",
    "Occlusion",
    "Option",
    "OtherFaces",
    "Reprojection",
    "Settings",
    "Shown",
    "SortBy",
    "Switch",
    "Target",
    "Value",
    "Who",
    "covers_other_faces",
    "device_of",
    "from_stored",
    "option",
    "with_texts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One immutable snapshot; handed to the worker by reference, so it needs no lock.

    Percentages of the mask are of the aligned crop's side: 2.2 and 11.2 are DeepFaceLive's 5 and 25 px
    at its default resolution of 224.
    """

    face: str = declare(
        Kind.FACE, "", "Face", "The face to wear. Add more with the file picker below.", FACE,
        deepfacelive="model",
    )  # fmt: skip
    face_file: str = declare(
        Kind.PATH, "", "Face from a file",
        "A picture of a face or a .dfm model. It is used when the list above says “From a file”.", FACE,
    )  # fmt: skip
    network: str = declare(
        Kind.NETWORK, "", "Photo faces through",
        "How a picture becomes your face: painted on it, or by a network that you put into the folder "
        "of networks; see docs/models.md.", FACE,
        shown=Shown.PHOTO, deepfacelive="module FaceSwapInsight, off",
    )  # fmt: skip
    pixel_boost: float = number(
        1.0, 1.0, 4.0, 1.0, "Pixel boost",
        "Runs the network on a finer crop of a large face: 2 takes four times as long, 4 sixteen times.",
        FACE, shown=Shown.SWAPPER,
    )  # fmt: skip
    relative_power: float = number(
        1.0, 0.0, 2.0, 0.01, "Movement", "How strongly the picture moves with your face.", FACE,
        shown=Shown.ANIMATOR, deepfacelive="relative_power 1",
    )  # fmt: skip
    morph: float = number(
        0.75, 0.0, 1.0, 0.01, "Morph", "How far the model turns you into the other person.", FACE,
        shown=Shown.MORPH, deepfacelive="morph_factor 0.75",
    )  # fmt: skip
    device: str = declare(
        Kind.DEVICE, "auto", "Device", "What the networks run on. Automatic takes the fastest that works.",
        FACE, deepfacelive="device (per stage)",
    )  # fmt: skip
    cover: Cover = declare(
        Kind.CHOICE, Cover.FREEZE_BLUR, "Show instead",
        "What viewers see while the face is loading, when no face is found, or when anything goes wrong. "
        "Only “Show original” ever shows your own face.",
        PRIVACY,
        choices=(
            (Cover.FREEZE_BLUR, "Freeze, then blur"),
            (Cover.BLUR, "Blur"),
            (Cover.HIDE, "Hide the picture"),
            (Cover.ORIGINAL, "Show original (not private)"),
        ),
        deepfacelive="source_type: frozen or original frame",
    )  # fmt: skip
    other_faces: OtherFaces = declare(
        Kind.CHOICE, OtherFaces.AUTO, "Other faces",
        "Faces that are not swapped: other people, posters, or you again in a mirror.", PRIVACY,
        choices=(
            (OtherFaces.AUTO, "Automatic (covered unless “Show original” is chosen)"),
            (OtherFaces.COVER, "Cover them"),
            (OtherFaces.LEAVE, "Leave them as they are"),
        ),
        deepfacelive="none (always left)",
    )  # fmt: skip
    who: Who = finding.WHO
    sort_by: SortBy = finding.SORT_BY
    face_number: float = finding.FACE_NUMBER
    max_faces: float = finding.MAX_FACES
    min_face: float = finding.MIN_FACE
    recognizer: str = finding.RECOGNIZER
    recognizer_device: str = finding.RECOGNIZER_DEVICE
    person_name: str = finding.PERSON_NAME
    person_1: str = finding.person(1)
    face_1: str = finding.face(1)
    person_2: str = finding.person(2)
    face_2: str = finding.face(2)
    person_3: str = finding.person(3)
    face_3: str = finding.face(3)
    person_4: str = finding.person(4)
    face_4: str = finding.face(4)
    color_transfer: ColorTransfer = declare(
        Kind.CHOICE, ColorTransfer.RCT, "Colour match", "Fits the face's colours to your light.", LOOK,
        choices=(
            (ColorTransfer.RCT, "Match the scene (Reinhard)"),
            (ColorTransfer.LCT, "Linear (LCT)"),
            (ColorTransfer.MKL, "Least change (MKL)"),
            (ColorTransfer.SOT, "All colors (SOT)"),
            (ColorTransfer.HISTOGRAM, "Histogram"),
            (ColorTransfer.NONE, "Off"),
        ),
        deepfacelive="color_transfer rct",
    )  # fmt: skip
    opacity: float = number(
        1.0, 0.0, 1.0, 0.01, "Opacity", "Below 1 your own face shines through.", LOOK,
        deepfacelive="face_opacity 1.0",
    )  # fmt: skip
    keep_mouth: Keep = declare(
        Kind.CHOICE, Keep.AUTO, "Keep my mouth's inside", "Shows your own teeth and tongue when you speak.",
        LOOK, choices=KEEP_CHOICES,
    )  # fmt: skip
    keep_eyes: Keep = declare(
        Kind.CHOICE, Keep.AUTO, "Keep my eyes",
        "Shows your own eyes in the new face. Automatic: a photo face's eyes look and blink as yours do; a "
        "model makes its own.",
        LOOK,
        choices=EYE_CHOICES,
    )  # fmt: skip
    face_scale: float = number(
        1.0, 0.5, 1.5, 0.01, "Face size", "Makes the swapped face larger or smaller.", LOOK,
        deepfacelive="face_scale 1.0",
    )  # fmt: skip
    offset_x: float = number(
        0.0, -0.5, 0.5, 0.001, "Move sideways", "In parts of the crop's side; positive moves right.", LOOK,
        deepfacelive="face_x_offset 0",
    )  # fmt: skip
    offset_y: float = number(
        0.0, -0.5, 0.5, 0.001, "Move up or down", "In parts of the crop's side; positive moves down.", LOOK,
        deepfacelive="face_y_offset 0",
    )  # fmt: skip
    interpolation: Interpolation = declare(
        Kind.CHOICE, Interpolation.LINEAR, "Interpolation", "The finer ones are slower and sharper.", LOOK,
        choices=(
            (Interpolation.LINEAR, "Linear"),
            (Interpolation.CUBIC, "Cubic"),
            (Interpolation.LANCZOS, "Lanczos"),
        ),
        deepfacelive="interpolation bilinear",
    )  # fmt: skip
    blending: Blending = declare(
        Kind.CHOICE, Blending.MASK, "Blending",
        "“Seamless” takes the light along the mask's edge from your frame and spreads it over the face.",
        LOOK, choices=((Blending.MASK, "By the mask"), (Blending.POISSON, "Seamless (Poisson)")),
    )  # fmt: skip
    camera_match: CameraFit = declare(
        Kind.CHOICE, CameraFit.AUTO, "Fit to the camera",
        "Makes the face as soft and as grainy as your camera's picture. Sharpening shows its errors, too.",
        LOOK, choices=(
            (CameraFit.AUTO, "Automatic"), (CameraFit.SHARP, "Automatic, and sharpened"),
            (CameraFit.OFF, "Off"),
        ),
    )  # fmt: skip
    sharpen: float = number(
        0.0, 0.0, 10.0, 0.1, "Sharpen the face", "Brings out the detail of the new face.", LOOK,
    )  # fmt: skip
    median_blur: float = number(
        0.0, 0.0, 100.0, 1.0, "Median blur", "Takes small detail from the new face.", LOOK, unit="%",
        deepfacelive="median_blur_per 0 (whole frame)",
    )  # fmt: skip
    degrade_bicubic: float = number(
        0.0, 0.0, 100.0, 1.0, "Bicubic degrade", "Makes the new face as coarse as a cheap camera's picture.",
        LOOK, unit="%", deepfacelive="degrade_bicubic_per 0 (whole frame)",
    )  # fmt: skip
    color_compression: float = number(
        0.0, 0.0, 127.0, 0.1, "Color compression", "Leaves fewer colors in the new face.", LOOK,
        deepfacelive="color_compression 1 (whole frame)",
    )  # fmt: skip
    enhancer: str = declare(
        Kind.NETWORK, "", "Face enhancer",
        "A network that makes the new face finer, from the folder of networks: GFPGAN, GPEN or CodeFormer; "
        "see docs/models.md. Live it takes a fast graphics card.", LOOK,
    )  # fmt: skip
    enhancer_device: str = stage_device(
        "Device of the enhancer", "What that network runs on.", LOOK, shown=Shown.ENHANCER, deepfacelive=""
    )
    enhancer_blend: float = number(
        80.0, 0.0, 100.0, 1.0, "Enhancer's part", "How much of the finer face is taken.", LOOK, unit="%",
        shown=Shown.ENHANCER,
    )  # fmt: skip
    enhancer_weight: float = number(
        0.5, 0.0, 1.0, 0.01, "Enhancer's faithfulness", "1 keeps the face, 0 invents more. CodeFormer only.",
        LOOK, shown=Shown.ENHANCER,
    )  # fmt: skip
    two_pass: Switch = declare(
        Kind.CHOICE, Switch.OFF, "Two passes",
        "Gives the model its own face once more: closer to the other person, less of your expression, twice "
        "the time.",
        MODEL, choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="two_pass off",
    )  # fmt: skip
    presharpen: float = number(
        0.0, 0.0, 10.0, 0.1, "Sharpen before the model", "Helps with a soft camera.", MODEL,
        shown=Shown.DFM, deepfacelive="presharpen_amount 0",
    )  # fmt: skip
    pre_gamma_red: float = gamma("Red", before=True)
    pre_gamma_green: float = gamma("Green", before=True)
    pre_gamma_blue: float = gamma("Blue", before=True)
    post_gamma_red: float = gamma("Red", before=False)
    post_gamma_green: float = gamma("Green", before=False)
    post_gamma_blue: float = gamma("Blue", before=False)
    face_type: FaceType = declare(
        Kind.CHOICE, FaceType.CUSTOM, "Face type", "What the model was trained on; it decides the cut-out.",
        MODEL,
        choices=(
            (FaceType.CUSTOM, "By coverage"),
            (FaceType.HALF, "Half face"),
            (FaceType.MID_FULL, "Mid-full face"),
            (FaceType.FULL, "Full face"),
            (FaceType.WHOLE_FACE, "Whole face"),
            (FaceType.HEAD, "Head"),
        ),
        shown=Shown.DFM,
    )  # fmt: skip
    align_mode: AlignMode = declare(
        Kind.CHOICE, AlignMode.POINTS, "Cut out by", "What the cut-out for the model follows.", MODEL,
        choices=(
            (AlignMode.POINTS, "The face's points"),
            (AlignMode.BOX, "The box around the face"),
            (AlignMode.STATIC, "Nothing: the middle of the frame"),
        ),
        shown=Shown.DFM, deepfacelive="align_mode from points",
    )  # fmt: skip
    exclude_moving_parts: Switch = declare(
        Kind.CHOICE, Switch.ON, "Ignore moving parts",
        "Brows, lids, lips and jaw do not move the cut-out: it stays still while you speak.", MODEL,
        choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="exclude_moving_parts on",
    )  # fmt: skip
    head_mode: Switch = declare(
        Kind.CHOICE, Switch.OFF, "Head mode", "A larger cut-out that keeps the back of a turned head.", MODEL,
        choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="head_mode off",
    )  # fmt: skip
    freeze_rotation: Switch = declare(
        Kind.CHOICE, Switch.OFF, "Keep the cut-out level", "It does not turn when you tilt your head.", MODEL,
        choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="freeze_z_rotation off",
    )  # fmt: skip
    occlusion: Occlusion = declare(
        Kind.CHOICE, Occlusion.AUTO, "Keep in front",
        "What lies before your face and must not be painted over. Your own skin shows only where it is.",
        MASK,
        choices=(
            (Occlusion.AUTO, "Automatic (hands, where their networks are installed)"),
            (Occlusion.OFF, "Nothing"),
            (Occlusion.HANDS, "Hands"),
            (Occlusion.NETWORK, "What a network of mine says"),
        ),
        deepfacelive="none (only what a model's own masks leave out)",
    )  # fmt: skip
    occlusion_network: str = declare(
        Kind.NETWORK, "", "Network for what is in front",
        "An XSeg, a face parser or a network of faces or hair in the folder of networks; see docs/masks.md.",
        MASK, shown=Shown.OCCLUDER,
    )  # fmt: skip
    region_skin: Switch = region("Skin")
    region_brows: Switch = region("Brows")
    region_eyes: Switch = region("Eyes")
    region_glasses: Switch = region("Glasses")
    region_nose: Switch = region("Nose")
    region_mouth: Switch = region("Mouth's inside")
    region_lips: Switch = region("Lips")
    mask_source: Switch = declare(
        Kind.CHOICE, Switch.ON, "Mask of your face", "Swaps only what the model takes for your face.", MASK,
        choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="face_mask_source on",
    )  # fmt: skip
    mask_celeb: Switch = declare(
        Kind.CHOICE, Switch.ON, "Mask of the new face", "Shows only what the model takes for the new face.",
        MASK, choices=SWITCH_CHOICES, shown=Shown.DFM, deepfacelive="face_mask_celeb on",
    )  # fmt: skip
    mask_landmarks: Switch = declare(
        Kind.CHOICE, Switch.OFF, "Mask of the landmarks", "Swaps only what lies within your face's outline.",
        MASK, choices=SWITCH_CHOICES, deepfacelive="face_mask_lmrks off",
    )  # fmt: skip
    mask_erode: float = number(
        2.2, -50.0, 50.0, 0.1, "Mask erode",
        "Makes the mask smaller, or larger when negative. Percent of the crop's side.", MASK, unit="%",
        deepfacelive="face_mask_erode 5 px",
    )  # fmt: skip
    mask_blur: float = number(
        11.2, 0.0, 100.0, 0.1, "Mask blur", "Softens the mask's edge. Percent of the crop's side.", MASK,
        unit="%", deepfacelive="face_mask_blur 25 px",
    )  # fmt: skip
    mask_top: float = box_side("top")
    mask_right: float = box_side("right")
    mask_bottom: float = box_side("bottom")
    mask_left: float = box_side("left")
    coverage: float = finding.COVERAGE
    align_x: float = finding.ALIGN_X
    align_y: float = finding.ALIGN_Y
    detector: str = finding.DETECTOR
    detector_device: str = finding.DETECTOR_DEVICE
    detection_size: float = finding.DETECTION_SIZE
    detection_threshold: float = finding.DETECTION_THRESHOLD
    search_every: float = finding.SEARCH_EVERY
    landmarker: str = finding.LANDMARKER
    landmarks_device: str = finding.LANDMARKS_DEVICE
    smoothing: float = finding.SMOOTHING
    occlusion_device: str = stage_device(
        "Device for what is in front", "What the networks of “Keep in front” run on.", TRACKING
    )
    target: Target = pacing.TARGET
    target_fps: float = pacing.TARGET_FPS
    reprojection: Reprojection = pacing.REPROJECTION
    delay: Delay = pacing.DELAY
    delay_ms: float = pacing.DELAY_MS
    sync_audio: str = pacing.SYNC_AUDIO
    debug_view: DebugView = declare(
        Kind.CHOICE, DebugView.OFF, "Debug view",
        "Draws on the picture what is done with it: faces, landmarks, masks, each step's time and picture. "
        "Your own face is not shown by it unless “Show original” is chosen; see docs/debug-view.md.",
        DEBUG,
        choices=(
            (DebugView.OFF, "Off"),
            (DebugView.PREVIEW, "On (not while OBS streams or records)"),
            (DebugView.ALWAYS, "On, and viewers see it"),
        ),
        deepfacelive="preview windows of its stages",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for option in OPTIONS:
            object.__setattr__(self, option.key, checked(option, getattr(self, option.key)))


def _option(declared: Field[Any]) -> Option:
    return Option(key=declared.name, default=cast("Value", declared.default), **declared.metadata)


OPTIONS: tuple[Option, ...] = tuple(_option(declared) for declared in fields(Settings))
_BY_KEY = {option.key: option for option in OPTIONS}


def option(key: str) -> Option:
    """The declaration of one setting; raises SettingsError for an unknown name."""
    try:
        return _BY_KEY[key]
    except KeyError:
        known = ", ".join(_BY_KEY)
        raise SettingsError(f"There is no setting “{key}”. Use one of: {known}.") from None


def with_texts(settings: Settings, texts: dict[str, str]) -> Settings:
    """Settings changed by `--set key=value` texts; raises SettingsError naming the first bad one."""
    for key in texts:
        option(key)
    return replace(settings, **texts)  # type: ignore[arg-type]  # __post_init__ turns texts into values


def from_stored(stored: dict[str, Value]) -> tuple[Settings, list[str]]:
    """Settings from a stored collection, which may be old or edited by hand.

    A value that does not fit is replaced by its default; the second result says so, a sentence each.
    Unknown keys are kept by whoever stored them and ignored here.
    """
    good: dict[str, Any] = {}
    complaints = []
    for opt in OPTIONS:
        if opt.key not in stored:
            continue
        try:
            good[opt.key] = checked(opt, stored[opt.key])
        except SettingsError as error:
            complaints.append(f"{error} The default {opt.default} is used.")
    return Settings(**good), complaints


def covers_other_faces(settings: Settings) -> bool:
    """Whether faces that are not swapped are covered under these settings."""
    if settings.other_faces is OtherFaces.AUTO:
        return settings.cover is not Cover.ORIGINAL
    return settings.other_faces is OtherFaces.COVER


def device_of(settings: Settings, stage: str) -> str:
    """What a stage runs on that has a setting `…_device` of its own."""
    own: str = getattr(settings, f"{stage}_device")
    if own != SAME:
        return own
    return device_of(settings, "detector") if stage == "recognizer" else settings.device
