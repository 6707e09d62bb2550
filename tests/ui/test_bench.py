"""The benchmark: its keys and shapes. No figure is asserted but for what cannot be otherwise."""

import ctypes
import json
import mmap

import cv2
import numpy as np
import pytest
import tiny_networks
from fake_engine import HEIGHT, NOBODY, WIDTH, face_at

from obs_faceswap.engine.errors import FaceSwapError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import native
from obs_faceswap.engine.runtime import session
from obs_faceswap.libobs import abi
from obs_faceswap.ui import cli
from obs_faceswap.ui.bench import callback, child, hook, networks, processes, reference_merges
from obs_faceswap.ui.bench.plan import SIZES_WH
from obs_faceswap.ui.bench.run import SECTIONS
from obs_faceswap.ui.bench.scene import Subject
from obs_faceswap.ui.bench.table import table
from obs_faceswap.ui.bench.watch import NetworkWatch
from obs_faceswap.ui.obs_websocket import ObsError


@pytest.fixture
def portrait(tmp_path):
    """A picture of noise; the finder finds its face in it, whatever it is shown."""
    path = tmp_path / "portrait.png"
    random = np.random.default_rng(5)
    cv2.imwrite(str(path), random.integers(60, 190, (HEIGHT, WIDTH, 3), np.uint8))
    return path


@pytest.fixture
def bench(capsys, finder, dfm, portrait):
    """Runs the command on a tiny model; its figures."""

    def call(*sections):
        with pytest.raises(SystemExit) as ended:
            cli.main(
                ["bench", *sections, "--quick", "--json", "--face", str(dfm), "--picture", str(portrait)]
            )
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return json.loads(out)

    return call


def numbers(figures):
    """All numbers in figures, however deep."""
    for value in figures.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif isinstance(value, int | float):
            yield value


def test_the_machine_is_always_said(bench):
    figures = bench("efficiency")
    assert set(figures) == {"machine", "efficiency"}
    assert {"processor", "processors", "system", "python", "onnxruntime", "device"} <= set(figures["machine"])


def test_efficiency_compares_the_pipeline_with_its_networks_alone(bench):
    figures = bench("efficiency")["efficiency"]
    assert set(figures) == {"own 720p", "own 1080p"}
    for case in figures.values():
        assert case["networks_a_frame"] == 1.0  # the model; the finder of this test has no network
        assert 0 < case["networks_ms"] < case["pipeline_ms"]
        assert 0 < case["efficiency"] < 1
        assert case["efficiency_live"] == pytest.approx(case["networks_ms"] / case["live_ms"], abs=0.001)


def test_time_outside_the_networks_is_less_than_all_of_it(bench):
    figures = bench("non_network_ms", "efficiency")
    assert {size: set(cases) for size, cases in figures["non_network_ms"].items()} == {
        "720p": {"own"},
        "1080p": {"own"},
    }
    assert all(value > 0 for value in numbers(figures["non_network_ms"]))


def test_merges_are_measured_side_by_side(bench):
    figures = bench("merge")["merge"]
    assert set(figures) == {"720p", "1080p"}
    for size in figures.values():
        assert set(size) == {
            "ours_ms", "deepfacelive_ms", "insightface_ms", "deepfacelive_times", "insightface_times",
        }  # fmt: skip
        ratio = size["insightface_ms"] / size["ours_ms"]
        assert size["insightface_times"] == pytest.approx(ratio, rel=0.01)


def test_cost_is_told_against_work(bench):
    figures = bench("cost")["cost"]
    assert set(figures["frame_ms_by_size"]) == set(SIZES_WH)
    assert set(figures["frame_ms_by_faces"]) == {"1", "2", "4", "8"}
    assert set(figures["by_filters"]) == {"1", "2", "3", "4"}
    assert all(value > 0 for value in numbers(figures))


def test_a_delay_is_at_least_the_engines_own_time(bench):
    (delay,) = bench("delay_ms")["delay_ms"].values()
    assert set(delay) == {"p50", "p99", "max", "engine_p50", "camera_frame", "frames_more_than_engine"}
    assert 0 < delay["engine_p50"] <= delay["p50"] <= delay["p99"] <= delay["max"]


def test_a_live_stream_is_reported(bench):
    live = bench("live")["live"]
    assert live["frames_in"] == 60
    assert live["frames_in"] == live["frames_swapped"] + live["frames_frozen"] + live["frames_covered"]
    assert live["frames_raw"] == 0
    assert {"obs_version", "provider", "engine_fps", "delay_ms", "stages_ms", "callback_ms"} <= set(live)


