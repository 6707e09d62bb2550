"""`.dfm` models with random weights that cost as much as real ones.

The graph is DeepFaceLab's LIAE-UDT (core/leras/archis/DeepFakeArchi.py) as its exporter leaves it: the mask
branch runs for the live and for the new face, the face branch for the new one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

_OPSET = 12  # as DeepFaceLab exports
_SEED = 7
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # fields of onnx.proto's ModelProto, GraphProto, TensorProto
_MASK_BIAS = 4.0  # a mask of 0.98 before it gets a face's outline


@dataclass(frozen=True, slots=True)
class Sizes:
    """DeepFaceLab's names: the picture's side, and the widths of its four parts."""

    resolution: int  # a multiple of 32
    ae_dims: int
    e_dims: int
    d_dims: int
    d_mask_dims: int


SMALL = Sizes(128, 64, 16, 16, 8)
LARGE = Sizes(224, 512, 64, 64, 32)  # what the public models have: 180 million weights


def small(folder: Path) -> Path:
    """A model of 128 px, written into the folder unless it is there."""
    return _written(folder / "small.dfm", SMALL)


def large(folder: Path) -> Path:
    """A model of 224 px, written into the folder unless it is there: 0.7 GB."""
    return _written(folder / "large.dfm", LARGE)


def _written(path: Path, sizes: Sizes) -> Path:
    if not path.exists():
        path.write_bytes(liae_udt(sizes))
    return path


def liae_udt(sizes: Sizes) -> bytes:
    """The ONNX file of a model."""
    graph = _Graph()
    lowest = sizes.resolution // 32
    code = graph.encoder("picture", sizes)
    inter_ab = graph.inter(code, "ab", sizes, lowest)
    inter_b = graph.inter(code, "b", sizes, lowest)
    live = graph.add("Concat", [inter_b, inter_ab], axis=1)
    new = graph.add("Concat", [inter_ab, inter_ab], axis=1)
    outline = graph.constant("outline", _outline(sizes.resolution))
    outputs = {
        "out_face_mask:0": graph.mask(live, sizes, outline),
        "out_celeb_face:0": graph.face(new, sizes),
        "out_celeb_face_mask:0": graph.mask(new, sizes, outline),
    }
    return graph.file(outputs, sizes.resolution)


def _outline(side: int) -> Any:
    """(1, 1, side, side): an ellipse that fills the part of a crop that a trained mask fills, 0.4."""
    at = (np.arange(side) + 0.5) / side * 2 - 1
    return (np.hypot(at / 0.62, at[:, None] / 0.82) <= 1).astype(np.float32)[None, None]


@dataclass(slots=True)
class _Graph:
    """Nodes and weights; layers of one name share their weights."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Any] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: Any) -> str:
        self.weights.setdefault(name, values)
        return name

    def weight(self, name: str, shape: tuple[int, ...], fan: int) -> str:
        """Glorot's uniform distribution, as DeepFaceLab starts with."""
        if name not in self.weights:
            limit = np.float32((6 / fan) ** 0.5)
            values = self.random.random(shape, np.float32)
            values *= 2 * limit
            values -= limit
            self.weights[name] = values
        return name

    def conv(self, value: str, name: str, shape: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """`shape` is (channels in, channels out)."""
        wide, out = shape
        weight = self.weight(name, (out, wide, kernel, kernel), (wide + out) * kernel * kernel)
        bias = self.constant(f"{name}_bias", np.zeros(out, np.float32))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.add("Conv", [value, weight, bias], kernel_shape=[kernel] * 2, pads=pads, strides=strides)

    def active(self, value: str, slope: float) -> str:
        return self.add("LeakyRelu", [value], alpha=slope)

    def down(self, value: str, name: str, wide: int, out: int) -> str:
        return self.active(self.conv(value, name, (wide, out), 5, 2), 0.1)

    def up(self, value: str, name: str, wide: int, out: int) -> str:
        larger = self.active(self.conv(value, name, (wide, 4 * out), 3), 0.1)
        return self.add("DepthToSpace", [larger], blocksize=2, mode="DCR")

    def residual(self, value: str, name: str, width: int) -> str:
        inner = self.active(self.conv(value, f"{name}_1", (width, width), 3), 0.2)
        inner = self.conv(inner, f"{name}_2", (width, width), 3)
        return self.active(self.add("Add", [value, inner]), 0.2)

    def encoder(self, value: str, sizes: Sizes) -> str:
        e = sizes.e_dims
        value = self.residual(self.down(value, "enc_1", 3, e), "enc_res_1", e)
        for number, (wide, out) in enumerate([(e, 2 * e), (2 * e, 4 * e), (4 * e, 8 * e), (8 * e, 8 * e)], 2):
            value = self.down(value, f"enc_{number}", wide, out)
        return self.normed(self.add("Flatten", [self.residual(value, "enc_res_5", 8 * e)]))

    def normed(self, code: str) -> str:
        """Each picture's code divided by its root mean square."""
        mean = self.add("ReduceMean", [self.add("Mul", [code, code])], axes=[1], keepdims=1)
        small = self.constant("small", np.float32(1e-6))
        return self.add("Div", [code, self.add("Sqrt", [self.add("Add", [mean, small])])])

    def inter(self, code: str, name: str, sizes: Sizes, lowest: int) -> str:
        wide, out = 8 * sizes.e_dims * lowest * lowest, 2 * sizes.ae_dims
        value = self.dense(code, f"{name}_1", wide, sizes.ae_dims)
        value = self.dense(value, f"{name}_2", sizes.ae_dims, lowest * lowest * out)
        shape = self.constant("inter_shape", np.array([-1, out, lowest, lowest], np.int64))
        return self.add("Reshape", [value, shape])

    def dense(self, value: str, name: str, wide: int, out: int) -> str:
        weight = self.weight(name, (wide, out), wide + out)
        return self.add("Gemm", [value, weight, self.constant(f"{name}_bias", np.zeros(out, np.float32))])

    def face(self, value: str, sizes: Sizes) -> str:
        d = sizes.d_dims
        wide = 4 * sizes.ae_dims
        for number, out in enumerate((8 * d, 8 * d, 4 * d, 2 * d)):
            value = self.residual(self.up(value, f"up_{number}", wide, out), f"res_{number}", out)
            wide = out
        parts = [self.conv(value, f"out_{n}", (wide, 3), 3 if n else 1) for n in range(4)]
        whole = self.add("DepthToSpace", [self.add("Concat", parts, axis=1)], blocksize=2, mode="DCR")
        return self.add("Sigmoid", [whole])

    def mask(self, value: str, sizes: Sizes, outline: str) -> str:
        dm = sizes.d_mask_dims
        wide = 4 * sizes.ae_dims
        for number, out in enumerate((8 * dm, 8 * dm, 4 * dm, 2 * dm, dm)):
            value = self.up(value, f"mask_{number}", wide, out)
            wide = out
        self.constant("mask_out_bias", np.full(1, _MASK_BIAS, np.float32))
        logits = self.conv(value, "mask_out", (wide, 1), 1)
        return self.add("Mul", [self.add("Sigmoid", [logits]), outline])

    def file(self, outputs: dict[str, str], side: int) -> bytes:
        """The model: pictures (N, side, side, channels) in and out."""
        to_planes = helper.make_node("Transpose", ["in_face:0"], ["picture"], perm=[0, 3, 1, 2])
        to_pixels = [
            helper.make_node("Transpose", [value], [name], perm=[0, 2, 3, 1])
            for name, value in outputs.items()
        ]
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", side, side, channels))
            for name, channels in zip(("in_face:0", *outputs), (3, 1, 3, 1), strict=True)
        ]
        graph = helper.make_graph([to_planes, *self.nodes, *to_pixels], "liae_udt", values[:1], values[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=7)
        weights = (_initializer(name, np.ascontiguousarray(v)) for name, v in self.weights.items())
        return b"".join([model.SerializeToString(), *(part for parts in weights for part in parts)])


def _initializer(name: str, values: Any) -> tuple[bytes, Any]:
    """A weight, to be put behind a serialized model.

    Protocol Buffers merges a message with another of the same kind behind it. So weights need not go through
    its own writer, which takes many seconds for the large model.
    """
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=values.shape).SerializeToString()
    tensor += _head(_RAW_DATA, values.nbytes)
    in_graph = _head(_INITIALIZER, len(tensor) + values.nbytes) + tensor
    return _head(_GRAPH, len(in_graph) + values.nbytes) + in_graph, values.tobytes()


def _head(field_number: int, length: int) -> bytes:
    """What comes before a field of bytes or a message: number and kind, then the length, 7 bits a byte."""
    head = [field_number << 3 | 2]
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length])
