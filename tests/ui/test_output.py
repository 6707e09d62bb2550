"""A file is written whole or not at all."""

import errno

import pytest

from obs_faceswap.engine.errors import MediaError
from obs_faceswap.ui.output import check_target, replacing


def write_half(target, error):
    with replacing(target) as partial:
        partial.write_text("half")
        raise error


def only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "report.json"
    with replacing(target) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert only(tmp_path, "report.json")


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), MediaError("sorry")])
def test_what_was_there_stays_when_the_block_raises(tmp_path, error):
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(type(error)):
        write_half(target, error)
    assert target.read_text() == "old"
    assert only(tmp_path, "report.json")


def test_a_full_disk_is_said_in_words(tmp_path):
    with pytest.raises(MediaError, match=r"no room left.*Free some space"), replacing(tmp_path / "a.png"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert only(tmp_path)


def test_a_missing_folder_is_refused_before_any_work(tmp_path):
    with pytest.raises(MediaError, match="does not exist"):
        check_target(tmp_path / "nowhere" / "out.mp4")


def test_a_folder_is_no_output(tmp_path):
    with pytest.raises(MediaError, match="is a folder"):
        check_target(tmp_path)