def test_stages_are_told_by_size(bench):
    (case,) = bench("stages")["stages"].values()
    assert set(case) == {"360p", "720p", "1080p"}
    assert all(stages["swap"] > 0 and stages["frame"] > stages["swap"] for stages in case.values())


def no_obs():
    raise ObsError("There is none.")


def test_memory_and_start_are_measured(bench, monkeypatch):
    monkeypatch.setattr(child, "ask", lambda task: child.TASKS[task.what](task))
    monkeypatch.setattr(processes, "find_obs", no_obs)
    figures = bench("memory", "start")
    (memory,) = figures["memory"].values()
    assert memory["frames"] == 200
    assert memory["frames_at_1080p"] > 3 * 1920 * 1080 * 1.5 / 2**20
    assert set(memory) == {
        "libraries", "frames_at_1080p", "face_and_networks", "frames", "growth_over_frames",
        "most_over_frames",
    }  # fmt: skip
    assert set(figures["start"]) == {"script_import", "script_in_obs", "first_swapped_frame_own"}
    assert figures["start"].pop("script_in_obs") is None
    assert all(value > 0 for value in figures["start"].values())


def test_a_process_of_its_own_says_what_went_wrong(home, tmp_path):
    frame = tmp_path / "frame"
    frame.write_bytes(bytes(6))
    with pytest.raises(FaceSwapError, match="There is no face “Nobody”"):
        child.ask(child.Task("memory", "Nobody", str(_saved(tmp_path)), (2, 2), "cpu", ""))


def _saved(folder):
    path = folder / "scene.npy"
    np.save(path, np.zeros((4, 4, 3), np.uint8))
    return path


def test_memory_in_use_is_seen():
    before = child.resident_mb()
    with mmap.mmap(-1, 40 * 2**20) as block:  # new memory, where an array might get what another gave back
        np.frombuffer(block, np.uint8)[:] = 1
        assert child.resident_mb() - before > 30


def test_the_script_can_be_imported_as_obs_does(tmp_path):
    from obs_faceswap.engine.settings import Settings
    from obs_faceswap.ui.bench.plan import Plan

    plan = Plan(Settings(), tmp_path, "", True, None, tmp_path, lambda what, part: None)
    assert processes._import_ms(plan) > 0


def test_a_picture_without_a_face_is_refused(capsys, finder, dfm, portrait):
    finder.found[:] = [NOBODY]
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "stages", "--quick", "--face", str(dfm), "--picture", str(portrait)])
    assert ended.value.code == 1
    assert "No face is seen" in capsys.readouterr().err


def test_an_unknown_section_is_refused(capsys, finder):
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "speed"])
    assert ended.value.code == 1
    assert "There is no section “speed”" in capsys.readouterr().err


def test_the_table_shows_every_figure(bench):
    figures = bench("merge", "stages")
    text = table(figures)
    assert all(SECTIONS[name].title in text for name in ("merge", "stages"))
    for number in [*numbers(figures["merge"]), *numbers(figures["stages"])]:
        assert f"{number:.2f}" in text


def test_the_watch_sees_networks_and_runs_them_again():
    network = session.Session(tiny_networks.double(), "cpu")
    before = session.Session.run
    feeds = {"input": np.float32([[1, 2, 3]])}
    with NetworkWatch() as watch:
        network.run(feeds)
        network.run(feeds)
        calls = watch.take()
    assert session.Session.run is before
    assert [call[1] for call in calls.calls] == [feeds, feeds]
    assert calls.inside_s > 0
    assert calls.again() > 0
    assert watch.take().calls == []


def test_a_scene_shows_as_many_faces_as_asked_of_the_size_asked():
    image = np.zeros((1000, 1000, 3), np.uint8)
    cv2.circle(image, (500, 500), 50, (255, 255, 255), -1)
    subject = Subject(image, (500.0, 500.0), 100.0)
    scene = subject.scene((1920, 1080), 200, faces=8)
    count, _, boxes, _ = cv2.connectedComponentsWithStats((scene[..., 0] > 200).astype(np.uint8))
    assert count - 1 == 8
    assert boxes[1:, 2] == pytest.approx(np.full(8, 200), abs=6)


def test_a_model_is_built_with_real_ones_contract(tmp_path):
    sizes = networks.Sizes(64, 16, 8, 8, 4)
    path = tmp_path / "model.dfm"
    path.write_bytes(networks.liae_udt(sizes))
    from obs_faceswap.engine.swap.dfm import DfmSwapper

    network = session.Session(path, "cpu")
    assert DfmSwapper(network).resolution == 64
    mask, face, own_mask = network.run({"in_face:0": np.full((1, 64, 64, 3), 0.5, np.float32)})
    assert face.shape == (1, 64, 64, 3)
    for part in (mask, own_mask):
        assert 0.3 < part.mean() < 0.5
        assert part[0, 32, 32, 0] > 0.9
        assert part[0, 0, 0, 0] == 0


