"""Who may import whom, as docs/architecture.md says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "obs_faceswap"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Without these OBS must still be able to cover the picture.
STANDARD_LIBRARY_ONLY = [
    name
    for name in MODULES
    if name in ("obs_faceswap", "obs_faceswap.plugin", "obs_faceswap.ui", "obs_faceswap.ui.obs_properties")
    or name.startswith("obs_faceswap.libobs")
    or name == "obs_faceswap.engine"
    or (name.startswith("obs_faceswap.engine.") and name.rpartition(".")[2]
    in {"errors", "folders", "faces", "formats", "settings", "exchange", "cover", "policy", "stats", "worker",
        "loader", "pace", "recovery", "stream", "swap_thread", "cover_thread", "native", "delay", "block",
        "cancel", "governor", "stairs", "meter", "regulator", "priority", "tuner", "providers",
        "own_networks", "onnx_contract", "improver", "options", "choices"})
]  # fmt: skip

# What a part of the package may import of the others; the first prefix that fits counts.
ALLOWED = {
    "obs_faceswap.engine": ["obs_faceswap.engine"],
    "obs_faceswap.ui.obs_properties": ["obs_faceswap.engine"],
    # The benchmark measures what OBS calls.
    "obs_faceswap.ui.bench.callback": ["obs_faceswap.engine", "obs_faceswap.ui", "obs_faceswap.libobs"],
    "obs_faceswap.ui.bench.hook": ["obs_faceswap.engine", "obs_faceswap.libobs"],
    "obs_faceswap.ui": ["obs_faceswap.engine", "obs_faceswap.ui", "obs_faceswap"],
    "obs_faceswap.libobs": ["obs_faceswap.engine", "obs_faceswap.libobs", "obs_faceswap.ui.obs_properties"],
    "obs_faceswap.trainer": ["obs_faceswap.engine", "obs_faceswap.trainer"],
    "obs_faceswap": ["obs_faceswap"],
}
FOREIGN_TO_THE_ENGINE = {"torch", "obspython", "typer", "rich", "av", "websockets"}


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.level == 0 else {"."}
    return found


def allowed_for(module: str) -> list[str]:
    return next(allowed for prefix, allowed in ALLOWED.items() if module.startswith(prefix))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_in_the_agreed_directions(module):
    ours = {name for name in imports_of(MODULES[module]) if name.split(".")[0] == "obs_faceswap"}
    allowed = allowed_for(module)
    strangers = {name for name in ours if not f"{name}.".startswith(tuple(f"{a}." for a in allowed))}
    if "obs_faceswap" in allowed and module.startswith("obs_faceswap.ui"):
        strangers |= {
            name for name in ours if name.startswith(("obs_faceswap.libobs", "obs_faceswap.trainer"))
        }
    assert not strangers


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute(module):
    """OBS puts a script's folder on sys.path; anything else would load a module twice."""
    names = imports_of(MODULES[module])
    assert "." not in names
    siblings = {path.stem for path in MODULES.values()} | {"obs_faceswap_filter"}
    standard = set(sys.stdlib_module_names)
    assert not {name for name in names if name.split(".")[0] in siblings - standard - {"obs_faceswap"}}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("obs_faceswap.engine")])
def test_the_engine_knows_neither_obs_nor_torch_nor_an_interface(module):
    tops = {name.split(".")[0] for name in imports_of(MODULES[module])}
    assert not tops & FOREIGN_TO_THE_ENGINE


def imported_with_nothing_installed(modules):
    """Imports modules in a process that finds the standard library and this package alone."""
    code = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('obs_faceswap', 'obspython'):\n"
        "            return None\n"
        "        if name.split('.')[0] not in sys.stdlib_module_names:\n"
        "            raise ModuleNotFoundError(f'{name} is not installed', name=name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import importlib, types\n"
        "sys.modules['obspython'] = types.ModuleType('obspython')\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'cv2', 'onnxruntime'}))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent), *modules]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_covers_the_picture_needs_only_the_standard_library():
    done = imported_with_nothing_installed(STANDARD_LIBRARY_ONLY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_check_above_can_fail():
    done = imported_with_nothing_installed(["obs_faceswap.engine.finish.pixels"])
    assert done.returncode != 0
    assert "is not installed" in done.stderr
