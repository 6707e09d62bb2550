"""The settings as a table, made from their one declaration. Standard library only."""

import json

from obs_faceswap.engine.settings import OPTIONS, Kind, Option, Shown, option

_HEAD = """\
# Settings

The filter's panel in OBS, the command line (`--set key=value`) and this page are made from one declaration,
`obs_faceswap/engine/settings.py`. This page is written by `obs-faceswap settings --markdown`.
"""

_DEFAULTS_HEAD = '''\
"""Every setting's default, as libobs stores it; OBS waits while this module is imported.

Written by `obs-faceswap settings --defaults`; change the declarations in engine/settings.py instead.
"""

'''

_TABLE_HEAD = """\
| Setting | Key | Values | Default | What it does |
| --- | --- | --- | --- | --- |"""

_DIFFERENCES_HEAD = """\
## Defaults that differ from DeepFaceLive's

All other defaults are DeepFaceLive's. Mask erode and blur are in percent of the crop's side, so that they
look the same at every size of model: 2.2 % and 11.2 % are its 5 and 25 pixels at its default crop of 224.
Each of its settings is compared with ours in [deepfacelive.md](deepfacelive.md).
"""

_DECIDED_HEAD = """\
## Not a setting here
"""

# Key: what DeepFaceLive does by default, and the reason why this project's default is another.
DIFFERENCES: dict[str, tuple[str, str]] = {
    "face": (
        "shows the camera until a model is chosen",
        "Without a face the picture is shown as “Show instead” says: nobody may be seen bare by accident.",
    ),
    "cover": (
        "shows the camera's own frame, or the last merged one, as its output window is set",
        "A frame without a swap would show the face the user wants hidden.",
    ),
    "other_faces": (
        "leaves every face it does not swap",
        "Under the protecting choices of “Show instead” no bare face may be seen, a mirror's included.",
    ),
    "sort_by": (
        "swaps the first of each frame",
        "The order counts when a face is chosen: the swap stays on the face it is on, so that it does not "
        "jump to a passer-by.",
    ),
    "max_faces": (
        "looks at one face",
        "All faces are found, because those that are not swapped have to be covered.",
    ),
    "detector": (
        "has YOLOv5-face",
        "That is a network for each frame. Here the landmarks lead from frame to frame, and a small detector "
        "looks for new faces.",
    ),
    "detection_size": (
        "has 480 px",
        "A bounded input is quick, and parts of the picture are looked at in turn for small faces.",
    ),
    "color_compression": (
        "has 1, for the whole picture",
        "That makes every color a little brighter. Here it acts on the face alone, where it is wanted.",
    ),
    "smoothing": (
        "has it off (1 frame)",
        "Its plain average delays a moving face. The filter used here steadies a still face and lets a "
        "moving one go, and without it a face made from a photo trembles.",
    ),
    "delay": (
        "holds every frame until it is 500 ms old",
        "The smallest delay that keeps the frames even differs from machine to machine, and is measured.",
    ),
}

# What DeepFaceLive has as a setting and this project decides by itself.
DECIDED = (
    "The crop's resolution (224 px there): a model's own input size, or what the face's size needs.",
    "How much around a face the network that follows it sees (1.4 boxes there): what each was trained on.",
)

_SHOWN_WORDS = {
    Shown.ALWAYS: "",
    Shown.PHOTO: " Photo faces only.",
    Shown.SWAPPER: " Photo faces through a network only.",
    Shown.ANIMATOR: " Animated pictures only.",
    Shown.OCCLUDER: " Only where a network says what is in front.",
    Shown.PARSER: " Face parsers only.",
    Shown.ENHANCER: " Only with an enhancer.",
    Shown.DFM: " `.dfm` models only.",
    Shown.ONE_FACE: " Only where one face is swapped.",
    Shown.ALL_FACES: " Only where all faces are swapped.",
    Shown.KNOWN_FACES: " Only where each person has their own face.",
    Shown.MORPH: " Only for a `.dfm` model with a morph input.",
    Shown.FIXED_DELAY: " Fixed delay only.",
}


def values_of(declared: Option) -> str:
    """The values a setting takes, in words."""
    if declared.kind is Kind.NUMBER:
        return f"{declared.minimum:g} to {declared.maximum:g}{_unit(declared)}, step {declared.step:g}"
    if declared.kind is Kind.CHOICE:
        return _choices(declared)
    return {
        Kind.FACE: "name of an installed face",
        Kind.PERSON: ", ".join((_choices(declared), "or the name of an enrolled person")),
        Kind.TEXT: "any text",
        Kind.DEVICE: ", ".join(
            filter(None, (_choices(declared), "`auto`, or a device listed by `obs-faceswap doctor`"))
        ),
        Kind.NETWORK: ", ".join(
            filter(None, (_choices(declared), "name of an installed network or path of a file"))
        ),
        Kind.AUDIO: "name of an audio source in OBS",
        Kind.PATH: "path of a file or folder",
    }[declared.kind]


def _choices(declared: Option) -> str:
    return ", ".join(f"{f'`{value}`' if value else 'none'}: {label}" for value, label in declared.choices)


def default_of(declared: Option) -> str:
    """A setting's default, in words."""
    if declared.kind is Kind.NUMBER:
        return f"{declared.default:g}{_unit(declared)}"
    return f"`{declared.default}`" if declared.default else "none"


def _unit(declared: Option) -> str:
    return f" {declared.unit}" if declared.unit else ""


def _row(declared: Option) -> str:
    cells = (
        declared.label,
        f"`{declared.key}`",
        values_of(declared),
        default_of(declared),
        declared.help + _SHOWN_WORDS[declared.shown],
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _group(name: str) -> str:
    rows = [_row(declared) for declared in OPTIONS if declared.group == name]
    return "\n".join([f"## {name}", "", _TABLE_HEAD, *rows, ""])


def _difference(key: str, theirs: str, why: str) -> str:
    declared = option(key)
    return f"- **{declared.label}** is {default_of(declared)}; DeepFaceLive {theirs}. {why}"


def defaults() -> str:
    """The whole of obs_faceswap/libobs/defaults.py: a module that is imported in no time."""
    lines = [f'    "{declared.key}": {_stored(declared)},\n' for declared in OPTIONS]
    return "".join([_DEFAULTS_HEAD, "DEFAULTS: dict[str, float | str] = {\n", *lines, "}\n"])


def _stored(declared: Option) -> str:
    """A default as Python's source writes what OBS stores."""
    if declared.kind is Kind.NUMBER:
        return repr(float(declared.default))
    return json.dumps(str(declared.default))


def markdown() -> str:
    """The whole of docs/settings.md."""
    groups = dict.fromkeys(declared.group for declared in OPTIONS)
    differences = [_difference(key, *words) for key, words in DIFFERENCES.items()]
    decided = ["", _DECIDED_HEAD, *(f"- {sentence}" for sentence in DECIDED)]
    parts = [_HEAD, *(_group(name) for name in groups), _DIFFERENCES_HEAD, *differences, *decided]
    return "\n".join(parts) + "\n"
