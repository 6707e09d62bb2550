"""The figures of `obs-faceswap quality`, on pictures and tracks whose figures are known."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from obs_faceswap.engine.crop.align import CANONICAL_FACE
from obs_faceswap.engine.types import Face, Result, Shown
from obs_faceswap.ui.cli import app
from obs_faceswap.ui.quality import figures, report
from obs_faceswap.ui.quality.measure import Course, summary
from obs_faceswap.ui.quality.seen import CROP_PX, Seen, look

LANDMARKS = (CANONICAL_FACE[:, :2] * (7, -7) + (CROP_PX / 2, CROP_PX / 2 - 10)).astype(np.float32)
FACE = Face(LANDMARKS, np.zeros(468, np.float32), 1.0, 1)


def gray(level=120):
    return np.full((CROP_PX, CROP_PX, 3), level, np.uint8)


def noisy(seed):
    return np.random.default_rng(seed).integers(60, 200, (CROP_PX, CROP_PX, 3), np.uint8)


def seen(before=None, after=None, exact=None, shown=Shown.SWAPPED, number=0, face=FACE):
    before = gray() if before is None else before
    after = gray() if after is None else after
    return Seen(number, shown, face, LANDMARKS, before, after, exact, LANDMARKS)


def painted(image, where, color):
    image = image.copy()
    image[where] = color
    return image


def tracks_of(course):
    """Landmarks whose middle follows a course (N, 2)."""
    return [LANDMARKS + step for step in course]


def test_a_frame_whose_face_is_unchanged_is_bare():
    one = seen()
    assert figures.is_bare(one)
    assert not figures.is_bare(seen(after=painted(gray(), one.inner, 200)))
    assert figures.is_bare(seen(after=painted(gray(), one.ring, 200)))  # a new rim does not hide anybody


def test_a_frame_that_was_let_through_is_bare_and_one_without_a_face_is_not():
    assert figures.is_bare(seen(after=gray(200), shown=Shown.ORIGINAL))
    assert not figures.is_bare(Seen(0, Shown.COVERED, None, None))


def test_a_cover_hides_the_face_even_where_all_is_of_one_color():
    assert not figures.is_bare(seen(gray(), gray(), shown=Shown.COVERED))


def test_an_edge_around_the_face_is_a_seam():
    one = seen()
    pasted = painted(gray(), one.inner, 160)
    soft = cv2.GaussianBlur(pasted, (0, 0), 6)
    assert figures.seam(one) == 0
    assert figures.seam(seen(after=pasted)) > 1.2 * figures.seam(seen(after=soft)) > 0
    assert figures.seam(seen(before=pasted, after=pasted)) == 0  # an edge that was there before is none


def test_a_face_that_leaves_the_necks_color_mismatches():
    one = seen()
    assert figures.mismatch(one) == pytest.approx(0)
    brighter = painted(gray(), one.inner, (150, 150, 150))
    far, near = figures.mismatch(seen(after=brighter)), -figures.mismatch(seen(before=brighter))
    assert far == pytest.approx(near)
    assert far == pytest.approx(11.6, abs=0.5)  # L of gray 150 less L of gray 120


def detailed(sigma=0.6, grain=0.0):
    """A large picture with detail of all sizes, softened, with noise."""
    random, layers = np.random.default_rng(9), np.zeros((512, 512), np.float32)
    for size in (1, 2, 4, 8, 16):
        small = random.normal(size=(512 // size, 512 // size)).astype(np.float32)
        layers += cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC) * 8
    shown = cv2.GaussianBlur(layers, (0, 0), sigma) + random.normal(0, grain, layers.shape)
    return cv2.cvtColor(np.clip(120 + shown, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def compared(live, worn):
    face = Face(LANDMARKS * 2, np.zeros(468, np.float32), 1.0, 1)
    return look(0, live, worn, None, Result(Shown.SWAPPED, [face]), None)


def test_a_softer_swap_has_less_sharpness_than_the_live_face():
    soft, same, crisp = (
        figures.sharpness(compared(detailed(live), detailed(worn)))
        for live, worn in ((0.6, 1.4), (0.9, 0.9), (1.4, 0.6))
    )
    assert soft < 0.7 < 0.95 < same < 1.05 < 1.4 < crisp
    assert figures.sharpness(seen()) is None
    assert figures.typical_ratio([0.5, 1, 2, 2.0]) == pytest.approx(2**0.5)


def test_noise_that_only_the_live_face_has_is_missing_grain():
    assert figures.grain(compared(detailed(1.5, 5), detailed(1.5))) == pytest.approx(-5, abs=1)
    assert figures.grain(compared(detailed(1.5, 3), detailed(1.5, 3))) == pytest.approx(0, abs=0.3)


def test_flicker_is_the_deviation_of_noise_and_leaves_a_slow_course_out():
    noise = np.random.default_rng(5).normal(0, 2, 4000)
    numbers = range(4000)
    assert figures.flicker(noise, numbers) == pytest.approx(2, rel=0.05)
    assert figures.flicker(noise + np.linspace(0, 500, 4000), numbers) == pytest.approx(2, rel=0.05)
    assert figures.flicker(np.linspace(0, 500, 4000), numbers) == pytest.approx(0, abs=1e-9)


def test_a_gap_between_frames_is_no_flicker():
    assert figures.flicker([0, 0, 0, 50, 50, 50], [0, 1, 2, 10, 11, 12]) == 0


def test_jitter_is_measured_where_the_face_is_still():
    rng = np.random.default_rng(6)
    still = [LANDMARKS + rng.normal(0, 0.5, LANDMARKS.shape) for _ in range(100)]
    moving = [LANDMARKS + np.array((9 * step, 0)) + rng.normal(0, 5, LANDMARKS.shape) for step in range(100)]
    eyes = np.linalg.norm(LANDMARKS[33] - LANDMARKS[263])
    found = figures.jitter([*still, *moving], range(200))
    assert found == pytest.approx(100 * 0.5 * np.sqrt(2) / eyes, rel=0.1)


@pytest.mark.parametrize("late", [0.0, 1.5, 3.0])
def test_lag_is_found_in_frames(late):
    at = np.arange(120)
    course, delayed = (np.stack([40 * np.sin(t / 9), 20 * np.cos(t / 7)], axis=1) for t in (at, at - late))
    assert figures.lag(tracks_of(delayed), tracks_of(course), range(120)) == pytest.approx(late, abs=0.11)


def test_expressions_agree_when_they_move_together():
    live = np.random.default_rng(7).uniform(0, 1, (40, 52))
    assert figures.agreement(live, live * 0.5 + 0.1) == pytest.approx(1)
    assert figures.agreement(live, 1 - live) == pytest.approx(-1)
    assert np.isnan(figures.agreement(np.ones((5, 52)), live[:5]))


def test_expressions_the_live_face_does_not_use_do_not_count():
    live = np.zeros((40, 52))
    live[:, 3] = np.sin(np.arange(40))
    worn = live.copy()
    worn[:, 9] = np.random.default_rng(8).uniform(0, 1, 40)
    assert figures.agreement(live, worn) == pytest.approx(1)


def test_the_exact_result_leaves_nothing_and_no_swap_leaves_all():
    live, exact = noisy(1), noisy(2)
    assert figures.remaining([seen(live, exact, exact)]) == pytest.approx(0)
    assert figures.remaining([seen(live, live, exact)]) == pytest.approx(1)
    assert np.isnan(figures.remaining([seen(live, live)]))


def test_a_clips_summary_counts_what_was_shown():
    kinds = [Shown.SWAPPED, Shown.SWAPPED, Shown.FROZEN, Shown.COVERED, Shown.SWAPPED]
    course = Course([seen(noisy(1), noisy(2), shown=kind, number=n) for n, kind in enumerate(kinds)])
    found = summary(course)
    assert (found["frames"], found["frames_swapped"], found["frames_frozen"]) == (5, 3, 1)
    assert found["switches"] == 3
    assert found["frames_bare"] == 0
    assert found["likeness_to_source"] is None
    assert "not measured" in report.table(found)


def test_the_plot_and_the_sheet_show_every_part():
    course = Course([seen(gray(), noisy(3), gray(60), number=number) for number in range(20)])
    course.to_source = {0: 0.4, 5: 0.6}
    assert report.sheet(course).shape == (3 * 192, 8 * 192, 3)
    assert report.plot(course).shape[1] == 960
    assert report.plot(Course([Seen(0, Shown.COVERED, None, None)])).shape[1] == 960


@pytest.mark.shared
def test_the_command_measures_a_clip_and_writes_pictures(shared, home, tmp_path):
    clip = shared / "synth" / "clips" / "synth_a.mp4"
    face = shared / "image" / "synthetic_em_c.png"
    short = tmp_path / "short.mp4"
    _shorten(clip, short, 12)
    arguments = ["--face", str(face), "--out", str(tmp_path / "out"), "--json"]
    models_from = ["--models-from", str(shared / "models")]
    done = CliRunner().invoke(app, ["quality", str(short), *arguments, *models_from])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["frames"] == found["frames_swapped"] == 12
    assert found["frames_bare"] == 0
    assert found["likeness_to_source"] > found["likeness_to_live"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["short-plot.png", "short-sheet.jpg"]


@pytest.mark.shared
def test_a_network_that_is_not_there_is_named(shared, home, tmp_path):
    few = tmp_path / "models"
    few.mkdir()
    for name in ("mp_face_mesh_468_192.onnx", "yunet_n_320.onnx"):
        (few / name).symlink_to(shared / "models" / name)
    short = tmp_path / "short.mp4"
    _shorten(shared / "synth" / "clips" / "synth_a.mp4", short, 3)
    face = ["--face", str(shared / "image" / "synthetic_em_c.png")]
    done = CliRunner().invoke(app, ["quality", str(short), *face, "--models-from", str(few)])
    assert done.exit_code == 0, done.output
    assert "not measured: identity needs: " in done.stdout
    assert "mobilefacenet_128" in done.stdout


def _shorten(clip, short, frames):
    reader = cv2.VideoCapture(str(clip))
    size = tuple(int(reader.get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(short), cv2.VideoWriter_fourcc(*"mp4v"), 30, size)
    for _ in range(frames):
        writer.write(reader.read()[1])
    writer.release()
