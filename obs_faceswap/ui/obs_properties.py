"""What the filter's panel in OBS shows, made from `settings.OPTIONS`. Standard library only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Protocol, Self, TypeAlias

from obs_faceswap.engine import faces
from obs_faceswap.engine.errors import FaceError, ModelError
from obs_faceswap.engine.faces import FaceKind, InstalledFace
from obs_faceswap.engine.find import people
from obs_faceswap.engine.settings import (
    OPTIONS,
    PEOPLE,
    PERFORMANCE,
    Delay,
    Kind,
    Occlusion,
    Option,
    Settings,
    Shown,
    Who,
)
from obs_faceswap.engine.store import own_networks
from obs_faceswap.engine.store.own_networks import Role

Choice: TypeAlias = tuple[str, str]  # value, label

STATUS = "status"
REFRESH = "refresh"
AUTOTUNE = "autotune"
TAKE_OVER = "take_over"
NEUTRAL = "neutral"
FACE = "face"
NETWORK = "network"
DELAY = "delay"
WHO = "who"
ENROLL = "enroll"
OCCLUSION = "occlusion"
OCCLUSION_NETWORK = "occlusion_network"
ENHANCER = "enhancer"

_FROM_A_FILE = "From a file …"
_GONE = "{} (not found)"
# Of each setting that names a network: what the network does, and how it is called that there is none.
_NETWORKS = {
    NETWORK: (own_networks.WORN, "Built in"),
    OCCLUSION_NETWORK: (own_networks.OCCLUDERS, "None"),
    ENHANCER: (own_networks.ENHANCERS, "None"),
    "detector": (own_networks.DETECTORS, ""),
    "landmarker": (own_networks.LANDMARKERS, ""),
    "recognizer": (own_networks.RECOGNIZERS, ""),
}
_NO_SOUND: Choice = ("", "None")
_KINDS = "Faces ({});;All files (*)".format(" ".join(f"*{end}" for end in faces.PICTURES + faces.MODELS))


class Severity(StrEnum):
    """How a text to read is coloured."""

    NORMAL = "normal"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class View:
    """What the panel shows beside the settings' own values."""

    settings: Settings
    status: str
    severity: Severity
    devices: tuple[Choice, ...]
    has_morph: bool = False
    audio_sources: tuple[Choice, ...] = ()
    has_proposal: bool = False  # of Autotune


@dataclass(frozen=True, slots=True)
class _Worn:
    """What is worn: the kind of face, what its network does, and whether that has a morph input.

    Attributes:
        occluder: what the network does that tells what lies before the face.
    """

    kind: FaceKind | None
    role: Role | None
    has_morph: bool
    occluder: Role | None


