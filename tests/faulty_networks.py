"""Face models (.dfm) that go wrong when they are told to: by a high value of their morph input.

Each is the live face's negative while `morph_value` is at most LIMIT, which is above the setting's default.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import model

LIMIT = 0.9
WELL, ILL = 0.75, 1.0  # values of the morph setting
_SIDE = 128


def raising() -> bytes:
    """ONNX Runtime refuses the ill frames: an index points behind its table."""
    nodes = [*_excess("excess"), *_index("excess", "index"),
             helper.make_node("Gather", ["table", "index"], ["zero"])]  # fmt: skip
    return _negative(nodes, {"table": np.zeros(1, np.float32)})


def without_numbers() -> bytes:
    """The ill frames are NaN: the root of a negative number."""
    nodes = [
        helper.make_node("Sub", ["limit", "morph_value:0"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "nothing"], ["zero"]),
    ]
    return _negative(nodes, {"nothing": np.float32(0)})


def stalling(turns: int) -> bytes:
    """An ill frame takes so many turns of a loop, which no other thread can end."""
    nodes = [
        *_excess("excess"),
        *_index("excess", "index"),
        helper.make_node("Gather", ["turns", "index"], ["count"]),
        helper.make_node("Squeeze", ["count"], ["trips"]),
        helper.make_node("Loop", ["trips", "", "start"], ["zero"], body=_turn()),
    ]
    constants = {"turns": np.array([1, turns], np.int64), "start": np.zeros(1, np.float32)}
    return _negative(nodes, constants)


def _excess(name):
    """`name` is 1 for an ill frame and 0 for a well one."""
    return [
        helper.make_node("Greater", ["morph_value:0", "limit"], [f"{name}_is"]),
        helper.make_node("Cast", [f"{name}_is"], [name], to=TensorProto.FLOAT),
    ]


def _index(value, name):
    return [helper.make_node("Cast", [value], [name], to=TensorProto.INT64)]


def _turn():
    """The body of the loop: adds nothing, in some thousand operations that cannot be left out."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Tile", ["before", "many"], ["wide"]),
        helper.make_node("Sin", ["wide"], ["sines"]),
        helper.make_node("ReduceMax", ["sines"], ["after"], axes=[0], keepdims=1),
    ]
    inputs = [
        info("turn", TensorProto.INT64, []),
        info("go", TensorProto.BOOL, []),
        info("before", TensorProto.FLOAT, [1]),
    ]
    outputs = [info("go_on", TensorProto.BOOL, []), info("after", TensorProto.FLOAT, [1])]
    many = numpy_helper.from_array(np.array([4096], np.int64), "many")
    return helper.make_graph(nodes, "turn", inputs, outputs, [many])


def _negative(nodes, constants) -> bytes:
    """The face's negative plus `zero`, which the nodes make from `morph_value:0` and `limit`."""
    last = [
        helper.make_node("Sub", ["one", "in_face:0"], ["negative"]),
        helper.make_node("Add", ["negative", "zero"], ["out_celeb_face:0"]),
        helper.make_node("Identity", ["mask"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["mask"], ["out_celeb_face_mask:0"]),
    ]
    mask, face = (1, _SIDE, _SIDE, 1), (1, _SIDE, _SIDE, 3)
    outputs = {"out_face_mask:0": mask, "out_celeb_face:0": face, "out_celeb_face_mask:0": mask}
    always = {"limit": np.float32(LIMIT), "one": np.float32(1), "mask": np.ones(mask, np.float32)}
    return model([*nodes, *last], {"in_face:0": face, "morph_value:0": (1,)}, outputs, always | constants)
