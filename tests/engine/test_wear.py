"""Loading a face: pictures, folders, models; and with the real networks where they are."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import tiny_networks
from tiny_clips import picture_of

from obs_faceswap.engine import pipeline, wear
from obs_faceswap.engine.errors import (
    FaceError,
    MediaError,
    ModelMissingError,
    ProviderError,
    UnsupportedModelError,
)
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find import networks as finding
from obs_faceswap.engine.find.eyes import Eyes
from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.runtime import optimize, session
from obs_faceswap.engine.runtime.pool import Pool
from obs_faceswap.engine.runtime.session import shared as shared_session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import Frame, Shown


@pytest.fixture
def photos(monkeypatch):
    """What photo faces are made of, without networks: the (pictures, names) each was given."""
    made = []

    class FakePhoto:
        notice = ""

        def __init__(self, pictures, find_landmarks, settings, names, eyes):
            made.append((pictures, names))

    monkeypatch.setattr(wear, "PhotoSwapper", FakePhoto)
    monkeypatch.setattr(wear, "_sessions", lambda devices, models_from: ())
    monkeypatch.setattr(wear, "_finding", lambda sessions: None)
    monkeypatch.setattr(wear, "_eyes", lambda models_from: None)
    return made


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture_of(1, 32, 24))
    return path


def test_a_picture_is_worn(photos, tmp_path):
    path = write_picture(tmp_path / "anna.png")
    worn = wear.wear(Settings(face_file=str(path)))
    (pictures, names) = photos[0]
    assert worn.kind is FaceKind.PHOTO
    assert not worn.has_morph
    assert names == ["anna.png"]
    assert np.array_equal(pictures[0], cv2.imread(str(path)))


def test_the_list_comes_before_the_file(photos, tmp_path):
    chosen, other = write_picture(tmp_path / "a.png"), write_picture(tmp_path / "b.png")
    wear.wear(Settings(face=str(chosen), face_file=str(other)))
    assert photos[0][1] == ["a.png"]


def test_of_a_folder_what_can_be_read_is_worn(photos, tmp_path):
    for name in ("1.png", "3.png"):
        write_picture(tmp_path / "anna" / name)
    (tmp_path / "anna" / "2.png").write_bytes(b"no picture")
    worn = wear.wear(Settings(face_file=str(tmp_path / "anna")))
    assert worn.kind is FaceKind.FOLDER
    assert photos[0][1] == ["1.png", "3.png"]


def test_a_folder_without_a_readable_picture_is_refused(photos, tmp_path):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "1.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"1\.png is not a picture"):
        wear.wear(Settings(face_file=str(tmp_path / "anna")))


def test_of_very_many_pictures_some_of_all_are_worn(photos, tmp_path):
    for number in range(100):
        write_picture(tmp_path / "anna" / f"{number:03}.png")
    wear.wear(Settings(face_file=str(tmp_path / "anna")))
    names = photos[0][1]
    assert 12 < len(names) <= 24
    assert names[0] < "010.png"
    assert names[-1] > "089.png"


@pytest.mark.parametrize("morph", [False, True])
def test_a_model_is_worn(tmp_path, morph):
    path = tmp_path / "anna.dfm"
    path.write_bytes(tiny_networks.dfm(64, morph=morph))
    worn = wear.wear(Settings(face_file=str(path), device="cpu"))
    assert worn.kind is FaceKind.DFM
    assert worn.has_morph is morph
    assert worn.session.provider == "cpu"
    worn.close()


@pytest.fixture
def eyes(monkeypatch, tmp_path):
    """The file of a small network of eyes, where the store has its own; and what painters were given."""
    given, path = [], tmp_path / "eyes.onnx"
    path.write_bytes(tiny_networks.answering((1, 64, 64, 3), [(1, 213), (1, 15)]))

    def find(name, models_from):
        assert name == "iris_64"
        if not path.exists():
            raise ModelMissingError("The network iris_64 is missing.")
        return path

    class Painter:
        notice = ""

        def __init__(self, pictures, find_landmarks, settings, names, eyes):
            given.append(eyes)
            if names == ["refused.png"]:
                raise FaceError("There is no face in it.")

    monkeypatch.setattr(wear.models, "find", find)
    monkeypatch.setattr(wear, "PhotoSwapper", Painter)
    monkeypatch.setattr(wear, "_sessions", lambda devices, models_from: ())
    monkeypatch.setattr(wear, "_finding", lambda sessions: None)
    return path, given


def test_a_painter_looks_at_the_live_eyes(eyes, made, tmp_path):
    path, given = eyes
    worn = wear.wear(Settings(face_file=str(write_picture(tmp_path / "anna.png"))))
    assert isinstance(given[0], Eyes)
    assert made == [str(path)]
    assert worn.session is None  # the face itself needs no network
    worn.close()
    with closing(shared_session(path, "cpu")):
        assert len(made) == 2  # nobody held the first one any more


def test_without_the_network_of_eyes_a_photo_is_worn_all_the_same(eyes, tmp_path):
    path, given = eyes
    path.unlink()
    worn = wear.wear(Settings(face_file=str(write_picture(tmp_path / "anna.png"))))
    assert given == [None]
    assert worn.notice == ""
    worn.close()


def test_a_refused_picture_gives_the_network_of_eyes_back(eyes, made, tmp_path):
    with pytest.raises(FaceError):
        wear.wear(Settings(face_file=str(write_picture(tmp_path / "refused.png"))))
    with closing(shared_session(eyes[0], "cpu")):
        assert len(made) == 2


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Files of small networks in the place of those that find faces."""
    contents = {"detector": tiny_networks.blazeface(), "mesh": tiny_networks.mesh()}
    for name, content in contents.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    monkeypatch.setattr(wear.models, "find_detector", lambda models_from: tmp_path / "detector.onnx")
    monkeypatch.setattr(wear.models, "find", lambda name, models_from: tmp_path / "mesh.onnx")
    monkeypatch.setattr(finding, "recognizer_path", lambda *_arguments: None)


