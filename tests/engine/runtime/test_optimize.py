"""Networks that are made faster: the same numbers, kept once, and never instead of a right one."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from obs_faceswap.engine.runtime import cancel, optimize, rewrites
from obs_faceswap.engine.runtime.cancel import CancelledError
from obs_faceswap.engine.runtime.session import shared
from obs_faceswap.engine.runtime.weights import Weights

NUMBERS = np.random.default_rng(1)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty place for faster networks, in which anything counts as faster."""
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setattr(optimize, "folder", lambda: folder)
    monkeypatch.setattr(optimize, "_WORTH_IT", np.inf)
    return folder


@pytest.fixture
def made(monkeypatch):
    """The networks that were tried to make faster."""
    real, paths = optimize._improve, []

    def improve(path, new):
        paths.append(path)
        return real(path, new)

    monkeypatch.setattr(optimize, "_improve", improve)
    return paths


def values(*shape):
    return NUMBERS.normal(0, 0.5, shape).astype(np.float32)


def prelu(channels=5):
    nodes = [helper.make_node("PRelu", ["input", "slopes"], ["output"])]
    ends = {"input": (1, channels, 6, 7)}, {"output": (1, channels, 6, 7)}
    return tiny_networks.model(nodes, *ends, {"slopes": values(channels, 1, 1)})


def convolution(channels=3, outputs=4, height=8, width=12, bias=True, batch=1, **attributes):
    attributes = {"pads": [1] * 4, "kernel_shape": [3, 3]} | attributes
    constants = {"weights": values(outputs, channels // attributes.get("group", 1), 3, 3)}
    constants |= {"bias": values(outputs)} if bias else {}
    nodes = [helper.make_node("Conv", ["input", *constants], ["output"], **attributes)]
    return tiny_networks.model(
        nodes, {"input": (batch, channels, height, width)}, {"output": ("N", outputs, "H", "W")}, constants
    )


def written(tmp_path, content, name="network.onnx"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def rewritten(content):
    """A network after the rules, and how many nodes they replaced."""
    model = onnx.load_from_string(content)
    graph = rewrites.Graph.of(model, rewrites.shapes_of(model), Weights(Path(), 1 << 30))
    count = rewrites.rewrite(graph)
    graph.put_back()
    onnx.checker.check_model(model, full_check=True)
    return model, count


def test_a_model_whose_constants_lie_in_files_is_written_whole(tmp_path):
    """Small ones and large ones, new ones and those that were there, as one file that needs no other."""
    content = convolution(channels=4, outputs=8)
    model, weights = onnx.load_from_string(content), Weights(tmp_path, 256)
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (tmp_path / "old.bin").write_bytes(b"xxxx" + before["weights"].tobytes())
    old = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    old.ClearField("raw_data")
    old.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "old.bin"), ("offset", "4"), ("length", str(8 * 4 * 9 * 4))):
        old.external_data.add(key=key, value=value)
    np.testing.assert_array_equal(weights.numbers(old), before["weights"])
    added = np.arange(100, dtype=np.float32).reshape(4, 25)
    new = weights.tensor(added, "new")
    assert new.data_location == onnx.TensorProto.EXTERNAL
    np.testing.assert_array_equal(weights.numbers(new), added)
    model.graph.initializer.append(new)
    path = tmp_path / "alone" / "whole.onnx"
    path.parent.mkdir()
    weights.write(model, path)
    whole = onnx.load(path)
    onnx.checker.check_model(whole)
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in whole.graph.initializer}
    assert set(found) == {"weights", "bias", "new"}
    np.testing.assert_array_equal(found["weights"], before["weights"])
    np.testing.assert_array_equal(found["bias"], before["bias"])
    np.testing.assert_array_equal(found["new"], added)
    np.testing.assert_allclose(results(str(path))[0], results(content)[0], rtol=1e-5)


def test_what_is_kept_needs_no_other_file(store, tmp_path):
    content = convolution(channels=160, outputs=160, height=32, width=32)
    best = optimize.prepared(written(tmp_path, content))
    assert best.parent == store
    assert not any(
        tensor.external_data for tensor in onnx.load(best, load_external_data=False).graph.initializer
    )
    np.testing.assert_allclose(results(str(best))[0], results(content)[0], atol=1e-3)


def results(content, feeds=None):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, feeds or optimize._feeds(session))


def assert_same(content, model, tolerance=1e-4):
    for before, after in zip(results(content), results(model.SerializeToString()), strict=True):
        np.testing.assert_allclose(after, before, atol=tolerance)


def operators(model):
    return [node.op_type for node in model.graph.node]


# The rules


def test_a_prelu_becomes_convolutions():
    model, count = rewritten(prelu())
    assert count == 1
    assert "PRelu" not in operators(model)
    assert_same(prelu(), model)


