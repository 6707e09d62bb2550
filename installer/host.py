"""Finds OBS on this machine, and the Python it embeds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from progress import InstallError, clean_environment

OLDEST = (3, 11)
# OBS loads at most this one where it looks for Python at run time (obs-scripting-python-import.c).
NEWEST_LOADED = (3, 12)

_LIBPYTHON = re.compile(r"libpython3\.(\d+)")
_CLICK_OBS = "Install OBS Studio from https://obsproject.com/download, start it once and close it again."


@dataclass(frozen=True)
class Obs:
    """An installed OBS: its program, and an interpreter of the version it embeds."""

    program: Path
    python: Path


def is_linux() -> bool:
    """Whether this is Linux, where OBS is linked with one Python."""
    return sys.platform.startswith("linux")


def find() -> Obs:
    """OBS and its Python.

    Raises:
        InstallError: one of them is not there; the message says what to install.
    """
    program = find_program()
    return Obs(program, linked_python(program) if is_linux() else loadable_python())


def find_program() -> Path:
    """OBS's program; raises InstallError when there is none."""
    for candidate in _programs():
        if candidate.exists():
            return candidate
    if is_linux() and (Path("/snap/bin/obs-studio").exists() or _has_flatpak_obs()):
        raise InstallError(
            "OBS is installed as a Flatpak or Snap, which runs in a sandbox with a Python of its own that "
            "nothing can be added to. Install the distribution's package obs-studio instead."
        )
    hint = "On Debian or Ubuntu: apt-get install obs-studio." if is_linux() else _CLICK_OBS
    raise InstallError(f"OBS Studio was not found. {hint}")


def _programs() -> Iterator[Path]:
    if sys.platform == "darwin":
        yield Path("/Applications/OBS.app/Contents/MacOS/OBS")
        yield Path.home() / "Applications/OBS.app/Contents/MacOS/OBS"
    elif sys.platform == "win32":
        for variable in ("ProgramW6432", "ProgramFiles"):
            if folder := os.environ.get(variable):
                yield Path(folder) / "obs-studio/bin/64bit/obs64.exe"
        if folder := _registered_folder():
            yield Path(folder) / "bin/64bit/obs64.exe"
    elif found := shutil.which("obs"):
        yield Path(found)