@pytest.fixture
def made(monkeypatch):
    """The ONNX Runtime sessions that are made; none is left from another test."""
    real, sources = onnxruntime.InferenceSession, []

    def make(source, *arguments, **options):
        sources.append(source)
        return real(source, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    monkeypatch.setattr(optimize, "prepared", lambda path: path)
    monkeypatch.setattr(session, "_POOL", Pool())
    return sources


def test_streams_share_networks_and_each_follows_its_own_faces(files, made):
    first, second = finding.Networks(Settings(device="cpu")), finding.Networks(Settings(device="cpu"))
    assert len(made) == 2
    assert first.finder is not second.finder
    first.close()
    first.close()
    with closing(shared_session(Path(made[1]), "cpu")) as mesh:  # the one that the second stream still holds
        assert len(made) == 2
        assert len(mesh.run({"input_1": np.zeros((1, 192, 192, 3), np.float32)})) == 2
    second.close()
    finding.Networks(Settings(device="cpu")).close()
    assert len(made) == 4


@pytest.mark.parametrize(
    ("chosen", "devices"),
    [
        ({}, ["cpu", "cpu"]),
        ({"detector_device": "other"}, ["other", "cpu"]),
        ({"landmarks_device": "other"}, ["cpu", "other"]),
        ({"detector_device": "one", "landmarks_device": "two"}, ["one", "two"]),
    ],
)
def test_each_stage_has_its_device(files, monkeypatch, chosen, devices):
    real, asked = finding.shared, []

    def on_the_cpu(path, device):
        asked.append(device)
        session = real(path, "cpu")
        session.provider, session.notice = device, f"{device} is slow."
        return session

    monkeypatch.setattr(finding, "shared", on_the_cpu)
    networks = finding.Networks(Settings(device="cpu", **chosen))
    assert asked == devices
    assert list(networks.stages.values()) == devices
    assert networks.provider == devices[1]
    assert networks.notice == " ".join(f"{device} is slow." for device in dict.fromkeys(devices))
    networks.close()


@pytest.mark.parametrize("stage", ["detector_device", "landmarks_device"])
def test_a_stage_never_falls_back_from_a_chosen_device(files, stage):
    with pytest.raises(ProviderError, match="offers: auto"):
        finding.Networks(Settings(device="cpu", **{stage: "coreml"}))


def test_filters_that_wear_the_same_model_share_it(tmp_path, made):
    path = tmp_path / "anna.dfm"
    path.write_bytes(tiny_networks.dfm(64))
    worn = [wear.wear(Settings(face_file=str(path), device="cpu")) for _ in range(3)]
    assert len(made) == 1
    assert len({id(each.swapper) for each in worn}) == 3
    for each in worn:
        each.close()


def test_going_back_to_a_face_loads_nothing_while_the_filter_lives(files, tmp_path, made):
    for name in ("anna", "bert"):
        (tmp_path / f"{name}.dfm").write_bytes(tiny_networks.dfm(64))
    networks = finding.Networks(Settings(device="cpu"))
    worn = None
    for name in ("anna", "bert", "anna", "bert"):  # as a worker does
        new = wear.wear(Settings(face_file=str(tmp_path / f"{name}.dfm"), device="cpu"))
        if worn is not None:
            worn.close()
        worn = new
    assert len(made) == 4  # two for finding faces, two faces
    worn.close()
    networks.close()
    wear.wear(Settings(face_file=str(tmp_path / "anna.dfm"), device="cpu")).close()
    assert len(made) == 5


@pytest.mark.parametrize("content", [b"", b"no network", tiny_networks.double()])
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "anna.dfm"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError):
        wear.wear(Settings(face_file=str(path), device="cpu"))


