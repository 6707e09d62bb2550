"""Where the project keeps its files on each system. Standard library only.

The installer, the command line and the filter inside OBS all ask here, so they share one cache and one
collection of faces. Nothing here creates a folder: who writes, creates.
"""

import os
import sys
from pathlib import Path

HOME_VARIABLE = "OBS_FACESWAP_HOME"  # all folders lie under it when it is set

_NAME = "obs-faceswap"


def cache_dir() -> Path:
    """What can be fetched or made again, the networks above all."""
    if home := _home():
        return home / "cache"
    if sys.platform == "win32":
        return _local_app_data() / _NAME / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _NAME
    return _xdg("XDG_CACHE_HOME", ".cache") / _NAME


def data_dir() -> Path:
    """What is the user's own, the faces above all."""
    if home := _home():
        return home / "data"
    if sys.platform == "win32":
        return _local_app_data() / _NAME / "data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    return _xdg("XDG_DATA_HOME", ".local/share") / _NAME


def faces_dir() -> Path:
    """The installed faces: pictures, folders of one person's pictures, and .dfm models."""
    return data_dir() / "faces"


def networks_dir() -> Path:
    """The networks that the user brought for photo faces."""
    return data_dir() / "networks"


def people_dir() -> Path:
    """The people whom a recognition network knows by name."""
    return data_dir() / "people"


def _home() -> Path | None:
    value = os.environ.get(HOME_VARIABLE, "")
    return Path(value).expanduser().absolute() if value else None


def _local_app_data() -> Path:
    value = os.environ.get("LOCALAPPDATA", "")
    return Path(value) if value else Path.home() / "AppData" / "Local"


def _xdg(variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification, which has relative values ignored."""
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else Path.home() / fallback