class Panel(Protocol):
    """What draws the controls; see libobs/panel.py."""

    def group(self, key: str, label: str) -> Self: ...
    def number(self, key: str, label: str, low: float, high: float, step: float, unit: str) -> None: ...
    def choice(self, key: str, label: str, choices: tuple[Choice, ...]) -> None: ...
    def path(self, key: str, label: str, kinds: str) -> None: ...
    def text(self, key: str, label: str) -> None: ...
    def info(self, key: str, label: str, message: str, severity: Severity) -> None: ...
    def set_info(self, key: str, message: str, severity: Severity) -> None: ...
    def button(self, key: str, label: str, clicked: Any) -> None: ...
    def help(self, key: str, message: str) -> None: ...
    def on_change(self, key: str, changed: Any) -> None: ...
    def is_visible(self, key: str) -> bool: ...
    def set_visible(self, key: str, visible: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Actions:
    """What the panel calls; whatever `Panel.button` and `Panel.on_change` take.

    Attributes:
        refresh: by the Refresh button.
        changed: when the user changes what other controls depend on.
        autotune: by the Autotune button.
        take_over: by the button that sets what Autotune proposes.
        neutral: by the button that takes the live face as an animated picture's.
        enroll: by the button that enrolls the face that is swapped.
    """

    refresh: Any
    changed: Any
    autotune: Any
    take_over: Any
    neutral: Any
    enroll: Any


def build(panel: Panel, view: View, actions: Actions) -> None:
    """Fills an empty panel.

    Args:
        panel: where the controls go.
        view: what they show.
        actions: what they do.
    """
    panel.info(STATUS, "Status", view.status, view.severity)
    panel.button(REFRESH, "Refresh", actions.refresh)
    panel.help(REFRESH, "Brings status and faces up to date, and tries again what did not work.")
    installed = _installed()
    for label, options in groupby(OPTIONS, key=lambda option: option.group):
        group = panel.group(_group_key(label), label)
        for option in options:
            _add(group, option, view, installed)
            if option.shown is Shown.ANIMATOR:
                _add_neutral(group, actions)
        if label == PERFORMANCE:
            _add_autotune(group, view, actions)
        if label == PEOPLE:
            _add_enroll(group, actions)
    for key in (FACE, NETWORK, OCCLUSION, OCCLUSION_NETWORK, ENHANCER, DELAY, WHO):
        panel.on_change(key, actions.changed)
    show_what_matters(panel, view.settings, view.has_morph)


def _add_neutral(panel: Panel, actions: Actions) -> None:
    panel.button(NEUTRAL, "Take my face as neutral", actions.neutral)
    panel.help(NEUTRAL, "The picture is shown as it is for your face of now, and moves from there.")


def _add_enroll(panel: Panel, actions: Actions) -> None:
    panel.button(ENROLL, "Enroll the face that is swapped now", actions.enroll)
    panel.help(
        ENROLL,
        "Remembers the first face that is swapped by the name above, so that a recognition network knows "
        "them again. Only that network's numbers are kept, no picture.",
    )


def _add_autotune(panel: Panel, view: View, actions: Actions) -> None:
    panel.button(AUTOTUNE, "Autotune", actions.autotune)
    panel.help(
        AUTOTUNE, "Measures each step on each device, for some seconds. The status proposes what to set."
    )
    panel.button(TAKE_OVER, "Use what Autotune proposes", actions.take_over)
    panel.help(TAKE_OVER, "Sets the devices, Reprojection and Target that the status names.")
    panel.set_visible(TAKE_OVER, view.has_proposal)


def show_what_matters(panel: Panel, settings: Settings, has_morph: bool) -> bool:
    """Shows the controls that mean something under these settings, hides the others; whether any changed."""
    kind = _kind(settings.face, settings.face_file)
    worn = _Worn(
        kind, None if kind is FaceKind.DFM else _role(settings.network), has_morph, _occluder(settings)
    )
    wanted = {NEUTRAL: worn.role is Role.ANIMATOR, ENROLL: settings.who is Who.KNOWN}
    for option in OPTIONS:
        wanted[option.key] = visible = _matters(option, settings, worn)
        group = _group_key(option.group)
        wanted[group] = wanted.get(group, False) or visible  # one with nothing in it goes as well
    changed = [key for key, visible in wanted.items() if panel.is_visible(key) != visible]
    for key in changed:
        panel.set_visible(key, wanted[key])
    return bool(changed)


def _group_key(label: str) -> str:
    return f"group_{label}"


def _add(panel: Panel, option: Option, view: View, installed: list[InstalledFace]) -> None:
    match option.kind:
        case Kind.FACE:
            panel.choice(option.key, option.label, _face_choices(option, installed, view.settings))
        case Kind.PERSON:
            known = (*option.choices, *((name, name) for name in people.names()))
            panel.choice(option.key, option.label, _with(known, getattr(view.settings, option.key)))
        case Kind.DEVICE:
            chosen = getattr(view.settings, option.key)
            panel.choice(option.key, option.label, _with((*option.choices, *view.devices), chosen))
        case Kind.NETWORK:
            chosen = getattr(view.settings, option.key)
            panel.choice(option.key, option.label, _with(_network_choices(option), chosen))
        case Kind.AUDIO:
            sounds = (_NO_SOUND, *view.audio_sources)
            panel.choice(option.key, option.label, _with(sounds, view.settings.sync_audio))
        case Kind.CHOICE:
            panel.choice(option.key, option.label, option.choices)
        case Kind.PATH:
            panel.path(option.key, option.label, _KINDS)
        case Kind.TEXT:
            panel.text(option.key, option.label)
        case Kind.NUMBER:
            panel.number(option.key, option.label, option.minimum, option.maximum, option.step, option.unit)
    panel.help(option.key, option.help)


def _installed() -> list[InstalledFace]:
    """The installed faces; none where their folder cannot be read, which the worker reports."""
    try:
        return faces.installed()
    except FaceError:
        return []


def _face_choices(
    option: Option, installed: Iterable[InstalledFace], settings: Settings
) -> tuple[Choice, ...]:
    """The installed faces and what else there is; a chosen one that vanished stays, and says so."""
    others = option.choices or (("", _FROM_A_FILE),)
    return _with((*others, *((face.name, face.name) for face in installed)), getattr(settings, option.key))


def _network_choices(option: Option) -> tuple[Choice, ...]:
    """The installed networks that a setting can name, and what else it can be."""
    roles, nothing = _NETWORKS[option.key]
    known = (network.name for network in own_networks.installed() if network.role in roles)
    return (*(option.choices or (("", nothing),)), *((name, name) for name in known))


def _with(choices: tuple[Choice, ...], chosen: str) -> tuple[Choice, ...]:
    if any(value == chosen for value, _ in choices):
        return choices
    return (*choices, (chosen, _GONE.format(chosen)))


def _kind(face: str, face_file: str) -> FaceKind | None:
    try:
        return faces.find(face or face_file).kind
    except (FaceError, OSError):
        return None


def _role(network: str, roles: Sequence[Role] = own_networks.WORN) -> Role | None:
    """What the chosen network does; None where none is chosen, and where there is no such network."""
    try:
        return own_networks.find(network, roles=roles).role if network else None
    except (ModelError, OSError):
        return None


def _occluder(settings: Settings) -> Role | None:
    is_chosen = settings.occlusion is Occlusion.NETWORK
    return _role(settings.occlusion_network, own_networks.OCCLUDERS) if is_chosen else None


def _matters(option: Option, settings: Settings, worn: "_Worn") -> bool:
    if option.kind is Kind.PATH:
        return not settings.face
    return {
        Shown.ALWAYS: True,
        Shown.PHOTO: worn.kind is not FaceKind.DFM,
        Shown.SWAPPER: worn.role is Role.SWAPPER,
        Shown.ANIMATOR: worn.role is Role.ANIMATOR,
        Shown.OCCLUDER: settings.occlusion is Occlusion.NETWORK,
        Shown.PARSER: worn.occluder is Role.PARSER,
        Shown.ENHANCER: bool(settings.enhancer),
        Shown.DFM: worn.kind is FaceKind.DFM,
        Shown.MORPH: worn.kind is FaceKind.DFM and worn.has_morph,
        Shown.FIXED_DELAY: settings.delay is Delay.FIXED,
        Shown.ONE_FACE: settings.who is Who.CHOSEN,
        Shown.ALL_FACES: settings.who is Who.ALL,
        Shown.KNOWN_FACES: settings.who is Who.KNOWN,
    }[option.shown]
