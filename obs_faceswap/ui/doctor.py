"""Looks at what is installed and what works, and says how to mend the rest."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from obs_faceswap.engine import faces, folders
from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.live import native
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.store import models
from obs_faceswap.ui.findings import Finding, Findings, Level
from obs_faceswap.ui.own_findings import check_networks

OLDEST_PYTHON = (3, 11)
NEEDED = ("numpy", "onnx", "tflite", "pooch", "typer", "rich", "av", "websockets")
OPENCV_WHEELS = (
    "opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python",
)  # fmt: skip
# All of these are imported as "onnxruntime"; the one installed last hides the others.
RUNTIME_WHEELS = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm",
    "onnxruntime-migraphx", "onnxruntime-silicon", "onnxruntime-qnn",
)  # fmt: skip
_SCRIPT = "obs_faceswap_filter.py"
_REINSTALL = "Run installer/install.py again."
_LIBPYTHON = re.compile(r"libpython(3\.\d+)")
_AGREEMENT = 0.02  # of values 0..1; half precision stays below, a broken driver does not


def examine() -> Findings:
    """All findings, one by one as they are made; raises nothing."""
    checks: tuple[Callable[[], Findings], ...] = (
        check_python, check_packages, check_runtime_wheels, check_opencv, check_devices, check_weights,
        check_networks, check_faces, check_obs, check_native, check_script,
    )  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except (FaceSwapError, ImportError, OSError) as error:
            yield Finding(Level.WRONG, f"{check.__name__.replace('_', ' ')} failed: {error}", _REINSTALL)


def check_python() -> Findings:
    """The interpreter this runs in."""
    found = f"Python {platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding(Level.OK, found)
    else:
        yield Finding(Level.WRONG, found, "Install Python 3.11 or newer and run installer/install.py.")


def check_packages() -> Findings:
    """The packages that must be there whatever the machine."""
    for name in NEEDED:
        version = version_of(name)
        if version is None:
            yield Finding(Level.WRONG, f"The package {name} is missing.", _REINSTALL)
        else:
            yield Finding(Level.OK, f"{name} {version}")


def check_runtime_wheels() -> Findings:
    """Exactly one of the ONNX Runtime wheels may be installed."""
    found = _installed(RUNTIME_WHEELS)
    if not found:
        yield Finding(Level.WRONG, "ONNX Runtime is missing.", _REINSTALL)
    elif len(found) == 1:
        yield Finding(Level.OK, found[0])
    else:
        names = " ".join(entry.partition(" ")[0] for entry in found)
        yield Finding(
            Level.WRONG, f"Several ONNX Runtime packages are installed over each other: {', '.join(found)}.",
            f"Run: {sys.executable} -m pip uninstall {names}    and install the one you want again.",
        )  # fmt: skip


def check_opencv() -> Findings:
    """One OpenCV wheel, and the headless one."""
    found = _installed(OPENCV_WHEELS)
    names = [entry.partition(" ")[0] for entry in found]
    if not found:
        yield Finding(Level.WRONG, "OpenCV is missing.", _REINSTALL)
    elif len(found) > 1:
        yield Finding(
            Level.WRONG, f"Several OpenCV packages are installed over each other: {', '.join(found)}.",
            f"Run: {sys.executable} -m pip uninstall {' '.join(names)}    and {_REINSTALL.lower()}",
        )  # fmt: skip
    elif "headless" not in names[0]:
        yield Finding(
            Level.NOTE, f"{found[0]} brings its own Qt, which can disturb OBS's.",
            f"Run: {sys.executable} -m pip uninstall {names[0]}    and pip install opencv-python-headless",
        )  # fmt: skip
    else:
        yield Finding(Level.OK, found[0])


def check_devices() -> Findings:
    """Which devices compute, and compute what the CPU computes."""
    import numpy as np

    feeds = {"input": np.random.default_rng(7).random((1, 3, 32, 32), np.float32)}
    expected = _computed(providers.CPU, feeds)
    for device in providers.devices():
        if device.id == providers.AUTO:
            continue
        try:
            off = float(np.abs(_computed(device.id, feeds) - expected).max())
        except FaceSwapError as error:
            yield Finding(Level.NOTE, f"{device.label} does not work. {error}", "Choose another device.")
            continue
        if off <= _AGREEMENT:  # False for NaN
            yield Finding(Level.OK, f"{device.label} works (device “{device.id}”)")
        else:
            yield Finding(
                Level.NOTE, f"{device.label} computes other numbers than the CPU (off by {off:.3g}).",
                "Update its driver, or choose another device.",
            )  # fmt: skip


def check_weights() -> Findings:
    """The networks that find a face, and what each runs on when nothing else is chosen."""
    for what, find in (("Face detector", models.find_detector), ("Face mesh", _find_mesh)):
        try:
            path = find()
            device, notice = _placed(path)
        except FaceSwapError as error:
            yield Finding(Level.WRONG, f"{what}: {error}", "Run: obs-faceswap models fetch")
            continue
        text = f"{what}: {path}, runs on {device}"
        yield Finding(Level.NOTE, f"{text}. {notice}") if notice else Finding(Level.OK, text)


def _placed(path: Path) -> tuple[str, str]:
    """The device that “auto” takes for a network, and why it is not a better one."""
    from obs_faceswap.engine.runtime.session import shared

    session = shared(path)
    session.close()
    return providers.label_of(session.provider), session.notice


def _find_mesh() -> Path:
    return models.find("facemesh_468")


def check_faces() -> Findings:
    """The installed faces."""
    names = [face.name for face in faces.installed()]
    if names:
        yield Finding(Level.OK, f"Faces installed: {', '.join(names)}")
    else:
        yield Finding(Level.NOTE, "No face is installed.", "Run: obs-faceswap faces add PICTURE")


def check_obs() -> Findings:
    """OBS, its version, and the Python it embeds."""
    program = find_obs()
    if program is None:
        yield Finding(
            Level.NOTE, "OBS Studio was not found; files can be swapped without it.",
            "Install it from https://obsproject.com, on Debian or Ubuntu: apt-get install obs-studio",
        )  # fmt: skip
        return
    yield Finding(Level.OK, f"{_obs_version(program)} at {program}")
    if not sys.platform.startswith("linux"):
        yield Finding(Level.OK, "OBS uses the Python that is chosen under Tools > Scripts, at most 3.12.")
        return
    embedded = _embedded_python(program)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if embedded is None:
        text = "This OBS was built without Python, so it runs no scripts."
        yield Finding(Level.NOTE, text, "Install the distribution's own package of OBS.")
    elif embedded != own:
        text = f"OBS embeds Python {embedded}, this is Python {own}."
        yield Finding(Level.NOTE, text, "Fine if the installer made the environment that OBS uses.")
    else:
        yield Finding(Level.OK, f"OBS embeds Python {embedded}, as this is")


def check_native() -> Findings:
    """Whether OBS's frames pass through native code or through Python."""
    found = native.find()
    if found.library is not None:
        yield Finding(Level.OK, f"OBS's frames pass through native code: {found.library.path.name}")
    else:
        text = f"OBS's frames pass through Python; other scripts can delay the picture. {found.reason}"
        yield Finding(Level.NOTE, text, f"See docs/native.md; unset {native.VARIABLE} if you set it.")


