#!/usr/bin/env python3
"""Installs Face Swap for OBS, shows a demo, runs the tests, or takes everything away again.

Standard library only. Run it with any Python from 3.11 on; it finds the one that OBS embeds by itself.
"""

import sys

if sys.version_info < (3, 11):  # before the imports below, which older ones cannot read
    sys.exit(
        "Face Swap needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Windows and macOS: "
        "install Python 3.12 from https://www.python.org/downloads. Linux: Debian 12, Ubuntu 24.04 or newer."
    )

import argparse
import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "installer"), str(CHECKOUT)]

import environment
import host
import scene_files
import system_packages
from progress import InstallError, Progress, clean_environment

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.ui import materials

DEMO_FACE = "Demo"
LAUNCHER = Path.home() / ".local/bin/obs-faceswap"


def main(arguments: list[str] | None = None) -> int:
    """Does what the command line asks; returns the exit code."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):  # a redirected one may not know every character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        if options.uninstall:
            return uninstall()
        progress = Progress(folders.data_dir() / "install.log")
        if options.test:
            return run_tests(options, progress)
        if options.demo:
            return show_demo(options, progress)
        return install(options, progress)
    except (InstallError, FaceSwapError, OSError) as error:
        print(f"\nNot done. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--demo", action="store_true", help="show the filter in a throw-away OBS")
    mode.add_argument("--test", action="store_true", help="run the whole test suite")
    mode.add_argument("--uninstall", action="store_true", help="take everything away again")
    devices = list(environment.RUNTIMES)
    parser.add_argument(
        "--device", choices=devices, help="what the networks run on; cpu unless chosen before"
    )
    parser.add_argument("--headless", action="store_true", help="demo: record on a virtual display")
    parser.add_argument("--seconds", type=float, default=10.0, help="demo: how long to record (10)")
    parser.add_argument(
        "--out", type=Path, default=Path("faceswap-demo"), help="demo: folder for the results"
    )
    parser.add_argument("tests", nargs="*", help="test: these instead of all, and other pytest arguments")
    options, more = parser.parse_known_args(arguments)
    options.tests += more
    if options.tests and not options.test:
        parser.error(f"unknown: {' '.join(options.tests)}")
    return options


def install(options: argparse.Namespace, progress: Progress) -> int:
    """Installs for the user's own OBS; returns the exit code."""
    host.find_program()  # says at once when there is none
    python = _embedded_python(progress)
    made = _prepare(options, progress, python, folders.data_dir() / "environments")
    with progress.step("Putting the script in place"):
        _place_demo_face()
        script = materials.write_script(_script_folder(), _import_folders(made))
        launcher = _place_launcher(made)
        clicks = [*_python_click(python), *_script_click(script)]
    if not host.is_running():  # a running OBS may still need the old one
        environment.remove_others(made.parent, made)
    _say_installed(clicks, launcher)
    return 0


def show_demo(options: argparse.Namespace, progress: Progress) -> int:
    """Makes the environment and shows the filter in a throw-away OBS; returns the demo's exit code."""
    headless = options.headless or not os.environ.get("DISPLAY")
    if host.is_linux():
        _ensure_obs(progress, system_packages.DISPLAY if headless else ())
    python = _embedded_python(progress)
    made = _prepare(options, progress, python, folders.data_dir() / "environments")
    _place_demo_face()
    if (_script_folder() / materials.SCRIPT_NAME).exists():  # installed for the user's OBS too
        materials.write_script(_script_folder(), _import_folders(made))
    command = [environment.command_of(made), "demo", "--out", options.out, "--seconds", str(options.seconds)]
    if headless:
        command.append("--headless")
    print(flush=True)
    code = subprocess.run(command, env=clean_environment(), check=False).returncode
    if code == 0:
        print(f"The environment and the demo's face are in {folders.data_dir()}; --uninstall removes them.")
    return code


def run_tests(options: argparse.Namespace, progress: Progress) -> int:
    """Makes an environment of its own and runs pytest in it; returns pytest's exit code."""
    if host.is_linux():
        _ensure_obs(progress, (*system_packages.DISPLAY, *system_packages.TESTS))
    python = _embedded_python(progress)
    made = _prepare(options, progress, python, folders.data_dir() / "test-environments", extras=["test"])
    environment.remove_others(made.parent, made)
    print(flush=True)
    pytest = [environment.python_of(made), "-m", "pytest", *options.tests]
    return subprocess.run(pytest, cwd=CHECKOUT, env=clean_environment(), check=False).returncode


def _ensure_obs(progress: Progress, packages: tuple[str, ...]) -> None:
    """OBS and further Debian packages; on other systems, says what is missing."""
    obs = () if shutil.which("obs") else system_packages.OBS
    _ensure_packages((*obs, *packages), progress)
    host.find_program()
    if packages and shutil.which("Xvfb") is None:
        raise InstallError("Xvfb is needed where there is no display. Install your system's package of it.")


def _ensure_packages(names: tuple[str, ...], progress: Progress) -> None:
    missing = system_packages.missing(names) if system_packages.has_apt() else []
    if missing:
        with progress.step(f"Installing with apt: {' '.join(missing)}"):
            system_packages.install(missing, progress)