@pytest.mark.parametrize("shape", [(1,), (5, 6, 7), (1, 6, 1)])
def test_a_prelu_without_one_slope_for_each_channel_stays(shape):
    nodes = [helper.make_node("PRelu", ["input", "slopes"], ["output"])]
    ends = {"input": (1, 5, 6, 7)}, {"output": (1, 5, 6, 7)}
    assert rewritten(tiny_networks.model(nodes, *ends, {"slopes": values(*shape)}))[1] == 0


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(rewrites, "_LEAST_CHANNELS", 1)
    monkeypatch.setattr(rewrites, "_LEAST_TILES", 1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.integers(1, 9),
    outputs=st.integers(1, 9),
    down=st.integers(1, 5),
    across=st.integers(1, 5),
    bias=st.booleans(),
)
def test_a_convolution_in_tiles_gives_the_same(small_tiles, channels, outputs, down, across, bias):
    content = convolution(channels, outputs, 4 * down, 4 * across, bias)
    model, count = rewritten(content)
    assert count == 1
    assert "DepthToSpace" in operators(model)
    assert_same(content, model)


@pytest.mark.parametrize(
    "different",
    [
        {"strides": [2, 2]}, {"dilations": [2, 2], "pads": [2] * 4}, {"pads": [0] * 4}, {"height": 10},
        {"width": 9}, {"batch": 2}, {"group": 3, "outputs": 3}, {"auto_pad": "SAME_UPPER", "pads": []},
    ],
)  # fmt: skip
def test_other_convolutions_stay(small_tiles, different):
    arguments = {key: value for key, value in different.items() if value != []}
    if "auto_pad" in arguments:
        arguments["pads"] = [0] * 4
    content = convolution(**arguments)
    assert rewritten(content)[1] == 0


def test_small_convolutions_stay():
    assert rewritten(convolution(64, 64, 64, 64))[1] == 0
    assert rewritten(convolution(128, 128, 24, 24))[1] == 0
    assert rewritten(convolution(128, 128, 28, 28))[1] == 1


def repeated(copies=("input", "input"), axis=1):
    channels = 3 * len(copies)
    nodes = [
        helper.make_node("Concat", list(copies), ["joined"], axis=axis),
        helper.make_node("Conv", ["joined", "weights", "bias"], ["output"], pads=[1] * 4),
    ]
    ends = {"input": (1, 3, 5, 6), "other": (1, 3, 5, 6)}, {"output": (1, 4, "H", "W")}
    return tiny_networks.model(nodes, *ends, {"weights": values(4, channels, 3, 3), "bias": values(4)})


@pytest.mark.parametrize("copies", [2, 3])
def test_a_value_beside_itself_is_convolved_once(copies):
    content = repeated(["input"] * copies)
    model, count = rewritten(content)
    assert count == 1
    shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
    assert (4, 3, 3, 3) in shapes
    assert (4, 3 * copies, 3, 3) not in shapes
    assert_same(content, model)


def test_different_values_beside_each_other_stay():
    assert rewritten(repeated(["input", "other"]))[1] == 0


# The store


