"""The demo: OBS's own recording, two pictures and a report, or a clear error and nothing."""

import json

import cv2
import numpy as np
import pytest
from obs_driver import read_clip

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.ui import demo

SECONDS = 2.0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of a demo's results, what it said)."""
    out, said = tmp_path_factory.mktemp("demo") / "out", []
    demo.show(out, SECONDS, headless=True, say=said.append)
    return out, "\n".join(said)


def test_the_four_files_are_made_and_named(made):
    out, said = made
    names = ["after.png", "before.png", "demo.mp4", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(name in said for name in names)
    assert "Filters" in said  # how to add it to one's own webcam


def test_the_recording_plays(made):
    pictures = list(read_clip(made[0] / "demo.mp4"))
    assert len(pictures) >= SECONDS * 15
    assert pictures[0].shape == (360, 640, 3)


def test_the_report_has_its_figures(made):
    report = json.loads((made[0] / "report.json").read_text())
    assert report["frames_swapped"] > 0
    assert report["frames_raw"] == 0
    assert report["obs_version"].count(".") >= 2
    assert set(report["callback_ms"]) == {"p50", "p99"}
    assert {"provider", "frames_in", "engine_fps", "delay_ms", "stages_ms"} <= set(report)


def test_before_and_after_are_one_moment_with_another_face(made):
    before, after = (cv2.imread(str(made[0] / name)).astype(int) for name in ("before.png", "after.png"))
    change = np.abs(before - after).mean(axis=2)
    # Far from the face only the next frame of the clip could differ, and that hardly.
    assert max(change[:, :100].mean(), change[:, -100:].mean()) < 2
    assert change.max() > 40


def test_without_a_swapped_frame_it_fails_and_leaves_nothing(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_face", lambda: stage.empty_picture)
    monkeypatch.setattr(demo, "_FIRST_SWAP_S", 8.0)
    with pytest.raises(FaceSwapError, match=r"No frame was swapped.*empty-room"):
        demo.show(tmp_path / "out", SECONDS, headless=True)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_said(made, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(FaceSwapError, match="cannot be written"):
        demo._move(made[0], taken)
    assert (made[0] / "demo.mp4").exists()


def test_a_senseless_length_is_refused(tmp_path):
    with pytest.raises(FaceSwapError, match="Expected 1 to 3600"):
        demo.show(tmp_path / "out", 0, headless=True)
