"""Photo faces through the user's networks, from the files to the frame."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tiny_networks
from fake_engine import HEIGHT, NOBODY, SEEN, TARGET, WIDTH, FakeFinder, face_at, frame_of, networks_of
from worker_stage import wait_for_load

from obs_faceswap.engine import wear
from obs_faceswap.engine.crop.align import to_crop
from obs_faceswap.engine.crop.templates import five_points, placed
from obs_faceswap.engine.errors import FaceError, ModelMissingError
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.live.worker import Worker
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import ColorTransfer, Cover, Settings
from obs_faceswap.engine.store import own_networks
from obs_faceswap.engine.swap import through
from obs_faceswap.engine.swap.one_photo import FAMILIES, OnePhotoSwapper
from obs_faceswap.engine.types import Shown

BY_NAME = {family.name: family for family in FAMILIES}
SIDES = {"inswapper": 128, "blendswap": 256, "uniface": 256}
SOURCES = {"blendswap": (1, 3, 112, 112), "uniface": (1, 3, 256, 256)}
FACE = face_at(100, 100, 120)


@pytest.fixture
def folder(home, monkeypatch):
    """The folder of networks with what every family needs but a swapper; pictures hold a face."""
    made = home / "data" / "networks"
    made.mkdir(parents=True)
    (made / "w600k_r50.onnx").write_bytes(tiny_networks.recognizer())
    for family in ("ghost", "simswap", "hififace"):
        (made / f"crossface_{family}.onnx").write_bytes(tiny_networks.converter())
    monkeypatch.setattr(wear, "_sessions", lambda devices, models_from: ())
    monkeypatch.setattr(wear, "_finding", lambda sessions: found_in)
    return made


def found_in(picture):
    """A face in every picture but black ones."""
    return [(FACE.landmarks, FACE.depth, 1.0)] if picture.any() else []


def photo(path, level=120, size=(200, 200)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))
    return path


def put(folder, family, **more):
    side = SIDES.get(family, 256)
    emap = np.eye(512) if family == "inswapper" else None
    content = tiny_networks.one_photo(side, SOURCES.get(family, (1, 512)), emap=emap, **more)
    (folder / f"{family}_{side}.onnx").write_bytes(content)
    return f"{family}_{side}"


def worn_through(name, tmp_path, **chosen):
    face = photo(tmp_path / "anna.png")
    chosen = {"face_file": str(face), "color_transfer": ColorTransfer.NONE} | chosen
    return Settings(device="cpu", network=name, **chosen)


def engine_of(settings, *found) -> Pipeline:
    return Pipeline(networks_of(FakeFinder(*(found or (SEEN,)))), wear.wear(settings))


@pytest.mark.parametrize("family", BY_NAME)
def test_each_family_swaps_a_frame_from_its_files(folder, tmp_path, family):
    settings = worn_through(put(folder, family), tmp_path)
    engine = engine_of(settings)
    frame = frame_of()
    before = frame.planes[0].copy()
    result = engine.process(frame, settings)
    assert result.shown is Shown.SWAPPED
    changed = np.abs(frame.planes[0].astype(int) - before).reshape(HEIGHT, WIDTH, 3).max(axis=2)
    inside = np.s_[100:140, 70:110]
    assert changed[inside].mean() > 0.5
    assert not changed[:, 200:].any()
    engine.close()


def test_the_built_in_way_is_the_default(folder, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        wear, "PhotoSwapper", lambda *given: made.append(given) or type("P", (), {"notice": ""})
    )
    put(folder, "inswapper")
    wear.wear(worn_through("", tmp_path))
    assert len(made) == 1


def crop_given(settings, monkeypatch):
    """The crop that the network is given of a frame, with the face's five points in it."""
    seen = []
    real = OnePhotoSwapper.swap
    monkeypatch.setattr(
        OnePhotoSwapper, "swap", lambda self, aligned: seen.append(aligned) or real(self, aligned)
    )
    engine = engine_of(settings)
    engine.process(frame_of(), settings)
    engine.close()
    return seen[0]


