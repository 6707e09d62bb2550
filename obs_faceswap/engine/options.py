"""How a setting is declared: its control, its range and its words. Standard library only."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from obs_faceswap.engine.choices import Keep, Switch
from obs_faceswap.engine.errors import SettingsError

Value = bool | int | float | str


class Kind(StrEnum):
    """What control a setting is drawn as."""

    FACE = "face"  # drop-down of installed faces; the choices are found at run time
    DEVICE = "device"  # drop-down of execution devices; the choices are found at run time
    NETWORK = "network"  # drop-down of the user's networks; the choices are found at run time
    AUDIO = "audio"  # drop-down of OBS's audio sources; the choices are found at run time
    PERSON = "person"  # drop-down of enrolled people; the choices are found at run time
    PATH = "path"
    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"


class Shown(StrEnum):
    """When a setting means something; the panel hides it otherwise."""

    ALWAYS = "always"
    PHOTO = "photo"  # a picture or a folder of pictures is worn
    SWAPPER = "swapper"  # a photo is worn through a network that takes a face from it
    ANIMATOR = "animator"  # a picture is moved by a network
    OCCLUDER = "occluder"  # a network says what is in front of the face
    PARSER = "parser"  # and it knows the parts of a face
    ENHANCER = "enhancer"  # a network makes the swapped face finer
    DFM = "dfm"  # a .dfm model is worn
    ONE_FACE = "one_face"  # one of several people is swapped
    ALL_FACES = "all_faces"  # everybody is
    KNOWN_FACES = "known_faces"  # each with a face of their own
    MORPH = "morph"  # the worn .dfm has a morph input
    FIXED_DELAY = "fixed_delay"  # the delay is a fixed one


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: key, control, range and words."""

    key: str
    kind: Kind
    default: Value
    label: str
    help: str
    group: str
    minimum: float = 0.0
    maximum: float = 0.0
    step: float = 0.0
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()  # (value, label)
    shown: Shown = Shown.ALWAYS
    deepfacelive: str = ""  # DeepFaceLive's setting and default, where it has one


def declare(kind: Kind, default: Value, label: str, help_text: str, group: str, **more: Any) -> Any:
    """A field of `Settings`; `more` are further parts of its `Option`."""
    parts = {"kind": kind, "label": label, "help": help_text, "group": group, **more}
    return field(default=default, metadata=parts)


def number(
    default: float, low: float, high: float, step: float, label: str, help_text: str, group: str, **more: Any
) -> Any:
    """A field that holds a number."""
    return declare(
        Kind.NUMBER, default, label, help_text, group, minimum=low, maximum=high, step=step, **more
    )


FACE = "Face"
PEOPLE = "Several people"
PRIVACY = "When your face cannot be swapped"
LOOK = "Look"
MODEL = "Model"
MASK = "Mask"
TRACKING = "Finding your face"
PERFORMANCE = "Speed"
SOUND = "Delay and sound"
DEBUG = "Debug view"

SAME = "same"  # a stage's device: the one of the setting `device`

SWITCH_CHOICES = ((Switch.OFF, "Off"), (Switch.ON, "On"))
KEEP_CHOICES = (
    (Keep.AUTO, "Automatic (photo faces: yes, models: no)"),
    (Keep.YES, "Yes"),
    (Keep.NO, "No"),
)
EYE_CHOICES = (
    (Keep.AUTO, "Automatic (they move as yours do)"),
    (Keep.YES, "Yes"),
    (Keep.NO, "No (photo faces: a fixed gaze)"),
)


def gamma(color: str, before: bool) -> Any:
    """One color of one of both gammas."""
    key, where = ("pre", "what the model sees") if before else ("post", "the new face")
    return number(
        1.0, 0.01, 4.0, 0.01, f"{color} gamma {'before' if before else 'after'} the model",
        f"Above 1 {where} has more {color.lower()}, below 1 less.", MODEL, shown=Shown.DFM,
        deepfacelive=f"{key}_gamma_{color.lower()} 1",
    )  # fmt: skip


def stage_device(label: str, help_text: str, group: str, same: str = "Same as Device", **more: Any) -> Any:
    """What one stage runs on; `SAME` is what another does, which `same` names."""
    return declare(
        Kind.DEVICE, SAME, label, help_text, group, choices=((SAME, same),),
        **{"deepfacelive": "device (per stage)"} | more,
    )  # fmt: skip


def region(part: str) -> Any:
    """One of the parts of a face that a parser knows."""
    return declare(
        Kind.CHOICE, Switch.ON, f"Swap: {part.lower()}", "Off leaves your own.", MASK,
        choices=SWITCH_CHOICES, shown=Shown.PARSER,
    )  # fmt: skip


def box_side(side: str) -> Any:
    """One side of the box that the mask is cut to."""
    return number(
        0.0, 0.0, 50.0, 0.1, f"Mask cut at the {side}",
        "Nothing beyond is swapped. Percent of the crop's side; Mask blur softens it.", MASK, unit="%",
    )  # fmt: skip


def checked(option: Option, value: Value) -> Value:
    """The value in its declared type; raises SettingsError when it is out of range."""
    if option.kind is Kind.NUMBER:
        return _checked_number(option, value)
    if option.kind is Kind.CHOICE:
        for known, _ in option.choices:
            if value == known:
                return known
        names = ", ".join(known for known, _ in option.choices)
        raise SettingsError(f"{option.key} is “{value}”. Use one of: {names}.")
    if not isinstance(value, str):
        raise SettingsError(f"{option.key} is {value!r}. Expected a text.")
    return value


def _checked_number(option: Option, value: Value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{option.key} is {value!r}. Expected a number.") from None
    if not option.minimum <= number <= option.maximum:  # also refuses NaN
        raise SettingsError(
            f"{option.key} is {number:g}. Expected {option.minimum:g} to {option.maximum:g}{option.unit}."
        )
    return number