@pytest.fixture
def face_to_paste():
    """A black frame, a white crop, its masks, and where it lies: twice enlarged at (100, 60)."""
    frame, crop = np.zeros((240, 320, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    mask = np.ones((64, 64), np.float32)
    return frame, crop, mask, np.float32([[0.5, 0, -50], [0, 0.5, -30]])


def test_both_references_put_the_face_where_it_was(face_to_paste):
    frame, crop, mask, to_crop = face_to_paste
    for merged in (
        reference_merges.deepfacelive(frame, crop, (mask, mask), to_crop),
        reference_merges.insightface(frame, crop, to_crop),
    ):
        assert merged.shape == frame.shape
        assert merged[124, 164].min() >= 254  # the crop's middle
        assert merged[:50].max() == 0
        assert merged[:, 240:].max() == 0
        assert not frame.any()


def test_deepfacelives_mask_is_the_product_of_both(face_to_paste):
    frame, crop, mask, to_crop = face_to_paste
    half = mask.copy()
    half[:, 32:] = 0
    merged = reference_merges.deepfacelive(frame, crop, (mask, half), to_crop)
    assert merged[124, 136].min() > 150
    assert merged[124, 200].max() == 0


def test_face_at_is_found_where_it_lies(finder, dfm, portrait):
    from obs_faceswap.engine import pipeline
    from obs_faceswap.engine.settings import Settings

    settings = Settings(face=str(dfm))
    subject = Subject.find(portrait, pipeline.load(settings), settings)
    points = face_at(90, 120).landmarks
    assert subject.size_px == pytest.approx(float(np.ptp(points, axis=0).max()))
    assert subject.center_xy == pytest.approx(tuple((points.min(0) + points.max(0)) / 2))


@pytest.fixture
def short_callbacks(monkeypatch):
    """Few calls of one format."""
    if native.find().library is None:
        pytest.skip(native.find().reason)
    monkeypatch.setattr(callback, "_FORMATS", (PixelFormat.NV12,))
    monkeypatch.setattr(callback, "_BLOCK", 2)


def test_the_callback_is_measured_next_to_bare_copies(bench, short_callbacks):
    figures = bench("callback_ms")["callback_ms"]
    assert set(figures) == {"idle", "busy"}
    ways = {f"{way}{part}" for way in ("", "memcpys_", "python_") for part in ("p50", "p99", "max")}
    for load in figures.values():
        assert set(load) == ways | {"p99_above_memcpys"}
        assert all(set(by_format) == {"NV12"} for by_format in load.values())
        assert 0 < load["p50"]["NV12"] <= load["p99"]["NV12"] <= load["max"]["NV12"]
        above = load["p99"]["NV12"] - load["memcpys_p99"]["NV12"]
        assert load["p99_above_memcpys"]["NV12"] == pytest.approx(above, abs=0.0011)


def test_both_callbacks_show_what_the_engine_made(short_callbacks):
    for library in (native.find().library, None):
        exchange = callback._exchange(PixelFormat.NV12, library)
        way = hook.hook_of(exchange, library)
        frame, _memory = callback._frame(PixelFormat.NV12)
        with callback._publishing(exchange):
            native.find().library.bench_loop(way.call, way.data, [ctypes.addressof(frame)], 20, 5_000_000)
        assert exchange.words[ex.FRAMES_IN] == 20
        assert exchange.words[ex.FRAMES_SHOWN + ex.KIND_SWAPPED] > 0


def test_bare_copies_give_back_the_frame_before(short_callbacks):
    frame, memory = callback._frame(PixelFormat.NV12)
    way = hook.bare_copies(native.find().library, len(memory), 2)
    memory[0] = b"1"
    abi.FilterVideo(way.call)(way.data, ctypes.addressof(frame))
    assert memory[0] == b"\0"
    memory[0] = b"2"
    abi.FilterVideo(way.call)(way.data, ctypes.addressof(frame))
    assert memory[0] == b"1"


def test_the_callback_is_not_measured_without_the_native_library(bench, monkeypatch):
    monkeypatch.setattr(native, "find", lambda: native.Found(None, "There is none here."))
    assert bench("callback_ms")["callback_ms"] == {"not_measured": "There is none here."}
