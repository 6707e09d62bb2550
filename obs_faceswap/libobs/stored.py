"""The filter's settings as libobs stores them (obs_data)."""

from collections.abc import Mapping
from typing import Any

from obs_faceswap.engine.settings import OPTIONS, Cover, Kind, Settings, Value, from_stored
from obs_faceswap.libobs.api import text
from obs_faceswap.libobs.defaults import DEFAULTS


def set_defaults(obs: Any, data: int) -> None:
    """Declares every setting's default."""
    for key, value in DEFAULTS.items():
        if isinstance(value, float):
            obs.obs_data_set_default_double(data, text(key), value)
        else:
            obs.obs_data_set_default_string(data, text(key), text(value))


def read(obs: Any, data: int) -> tuple[Settings, list[str]]:
    """The settings, and a sentence for each stored value that does not fit."""
    stored: dict[str, Value] = {}
    for option in OPTIONS:
        key = text(option.key)
        if option.kind is Kind.NUMBER:
            stored[option.key] = obs.obs_data_get_double(data, key)
        else:
            stored[option.key] = (obs.obs_data_get_string(data, key) or b"").decode(errors="replace")
    return from_stored(stored)


def cover(obs: Any, data: int) -> Cover:
    """The cover alone, which the next frame needs; the default where what is stored is none."""
    name = (obs.obs_data_get_string(data, b"cover") or b"").decode(errors="replace")
    return Cover(name) if name in tuple(Cover) else Settings().cover


def write_to(obs: Any, source: int, texts: Mapping[str, str]) -> None:
    """Changes some settings of a source that is alive, which then hears of it; not from OBS's own thread."""
    data = obs.obs_source_get_settings(source)
    try:
        for key, value in texts.items():
            obs.obs_data_set_string(data, text(key), text(value))
        obs.obs_source_update(source, None)
    finally:
        obs.obs_data_release(data)


def read_of(obs: Any, source: int) -> tuple[Settings, list[str]]:
    """As `read`, of a source that is alive; from any thread."""
    data = obs.obs_source_get_settings(source)
    try:
        return read(obs, data)
    finally:
        obs.obs_data_release(data)
