"""The shipped files belong to the sources, and what stands in their place is said."""

import ctypes
import re
import shutil
import sys
import time
from types import SimpleNamespace

import pytest
from native_library import COMPILED, ROOT, SHIPPED, builder, library

from obs_faceswap.engine.live import block, exchange, native
from obs_faceswap.engine.settings import OPTIONS
from obs_faceswap.libobs import abi


@pytest.mark.parametrize("name", builder().TARGETS)
def test_every_shipped_file_is_built_from_these_sources(name):
    """Else: python native/build.py"""
    shipped = native.FOLDER / f"obs_faceswap-{name}"
    assert builder().hash_of_sources().encode() in shipped.read_bytes()


def test_nothing_else_is_shipped():
    names = {f"obs_faceswap-{name}" for name in builder().TARGETS}
    assert {path.name for path in native.FOLDER.iterdir()} == names


def test_the_hash_is_that_of_the_sources(monkeypatch, tmp_path):
    module = builder()
    before = module.hash_of_sources()
    for path in module.sources():
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(module, "HERE", tmp_path)
    assert module.hash_of_sources() == before
    changed = tmp_path / "cover.c"
    changed.write_bytes(changed.read_bytes().replace(b"\n", b"\r\n"))
    assert module.hash_of_sources() == before  # as git writes it on Windows
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert module.hash_of_sources() != before


@pytest.mark.parametrize("which", [SHIPPED, COMPILED])
def test_a_library_tells_its_sources_and_the_time(which, tmp_path_factory):
    made = library(which, tmp_path_factory.getbasetemp())
    assert made.sources == builder().hash_of_sources()
    first, between, last = made.clock_ns(), exchange.now_ns(), made.clock_ns()
    assert first <= between <= last
    assert time.perf_counter_ns() >= last


def test_words_are_numbered_alike():
    """native/block.h counts as block.py does."""
    header = (ROOT / "native/block.h").read_text(encoding="utf-8")
    listed = re.search(r"enum word \{(.*?)\};", header, re.DOTALL)[1]
    number, found = 0, {}
    for entry in re.findall(r"\w[^,]*", listed):
        name, _, value = (part.strip() for part in entry.partition("="))
        if value:
            base, _, more = (part.strip() for part in value.partition("+"))
            number = found[base] + int(more) if more else int(base)
        found[name] = number
        number += 1
    words = found.pop("WORDS")
    assert words == block.WORDS
    assert {name: getattr(block, name) for name in found} == found
    assert len(found) >= 30


_KINDS = (
    (r"\*", ctypes.c_void_p), (r"\bbool\b", ctypes.c_bool), (r"\bfloat\b", ctypes.c_float),
    (r"\bdouble\b", ctypes.c_double), (r"\buint32_t\b", ctypes.c_uint32), (r"\buint8_t\b", ctypes.c_uint8),
    (r"\bsize_t\b", ctypes.c_size_t), (r"\bint\b", ctypes.c_int), (r"\bvoid\b", None),
)  # fmt: skip


def kind(text):
    return next(kind for pattern, kind in _KINDS if re.search(pattern, text))


def ours(kind):
    return kind if kind in {kind for _, kind in _KINDS} else ctypes.c_void_p


def test_functions_of_libobs_are_declared_as_in_abi():
    """native/libobs.h says what libobs/abi.py says, which a test compares with OBS's own headers."""
    header = (ROOT / "native/libobs.h").read_text(encoding="utf-8")
    declared = re.findall(r"^\s*X\(([^,]+), (\w+), \(([^)]*)\)\)", header, re.MULTILINE)
    assert len(declared) > 30
    for result, name, arguments in declared:
        expected_result, expected = (abi.RELEASING | abi.HOLDING)[name]
        assert kind(result) is ours(expected_result), name
        kinds = [kind(argument) for argument in arguments.split(",") if argument.strip() != "void"]
        assert kinds == [ours(argument) for argument in expected], name


@pytest.mark.parametrize(
    ("platform", "machine", "name"),
    [
        ("linux", "x86_64", "obs_faceswap-linux-x86_64.so"),
        ("linux", "aarch64", "obs_faceswap-linux-aarch64.so"),
        ("darwin", "arm64", "obs_faceswap-macos-aarch64.dylib"),
        ("darwin", "x86_64", "obs_faceswap-macos-x86_64.dylib"),
        ("win32", "AMD64", "obs_faceswap-windows-x86_64.dll"),
        ("win32", "ARM64", None),
        ("linux", "riscv64", None),
        ("freebsd14", "amd64", None),
    ],
)
def test_each_system_has_its_file(monkeypatch, platform, machine, name):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(native, "_machine", lambda: machine)
    assert native.file_name() == name
    assert name is None or (native.FOLDER / name).is_file()


@pytest.fixture
def looked_for_anew():
    native.find.cache_clear()
    yield
    native.find.cache_clear()


def test_it_is_found_on_this_machine(looked_for_anew, monkeypatch):
    if native.file_name() is None:
        pytest.skip("There is no native library for this system.")
    monkeypatch.delenv(native.VARIABLE, raising=False)
    assert native.find().reason == ""
    assert native.find().library is native.find().library


def test_it_can_be_turned_off(looked_for_anew, monkeypatch):
    monkeypatch.setenv(native.VARIABLE, "off")
    assert native.find().library is None
    assert native.VARIABLE in native.find().reason


def test_a_system_without_one_is_said(looked_for_anew, monkeypatch):
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setattr(native, "_machine", lambda: "riscv64")
    assert "riscv64" in native.find().reason


def test_a_missing_and_a_broken_file_are_said(tmp_path):
    assert "is missing" in native.load(tmp_path / "lost.so").reason
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    found = native.load(broken)
    assert found.library is None
    assert "broken.so cannot be loaded" in found.reason


def test_a_file_for_another_system_is_said():
    others = [path for path in native.FOLDER.iterdir() if path.name != native.file_name()]
    assert all("cannot be loaded" in native.load(path).reason for path in others)


def test_another_clock_is_said(monkeypatch, tmp_path_factory):
    path = library(SHIPPED, tmp_path_factory.getbasetemp()).path
    late = SimpleNamespace(perf_counter_ns=lambda: time.perf_counter_ns() + 10**9)
    monkeypatch.setattr(native, "time", late)
    assert "another clock" in native.load(path).reason


@pytest.mark.parametrize("which", [SHIPPED, COMPILED])
def test_defaults_that_do_not_fit_are_refused(which, tmp_path_factory):
    made = library(which, tmp_path_factory.getbasetemp())
    made.declare({option.key: option.default for option in OPTIONS})
    with pytest.raises(ValueError, match="key"):
        made.declare({"key": "x" * 64})
    with pytest.raises(ValueError, match="k156"):
        made.declare({f"k{number}": 0.0 for number in range(28, 300)} | {"x": 0.0})