def test_a_network_is_made_faster_once(store, made, tmp_path):
    path = written(tmp_path, prelu())
    faster = optimize.prepared(path)
    assert faster.parent == store
    assert optimize.prepared(path) == faster
    assert made == [path]
    for before, after in zip(results(path), results(faster), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_the_same_content_elsewhere_is_the_same_network(store, made, tmp_path):
    content = prelu()
    first, second = (written(tmp_path, content, name) for name in ("a.onnx", "b.dfm"))
    assert optimize.prepared(first) == optimize.prepared(second)
    assert made == [first]


def test_a_file_that_was_written_again_is_made_anew(store, made, tmp_path):
    path = written(tmp_path, prelu())
    before = optimize.prepared(path)
    written(tmp_path, prelu(6))
    assert optimize.prepared(path) != before
    assert len(made) == 2


def test_what_was_made_by_other_rules_is_not_used(store, made, tmp_path, monkeypatch):
    path = written(tmp_path, prelu())
    before = optimize.prepared(path)
    monkeypatch.setattr(optimize, "_RULES", "other")
    optimize._environment.cache_clear()
    try:
        assert optimize.prepared(path) != before
    finally:
        monkeypatch.undo()
        optimize._environment.cache_clear()


def test_where_nothing_applies_the_file_itself_is_used_and_that_is_remembered(store, made, tmp_path):
    path = written(tmp_path, tiny_networks.double())
    assert optimize.prepared(path) == path
    assert optimize.prepared(path) == path
    assert made == [path]
    assert not list(store.glob("*.onnx"))


def test_a_slower_form_is_not_used(store, made, tmp_path, monkeypatch):
    monkeypatch.setattr(optimize, "_WORTH_IT", 0.0)
    path = written(tmp_path, prelu())
    assert optimize.prepared(path) == path
    assert optimize.prepared(path) == path
    assert len(made) == 1


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_a_form_with_other_numbers_is_not_used_and_that_is_said(store, tmp_path, monkeypatch, caplog, wrong):
    real = rewrites.split_prelu

    def broken(graph, node):
        nodes = real(graph, node)
        for tensor in graph._new:
            values = graph.constant(tensor)
            graph._constants[tensor].CopyFrom(numpy_helper.from_array(values + np.float32(wrong), tensor))
        return nodes

    monkeypatch.setattr(rewrites, "split_prelu", broken)
    path = written(tmp_path, prelu())
    assert optimize.prepared(path) == path
    assert "gives other numbers" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no network", prelu()[:-20]])
def test_a_broken_file_is_left_to_who_loads_it(store, tmp_path, content):
    path = written(tmp_path, content)
    assert optimize.prepared(path) == path
    assert not list(store.glob("making-*"))


def test_a_store_that_cannot_be_written_costs_nothing_but_speed(tmp_path, monkeypatch, caplog):
    blocked = written(tmp_path, b"", "file")
    monkeypatch.setattr(optimize, "folder", lambda: blocked / "store")
    path = written(tmp_path, prelu())
    assert optimize.prepared(path) == path
    assert "used as it is" in caplog.text


def test_without_the_package_that_rewrites_the_file_itself_is_used(store, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    path = written(tmp_path, prelu())
    assert optimize.prepared(path) == path


def test_threads_that_ask_at_once_make_it_once(store, made, tmp_path):
    path, found = written(tmp_path, prelu()), []
    threads = [threading.Thread(target=lambda: found.append(optimize.prepared(path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(found)) == 1


def test_writers_of_several_processes_do_not_disturb_each_other(tmp_path):
    place = tmp_path / "place.onnx"
    with optimize._beside(place) as first, optimize._beside(place) as second:
        first.write_bytes(b"whole")
        second.write_bytes(b"who")
        assert not place.exists()
        second.write_bytes(b"whole")
    assert place.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [place]


def test_what_was_used_last_is_kept_when_room_is_needed(store, monkeypatch):
    monkeypatch.setattr(optimize, "_CACHE_BYTES", 250)
    for age, name in enumerate(("new", "old", "oldest")):
        file = store / f"{name}.onnx"
        file.write_bytes(bytes(100))
        os.utime(file, (time.time() - age * 100,) * 2)
    abandoned = store / "making-it"
    abandoned.mkdir()
    os.utime(abandoned, (0, 0))
    optimize._make_room(100)
    assert [file.name for file in store.iterdir()] == ["new.onnx"]


@pytest.mark.parametrize("name", ["making-it", "network.onnx"])
def test_what_others_have_just_taken_away_is_no_trouble(store, name):
    (store / name).symlink_to(store / "gone")
    optimize._make_room(100)


@pytest.fixture
def cancelled():
    """Set, it gives up the work of this thread."""
    asked = threading.Event()
    cancel.use(asked)
    yield asked
    cancel.use(threading.Event())


@pytest.mark.parametrize("step", ["_run", "_changed", "_session"])
def test_making_one_is_given_up_between_its_steps(store, tmp_path, monkeypatch, cancelled, step):
    real = getattr(optimize, step)

    def last(*arguments, **options):
        cancelled.set()
        return real(*arguments, **options)

    path = written(tmp_path, prelu())
    with monkeypatch.context() as patch:
        patch.setattr(optimize, step, last)
        with pytest.raises(CancelledError):
            optimize.prepared(path)
    assert [file.suffix for file in store.iterdir()] == [".digest"]  # nothing half made, no wrong note
    cancelled.clear()
    assert optimize.prepared(path) != path


def test_who_waits_for_another_to_finish_gives_up(store, tmp_path, cancelled):
    path = written(tmp_path, prelu())
    threading.Timer(0.3, cancelled.set).start()
    with optimize._MAKING, pytest.raises(CancelledError):
        optimize.prepared(path)


# In use


def test_a_session_on_the_cpu_loads_the_faster_form(store, tmp_path):
    path = written(tmp_path, prelu())
    session = shared(path, "cpu")
    feeds = {"input": values(1, 5, 6, 7)}
    np.testing.assert_allclose(session.run(feeds)[0], results(path, feeds)[0], atol=1e-5)
    session.close()
    assert len(list(store.glob("*.onnx"))) == 1


def test_a_faster_form_that_was_damaged_is_thrown_away(store, tmp_path, caplog):
    path = written(tmp_path, prelu())
    faster = optimize.prepared(path)
    faster.write_bytes(faster.read_bytes()[:100])
    session = shared(path, "cpu")
    assert session.inputs[0].name == "input"
    session.close()
    assert not faster.exists()
    assert "damaged" in caplog.text


@pytest.mark.parametrize("morph", [False, True])
def test_a_dfm_keeps_its_contract(store, tmp_path, morph, monkeypatch):
    monkeypatch.setattr(rewrites, "rewrite", lambda graph: 1)  # as if something had changed
    path = written(tmp_path, tiny_networks.dfm(morph=morph))
    session = shared(path, "cpu")
    assert optimize.prepared(path) != path
    assert session.inputs[0].shape[1:] == (64, 64, 3)
    assert len(session.inputs) == 1 + morph
    assert [info.name for info in session.outputs] == [
        "out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0",
    ]  # fmt: skip
    session.close()
