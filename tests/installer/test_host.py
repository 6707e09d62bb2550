"""OBS and the Python it embeds are found, or it is said what is missing."""

import subprocess
import sys
import time
from pathlib import Path

import host
import pytest
from progress import InstallError


@pytest.fixture
def ldd(monkeypatch):
    """Sets what `ldd` prints for OBS's program; its libraries print nothing."""
    real = subprocess.run

    def use(text):
        def run(command, **more):
            if command[0] == "ldd":
                return subprocess.CompletedProcess(command, 0, stdout=text if command[1] == OBS else "")
            return real(command, **more)

        monkeypatch.setattr(subprocess, "run", run)

    return use


OBS = Path("/usr/bin/obs")
LINE = "\tlibpython3.{}.so.1.0 => /lib/x86_64-linux-gnu/libpython3.{}.so.1.0 (0x00007f)\n"


def test_the_linked_python_is_found(ldd):
    minor = sys.version_info.minor
    ldd("\tlibc.so.6 => /lib/libc.so.6\n" + LINE.format(minor, minor))
    assert host.version(host.linked_python(OBS)) == (3, minor)


def test_a_python_that_is_too_old_is_refused(ldd):
    ldd(LINE.format(10, 10))
    with pytest.raises(InstallError, match=r"3\.10; at least 3\.11"):
        host.linked_python(OBS)


def test_a_missing_interpreter_is_named(ldd):
    ldd(LINE.format(77, 77))
    with pytest.raises(InstallError, match=r"python3\.77 is not installed"):
        host.linked_python(OBS)


def test_an_obs_without_python_is_said(ldd):
    ldd("\tlibc.so.6 => /lib/libc.so.6\n")
    with pytest.raises(InstallError, match="built without Python"):
        host.linked_python(OBS)


def test_no_obs_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(host, "_programs", lambda: iter(()))
    with pytest.raises(InstallError, match=r"(?i)install.*obs"):
        host.find_program()


def test_what_is_no_interpreter_has_no_version(tmp_path):
    assert host.version(tmp_path / "python3.11") is None


def test_this_interpreter_has_its_version():
    assert host.version(Path(sys.executable)) == sys.version_info[:2]


def test_obs_on_windows_and_macos_gets_at_most_3_12(monkeypatch):
    asked = []
    monkeypatch.setattr(host, "_interpreters", lambda minor: iter([Path(f"python3.{minor}")]))
    monkeypatch.setattr(host, "version", lambda path: asked.append(path.name))
    with pytest.raises(InstallError, match=r"3\.12 from https://www\.python\.org"):
        host.loadable_python()
    assert asked == ["python3.12", "python3.11"]


@pytest.fixture
def program_called_obs(tmp_path):
    """Starts a program whose process is named “obs”, with an environment."""
    started = []
    program = tmp_path / "obs"
    program.symlink_to("/bin/sleep")

    def start(environment):
        started.append(subprocess.Popen([program, "60"], env=environment))
        shown = Path(f"/proc/{started[-1].pid}/environ")
        while not shown.read_bytes():  # the new program has not taken over yet
            time.sleep(0.01)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.skipif(not host.is_linux(), reason="looks into /proc")
def test_only_an_obs_with_the_users_configuration_counts_as_running(program_called_obs, user):
    program_called_obs({"HOME": str(user), "XDG_CONFIG_HOME": "/somewhere/else"})
    assert not host.is_running()
    program_called_obs({"HOME": str(user)})
    assert host.is_running()
