"""The installer's commands, with everything slow left out."""

import ast
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import environment
import host
import install
import pytest
import system_packages
from progress import InstallError

from obs_faceswap.engine import folders
from obs_faceswap.ui import materials

CHECKOUT = Path(__file__).parents[2]
FILES = [*sorted((CHECKOUT / "installer").glob("*.py")), CHECKOUT / "obs_faceswap/ui/materials.py"]


@pytest.fixture
def machine(user, monkeypatch):
    """A machine with OBS, where making environments only makes folders; returns the user's home."""
    face = user.parent / "face.jpg"
    face.write_bytes(b"a face")
    template = materials.packaged(f"{materials.SCRIPT_NAME}.in")
    places = {"demo/face.jpg": face, f"{materials.SCRIPT_NAME}.in": template}
    monkeypatch.setattr(materials, "packaged", places.__getitem__)
    monkeypatch.setattr(install, "LAUNCHER", user / ".local/bin/obs-faceswap")
    monkeypatch.setattr(host, "find_program", lambda: Path("/usr/bin/obs"))
    monkeypatch.setattr(host, "is_linux", lambda: True)
    monkeypatch.setattr(host, "is_running", lambda: False)
    monkeypatch.setattr(install, "_embedded_python", lambda progress: Path("/usr/bin/python3.11"))
    monkeypatch.setattr(install, "_prepare", _prepare)
    monkeypatch.setattr(environment, "site_packages", lambda made: made / "site-packages")
    return user


def _prepare(options, progress, python, folder, extras=()):
    made = folder / "python3.11-abc"
    made.mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture
def collection(machine):
    """The user's one scene collection."""
    file = machine / ".config/obs-studio/basic/scenes/Mine.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"name": "Mine", "sources": []}, indent=4), encoding="utf-8")
    return file


