"""The command `people`: enrolling from pictures, listing, renaming and forgetting."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_engine import NOBODY, SEEN, FakeFinder, face_at, networks_of
from tiny_clips import picture_of

from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.find import enroll_pictures, people
from obs_faceswap.engine.find.enroll import Enroller
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.settings import Settings, Who
from obs_faceswap.ui import cli, installed

TWO = Found(face_at(80, 120), [face_at(230, 120, track_id=2)])


@pytest.fixture
def run(capsys, home):
    """Runs the command; its status, output and errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["people", *map(str, arguments)])
        out, err = capsys.readouterr()
        return ended.value.code, out, " ".join(err.split())

    return call


class Network:
    """Says another thing of each picture."""

    def __init__(self):
        self.looks = 0

    def embedding(self, picture, kps):
        self.looks += 1
        return np.array([1.0, self.looks - 1.0], np.float32)


@pytest.fixture
def seen(monkeypatch):
    """Has the commands find what is told, with a recognition network or without."""
    network, closed = Network(), []

    def see(*found, network=network):
        left = list(found)

        def load(settings, models_from):
            loaded = networks_of(FakeFinder(left.pop(0)))
            loaded.enroller = Enroller(network, "net")
            loaded.close = lambda: closed.append(loaded)
            return loaded

        monkeypatch.setattr(enroll_pictures, "Networks", load)

    monkeypatch.setattr(installed, "fetch_weights", lambda models_from: None)
    see.closed = closed
    return see


@pytest.fixture
def pictures(tmp_path):
    made = [tmp_path / name for name in ("one.png", "two.png")]
    for path in made:
        cv2.imwrite(str(path), picture_of(1, 32, 24))
    return made


def test_nobody_is_enrolled_at_first(run):
    status, out, _ = run()
    assert status == 0
    assert "Nobody is enrolled" in out


def test_somebody_is_enrolled_by_several_pictures(run, seen, pictures):
    seen(SEEN, SEEN)
    assert run("add", "Anne", *pictures)[0] == 0
    (anne,) = people.enrolled()
    assert (anne.looks, anne.network) == (2, "net")
    mean = np.array([1.0, 0.0]) + np.array([0.5**0.5, 0.5**0.5])
    assert anne.embedding == pytest.approx(tuple(mean / np.linalg.norm(mean)), abs=1e-5)
    assert "Anne: 2 looks" in run("list")[1]
    assert len(seen.closed) == 2


@pytest.mark.parametrize(
    ("found", "said"), [(NOBODY, "two.png shows no face"), (TWO, "two.png shows 2 faces")]
)
def test_of_a_picture_that_does_not_show_one_face_nobody_is_enrolled(run, seen, pictures, found, said):
    seen(SEEN, found)
    status, _, error = run("add", "Anne", *pictures)
    assert status == 1
    assert said in error
    assert people.names() == []
    assert len(seen.closed) == 2


def test_without_a_recognition_network_that_is_said(run, seen, pictures):
    seen(SEEN, network=None)
    assert "No recognition network is installed" in run("add", "Anne", pictures[0])[2]
    assert people.names() == []


def test_renaming_and_forgetting(run):
    people.enroll("Anne", "net", (1.0, 0.0))
    assert run("rename", "Anne", "Ann")[0] == 0
    assert people.names() == ["Ann"]
    assert run("remove", "Ann")[0] == 0
    status, _, error = run("remove", "Ann")
    assert status == 1
    assert "Nobody is enrolled as “Ann”" in error


@pytest.mark.shared
def test_an_enrolled_person_is_told_from_others_on_real_pictures(home, shared):
    """With the real networks: each of two people wears their own row, whoever is enrolled."""
    both = read_picture(shared / "image" / "two_people.jpg")
    width = both.shape[1]
    people_at = {"Left": both[:, : width // 2], "Right": both[:, width // 2 :]}
    settings, models = (
        Settings(device="cpu", who=Who.KNOWN, person_1="Right", person_2="Left"),
        shared / "models",
    )
    for name, half in people_at.items():
        path = home / f"{name}.png"
        cv2.imwrite(str(path), half)
        enroll_pictures.enroll_pictures(name, [path], settings, models)
    networks = Networks(settings, models)
    try:
        found = networks.finder.find(Picture.of(both), 0, replace(settings, smoothing=0.0))
    finally:
        networks.close()
    assert {face.slot: face.person for face in found.targets} == {1: "Right", 2: "Left"}
    for face in found.targets:
        assert (float(face.landmarks[:, 0].mean()) > width / 2) == (face.person == "Right")
