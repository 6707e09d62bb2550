"""What the figures were measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path

import obs_faceswap
from obs_faceswap.engine.runtime import providers
from obs_faceswap.ui.bench.plan import Figures, Plan

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime")


def machine(plan: Plan) -> Figures:
    """Processor, system, versions, and what runs where."""
    figures: Figures = {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads_of_a_network": providers.default_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "obs-faceswap": obs_faceswap.__version__,
        "device": plan.settings.device,
        "quick": plan.quick,
    }
    figures |= {name: version for name in _PACKAGES if (version := _version(name))}
    if hasattr(os, "getloadavg"):
        figures["load_before"] = round(os.getloadavg()[0], 1)
    return figures


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The model's name; Python itself knows it on Windows and macOS only."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