def _registered_folder() -> str:
    """Where OBS's own installer says it put it (Windows)."""
    if sys.platform != "win32":
        return ""
    import winreg  # only on Windows

    try:
        return winreg.QueryValue(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\OBS Studio")
    except OSError:
        return ""


def _has_flatpak_obs() -> bool:
    folders = (Path("/var/lib/flatpak/app"), Path.home() / ".local/share/flatpak/app")
    return any((folder / "com.obsproject.Studio").exists() for folder in folders)


def linked_python(program: Path) -> Path:
    """The interpreter of the version whose library OBS is linked with (Linux).

    Raises:
        InstallError: OBS was built without Python, with one too old, or the interpreter is missing.
    """
    minor = _linked_minor(program)
    if minor is None:
        raise InstallError(f"{program} was built without Python. Install the distribution's obs-studio.")
    if (3, minor) < OLDEST:
        raise InstallError(
            f"{program} embeds Python 3.{minor}; at least 3.{OLDEST[1]} is needed. A newer release of the "
            "system (Debian 12, Ubuntu 24.04) brings one."
        )
    for candidate in (f"/usr/bin/python3.{minor}", shutil.which(f"python3.{minor}")):
        if candidate and version(Path(candidate)) == (3, minor):
            return Path(candidate)
    raise InstallError(f"OBS embeds Python 3.{minor}, but python3.{minor} is not installed. Install it.")


def _linked_minor(program: Path) -> int | None:
    for file in (program, *_scripting_libraries()):
        listed = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        if found := _LIBPYTHON.search(listed):
            return int(found[1])
    return None


def _scripting_libraries() -> list[Path]:
    """OBS's own libraries that may carry the link where the program does not."""
    folders = [folder for folder in (Path("/usr/lib"), Path("/usr/lib64")) if folder.exists()]
    folders += [Path("/usr/lib").joinpath(part) for part in _multiarch()]
    patterns = ("libobs-scripting.so*", "obs-plugins/frontend-tools.so")
    return [file for folder in folders for pattern in patterns for file in folder.glob(pattern)]


def _multiarch() -> list[str]:
    return [path.name for path in Path("/usr/lib").glob("*-linux-gnu*")]


def loadable_python() -> Path:
    """The newest interpreter that OBS can load (Windows, macOS).

    Raises:
        InstallError: none is installed.
    """
    for minor in range(NEWEST_LOADED[1], OLDEST[1] - 1, -1):
        for candidate in _interpreters(minor):
            if version(candidate) == (3, minor):
                return candidate
    raise InstallError(
        f"OBS loads Python 3.{OLDEST[1]} or 3.{NEWEST_LOADED[1]} here, and neither was found. Install Python "
        f"3.{NEWEST_LOADED[1]} from https://www.python.org/downloads and run this again with it."
    )


def _interpreters(minor: int) -> Iterator[Path]:
    if sys.version_info[:2] == (3, minor):
        # The interpreter this runs on; of a virtual environment, the one it was made from.
        yield Path(getattr(sys, "_base_executable", sys.executable))
    if sys.platform == "darwin":
        yield Path(f"/Library/Frameworks/Python.framework/Versions/3.{minor}/bin/python3.{minor}")
        yield Path(f"/opt/homebrew/opt/python@3.{minor}/bin/python3.{minor}")
        yield Path(f"/usr/local/opt/python@3.{minor}/bin/python3.{minor}")
    if (launcher := shutil.which("py")) and (found := _asked(launcher, f"-3.{minor}")):
        yield Path(found)
    if on_path := shutil.which(f"python3.{minor}"):
        yield Path(on_path)


def _asked(program: str, *arguments: str) -> str:
    code = "import sys; print(sys.executable)"
    done = subprocess.run([program, *arguments, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def version(python: Path) -> tuple[int, int] | None:
    """An interpreter's (major, minor); None if it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, check=True, env=clean_environment()
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def can_make_environments(python: Path) -> bool:
    """Whether `python -m venv` works: Debian keeps half of it in another package."""
    done = subprocess.run(
        [python, "-I", "-c", "import venv, ensurepip"],
        capture_output=True,
        check=False,
        env=clean_environment(),
    )
    return done.returncode == 0


def python_folder_for_obs(python: Path) -> Path:
    """The folder to choose under Tools > Scripts > Python Settings (Windows, macOS)."""
    done = subprocess.run(
        [python, "-I", "-c", "import sys; print(sys.base_prefix)"],
        capture_output=True, text=True, check=True, env=clean_environment(),
    )  # fmt: skip
    prefix = Path(done.stdout.strip())
    for folder in (prefix, *prefix.parents):
        if folder.name == "Python.framework":
            return folder.parent
    return prefix


def is_running() -> bool:
    """Whether an OBS runs that may write the user's own configuration; one with another does not count."""
    if sys.platform == "win32":
        return "obs64.exe" in _output("tasklist", "/FI", "IMAGENAME eq obs64.exe")
    if sys.platform == "darwin":
        return bool(_output("pgrep", "-x", "OBS"))
    return any(_name(folder) == "obs" and _is_the_users(folder) for folder in Path("/proc").glob("[0-9]*"))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _is_the_users(process: Path) -> bool:
    """Whether a process has the configuration folder of this one; yes if that cannot be found out."""
    try:
        entries = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return True
    return _config_home(dict(entry.partition("=")[::2] for entry in entries)) == _config_home(os.environ)


def _config_home(variables: Mapping[str, str]) -> str:
    return variables.get("XDG_CONFIG_HOME") or f"{variables.get('HOME', '')}/.config"


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:  # it ended meanwhile
        return ""