def check_script() -> Findings:
    """The filter's script for the user's own OBS."""
    script = folders.data_dir() / "obs" / _SCRIPT
    if script.is_file():
        yield Finding(Level.OK, f"The filter's script: {script}")
    else:
        yield Finding(Level.NOTE, "The filter is not installed for your OBS.", "Run installer/install.py.")


def version_of(package: str) -> str | None:
    """An installed package's version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _installed(packages: tuple[str, ...]) -> list[str]:
    versions = {name: version_of(name) for name in packages}
    return [f"{name} {version}" for name, version in versions.items() if version]


def _computed(device: str, feeds: dict[str, Any]) -> Any:
    from obs_faceswap.engine.runtime.session import Session

    session = Session(probe_network(), device)
    try:
        return session.run(feeds)[0]
    finally:
        session.close()


def probe_network() -> bytes:
    """A small network with fixed weights, of what face networks are made of."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    make, numbers = onnx.helper, np.random.default_rng(3)
    weights = numbers.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    nodes = [
        make.make_node("Conv", ["input", "weights"], ["convolved"], pads=[1, 1, 1, 1]),
        make.make_node("Sigmoid", ["convolved"], ["active"]),
        make.make_node("MaxPool", ["active"], ["output"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    shapes = {"input": (1, 3, 32, 32), "output": (1, 4, 16, 16)}
    ends = [
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
    ]
    constants = [numpy_helper.from_array(weights, "weights")]
    graph = make.make_graph(nodes, "doctor", ends[:1], ends[1:], constants)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=7)
    return bytes(model.SerializeToString())


def find_obs() -> Path | None:
    """OBS's program on this machine, or None."""
    if sys.platform == "darwin":
        bundle = "Applications/OBS.app/Contents/MacOS/OBS"
        places = [Path("/") / bundle, Path.home() / bundle]
    elif sys.platform == "win32":
        bases = [os.environ.get(name) for name in ("ProgramW6432", "ProgramFiles")]
        places = [Path(base) / "obs-studio/bin/64bit/obs64.exe" for base in bases if base]
    else:
        found = shutil.which("obs")
        places = [Path(found)] if found else []
    return next((place for place in places if place.exists()), None)


def _obs_version(program: Path) -> str:
    if not sys.platform.startswith("linux"):
        return "OBS Studio"  # elsewhere the program would open its window
    return _output([str(program), "--version"]).strip() or "OBS Studio"


def _embedded_python(program: Path) -> str | None:
    """The Python whose library OBS, or its scripting library, is linked with (Linux)."""
    folders_ = (Path("/usr/lib64"), *Path("/usr").glob("lib/*-linux-gnu*"), Path("/usr/lib"))
    libraries = [file for folder in folders_ for file in folder.glob("libobs-scripting.so*")]
    for file in (program, *libraries):
        if found := _LIBPYTHON.search(_output(["ldd", str(file)])):
            return found[1]
    return None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