@pytest.mark.parametrize("family", BY_NAME)
def test_the_face_lies_in_the_crop_as_the_familys_template_has_it(folder, tmp_path, monkeypatch, family):
    aligned = crop_given(worn_through(put(folder, family), tmp_path), monkeypatch)
    wanted = BY_NAME[family].template.at(aligned.warp.size)
    found = five_points(aligned.landmarks)
    # Faces differ, so five points never all meet a template: their middle and their spread do.
    np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), atol=0.05)
    spread = [np.linalg.norm(points - points.mean(axis=0)) for points in (found, wanted)]
    assert spread[0] == pytest.approx(spread[1], rel=0.06)


def test_coverage_and_offsets_act_around_the_template():
    template = BY_NAME["inswapper"].template
    plain = placed(template, TARGET.landmarks, 128, 2.2, 0, 0)
    wide = placed(template, TARGET.landmarks, 128, 4.4, 0, 0)
    moved = placed(template, TARGET.landmarks, 128, 2.2, 0.25, -0.125)
    points = [to_crop(warp, TARGET.landmarks) for warp in (plain, wide, moved)]
    middle = 63.5  # the crop's center, whatever the coverage
    np.testing.assert_allclose(points[1] - middle, (points[0] - middle) / 2, atol=1e-3)
    np.testing.assert_allclose(points[2] - points[0], np.tile((-32, 16), (468, 1)), atol=1e-3)


def test_pixel_boost_gives_the_network_a_finer_crop(folder, tmp_path, monkeypatch):
    name = put(folder, "inswapper")
    near = type(SEEN)(face_at(160, 120, 200), [])
    plain, fine = (engine_of(worn_through(name, tmp_path, pixel_boost=boost), near) for boost in (1, 4))
    sizes = [
        engine.begin(frame_of(), worn_through(name, tmp_path)).aligned.warp.size for engine in (plain, fine)
    ]
    assert sizes[0] == 128
    assert sizes[1] in (256, 384)


def test_several_pictures_of_a_person_are_one_source(folder, tmp_path):
    """The small recognizer's numbers grow with brightness, and ghost takes them raw."""
    name = put(folder, "ghost")
    sources = []
    for pictures in ({"a": 40}, {"b": 80}, {"a": 40, "b": 80}):
        face = tmp_path / "-".join(pictures)
        for file, level in pictures.items():
            photo(face / f"{file}.png", level)
        worn = wear.wear(worn_through(name, tmp_path, face_file=str(face)))
        sources.append(worn.swapper._source[0])
        worn.close()
    np.testing.assert_allclose(sources[2], (sources[0] + sources[1]) / 2, rtol=1e-3)
    assert not np.allclose(sources[0], sources[1], rtol=0.1)


def test_a_picture_without_a_face_is_left_out_and_named(folder, tmp_path):
    face = tmp_path / "anna"
    photo(face / "1.png", 0)
    photo(face / "2.png", 100)
    worn = wear.wear(worn_through(put(folder, "inswapper"), tmp_path, face_file=str(face)))
    assert "1.png: no face" in worn.notice
    worn.close()
    with pytest.raises(FaceError, match="no face was found"):
        wear.wear(worn_through("inswapper_128", tmp_path, face_file=str(photo(tmp_path / "dark.png", 0))))


def test_the_most_frontal_picture_is_the_one_that_is_shown(monkeypatch):
    turned = {1: 0.4, 2: 0.1, 3: 0.3}
    mesh = np.column_stack([FACE.landmarks, FACE.depth])
    monkeypatch.setattr(through, "the_face", lambda name, picture, find: mesh + int(picture[0, 0, 0]))

    def pose(mesh):
        number = round(float(mesh[0, 2] - FACE.depth[0]))
        return SimpleNamespace(yaw_pitch=np.array([turned[number], 0]))

    monkeypatch.setattr(through, "fit_pose", pose)
    pictures = [np.full((4, 4, 3), number, np.uint8) for number in turned]
    sources = through.sources_of(pictures, ["a", "b", "c"], None)
    assert [int(picture[0, 0, 0]) for picture, _ in sources.pictures] == [2, 3, 1]


