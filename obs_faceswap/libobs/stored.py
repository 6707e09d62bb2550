"""The filter's settings as libobs stores them (obs_data)."""

from typing import Any

from obs_faceswap.engine.settings import OPTIONS, Kind, Settings, Value, from_stored
from obs_faceswap.libobs.api import text


def set_defaults(obs: Any, data: int) -> None:
    """Declares every setting's default."""
    for option in OPTIONS:
        key = text(option.key)
        if option.kind is Kind.NUMBER:
            obs.obs_data_set_default_double(data, key, float(option.default))
        else:
            obs.obs_data_set_default_string(data, key, text(str(option.default)))


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
