"""Adds the script to the user's scene collections, and takes it out again."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from progress import InstallError

_BACKUP = ".before-obs-faceswap"


def config_folder() -> Path:
    """The folder of the user's own OBS configuration."""
    if sys.platform == "win32":
        return Path(os.environ["APPDATA"]) / "obs-studio"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/obs-studio"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "obs-studio"


def collections(config: Path) -> list[Path]:
    """The files of all scene collections."""
    return sorted((config / "basic/scenes").glob("*.json"))


def add(files: list[Path], script: Path) -> list[Path]:
    """Lists the script in each collection that lacks it, keeping a copy of each; those that were changed.

    All files are read before the first is written, so one that cannot be read changes none.

    Raises:
        InstallError: a file is no scene collection, or cannot be written.
    """
    changed = {}
    for file in files:
        content = _read(file)
        scripts = _scripts(content, file)
        if not any(_is(entry, script) for entry in scripts):
            scripts.append({"path": str(script), "settings": {}})
            changed[file] = content
    for file in changed:
        shutil.copy2(file, _backup(file))
    try:
        _write_all(changed)
    except InstallError:
        for file in changed:
            _backup(file).replace(file)
        raise
    return list(changed)


def remove(files: list[Path], script: Path) -> list[Path]:
    """Takes the script out of each collection that lists it, and removes the copies `add` kept.

    Raises:
        InstallError: a file is no scene collection, or cannot be written.
    """
    changed = {}
    for file in files:
        if str(script.name) not in file.read_text(encoding="utf-8"):
            continue
        content = _read(file)
        scripts = _scripts(content, file)
        left = [entry for entry in scripts if not _is(entry, script)]
        if len(left) != len(scripts):
            scripts[:] = left
            changed[file] = content
    _write_all(changed)
    for file in files:
        _backup(file).unlink(missing_ok=True)
    return list(changed)


def _backup(file: Path) -> Path:
    return file.with_name(file.name + _BACKUP)


def _is(entry: object, script: Path) -> bool:
    return isinstance(entry, dict) and Path(str(entry.get("path"))) == script


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InstallError(f"The scene collection {file} cannot be read: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("sources"), list):
        raise InstallError(f"{file} is no scene collection of OBS.")
    return content


def _scripts(content: dict[str, Any], file: Path) -> list[Any]:
    modules = content.setdefault("modules", {})
    scripts = modules.setdefault("scripts-tool", []) if isinstance(modules, dict) else None
    if not isinstance(scripts, list):
        raise InstallError(f"{file} keeps its scripts in a way that is not known here.")
    return scripts


def _write_all(contents: dict[Path, dict[str, Any]]) -> None:
    """Replaces each file at once; one that cannot be written stays as it was."""
    for file, content in contents.items():
        fresh = file.with_name(file.name + ".obs-faceswap-new")
        try:
            fresh.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
            fresh.replace(file)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise InstallError(f"The scene collection {file} cannot be written: {error}.") from error
