"""Fixtures for all tests: a home of their own, and the development data where it is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Hypothesis would fail an example that takes 200 ms, which says more about the machine than about the code.
# In CI the same examples are tried every time; elsewhere new ones look for what CI cannot find.
settings.register_profile("any machine", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("any machine")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def optimized(tmp_path_factory) -> Iterator[Path]:
    """Where networks that were made faster go, instead of the user's cache."""
    from obs_faceswap.engine.runtime import optimize

    folder = tmp_path_factory.mktemp("optimized")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimize, "folder", lambda: folder)
        yield folder


@pytest.fixture(autouse=True)
def devices(monkeypatch) -> None:
    """No test sees the devices that an earlier one found."""
    from obs_faceswap.engine.live.loader import DEVICES

    monkeypatch.setattr(DEVICES, "_known", DEVICES.get()[:1])


@pytest.fixture
def home(tmp_path_factory, monkeypatch) -> Path:
    """An empty home of the project, so that a test neither reads nor writes the user's faces and networks."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("OBS_FACESWAP_HOME", str(folder))
    monkeypatch.delenv("OBS_FACESWAP_MODELS", raising=False)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data beside the checkout; skips the test where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"the development data is not at {SHARED}")
    return SHARED
