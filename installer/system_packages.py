"""Installs what the system's package manager can: apt, on Debian and Ubuntu."""

import os
import shutil
import subprocess

from progress import InstallError, Progress

# OBS's sources, recorder and websocket are in obs-plugins, which obs-studio only recommends.
OBS = ("obs-studio", "obs-plugins")
# Draws OBS's icons. Debian 13's OBS does not ask for it by itself; older systems have no such package.
ICONS = "qt6-svg-plugins"
DISPLAY = ("xvfb", "libgl1-mesa-dri")
# To drive OBS's windows, to photograph them, to check recordings, and to compare structs with the headers.
TESTS = ("xdotool", "imagemagick", "ffmpeg", "libobs-dev", "gcc", "libc6-dev")


def has_apt() -> bool:
    """Whether packages can be installed with apt here."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-query") is not None


def missing(packages: tuple[str, ...]) -> list[str]:
    """Those of the Debian packages that are not installed."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: list[str], progress: Progress) -> None:
    """Installs Debian packages, from fresh lists, without questions and without what is merely recommended.

    Raises:
        InstallError: no rights to do so, or apt failed.
    """
    apt = [*_with_rights(packages), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    progress.run([*apt, "update"])
    icons = [ICONS] if "obs-studio" in packages and _is_offered(ICONS) else []
    # dpkg may wait: a fresh system's own updater holds the lock for a while.
    options = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    progress.run([*apt, "install", *options, *packages, *icons])


def _is_offered(package: str) -> bool:
    """Whether apt could install the package."""
    command = ["apt-cache", "show", "--no-all-versions", package]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout)


def _with_rights(packages: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["sudo"]
    wanted = " ".join(packages)
    raise InstallError(
        f"These packages are missing, and this user may not install them. Run first:\n"
        f"  sudo apt-get update && sudo apt-get install --no-install-recommends {wanted}"
    )
