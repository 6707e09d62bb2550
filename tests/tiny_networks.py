"""Small ONNX networks with the inputs and outputs of the real ones, built on the spot.

Each function returns an ONNX file's content. Arrays given are what the network answers, whatever it is shown;
`dfm` computes something from its input.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
BLAZE_ANCHORS = 896
YUNET_PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
YUNET_STRIDES = (8, 16, 32)
MESH_POINTS = 468


def model(nodes, inputs, outputs, constants=None) -> bytes:
    """A network from nodes, {name: shape} of float32 inputs and outputs, and {name: array} of constants."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=7)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def double(shape=(1, 3)) -> bytes:
    """`output` is twice `input`."""
    nodes = [helper.make_node("Mul", ["input", "two"], ["output"])]
    return model(nodes, {"input": shape}, {"output": shape}, {"two": np.float32(2)})


def dfm(size=64, morph=False, face=None, face_mask=None, celeb_mask=None) -> bytes:
    """A `.dfm`: BGR 0..1 in, live mask, new face, new mask out; any batch.

    Without `face` (size, size, 3) the new face is the input's negative, with morph: morph parts of the
    negative and the rest of the input. Masks (size, size) are ones unless given.
    """
    ones = np.ones((size, size), np.float32)
    constants = {
        "one": np.float32(1),
        "zero": np.float32(0),
        "face_mask": _batch(ones if face_mask is None else face_mask)[..., None],
        "celeb_mask": _batch(ones if celeb_mask is None else celeb_mask)[..., None],
        "channel": np.array([2], np.int64),  # slices of one channel carry the batch's size
        "channel_end": np.array([3], np.int64),
        "axis": np.array([3], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["in_face:0", "channel", "channel_end", "axis"], ["one_channel"]),
        helper.make_node("Mul", ["one_channel", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "face_mask"], ["out_face_mask:0"]),
        helper.make_node("Add", ["nothing", "celeb_mask"], ["out_celeb_face_mask:0"]),
        *_dfm_face(morph, face, constants),
    ]
    inputs = {"in_face:0": ("N", size, size, 3)}
    if morph:
        inputs["morph_value:0"] = (1,)
    outputs = {
        "out_face_mask:0": ("N", size, size, 1),
        "out_celeb_face:0": ("N", size, size, 3),
        "out_celeb_face_mask:0": ("N", size, size, 1),
    }
    return model(nodes, inputs, outputs, constants)


def _dfm_face(morph, face, constants) -> list[onnx.NodeProto]:
    result = "swapped" if morph else "out_celeb_face:0"
    if face is None:
        nodes = [helper.make_node("Sub", ["one", "in_face:0"], [result])]
    else:
        constants["face"] = _batch(face)
        nodes = [helper.make_node("Add", ["nothing", "face"], [result])]
    if morph:
        nodes += [
            helper.make_node("Sub", [result, "in_face:0"], ["change"]),
            helper.make_node("Mul", ["change", "morph_value:0"], ["part"]),
            helper.make_node("Add", ["in_face:0", "part"], ["out_celeb_face:0"]),
        ]
    return nodes


def mesh(points=None, presence_logit=5.0, size=192) -> bytes:
    """A face mesh that sees `points` (468, 3), in pixels of its input, whatever it is shown."""
    points = grid_mesh(size) if points is None else points
    answers = {
        "conv2d_21": np.asarray(points, np.float32).reshape(1, 1, 1, 3 * MESH_POINTS),
        "conv2d_31": np.full((1, 1, 1, 1), presence_logit, np.float32),
    }
    return _answering("input_1", (1, size, size, 3), answers)


def grid_mesh(size=192) -> np.ndarray:
    """(468, 3): 26 x 18 points over the middle of the input, depth 0."""
    y, x = np.meshgrid(np.linspace(0.25, 0.75, 26), np.linspace(0.3, 0.7, 18), indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.zeros(MESH_POINTS)], axis=1) * size


def blazeface(faces=()) -> bytes:
    """A short-range detector that sees (anchor's index, logit, 16 numbers) as faces, whatever it is shown.

    The 16 numbers are box centre, box size and six points, in pixels of the 128 px input, from the anchor.
    """
    scores = np.full((1, BLAZE_ANCHORS, 1), -20, np.float32)
    regressors = np.zeros((1, BLAZE_ANCHORS, 16), np.float32)
    for anchor, logit, values in faces:
        scores[0, anchor], regressors[0, anchor] = logit, values
    answers = {"regressors": regressors, "classificators": scores}
    return _answering("input", (1, 128, 128, 3), answers)


