"""The collection of installed faces: listing, finding, adding, removing, and what goes wrong."""

import pytest

from obs_faceswap.engine import faces, folders
from obs_faceswap.engine.errors import FaceError
from obs_faceswap.engine.faces import FaceKind


@pytest.fixture
def collection(home):
    """Ada (picture), Ben (folder of two pictures), Cleo (.dfm), and things that are no face."""
    folder = folders.faces_dir()
    (folder / "Ben").mkdir(parents=True)
    (folder / "ada.png").write_bytes(b"picture")
    (folder / "Ben" / "2.JPG").write_bytes(b"picture")
    (folder / "Ben" / "1.webp").write_bytes(b"picture")
    (folder / "Ben" / "notes.txt").write_bytes(b"text")
    (folder / "Cleo.dfm").write_bytes(b"network")
    (folder / "readme.txt").write_bytes(b"text")
    (folder / "empty").mkdir()
    (folder / ".adding-x").mkdir()
    (folder / ".adding-x" / "half.png").write_bytes(b"half")
    return folder


def test_no_folder_means_no_faces(home):
    assert faces.installed() == []


def test_faces_are_listed_by_name_with_their_kind(collection):
    found = [(face.name, face.kind) for face in faces.installed()]
    assert found == [("ada", FaceKind.PHOTO), ("Ben", FaceKind.FOLDER), ("Cleo", FaceKind.DFM)]


def test_two_files_of_one_name_stay_apart(collection):
    (collection / "ada.dfm").write_bytes(b"network")
    found = {face.name: face.kind for face in faces.installed()}
    assert found["ada"] is FaceKind.DFM
    assert found["ada.png"] is FaceKind.PHOTO


def test_a_folder_gives_its_pictures_in_order(collection):
    assert [path.name for path in faces.find("Ben").pictures()] == ["1.webp", "2.JPG"]


def test_a_picture_is_its_own_only_picture_and_a_model_has_none(collection):
    assert faces.find("ada").pictures() == [collection / "ada.png"]
    assert faces.find("Cleo").pictures() == []


@pytest.mark.parametrize("name", ["ada", "Ben", "Cleo"])
def test_a_face_is_found_by_name(collection, name):
    assert faces.find(name).name == name


def test_a_face_is_found_by_path(collection, tmp_path):
    picture = tmp_path / "Someone.JPEG"
    picture.write_bytes(b"picture")
    for given in (picture, str(picture)):
        assert faces.find(given) == faces.InstalledFace("Someone", picture, FaceKind.PHOTO)


def test_a_folder_is_found_by_path(collection):
    assert faces.find(collection / "Ben").kind is FaceKind.FOLDER


@pytest.mark.parametrize("text", ["", "  "])
def test_no_name_is_said_to_be_no_choice(collection, text):
    with pytest.raises(FaceError, match="No face is chosen"):
        faces.find(text)


def test_an_unknown_name_lists_the_known_ones_and_the_closest(collection):
    with pytest.raises(FaceError, match=r"Did you mean “Cleo”\? Installed are: ada, Ben, Cleo"):
        faces.find("Cleos")


def test_an_unknown_name_with_nothing_installed_says_so(home):
    with pytest.raises(FaceError, match="none is installed"):
        faces.find("Ada")


def test_a_file_of_another_kind_is_refused(collection):
    with pytest.raises(FaceError, match=r"“\.txt”, expected one of \.png"):
        faces.find(collection / "readme.txt")


def test_a_folder_without_pictures_is_refused(collection):
    with pytest.raises(FaceError, match="no pictures"):
        faces.find(collection / "empty")


def test_adding_copies_a_picture_under_its_own_name(home, tmp_path):
    picture = tmp_path / "Dora.PNG"
    picture.write_bytes(b"picture")
    added = faces.add(picture)
    assert added == faces.find("Dora")
    assert added.path.read_bytes() == b"picture"
    assert picture.exists()


def test_adding_a_folder_takes_its_pictures_alone(collection):
    added = faces.add(collection / "Ben", "Benjamin")
    assert added == faces.find("Benjamin")
    assert sorted(path.name for path in added.path.iterdir()) == ["1.webp", "2.JPG"]


def test_adding_under_a_taken_name_is_refused_and_changes_nothing(collection, tmp_path):
    picture = tmp_path / "x.jpg"
    picture.write_bytes(b"new")
    before = sorted(collection.rglob("*"))
    with pytest.raises(FaceError, match="already"):
        faces.add(picture, "Cleo")
    assert sorted(collection.rglob("*")) == before


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\\b", "what?", "new\nline", ".."])
def test_a_name_that_is_no_file_name_everywhere_is_refused(collection, tmp_path, name):
    with pytest.raises(FaceError, match="cannot be a face's name"):
        faces.add(collection / "ada.png", name)


def test_adding_what_is_not_there_is_refused(home, tmp_path):
    with pytest.raises(FaceError, match="no file"):
        faces.add(tmp_path / "gone.png")


def test_a_full_disk_leaves_nothing_behind(collection, monkeypatch):
    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    before = sorted(collection.rglob("*"))
    with pytest.raises(FaceError, match="No space left"):
        faces.add(collection / "ada.png", "Eve")
    assert sorted(collection.rglob("*")) == before


@pytest.mark.parametrize("name", ["ada", "Ben", "Cleo"])
def test_removing_deletes_that_face_alone(collection, name):
    others = {face.name for face in faces.installed()} - {name}
    gone = faces.remove(name)
    assert not gone.exists()
    assert {face.name for face in faces.installed()} == others


def test_removing_takes_names_only(collection, tmp_path):
    picture = tmp_path / "precious.png"
    picture.write_bytes(b"picture")
    with pytest.raises(FaceError):
        faces.remove(str(picture))
    assert picture.exists()
