"""A filter's properties: made when OBS asks for them, and what their buttons do. On OBS's UI thread."""

from dataclasses import replace

from obs_faceswap.engine.live.loader import DEVICES
from obs_faceswap.engine.settings import Settings
from obs_faceswap.libobs import abi, source, stored
from obs_faceswap.libobs.api import obs
from obs_faceswap.libobs.audio_sources import names
from obs_faceswap.libobs.border import guarded
from obs_faceswap.libobs.panel import ObsPanel
from obs_faceswap.ui import obs_properties
from obs_faceswap.ui.obs_properties import Actions, Severity, View


@abi.ButtonClicked
@guarded(False)
def _refresh(properties: int, _button: int, handle: int | None) -> bool:
    if found := source.TYPE.find(handle):
        found.refresh()
    return _told_anew(properties, handle)


@abi.ButtonClicked
@guarded(False)
def _take_neutral(properties: int, _button: int, handle: int | None) -> bool:
    if found := source.TYPE.find(handle):
        found.take_neutral()
    return _told_anew(properties, handle)


@abi.ButtonClicked
@guarded(False)
def _enroll(properties: int, _button: int, handle: int | None) -> bool:
    if found := source.TYPE.find(handle):
        found.enroll()
    return _told_anew(properties, handle)


@abi.ButtonClicked
@guarded(False)
def _autotune(properties: int, _button: int, handle: int | None) -> bool:
    if found := source.TYPE.find(handle):
        found.autotune()
    return _told_anew(properties, handle)


@abi.ButtonClicked
@guarded(False)
def _take_over(properties: int, _button: int, handle: int | None) -> bool:
    if found := source.TYPE.find(handle):
        found.take_over()
    return _told_anew(properties, handle)


def _told_anew(properties: int, handle: int | None) -> bool:
    """Has an open panel show the status of now; what a pressed button answers."""
    view = _view(handle)
    ObsPanel(obs(), properties).set_info(obs_properties.STATUS, view.status, view.severity)
    return True


@abi.Modified
@guarded(False)
def _changed(_own: int | None, properties: int, _control: int, settings: int) -> bool:
    chosen, _ = stored.read(obs(), settings)
    panel = ObsPanel(obs(), properties)
    return obs_properties.show_what_matters(panel, chosen, True)


def _view(handle: int | None) -> View:
    found = source.TYPE.find(handle)
    return found.view() if found else View(Settings(), "", Severity.NORMAL, DEVICES.get())


def build(handle: int | None) -> int:
    """The properties of a filter, or of the type alone, as libobs takes them over."""
    panel = ObsPanel(obs(), obs().obs_properties_create())
    audio = tuple((name, name) for name in names(obs(), source.TYPE.collect))
    view = replace(_view(handle), audio_sources=audio)
    actions = Actions(_refresh, _changed, _autotune, _take_over, _take_neutral, _enroll)
    obs_properties.build(panel, view, actions)
    return panel.address