def yunet(faces=(), side=320) -> bytes:
    """A YuNet that sees (stride, cell's index, class score, objectness, 4 of box, 10 of points) as faces.

    A side of None leaves the input's size open; the answers are those for 320.
    """
    answers = {
        f"{part}_{stride}": np.zeros((1, ((side or 320) // stride) ** 2, width), np.float32)
        for part, width in YUNET_PARTS.items()
        for stride in YUNET_STRIDES
    }
    for stride, cell, score, objectness, box, points in faces:
        for part, values in zip(YUNET_PARTS, (score, objectness, box, points), strict=True):
            answers[f"{part}_{stride}"][0, cell] = values
    sides = (side, side) if side else ("height", "width")
    return _answering("input", (1, 3, *sides), answers)


def answering(seen, shapes) -> bytes:
    """A network that takes a picture of a shape and gives zeros of others."""
    return _answering(
        "input", seen, {f"output_{n}": np.zeros(shape, np.float32) for n, shape in enumerate(shapes)}
    )


def _answering(name, shape, answers) -> bytes:
    """A network that takes its input and gives fixed answers."""
    constants = {f"{output}_fixed": values for output, values in answers.items()}
    nodes = [helper.make_node("Identity", [f"{output}_fixed"], [output]) for output in answers]
    outputs = {output: values.shape for output, values in answers.items()}
    return model(nodes, {name: shape}, outputs, constants)


def _batch(array) -> np.ndarray:
    return np.asarray(array, np.float32)[None]


def one_photo(side=128, source=(1, 512), mask=None, emap=None) -> bytes:
    """A one-photo network: the face is `target` moved by the mean of `source`; also a mask if given.

    `emap` (512, 512) lies among its initializers, as an inswapper has it.
    """
    nodes = [
        helper.make_node("ReduceMean", ["source"], ["mean"], keepdims=0),
        helper.make_node("Add", ["target", "mean"], ["output"]),
    ]
    outputs, constants = {"output": (1, 3, side, side)}, {}
    if mask is not None:
        constants["mask_fixed"] = np.asarray(mask, np.float32)[None, None]
        nodes.append(helper.make_node("Identity", ["mask_fixed"], ["mask"]))
        outputs["mask"] = (1, 1, side, side)
    if emap is not None:
        constants["emap"] = np.asarray(emap, np.float32)
    return model(nodes, {"source": source, "target": (1, 3, side, side)}, outputs, constants)


def enhancer(side=512, weight=None, factor=1.0) -> bytes:
    """An enhancer: the picture times a factor; with a `weight` (a numpy type) times that as well."""
    picture = (1, 3, side, side)
    name = "input" if weight is None else "scaled"
    nodes = [helper.make_node("Mul", [name, "factor"], ["output"])]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, picture)]
    if weight is not None:
        number = helper.np_dtype_to_tensor_dtype(np.dtype(weight))
        inputs.append(helper.make_tensor_value_info("weight", number, (1,)))
        nodes = [
            helper.make_node("Cast", ["weight"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["input", "number"], ["scaled"]),
            *nodes,
        ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, picture)]
    constants = [numpy_helper.from_array(np.float32(factor), "factor")]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=7)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def recognizer(length=512) -> bytes:
    """A recognition network: the mean of each color, repeated."""
    constants = {"ones": np.ones((3, length), np.float32) * np.arange(1, length + 1, dtype=np.float32)}
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["colors"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colors", "ones"], ["embedding"]),
    ]
    return model(nodes, {"input": (1, 3, 112, 112)}, {"embedding": (1, length)}, constants)


def converter(factor=2.0) -> bytes:
    """An embedding made into another: each number times a factor."""
    nodes = [helper.make_node("Mul", ["input", "factor"], ["output"])]
    shape = (1, 512)
    return model(nodes, {"input": shape}, {"output": shape}, {"factor": np.float32(factor)})


def animator(side=256, motions=20) -> bytes:
    """An animating network: a motion is the driving picture's mean, and its change moves `out`."""
    nodes = [
        helper.make_node("ReduceMean", ["in_drv"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "spread"], ["out_drv_motion"]),
        helper.make_node("Sub", ["out_drv_motion", "in_drv_start_motion"], ["change"]),
        helper.make_node("ReduceMean", ["change"], ["amount"], keepdims=0),
        helper.make_node("Mul", ["amount", "in_power"], ["shift"]),
        helper.make_node("Add", ["in_src", "shift"], ["out"]),
    ]
    picture, motion = (1, 3, side, side), (1, motions)
    inputs = {"in_src": picture, "in_drv": picture, "in_drv_start_motion": motion, "in_power": (1,)}
    constants = {"spread": np.full((3, motions), 1 / 3, np.float32)}
    return model(nodes, inputs, {"out": picture, "out_drv_motion": motion}, constants)


def xseg(mask=None, name="input") -> bytes:
    """A network that takes this mask (256, 256) for the face, whatever it is shown."""
    mask = np.ones((256, 256)) if mask is None else mask
    return _answering(name, (1, 256, 256, 3), {"output": _batch(mask)[..., None]})


def parser(classes=None) -> bytes:
    """A face parser that sees these classes (512, 512), 0..18, whatever it is shown."""
    classes = np.ones((512, 512), int) if classes is None else classes
    seen = (np.arange(19)[:, None, None] == classes).astype(np.float32)
    return _answering("input", (1, 3, 512, 512), {"output": seen[None]})


def hair(amount=0.0) -> bytes:
    """A network that sees so much hair (512, 512) or a number, 0..1, whatever it is shown."""
    logits = np.zeros((1, 512, 512, 2), np.float32)
    seen = np.clip(np.asarray(amount, np.float32), 1e-6, 1 - 1e-6)
    logits[..., 1] = np.log(seen / (1 - seen))
    return _answering("input_1", (1, 512, 512, 4), {"conv2d_transpose_4": logits})
