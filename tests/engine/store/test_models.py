"""The store of networks: what is found, fetched, verified and refused."""

import functools
import hashlib
import http.server
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny_networks
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tflite import TfliteFile

from obs_faceswap.engine.errors import ChecksumError, ModelError, ModelMissingError
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.store import download, models, registry

MEMBER = "inside/network.tflite"
SHAPE = (1, 4, 4, 3)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def relu_tflite():
    file = TfliteFile()
    start = file.tensor(SHAPE)
    return file.build([start], [file.operator("RELU", [start], SHAPE)])


def relu_entry(name, sources, expected, output_shape=SHAPE):
    """A registry entry for `relu_tflite`, converted."""
    tensor = functools.partial(registry.Tensor, meaning="", range=(-1.0, 1.0))
    outputs = (tensor("x1", output_shape, expected=expected),)
    return registry.Model(name, "A test", "us", "MIT", sources, (tensor("x0", SHAPE),), outputs)


class World:
    """A registry of our own, and a wheel that a pip of our own delivers."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.tflite = relu_tflite()
        self.wheel_path = folder / "made-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel_path, "w") as archive:
            archive.writestr(MEMBER, self.tflite)
        content = self.wheel_path.read_bytes()
        self.wheel = registry.Wheel(
            "made-1.0", "made", "1.0", "any", "3.11", "cp311", len(content), sha256(content)
        )
        self.expected = tuple(np.maximum(models._stored_input(SHAPE, (-1, 1)), 0).ravel().tolist())
        self.member = registry.Source(
            registry.Kind.WHEEL, MEMBER, len(self.tflite), sha256(self.tflite), archive=self.wheel
        )
        self.local = tiny_networks.double()
        self.own = registry.Source(registry.Kind.LOCAL, "own.onnx", len(self.local), sha256(self.local))
        self.register(relu_entry("relu", (self.own, self.member), self.expected))
        self.downloads = 0
        self.deliver(self.wheel_path)

    def register(self, *entries):
        known = {entry.name: entry for entry in entries}
        self.monkeypatch.setattr(registry, "models", lambda: known)

    def deliver(self, path):
        """Makes “pip download” copy a file, without touching the network."""

        def command(_wheel, target):
            self.downloads += 1
            program = f"import shutil, os; os.makedirs(r'{target}'); shutil.copy(r'{path}', r'{target}')"
            return [sys.executable, "-c", program]

        self.monkeypatch.setattr(download, "_pip_command", command)

    def fail(self, text):
        program = f"import sys; print('Looking'); sys.exit({text!r})"
        self.monkeypatch.setattr(download, "_pip_command", lambda *_: [sys.executable, "-c", program])


@pytest.fixture
def world(home, tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def stored():
    """Names of everything in the store."""
    folder = models.store_dir()
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


# Fetching and finding


def test_nothing_is_found_before_it_is_fetched_and_nothing_is_downloaded(world):
    with pytest.raises(ModelMissingError, match="not on this machine"):
        models.find("relu")
    assert world.downloads == 0


def test_a_fetched_network_is_found_and_computes(world):
    path = models.fetch("relu")
    assert path == models.find("relu")
    picture = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    np.testing.assert_array_equal(Session(path).run({"x0": picture})[0], np.maximum(picture, 0))


def test_fetching_leaves_nothing_but_the_network_and_its_record(world):
    models.fetch("relu")
    assert stored() == ["relu.json", "relu.onnx"]


def test_fetching_twice_downloads_once(world):
    assert models.fetch("relu") == models.fetch("relu")
    assert world.downloads == 1


def test_one_download_installs_every_network_of_a_wheel(world):
    other = relu_entry("other", (world.member,), world.expected)
    world.register(relu_entry("relu", (world.member,), world.expected), other)
    models.fetch("relu")
    models.fetch("other")
    assert world.downloads == 1


def test_progress_is_told_and_ends_at_one(world):
    told = []
    models.fetch("relu", progress=lambda what, fraction: told.append((what, fraction)))
    assert all(0 <= fraction <= 1 for _, fraction in told)
    assert ("Downloading made 1.0", 1.0) in told
    assert told[-1] == ("Converting relu", 1.0)


def test_a_start_does_not_read_the_network_again(world, monkeypatch):
    path = models.fetch("relu")
    monkeypatch.setattr(models, "_sha256", lambda _: pytest.fail("the file was hashed again"))
    assert models.find("relu") == path


def test_a_touched_but_whole_file_is_accepted(world):
    path = models.fetch("relu")
    path.touch()
    path.write_bytes(path.read_bytes())
    assert models.find("relu") == path


@settings(max_examples=25, deadline=None)
@given(part=st.floats(0, 1, exclude_max=True))
def test_any_cut_off_file_in_the_store_is_refused_and_fetched_again(part):
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("OBS_FACESWAP_HOME", str(Path(folder) / "home"))
        world = World(Path(folder), monkeypatch)
        path = models.fetch("relu")
        whole = path.read_bytes()
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ModelError):
            models.find("relu")
        assert models.fetch("relu").read_bytes() == whole
        assert world.downloads == 2


def test_a_changed_file_of_the_same_size_is_refused(world):
    path = models.fetch("relu")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match="was changed"):
        models.find("relu")


@pytest.mark.parametrize("record", ["", "{}", "[]", "null", '{"size": 1}'])
def test_a_network_without_a_good_record_is_not_trusted(world, record):
    models.fetch("relu")
    (models.store_dir() / "relu.json").write_text(record)
    with pytest.raises(ModelMissingError):
        models.find("relu")
    models.fetch("relu")
    assert world.downloads == 2


def test_a_network_of_a_source_the_registry_dropped_is_fetched_again(world):
    models.fetch("relu")
    newer = registry.Source(registry.Kind.LOCAL, "new.onnx", 5, sha256(b"newer"))
    world.register(relu_entry("relu", (newer,), world.expected))
    with pytest.raises(ModelMissingError):
        models.find("relu")


def test_an_unknown_name_lists_the_known_ones(world):
    for ask in (models.find, models.fetch):
        with pytest.raises(ModelError, match="Use one of: relu"):
            ask("rule")


# The user's own folder


@pytest.mark.parametrize("through", ["argument", "variable"])
def test_a_file_of_the_users_own_comes_first_whatever_its_name(world, monkeypatch, tmp_path, through):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "another name.bin").write_bytes(world.local)
    models.fetch("relu")
    given_folder = folder if through == "argument" else None
    if through == "variable":
        monkeypatch.setenv("OBS_FACESWAP_MODELS", str(folder))
    assert models.find("relu", given_folder) == folder / "another name.bin"
    assert models.fetch("relu", given_folder) == folder / "another name.bin"


def test_a_file_with_the_right_name_and_another_content_is_not_used_and_said(world, tmp_path, caplog):
    (tmp_path / "own.onnx").write_bytes(world.local[:-1])
    with pytest.raises(ModelMissingError):
        models.find("relu", tmp_path / ".")
    assert "is not the file the registry knows" in caplog.text


@pytest.mark.parametrize("what", ["wheel", "member"])
def test_the_users_own_wheel_or_member_needs_no_download(world, tmp_path, what):
    folder = tmp_path / "mine"
    folder.mkdir()
    content = world.wheel_path.read_bytes() if what == "wheel" else world.tflite
    (folder / "copy").write_bytes(content)
    models.fetch("relu", folder)
    assert world.downloads == 0
    assert stored() == ["relu.json", "relu.onnx"]


def test_a_missing_folder_is_an_error_and_not_skipped(world, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="is not there"):
        models.find("relu", tmp_path / "gone")
    monkeypatch.setenv("OBS_FACESWAP_MODELS", str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="OBS_FACESWAP_MODELS"):
        models.fetch("relu")


def test_a_network_without_an_address_says_how_to_bring_it(world):
    world.register(relu_entry("relu", (world.own,), world.expected))
    for ask in (models.find, models.fetch):
        with pytest.raises(ModelMissingError, match="--models-from"):
            ask("relu")


def test_the_preferred_detector_is_found_first(world, tmp_path):
    yunet = relu_entry("yunet", (world.own,), ())
    blazeface = relu_entry("blazeface_short", (world.member,), world.expected)
    world.register(yunet, blazeface)
    assert models.fetch("blazeface_short") == models.find_detector()
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "y.onnx").write_bytes(world.local)
    assert models.find_detector(folder) == folder / "y.onnx"


# What goes wrong


def test_a_failed_download_says_pips_reason_and_leaves_nothing(world):
    world.fail("ERROR: No matching distribution found for made==1.0")
    with pytest.raises(ModelMissingError, match="No matching distribution"):
        models.fetch("relu")
    assert stored() == []


def test_another_wheel_than_promised_is_refused(world):
    with zipfile.ZipFile(world.wheel_path, "a") as archive:
        archive.writestr("more", b"x")
    with pytest.raises(ChecksumError, match=r"made-1\.0"):
        models.fetch("relu")
    assert stored() == []


def test_another_member_than_promised_is_refused(world):
    wrong = registry.Source(registry.Kind.WHEEL, MEMBER, 10, sha256(b"x"), archive=world.wheel)
    world.register(relu_entry("relu", (wrong,), world.expected))
    with pytest.raises(ChecksumError, match=r"network\.tflite"):
        models.fetch("relu")
    assert stored() == []


def test_a_conversion_that_computes_something_else_is_refused(world):
    wrong = tuple(value + 0.5 for value in world.expected)
    world.register(relu_entry("relu", (world.member,), wrong))
    with pytest.raises(ModelError, match=r"x1 is off by 0\.5"):
        models.fetch("relu")
    assert stored() == []


def test_a_conversion_with_another_shape_is_refused(world):
    world.register(relu_entry("relu", (world.member,), world.expected, (1, 4, 4, 4)))
    with pytest.raises(ModelError, match="other inputs or outputs"):
        models.fetch("relu")


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(world, monkeypatch, broken):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync" if broken == "fsync" else "pathlib.Path.replace", full)
    with pytest.raises(ModelError, match=r"No space left on device.*Free some space"):
        models.fetch("relu")
    assert stored() == []


def test_a_store_that_cannot_be_made_is_said(world, home):
    (home / "cache").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot be written"):
        models.fetch("relu")


def test_stopping_from_the_progress_ends_the_download_and_leaves_nothing(world, monkeypatch):
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(download, "_pip_command", lambda *_: sleeper)
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])

    def stop(_what, _fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.fetch("relu", progress=stop)
    assert started[0].poll() is not None
    assert stored() == []


@pytest.fixture(params=["module", "executable"])
def inside_obs(request, monkeypatch):
    """Call it to make this process look like OBS's."""

    def enter():
        if request.param == "module":
            monkeypatch.setitem(sys.modules, "obspython", sys)
        else:
            monkeypatch.setattr(sys, "executable", "/opt/obs-studio/bin/obs64.exe")

    return enter


