"""The private environment: made beside an old one, and used only when it is complete."""

import json
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from progress import Progress, clean_environment

# The three wheels install one and the same module, so only one of them may be there.
RUNTIMES = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-gpu[cuda,cudnn]",
    "directml": "onnxruntime-directml",
}
_STAMP = "obs-faceswap-installed.json"


@dataclass(frozen=True)
class Wanted:
    """What an environment is made of; one made of the same is used again."""

    python: str
    python_version: str
    device: str
    requirements: list[str]


def requirements(checkout: Path, device: str, extras: Sequence[str] = ()) -> list[str]:
    """The dependencies pyproject.toml declares, with the ONNX Runtime wheel for `device`."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = list(project["dependencies"])
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    return [_with_runtime(text, device) for text in texts]


def _with_runtime(requirement: str, device: str) -> str:
    name = RUNTIMES["cpu"]
    is_runtime = requirement.startswith(name) and not requirement[len(name) :][:1].isalnum()
    return RUNTIMES[device] + requirement[len(name) :] if is_runtime else requirement


def python_of(environment: Path) -> Path:
    """An environment's interpreter."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def command_of(environment: Path) -> Path:
    """An environment's `obs-faceswap`."""
    return environment / ("Scripts/obs-faceswap.exe" if sys.platform == "win32" else "bin/obs-faceswap")


def site_packages(environment: Path) -> Path:
    """The folder of an environment's packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run(
        [python_of(environment), "-I", "-c", code],
        capture_output=True, text=True, check=True, env=clean_environment(),
    )  # fmt: skip
    return Path(done.stdout.strip())


def complete(folder: Path) -> list[Path]:
    """The finished environments in a folder, the newest last."""
    stamps = sorted(folder.glob(f"*/{_STAMP}"), key=lambda stamp: stamp.stat().st_mtime_ns)
    return [stamp.parent for stamp in stamps]


def device_of(environment: Path) -> str:
    """The device an environment was made for."""
    device: str = json.loads((environment / _STAMP).read_text(encoding="utf-8"))["device"]
    return device


def make(folder: Path, checkout: Path, wanted: Wanted, progress: Progress) -> Path:
    """An environment in `folder` with the checkout installed; its path.

    One made of the same is used again. A new one gets a new name, so an old one stays whole until
    `remove_others`; a failure removes what was begun.

    Raises:
        InstallError: the environment or a package could not be installed.
    """
    for environment in complete(folder):
        if _stamp(environment) == asdict(wanted) and python_of(environment).exists():
            _install_checkout(environment, checkout, progress)
            return environment
    environment = folder / f"python{wanted.python_version}-{secrets.token_hex(3)}"
    try:
        _build(environment, checkout, wanted, progress)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise
    return environment


def _stamp(environment: Path) -> object:
    return json.loads((environment / _STAMP).read_text(encoding="utf-8"))


def _build(environment: Path, checkout: Path, wanted: Wanted, progress: Progress) -> None:
    with progress.step(f"Making a private environment for Python {wanted.python_version}"):
        environment.parent.mkdir(parents=True, exist_ok=True)
        progress.run([wanted.python, "-I", "-m", "venv", environment])
    with progress.step("Installing the packages it needs"):
        progress.run([*_pip(environment), *wanted.requirements])
    _install_checkout(environment, checkout, progress)
    (environment / _STAMP).write_text(json.dumps(asdict(wanted)), encoding="utf-8")


def _install_checkout(environment: Path, checkout: Path, progress: Progress) -> None:
    with progress.step("Installing Face Swap"):
        progress.run([*_pip(environment), "--no-deps", "--force-reinstall", checkout])


def _pip(environment: Path) -> list[str | Path]:
    pip = ["-I", "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
    return [python_of(environment), *pip]


def remove_others(folder: Path, kept: Path) -> None:
    """Removes all environments but one."""
    for environment in folder.iterdir():
        if environment != kept:
            shutil.rmtree(environment, ignore_errors=True)
