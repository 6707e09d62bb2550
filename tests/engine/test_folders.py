"""Where files lie on each system."""

from pathlib import Path

import pytest

from obs_faceswap.engine import folders

VARIABLES = ("OBS_FACESWAP_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No variable set, and a user's home in a temporary folder."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("system", "cache", "data"),
    [
        ("linux", ".cache/obs-faceswap", ".local/share/obs-faceswap"),
        ("darwin", "Library/Caches/obs-faceswap", "Library/Application Support/obs-faceswap"),
        ("win32", "AppData/Local/obs-faceswap/cache", "AppData/Local/obs-faceswap/data"),
    ],
)
def test_each_system_has_its_own_folders(bare, monkeypatch, system, cache, data):
    monkeypatch.setattr("sys.platform", system)
    assert folders.cache_dir() == bare / cache
    assert folders.data_dir() == bare / data
    assert folders.faces_dir() == bare / data / "faces"


def test_xdg_variables_are_honoured(bare, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert folders.cache_dir() == tmp_path / "c" / "obs-faceswap"
    assert folders.data_dir() == tmp_path / "d" / "obs-faceswap"


def test_a_relative_xdg_value_is_ignored(bare, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert folders.cache_dir() == bare / ".cache" / "obs-faceswap"


def test_local_app_data_is_honoured(bare, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert folders.cache_dir() == tmp_path / "local" / "obs-faceswap" / "cache"


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_projects_own_variable_moves_everything(bare, monkeypatch, tmp_path, system):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setenv("OBS_FACESWAP_HOME", str(tmp_path / "all"))
    assert folders.cache_dir() == tmp_path / "all" / "cache"
    assert folders.faces_dir() == tmp_path / "all" / "data" / "faces"


def test_nothing_is_created(home):
    folders.cache_dir(), folders.data_dir(), folders.faces_dir()
    assert list(home.iterdir()) == []