@pytest.mark.parametrize(
    ("family", "gone", "message"),
    [
        ("inswapper", "w600k_r50", r"inswapper_128 needs a recognition network.*Put it into .*networks\."),
        (
            "ghost",
            "crossface_ghost",
            r"ghost_256 needs a converter.*crossface_ghost. Put it into .*networks\.",
        ),
        ("simswap", "crossface_simswap", "crossface_simswap"),
    ],
)
def test_what_is_missing_is_one_sentence(folder, tmp_path, family, gone, message):
    name = put(folder, family)
    (folder / f"{gone}.onnx").unlink()
    with pytest.raises(ModelMissingError, match=message):
        wear.wear(worn_through(name, tmp_path))


def test_families_that_take_a_picture_need_no_other_network(folder, tmp_path):
    name = put(folder, "uniface")
    for path in folder.glob("[cw]*.onnx"):
        path.unlink()
    wear.wear(worn_through(name, tmp_path)).close()


def test_a_network_that_fails_leaves_nothing_loaded(folder, tmp_path, monkeypatch):
    closed = []

    def noted(make):
        def made(path, *given, **more):
            session = make(path, *given, **more)
            end = session.close
            monkeypatch.setattr(session, "close", lambda: (closed.append(path.stem), end())[1])
            return session

        return made

    for name in ("shared", "Session"):
        monkeypatch.setattr(through, name, noted(getattr(through, name)))
    (folder / "crossface_ghost.onnx").write_bytes(tiny_networks.converter(factor=np.nan))
    with pytest.raises(Exception, match="does not give 512 numbers"):
        wear.wear(worn_through(put(folder, "ghost"), tmp_path))
    assert sorted(closed) == ["crossface_ghost", "ghost_256", "w600k_r50"]


# --- animated pictures ---


def animated(folder, tmp_path, **chosen):
    (folder / "lia.onnx").write_bytes(tiny_networks.animator())
    return worn_through("lia", tmp_path, **chosen)


@pytest.mark.parametrize("pixel_format", [PixelFormat.BGR3, PixelFormat.I420, PixelFormat.NV12])
def test_an_animated_picture_takes_the_frames_place(folder, tmp_path, pixel_format):
    """Letterboxed: a square picture leaves bars on both sides, and nothing of the camera's picture."""
    settings = animated(folder, tmp_path)
    engine = engine_of(settings)
    frame = frame_of(pixel_format=pixel_format)
    assert engine.process(frame, settings).shown is Shown.SWAPPED
    wide = 3 if pixel_format is PixelFormat.BGR3 else 1
    rows = frame.planes[0].reshape(HEIGHT, WIDTH, wide).astype(int)
    bar = (WIDTH - HEIGHT) // 2
    black = 0 if wide == 3 else 16
    assert np.abs(rows[:, : bar - 2] - black).max() <= 1
    assert np.abs(rows[:, WIDTH - bar + 2 :] - black).max() <= 1
    shown = 120 if wide == 3 else 16 + 120 * 219 / 255
    assert np.abs(rows[:, bar + 3 : -bar - 3] - shown).max() <= 3
    engine.close()


def test_without_a_face_the_policy_covers_what_was_animated(folder, tmp_path):
    settings = animated(folder, tmp_path, cover=Cover.HIDE)
    engine = engine_of(settings, SEEN, NOBODY)
    assert engine.process(frame_of(0), settings).shown is Shown.SWAPPED
    lost = frame_of(1)
    assert engine.process(lost, settings).shown in (Shown.FROZEN, Shown.COVERED)
    assert np.abs(lost.planes[0].reshape(HEIGHT, WIDTH, 3)[:, :30].astype(int)).max() <= 1
    engine.close()


