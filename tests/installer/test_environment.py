"""The private environment is whole or not there, and the one in use stays until the new one is whole."""

import json
import sys
from pathlib import Path

import environment
import pytest
from progress import InstallError

CHECKOUT = Path(__file__).parents[2]
WANTED = environment.Wanted("python3.11", "3.11", "cpu", ["numpy"])


class FakeProgress:
    """Notes what would be run, and makes the interpreter that `python -m venv` would make."""

    def __init__(self, fails_at=""):
        self.fails_at = fails_at
        self.ran = []

    def step(self, title):
        return _Nothing()

    def run(self, command):
        text = " ".join(map(str, command))
        self.ran.append(text)
        if self.fails_at and self.fails_at in text:
            raise InstallError("It did not work.")
        if "-m venv" in text:
            python = environment.python_of(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()


class _Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def make(folder, wanted=WANTED, **fails):
    progress = FakeProgress(**fails)
    return environment.make(folder, CHECKOUT, wanted, progress), progress.ran


@pytest.mark.parametrize("device", environment.RUNTIMES)
def test_exactly_one_runtime_is_installed(device):
    texts = environment.requirements(CHECKOUT, device)
    runtimes = [text for text in texts if text.startswith("onnxruntime")]
    assert len(runtimes) == 1
    assert runtimes[0].startswith(environment.RUNTIMES[device] + ">=")


def test_an_extra_adds_its_packages():
    plain, tests = (environment.requirements(CHECKOUT, "cpu", extras) for extras in ([], ["test"]))
    assert any(text.startswith("pytest") for text in set(tests) - set(plain))


def test_the_same_wish_uses_the_environment_again(tmp_path):
    first, _ = make(tmp_path)
    again, ran = make(tmp_path)
    assert again == first
    assert len(ran) == 1  # the checkout alone, which may have changed
    assert ran[0].endswith(str(CHECKOUT))


def test_another_wish_makes_another_and_keeps_the_first(tmp_path):
    first, _ = make(tmp_path)
    other, _ = make(tmp_path, environment.Wanted("python3.11", "3.11", "cuda", ["numpy"]))
    assert set(environment.complete(tmp_path)) == {first, other}
    assert environment.device_of(other) == "cuda"
    environment.remove_others(tmp_path, other)
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("step", ["-m venv", "numpy", str(CHECKOUT)])
def test_a_failure_leaves_nothing(tmp_path, step):
    with pytest.raises(InstallError):
        make(tmp_path, fails_at=step)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_old_one(tmp_path):
    old, _ = make(tmp_path)
    other = environment.Wanted("python3.12", "3.12", "cpu", ["numpy"])
    with pytest.raises(InstallError):
        make(tmp_path, other, fails_at="numpy")
    assert list(tmp_path.iterdir()) == [old]
    assert json.loads((old / "obs-faceswap-installed.json").read_text())["python_version"] == "3.11"


def test_site_packages_are_asked_from_the_environment(tmp_path):
    python = environment.python_of(tmp_path)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert environment.site_packages(tmp_path).name in ("site-packages", "dist-packages")