def _embedded_python(progress: Progress) -> Path:
    """The interpreter to make the environment with."""
    if not host.is_linux():
        return host.loadable_python()
    python = host.linked_python(host.find_program())
    if not host.can_make_environments(python):
        _ensure_packages((f"{python.name}-venv",), progress)
    if not host.can_make_environments(python):
        raise InstallError(f"{python} cannot make environments. Install its modules venv and ensurepip.")
    return python


def _prepare(
    options: argparse.Namespace, progress: Progress, python: Path, folder: Path, extras: Sequence[str] = ()
) -> Path:
    """An environment with Face Swap in it, and the default weights; its path."""
    before = environment.complete(folder)
    device = options.device or (environment.device_of(before[-1]) if before else "cpu")
    wanted = environment.Wanted(
        python=str(python),
        python_version=".".join(map(str, host.version(python) or ())),
        device=device,
        requirements=environment.requirements(CHECKOUT, device, extras),
    )
    made = environment.make(folder, CHECKOUT, wanted, progress)
    try:
        with progress.step("Getting the default networks"):
            progress.run([environment.command_of(made), "models", "fetch"])
    except BaseException:
        if made not in before:
            shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _script_folder() -> Path:
    return folders.data_dir() / "obs"


def _import_folders(made: Path) -> list[Path]:
    return [environment.site_packages(made)]


def _demo_face() -> Path:
    face = materials.packaged("demo/face.jpg")
    return folders.faces_dir() / f"{DEMO_FACE}{face.suffix}"


def _place_demo_face() -> None:
    _demo_face().parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(materials.packaged("demo/face.jpg"), _demo_face())


def _place_launcher(made: Path) -> Path:
    """Makes `obs-faceswap` a command where that is a link; the path to call otherwise."""
    command = environment.command_of(made)
    taken = LAUNCHER.exists() and not LAUNCHER.is_symlink()
    if sys.platform == "win32" or taken:
        return command
    LAUNCHER.parent.mkdir(parents=True, exist_ok=True)
    LAUNCHER.unlink(missing_ok=True)
    LAUNCHER.symlink_to(command)
    return LAUNCHER


def _python_click(python: Path) -> list[str]:
    if host.is_linux():
        return []
    folder = host.python_folder_for_obs(python)
    return [f"In OBS, open Tools > Scripts > Python Settings and choose the folder {folder}"]


def _script_click(script: Path) -> list[str]:
    """Lists the script in the user's scene collections; the click that is left where that is not safe."""
    click = f"In OBS, open Tools > Scripts, press + and choose {script}"
    files = scene_files.collections(scene_files.config_folder())
    if not files or host.is_running():
        return [click]
    try:
        scene_files.add(files, script)
    except InstallError as error:
        print(f"  {error}")
        return [click]
    return []


def _say_installed(clicks: list[str], launcher: Path) -> None:
    use = (
        "Right-click your webcam under Sources and choose Filters",
        "Press + and choose Face Swap",
        f"Pick a face; “{DEMO_FACE}” is there already. Your own: {launcher} faces add PICTURE",
    )
    print("\nFace Swap is installed.", "What is left to do:" if clicks else "Start OBS. To use it:")
    for number, text in enumerate((*clicks, *use), 1):
        print(f"  {number}. {text}.")
    if not clicks:
        print("The script is in all your scene collections. Add it to a new one under Tools > Scripts.")


def uninstall() -> int:
    """Takes away what the installer made; the user's own faces stay. Returns the exit code."""
    if host.is_running():
        raise InstallError("OBS is running, and would write the script back. Close OBS and run this again.")
    script = _script_folder() / materials.SCRIPT_NAME
    changed = scene_files.remove(scene_files.collections(scene_files.config_folder()), script)
    _remove_launcher()
    data = folders.data_dir()
    for folder in (_script_folder(), data / "environments", data / "test-environments", folders.cache_dir()):
        shutil.rmtree(folder, ignore_errors=True)
    _demo_face().unlink(missing_ok=True)
    (data / "install.log").unlink(missing_ok=True)
    for folder in (folders.faces_dir(), folders.people_dir(), data, folders.cache_dir().parent, data.parent):
        _remove_if_empty(folder)
    print("Face Swap was taken away.", f"The script was removed from {len(changed)} scene collection(s).")
    if folders.faces_dir().exists():
        print(f"Your own faces are still in {folders.faces_dir()}.")
    if folders.people_dir().exists():
        print(f"What is known of the people you enrolled is still in {folders.people_dir()}.")
    print("On a source that has the filter, remove it under Filters; OBS keeps its settings till then.")
    return 0


def _remove_launcher() -> None:
    ours = folders.data_dir() / "environments"
    if LAUNCHER.is_symlink() and ours in LAUNCHER.readlink().parents:
        LAUNCHER.unlink()


def _remove_if_empty(folder: Path) -> None:
    is_ours = folder.name in ("faces", "people", "data", "obs-faceswap")
    if is_ours and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