def test_a_model_that_is_cut_off_is_refused(tmp_path):
    whole = tiny_networks.dfm(64)
    (tmp_path / "anna.dfm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnsupportedModelError):
        wear.wear(Settings(face_file=str(tmp_path / "anna.dfm"), device="cpu"))


def test_missing_networks_are_told_from_missing_faces(home, tmp_path):
    with pytest.raises(ModelMissingError, match="not on this machine"):
        wear.wear(Settings(face_file=str(write_picture(tmp_path / "anna.png"))))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_broken_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(MediaError, match="not a picture that can be read"):
        read_picture(tmp_path / "a.png")


def test_a_picture_is_read_upright_and_from_any_name(tmp_path):
    path = tmp_path / "Zoë 写真.jpg"
    portrait = np.zeros((40, 20, 3), np.uint8)
    portrait[:20] = 255
    # A tag that says: turn a quarter clockwise to see it upright.
    exif = bytes.fromhex("ffe1002245786966000049492a00080000000100120103000100000006000000") + bytes(4)
    jpeg = cv2.imencode(".jpg", np.rot90(portrait))[1].tobytes()
    path.write_bytes(jpeg[:2] + exif + jpeg[2:])
    image = read_picture(path)
    assert image.shape == (40, 20, 3)
    assert image[5].mean() > 200 > 50 > image[-5].mean()


def frame_of(image):
    height, width = image.shape[:2]
    return Frame(PixelFormat.BGR3, width, height, (image.reshape(height, -1),))


@pytest.mark.shared
@pytest.mark.parametrize("face", ["synthetic_em_b.png", "grace_hopper.jpg"])
def test_a_photo_face_is_worn_with_the_real_networks(shared, home, face):
    settings = Settings(face_file=str(shared / "image" / face), device="cpu")
    engine = pipeline.load(settings, shared / "models")
    try:
        before = read_picture(shared / "image" / "synthetic_em_c.png")
        after = before.copy()
        result = engine.process(frame_of(after), settings)
    finally:
        engine.close()
    assert result.shown is Shown.SWAPPED
    points = result.faces[0].landmarks
    low, high = points.min(0).astype(int), points.max(0).astype(int)
    inside = np.s_[low[1] : high[1], low[0] : high[0]]
    changed = np.abs(before.astype(int) - after).max(2)
    assert changed[inside].mean() > 8
    assert changed[: low[1] // 2].max() == 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("picture", "message"),
    [("tfjs_three_people.jpg", "faces"), ("two_people.jpg", "faces"), ("animal_lp_s33.jpg", "no face")],
)
def test_a_picture_without_one_clear_face_is_refused(shared, home, picture, message):
    with pytest.raises(FaceError, match=message):
        wear.wear(Settings(face_file=str(shared / "image" / picture)), shared / "models")
