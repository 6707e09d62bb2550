"""The user's scene collections get one entry and lose nothing."""

import json
from pathlib import Path

import pytest
import scene_files
from progress import InstallError

SCRIPT = Path("/somewhere/obs/obs_faceswap_filter.py")
CONTENT = {
    "name": "Über alles",
    "sources": [{"name": "Webcam", "settings": {"gain": 0.1234567890123, "id": 12345678901234567}}],
    "modules": {
        "scripts-tool": [{"path": "/other/script.lua", "settings": {"a": 1}}],
        "captions": {"x": True},
    },
}


@pytest.fixture
def files(tmp_path):
    """Two scene collections: one with a script, one that never had any."""
    made = [tmp_path / "First.json", tmp_path / "Second.json"]
    made[0].write_text(json.dumps(CONTENT, ensure_ascii=False), encoding="utf-8")
    made[1].write_text(json.dumps({"name": "Second", "sources": []}), encoding="utf-8")
    return made


def content(file):
    return json.loads(file.read_text(encoding="utf-8"))


def test_adding_lists_the_script_once_and_changes_nothing_else(files):
    assert scene_files.add(files, SCRIPT) == files
    assert scene_files.add(files, SCRIPT) == []
    first = content(files[0])
    assert first["modules"]["scripts-tool"].pop() == {"path": str(SCRIPT), "settings": {}}
    assert first == CONTENT
    assert content(files[1])["modules"] == {"scripts-tool": [{"path": str(SCRIPT), "settings": {}}]}


def test_adding_keeps_a_copy_of_what_was_there(files):
    before = [file.read_bytes() for file in files]
    scene_files.add(files, SCRIPT)
    copies = [file.with_name(file.name + ".before-obs-faceswap") for file in files]
    assert [copy.read_bytes() for copy in copies] == before


def test_removing_takes_out_the_entry_and_the_copies(files, tmp_path):
    scene_files.add(files, SCRIPT)
    assert scene_files.remove(files, SCRIPT) == files
    assert content(files[0]) == CONTENT
    assert sorted(tmp_path.iterdir()) == files


def test_removing_leaves_files_alone_that_do_not_list_it(files):
    before = [file.read_bytes() for file in files]
    assert scene_files.remove(files, SCRIPT) == []
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("broken", ["{", "[]", '{"name": "x"}', '{"sources": [], "modules": []}'])
def test_one_unreadable_collection_changes_none(files, broken):
    files[1].write_text(broken)
    before = files[0].read_bytes()
    with pytest.raises(InstallError, match=r"Second\.json"):
        scene_files.add(files, SCRIPT)
    assert files[0].read_bytes() == before


def test_a_failed_write_puts_the_others_back(files, tmp_path, monkeypatch):
    before = [file.read_bytes() for file in files]
    write = Path.write_text

    def full_disk(path, text, **more):
        if "Second" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, text, **more)

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(InstallError, match="No space left"):
        scene_files.add(files, SCRIPT)
    assert [file.read_bytes() for file in files] == before
    assert sorted(tmp_path.iterdir()) == files


def test_collections_are_found_in_the_users_configuration(user):
    folder = user / ".config/obs-studio/basic/scenes"
    folder.mkdir(parents=True)
    for name in ("b.json", "a.json", "a.json.bak"):
        (folder / name).touch()
    found = scene_files.collections(scene_files.config_folder())
    assert found == [folder / "a.json", folder / "b.json"]
