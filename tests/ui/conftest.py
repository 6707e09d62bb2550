"""Tiny clips, and an engine without networks for the commands."""

from pathlib import Path

import pytest
import tiny_networks
from fake_engine import SEEN, FakeFinder, networks_of
from tiny_clips import write_clip


@pytest.fixture
def clip(tmp_path) -> Path:
    """Twelve frames with sound."""
    return write_clip(tmp_path / "clip.mp4", audio="aac")


@pytest.fixture
def dfm(tmp_path) -> Path:
    """A `.dfm` that turns a face into its negative."""
    path = tmp_path / "negative.dfm"
    path.write_bytes(tiny_networks.dfm(64))
    return path


@pytest.fixture
def finder(monkeypatch, home) -> FakeFinder:
    """What the commands find in every frame; no networks are loaded or fetched."""
    from obs_faceswap.engine import pipeline
    from obs_faceswap.ui import cli

    found = FakeFinder(SEEN)
    monkeypatch.setattr(pipeline, "Networks", lambda device, models_from: networks_of(found))
    monkeypatch.setattr(cli, "fetch_weights", lambda models_from: None)
    return found
