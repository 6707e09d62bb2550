"""The command as a user calls it: results, reports, one sentence for every mistake."""

import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tiny_networks
from fake_engine import HEIGHT, NOBODY, SEEN, WIDTH
from tiny_clips import FRAMES, write_clip

import obs_faceswap
from obs_faceswap.engine import faces, wear
from obs_faceswap.engine.errors import ModelError, ModelMissingError
from obs_faceswap.engine.settings import OPTIONS
from obs_faceswap.engine.store import models
from obs_faceswap.ui import cli, command, demo, doctor, settings_table

REPORT_KEYS = {
    "obs_version", "provider", "frames_in", "frames_swapped", "frames_raw", "frames_frozen", "frames_covered",
    "switches_per_minute", "callback_ms", "engine_fps", "delay_ms", "stages_ms",
}  # fmt: skip


@pytest.fixture
def run(capsys):
    """Runs the command; its status, output and errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, " ".join(err.split())

    return call


@pytest.fixture
def portrait(tmp_path):
    """A picture of noise as large as the frames that the finder finds its face in."""
    path = tmp_path / "portrait.png"
    random = np.random.default_rng(5)
    cv2.imwrite(str(path), random.integers(60, 190, (HEIGHT, WIDTH, 3), np.uint8))
    return path


def read(path):
    return cv2.imread(str(path))


def swapped_part(before, after):
    """The part of the picture that is the negative of what it was."""
    return float((np.abs(255 - before.astype(int) - after).max(axis=2) < 40).mean())


def test_a_video_is_swapped_and_reported(run, finder, clip, dfm, tmp_path):
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    status, out, _ = run(
        "swap", clip, target, "--face", dfm, "--report", report, "--set", "color_transfer=none"
    )
    assert status == 0
    assert f"{FRAMES} frames, {FRAMES} swapped" in out
    figures = json.loads(report.read_text())
    assert set(figures) == REPORT_KEYS
    assert (figures["frames_in"], figures["frames_swapped"], figures["frames_raw"]) == (FRAMES, FRAMES, 0)
    assert figures["provider"] == "cpu"
    assert figures["obs_version"] is None
    assert figures["delay_ms"] is None
    assert figures["callback_ms"] == {"p50": None, "p99": None}
    assert figures["engine_fps"] > 0
    assert figures["stages_ms"]["swap"] > 0


def test_the_policy_runs_on_the_videos_own_times(run, finder, tmp_path, dfm):
    source = write_clip(tmp_path / "in.mp4", frames=8, times=[n * 250 for n in range(8)])
    finder.found[:] = [SEEN, NOBODY]
    report = tmp_path / "r.json"
    status, _, _ = run("swap", source, tmp_path / "out.mp4", "--face", dfm, "--report", report)
    figures = json.loads(report.read_text())
    assert status == 0
    assert (figures["frames_swapped"], figures["frames_frozen"], figures["frames_covered"]) == (1, 2, 5)
    assert figures["switches_per_minute"] == pytest.approx(2 * 60 / 1.75, rel=0.01)


def test_a_picture_is_swapped(run, finder, portrait, dfm, tmp_path):
    before = read(portrait)
    status, out, _ = run(
        "swap", portrait, tmp_path / "out.png", "--face", dfm, "--set", "color_transfer=none"
    )
    assert status == 0
    assert "1 frame, 1 swapped" in out
    after = read(tmp_path / "out.png")
    assert swapped_part(before, after) > 0.03
    assert np.array_equal(before[:, 240:], after[:, 240:])


def test_a_picture_without_a_face_is_covered_or_left_as_the_setting_says(
    run, finder, portrait, dfm, tmp_path
):
    finder.found[:] = [NOBODY]
    run("swap", portrait, tmp_path / "covered.png", "--face", dfm)
    run("swap", portrait, tmp_path / "left.png", "--face", dfm, "--set", "cover=original")
    assert read(tmp_path / "covered.png").std() < read(portrait).std() / 4
    assert np.array_equal(read(tmp_path / "left.png"), read(portrait))


def test_an_installed_face_is_worn_by_its_name(run, finder, portrait, dfm, tmp_path):
    assert run("faces", "add", dfm, "--name", "Nobody")[0] == 0
    assert run("swap", portrait, tmp_path / "out.png", "--face", "Nobody")[0] == 0
    assert (tmp_path / "out.png").exists()


def test_networks_are_added_and_listed(run, home, tmp_path):
    status, out, _ = run("networks")
    assert (status, "There is none" in out) == (0, True)
    files = {"ghost_1.onnx": tiny_networks.one_photo(256), "w600k_r50.onnx": tiny_networks.recognizer()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert run("networks", "add", tmp_path / name)[0] == 0
    out = run("networks", "list")[1]
    assert "ghost_1 (swapper)" in out
    assert "w600k_r50 (recognizer)" in out


def test_a_file_of_no_use_is_not_added(run, home, dfm):
    status, _, err = run("networks", "add", dfm)
    assert (status, "no network that is of use" in err) == (1, True)


def test_a_photo_is_worn_through_a_network(run, finder, portrait, tmp_path, monkeypatch):
    """The small network adds the mean of the source picture, which is gray, to what it sees."""
    monkeypatch.setattr(wear, "_sessions", lambda devices, models_from: ())
    face = (SEEN.target.landmarks, SEEN.target.depth, 1.0)
    monkeypatch.setattr(wear, "_finding", lambda sessions: lambda picture: [face])
    network = tmp_path / "blendswap_256.onnx"
    network.write_bytes(tiny_networks.one_photo(256, (1, 3, 112, 112)))
    before, target = read(portrait), tmp_path / "out.png"
    chosen = ("--set", f"network={network}", "--set", "color_transfer=none", "--set", "mask_blur=0")
    status, out, _ = run("swap", portrait, target, "--face", portrait, *chosen)
    assert status == 0
    assert "1 frame, 1 swapped" in out
    after = read(target)
    middle = np.s_[110:130, 80:100]
    expected = np.minimum(before[middle] + before.mean(), 255)
    assert after[middle].mean() == pytest.approx(expected.mean(), abs=4)
    assert np.array_equal(before[:, 240:], after[:, 240:])
    status, _, err = run("swap", portrait, target, "--face", portrait, "--set", "network=gone")
    assert (status, "There is no network “gone”" in err) == (1, True)


def test_faces_are_listed_and_removed(run, home, dfm):
    assert "No face is installed" in run("faces")[1]
    run("faces", "add", dfm)
    assert "negative (dfm)" in run("faces", "list")[1]
    assert run("faces", "remove", "negative")[0] == 0
    assert faces.installed() == []
    status, _, error = run("faces", "remove", "negative")
    assert (status, "There is no face" in error) == (1, True)


MISTAKES = [
    (["{missing}", "out.mp4", "--face", "{dfm}"], "is no file"),
    (["{clip}", "out.gif", "--face", "{dfm}"], "does not end like a video"),
    (["{clip}", "nowhere/out.mp4", "--face", "{dfm}"], "nowhere does not exist"),
    (["{clip}", "{clip}", "--face", "{dfm}"], "is the input itself"),
    (["{clip}", "out.mp4", "--face", "{clip}"], "is no face"),
    (["{clip}", "out.mp4", "--face", "Nobody"], "There is no face “Nobody”"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--set", "opacity"], "is no setting"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--set", "opasity=1"], "no setting “opasity”"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--set", "opacity=1.5"], "Expected 0 to 1"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--set", "cover=loud"], "Use one of"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--device", "abacus"], "abacus"),
    (["{clip}", "out.mp4", "--face", "{dfm}", "--report", "nowhere/r.json"], "nowhere does not exist"),
    (["{text}", "out.mp4", "--face", "{dfm}"], "cannot be read as a video"),
    (["{text_png}", "out.png", "--face", "{dfm}"], "not a picture that can be read"),
    (["{portrait}", "out.mp4", "--face", "{dfm}"], "is a picture, out.mp4 is not"),
    (["{clip}", "out.mp4", "--face", "{text_dfm}"], "is no usable ONNX network"),
    (["{clip}", "out.mp4", "--face", "{text_png}"], "not a picture that can be read"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_one_sentence_and_leaves_the_output_alone(
    run, finder, clip, dfm, portrait, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    text, text_png, text_dfm = (tmp_path / f"text{ending}" for ending in (".mp4", ".png", ".dfm"))
    for path in (text, text_png, text_dfm):
        path.write_text("Dear diary,")
    places = {"missing": tmp_path / "missing.mp4", "clip": clip, "dfm": dfm, "portrait": portrait,
              "text": text, "text_png": text_png, "text_dfm": text_dfm}  # fmt: skip
    outputs = [tmp_path / name for name in ("out.mp4", "out.png")]
    for output in outputs:
        output.write_bytes(b"precious")
    before = clip.read_bytes()
    status, out, error = run("swap", *(argument.format(**places) for argument in arguments))
    assert (status, out) == (1, "")
    assert message in error
    assert error.count("Error:") == 1
    assert "Traceback" not in error
    assert all(output.read_bytes() == b"precious" for output in outputs)
    assert clip.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_missing_options_are_a_usage_error(run, clip):
    status, _, error = run("swap", clip, "out.mp4")
    assert status == 2
    assert "--face" in error


def test_settings_are_listed_and_printed_as_a_page(run):
    _, out, _ = run("settings")
    assert all(option.key in out for option in OPTIONS)
    assert run("settings", "--markdown")[1] == settings_table.markdown()
    assert run("settings", "--defaults")[1] == settings_table.defaults()


def test_networks_are_listed_with_what_is_missing(run, home):
    status, out, _ = run("models")
    assert status == 0
    assert all(name in out for name in (*models.DEFAULTS, "yunet"))
    assert "not here" in out


def test_networks_that_cannot_be_fetched_are_said(run, home, monkeypatch):
    def fail(name, models_from, progress):
        progress("Downloading", 0.5)
        raise ModelMissingError(f"{name} cannot be fetched. Check the connection.")

    monkeypatch.setattr(models, "fetch", fail)
    status, _, error = run("models", "fetch")
    assert status == 1
    assert "Check the connection" in error


def test_verify_says_which_network_is_missing(run, home):
    status, _, error = run("models", "verify")
    assert status == 1
    assert models.DEFAULTS[0] in error


def test_weights_are_fetched_only_where_they_are_missing(home, monkeypatch):
    fetched = []
    monkeypatch.setattr(models, "fetch_defaults", lambda models_from, progress: fetched.append(models_from))
    command.fetch_weights(None)
    assert fetched == [None]
    monkeypatch.setattr(models, "find_detector", lambda models_from: "here")
    monkeypatch.setattr(models, "find", lambda name, models_from: "here")
    command.fetch_weights(None)
    assert fetched == [None]


def test_doctor_fails_when_something_needed_is_missing(run, home):
    status, out, _ = run("doctor")
    assert status == 1
    assert "WRONG" in out
    assert "obs-faceswap models fetch" in out


def test_doctor_succeeds_when_only_notes_are_left(run, monkeypatch):
    notes = [doctor.Finding(doctor.Level.OK, "all"), doctor.Finding(doctor.Level.NOTE, "but", "do")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(notes))
    status, out, _ = run("doctor")
    assert status == 0
    assert "do" in out


def test_the_demo_gets_its_options(run, finder, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(demo, "show", lambda *arguments: asked.append(arguments[:3]))
    assert run("demo", "--out", tmp_path, "--seconds", "3", "--headless")[0] == 0
    assert asked == [(tmp_path, 3.0, True)]


@pytest.fixture
def tuned(monkeypatch, home):
    """What `autotune` was asked for; it measures nothing and finds the same each time."""
    from obs_faceswap.engine.live import autotune
    from obs_faceswap.ui import cli

    asked = []

    def measure(settings, models_from, on_progress):
        asked.append(settings)
        on_progress("swap on CPU", 0.5)
        times = (
            autotune.Timing(autotune.Stage.SWAP, "cpu", 60.25),
            autotune.Timing(autotune.Stage.SWAP, "cuda", None, "The card ran out of memory."),
        )
        return autotune.Tuning(times, {"device": "cpu", "target": "smooth"}, ("It is slow.",))

    monkeypatch.setattr(autotune, "autotune", measure)
    monkeypatch.setattr(cli, "fetch_weights", lambda models_from: None)
    return asked


def test_autotune_prints_times_reasons_and_options(run, tuned, dfm):
    _, out, _ = run("autotune", "--face", dfm, "--set", "target_fps=15")
    assert "60.25 ms" in out
    assert "The card ran out of memory." in out
    assert out.endswith("It is slow.\n\n--set device=cpu --set target=smooth\n")
    assert (tuned[0].face, tuned[0].target_fps) == (str(dfm), 15)


def test_autotune_prints_json_for_the_demos_face(run, tuned):
    found = json.loads(run("autotune", "--json")[1])
    assert found == {
        "stages": {"swap": {"cpu": 60.25, "cuda": None}},
        "problems": {"swap": {"cuda": "The card ran out of memory."}},
        "settings": {"device": "cpu", "target": "smooth"},
        "reasons": ["It is slow."],
    }
    assert tuned[0].face.endswith("face.jpg")


@pytest.mark.parametrize(
    "command", ["swap", "doctor", "models", "faces", "settings", "bench", "autotune", "demo"]
)
def test_every_command_has_help(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"obs-faceswap {command}" in out


def test_an_error_in_a_frame_is_no_reason_to_stop(run, finder, clip, dfm, tmp_path):
    finder.found[:] = [ModelError("It broke."), SEEN]
    report = tmp_path / "r.json"
    status, _, _ = run("swap", clip, tmp_path / "out.mp4", "--face", dfm, "--report", report)
    figures = json.loads(report.read_text())
    assert status == 0
    assert figures["frames_in"] == FRAMES
    assert figures["frames_covered"] == 3
    assert figures["frames_swapped"] == FRAMES - 3


def test_being_ended_leaves_nothing_behind(run, finder, clip, dfm, tmp_path, monkeypatch):
    monkeypatch.setattr(finder, "find", lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))
    status, _, _ = run("swap", clip, tmp_path / "out.mp4", "--face", dfm)
    assert status == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "negative.dfm"]


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_module_is_the_command():
    done = python("-m", "obs_faceswap", "--version")
    assert done.returncode == 0
    assert done.stdout.strip() == f"obs-faceswap {obs_faceswap.__version__}"


@pytest.mark.parametrize("argument", ["--version", "--help", "settings"])
def test_what_needs_no_engine_loads_none(argument):
    code = (
        "import sys\nfrom obs_faceswap.ui.cli import main\ntry:\n    main([sys.argv[1]])\n"
        "finally:\n    heavy = {'numpy', 'cv2', 'onnxruntime', 'av'} & set(sys.modules)\n"
        "    print(sorted(heavy), file=sys.stderr)"
    )
    done = python("-c", code, argument)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