def listed(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    return [entry["path"] for entry in content.get("modules", {}).get("scripts-tool", [])]


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_script_is_written_and_listed(collection, capsys):
    assert install.main([]) == 0
    script = folders.data_dir() / "obs" / materials.SCRIPT_NAME
    assert "site-packages" in script.read_text(encoding="utf-8")
    assert listed(collection) == [str(script)]
    assert "Scripts, press +" not in capsys.readouterr().out


def test_a_running_obs_is_left_alone_and_the_click_is_said(collection, monkeypatch, capsys):
    monkeypatch.setattr(host, "is_running", lambda: True)
    before = collection.read_bytes()
    assert install.main([]) == 0
    assert collection.read_bytes() == before
    assert "Tools > Scripts, press + and choose" in capsys.readouterr().out


def test_a_broken_collection_is_left_alone_and_the_click_is_said(collection, capsys):
    collection.write_text("{")
    assert install.main([]) == 0
    assert collection.read_text() == "{"
    said = capsys.readouterr().out
    assert "cannot be read" in said
    assert "Tools > Scripts, press + and choose" in said


def test_installing_twice_changes_nothing(collection, machine):
    install.main([])
    before = tree(machine), collection.read_bytes()
    install.main([])
    assert (tree(machine), collection.read_bytes()) == before


def test_uninstalling_leaves_what_was_there_before(collection, machine):
    before = tree(machine), json.loads(collection.read_text())
    install.main([])
    assert install.main(["--uninstall"]) == 0
    content = json.loads(collection.read_text())
    assert content.pop("modules") == {"scripts-tool": []}
    assert content == before[1]
    left = set(tree(machine)) - set(before[0])
    assert left <= {".local", ".local/bin", ".local/share", ".cache"}


def test_uninstalling_keeps_the_users_own_faces(machine, capsys):
    install.main([])
    own = folders.faces_dir() / "Me.png"
    own.write_bytes(b"mine")
    assert install.main(["--uninstall"]) == 0
    assert [path.name for path in folders.faces_dir().iterdir()] == ["Me.png"]
    assert str(folders.faces_dir()) in capsys.readouterr().out


def test_uninstalling_says_that_enrolled_people_are_still_known(machine, capsys):
    install.main([])
    capsys.readouterr()
    folders.people_dir().mkdir(parents=True)
    assert install.main(["--uninstall"]) == 0
    assert "enrolled" not in capsys.readouterr().out  # an empty folder knows nobody
    install.main([])
    folders.people_dir().mkdir(parents=True)
    (folders.people_dir() / "Anna.json").write_text("{}")
    assert install.main(["--uninstall"]) == 0
    assert str(folders.people_dir()) in capsys.readouterr().out
    assert (folders.people_dir() / "Anna.json").exists()


def test_uninstalling_waits_for_obs_to_close(collection, monkeypatch, capsys):
    install.main([])
    before = collection.read_bytes()
    monkeypatch.setattr(host, "is_running", lambda: True)
    assert install.main(["--uninstall"]) == 1
    assert collection.read_bytes() == before
    assert "Close OBS" in capsys.readouterr().err


def test_uninstalling_leaves_a_foreign_command_alone(machine):
    install.LAUNCHER.parent.mkdir(parents=True)
    install.LAUNCHER.symlink_to("/opt/other/obs-faceswap")
    assert install.main(["--uninstall"]) == 0
    assert install.LAUNCHER.is_symlink()


def test_a_failure_is_said_and_returns_an_error(machine, monkeypatch, capsys):
    def fail():
        raise InstallError("OBS Studio was not found. Install it.")

    monkeypatch.setattr(host, "find_program", fail)
    assert install.main([]) == 1
    assert "Not done. OBS Studio was not found. Install it." in capsys.readouterr().err


def test_networks_that_cannot_be_had_leave_no_new_environment(user, monkeypatch):
    made = folders.data_dir() / "environments/new"

    def make(folder, checkout, wanted, progress):
        made.mkdir(parents=True)
        return made

    class NoNetwork(install.Progress):
        def run(self, command):
            raise InstallError("no network")

    monkeypatch.setattr(environment, "make", make)
    options = install._parse([])
    with pytest.raises(InstallError, match="no network"):
        install._prepare(options, NoNetwork(user / "log"), Path("/usr/bin/python3"), made.parent)
    assert not made.exists()


def test_the_test_command_passes_the_exit_code_and_arguments_on(machine, monkeypatch):
    monkeypatch.setattr(install, "_ensure_obs", lambda *arguments: None)
    monkeypatch.setattr(environment, "remove_others", lambda *arguments: None)
    monkeypatch.setattr(environment, "python_of", lambda made: made / "python")
    ran = []

    def run(command, **more):
        ran.append(command)
        return install.subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(install.subprocess, "run", run)
    assert install.main(["--test", "tests/obs", "-k", "reload"]) == 5
    assert ran[-1][1:] == ["-m", "pytest", "tests/obs", "-k", "reload"]


def test_arguments_of_no_mode_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        install.main(["--demo", "--colour"])
    assert stop.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_missing_packages_are_named_where_there_are_no_rights(monkeypatch):
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: None)
    with pytest.raises(InstallError, match=r"apt-get install .*obs-studio xvfb"):
        system_packages.install(["obs-studio", "xvfb"], progress=None)


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("packages", [["obs-studio"], ["xvfb"]])
def test_obs_gets_its_icons_where_they_are_a_package(monkeypatch, offered, packages):
    ran = []
    progress = SimpleNamespace(run=ran.append)
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 0)
    monkeypatch.setattr(system_packages, "_is_offered", lambda package: offered)
    system_packages.install(packages, progress)
    wanted = offered and packages == ["obs-studio"]
    assert (system_packages.ICONS in ran[-1]) == wanted


def test_an_old_python_can_read_the_installer_far_enough_to_say_so():
    source = (CHECKOUT / "installer/install.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    kinds = [type(node) for node in tree.body]
    assert ast.unparse(tree.body[1]) == "import sys"
    assert kinds[2] is ast.If
    assert {ast.Import, ast.ImportFrom} & set(kinds[3:])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_the_standard_library_is_imported(file):
    own = {path.stem for path in FILES} | {"obs_faceswap"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        for name in names:
            assert name.split(".")[0] in own | install.sys.stdlib_module_names


def test_what_the_code_asks_for_is_in_the_wheel():
    """Every `packaged(...)` name of the package is listed in pyproject.toml."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    asked = {f"{materials.SCRIPT_NAME}.in"}
    for file in (CHECKOUT / "obs_faceswap").rglob("*.py"):
        asked |= set(re.findall(r'packaged\("([^"]+)"\)', file.read_text(encoding="utf-8")))
    assert {included.get(f"installer/{name}") for name in asked} == {
        f"obs_faceswap/installer/{name}" for name in asked
    }


def test_the_script_imports_as_nothing_else():
    """OBS imports it by its bare name, so no module of ours and of the standard library may be called so."""
    name = Path(materials.SCRIPT_NAME).stem
    assert name not in install.sys.stdlib_module_names
    assert not list((CHECKOUT / "obs_faceswap").rglob(f"{name}.py"))
