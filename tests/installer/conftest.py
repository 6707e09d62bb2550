"""The installer's modules; they import each other by their bare names, from their own folder."""

import sys
from pathlib import Path

import pytest

INSTALLER = Path(__file__).parents[2] / "installer"
sys.path.append(str(INSTALLER))


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user with an empty home and no variables that lead elsewhere."""
    home = tmp_path / "user"
    home.mkdir()
    for name in ("OBS_FACESWAP_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home