def test_the_user_can_take_the_face_of_now_as_neutral(folder, tmp_path):
    settings = animated(folder, tmp_path)
    worn = Worker(Exchange(), settings, load=lambda settings, running: engine_of(settings))
    worn.take_neutral()  # nothing runs yet
    settle(worn)
    engine = worn._engine
    frames = [frame_of(number) for number in range(3)]
    frames[1].planes[0][:] = frames[2].planes[0][:] = 250
    shown = []
    for number, frame in enumerate(frames):
        if number == 2:
            worn.take_neutral()
        engine.process(frame, settings)
        shown.append(frame.planes[0].reshape(HEIGHT, WIDTH, 3)[100:140, 140:180].mean())
    assert shown[0] == pytest.approx(120, abs=2)
    assert shown[1] > 200
    assert shown[2] == pytest.approx(120, abs=2)
    worn._end()


def test_a_late_animated_picture_is_shown_as_it_is(folder, tmp_path):
    settings = animated(folder, tmp_path)
    engine = engine_of(settings)
    swap = engine.swap(engine.begin(frame_of(0), settings))
    late = frame_of(1)
    result = engine.finish(late, engine.begin(late, settings), swap)
    assert result.shown is Shown.SWAPPED
    assert "reproject" not in result.stages_ms
    assert np.abs(late.planes[0].reshape(HEIGHT, WIDTH, 3)[:, :30].astype(int)).max() <= 1
    engine.close()


# --- the worker, as a filter has it ---


def test_the_worker_wears_a_photo_through_a_network_and_says_what_is_missing(folder, tmp_path):
    settings = worn_through(put(folder, "ghost"), tmp_path)
    made = Worker(Exchange(), settings, load=lambda settings, running: engine_of(settings))
    settle(made)
    assert made.status().text == "Wearing “anna” on cpu."
    assert swapped(made)
    (folder / "crossface_ghost.onnx").unlink()
    made.set_settings(worn_through(put(folder, "simswap"), tmp_path))
    (folder / "crossface_simswap.onnx").unlink()
    settle(made)
    assert "needs a converter" in made.status().problem
    assert swapped(made)  # the face that was worn goes on
    made._end()


def settle(made):
    made.step()
    while made._loader.is_busy:
        wait_for_load(made)
        made.step()


def swapped(made) -> bool:
    """Whether a frame of noise comes out as a swap."""
    exchange = made._exchange
    exchange.words[ex.SHOWING] = 1
    key = key_of(PixelFormat.BGR3, WIDTH, HEIGHT)
    exchange.current(key)
    exchange.lay_out()
    slots = exchange.current(key)
    index = exchange.input_slot()
    noise = frame_of().planes[0].tobytes()
    view = slots.plane_views(index)[0]
    view[: len(noise)] = noise
    exchange.offer(slots, index, now_ns())
    done = exchange.words[ex.DONE]
    for _ in range(200):
        made.step()
        if exchange.words[ex.DONE] > done:
            break
        made._wait(0.02)
    meta = slots.metas[exchange.words[ex.RESULT_NEWEST] - 1]
    return list(Shown)[meta.kind] is Shown.SWAPPED


def test_a_change_of_network_loads_anew(folder, tmp_path):
    put(folder, "inswapper")
    made = Worker(
        Exchange(),
        worn_through("inswapper_128", tmp_path),
        load=lambda settings, running: engine_of(settings),
    )
    settle(made)
    first = made._engine
    made.set_settings(worn_through(put(folder, "uniface"), tmp_path))
    settle(made)
    assert made._engine is not first
    made._end()


def test_names_in_the_list_are_found(folder):
    put(folder, "uniface")
    assert own_networks.find("uniface_256").role is own_networks.Role.SWAPPER