def test_inside_obs_nothing_is_downloaded(world, inside_obs):
    inside_obs()
    with pytest.raises(ModelMissingError, match="inside OBS"):
        models.fetch("relu")
    assert world.downloads == 0


def test_inside_obs_what_is_there_is_found(world, inside_obs):
    path = models.fetch("relu")
    inside_obs()
    assert models.find("relu") == models.fetch("relu") == path


# https


@pytest.fixture
def server(tmp_path):
    """Serves a folder; its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_file_at_an_address_is_fetched_with_progress(world, server):
    folder, address = server
    (folder / "net.onnx").write_bytes(world.local)
    source = registry.Source(registry.Kind.HTTPS, f"{address}net.onnx", len(world.local), sha256(world.local))
    world.register(relu_entry("relu", (world.own, source), ()))
    told = []
    path = models.fetch("relu", progress=lambda *parts: told.append(parts))
    assert path.read_bytes() == world.local
    assert told[-1] == ("Downloading net.onnx", 1.0)
    assert stored() == ["relu.json", "relu.onnx"]


def test_another_file_at_an_address_is_refused(world, server):
    folder, address = server
    (folder / "net.onnx").write_bytes(world.local[:-1] + b"!")
    source = registry.Source(registry.Kind.HTTPS, f"{address}net.onnx", len(world.local), sha256(world.local))
    world.register(relu_entry("relu", (source,), ()))
    with pytest.raises(ChecksumError, match="not the file"):
        models.fetch("relu")
    assert stored() == []


def test_an_address_without_a_file_is_a_failed_download(world, server):
    source = registry.Source(registry.Kind.HTTPS, f"{server[1]}gone.onnx", 5, sha256(b"gone"))
    world.register(relu_entry("relu", (source,), ()))
    with pytest.raises(ModelMissingError, match="could not be downloaded"):
        models.fetch("relu")


def archived(world, server, content=None):
    """Serves an archive with the tiny network; registers two networks that lie in it."""
    folder, address = server
    with zipfile.ZipFile(folder / "made.task", "w") as archive:
        archive.writestr("a.tflite", world.tflite)
    made = (folder / "made.task").read_bytes()
    known = registry.Archive("made", f"{address}made.task", len(made), sha256(made))
    (folder / "made.task").write_bytes(made if content is None else content)
    source = registry.Source(
        registry.Kind.ARCHIVE, "a.tflite", len(world.tflite), sha256(world.tflite), archive=known
    )
    world.register(*(relu_entry(name, (source,), world.expected) for name in ("relu", "other")))
    return made


def test_networks_of_an_archive_are_fetched_together_and_converted(world, server):
    archived(world, server)
    assert models.fetch("relu").is_file()
    assert models.find("other").is_file()
    assert stored() == ["other.json", "other.onnx", "relu.json", "relu.onnx"]


def test_another_archive_than_promised_is_refused(world, server):
    archived(world, server, b"PK")
    with pytest.raises(ChecksumError, match="not the file"):
        models.fetch("relu")
    assert stored() == []


def test_the_users_own_archive_needs_no_download(world, server, tmp_path):
    made = archived(world, server, b"PK")
    own = tmp_path / "own"
    own.mkdir()
    (own / "renamed.zip").write_bytes(made)
    assert models.fetch("relu", own).is_file()


def test_the_converters_name_is_part_of_the_record(world, monkeypatch):
    models.fetch("relu")
    monkeypatch.setattr(models, "_CONVERTER", "tflite-2")
    with pytest.raises(ModelMissingError):
        models.find("relu")
