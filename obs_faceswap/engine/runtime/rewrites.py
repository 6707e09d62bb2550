"""Changes to an ONNX graph that leave its results as they are and make ONNX Runtime's CPU provider faster.

They expect a graph of one opset in which constants are folded and shapes are known, as `optimize` makes it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.runtime.weights import Weights

Floats: TypeAlias = npt.NDArray[np.float32]

# Winograd's F(4 x 4, 3 x 3): 36 products for 16 results of a 3 x 3 convolution instead of 144. Points 0, 1,
# -1, 2, -2 and infinity (Lavin and Gray, “Fast Algorithms for Convolutional Neural Networks”, 2015, 4.3).
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHTS = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
) / 24  # fmt: skip
_OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
_TILE, _WINDOW = 4, 6
# Measured with one thread, AVX-512: 0.58 of the direct time from 256 channels on, 0.9 at 128, and nothing
# gained below that or where fewer than 49 tiles share the weights.
_LEAST_CHANNELS = 128
_LEAST_TILES = 49
_SMALL = 64  # numbers; constants up to that may be a shape


@dataclass(slots=True)
class Graph:
    """A graph taken apart: `put_back` makes it one again.

    Attributes:
        model: the ONNX model it is from.
        nodes: its nodes, in an order that can be computed.
        shapes: shapes of the values for which they are fixed.
        weights: where its large constants are.
    """

    model: Any
    nodes: list[Any]
    shapes: dict[str, tuple[int, ...]]
    weights: Weights
    _constants: dict[str, Any] = field(default_factory=dict)
    _new: list[str] = field(default_factory=list)
    _made: int = 0

    @classmethod
    def of(cls, model: Any, shapes: dict[str, tuple[int, ...]], weights: Weights) -> "Graph":
        """The graph of a model, with the shapes of its values and the place of its large constants."""
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        return cls(model, list(model.graph.node), shapes, weights, constants)

    def put_back(self) -> None:
        """Writes nodes and new constants into the model, and drops the constants that nothing uses."""
        graph = self.model.graph
        used = {name for node in self.nodes for name in node.input} | {value.name for value in graph.output}
        for index in reversed(range(len(graph.initializer))):
            if graph.initializer[index].name not in used:
                del graph.initializer[index]
        del graph.node[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(self._constants[name] for name in self._new if name in used)

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The numbers of a constant, or None for anything else."""
        tensor = self._constants.get(name)
        return None if tensor is None else self.weights.numbers(tensor)

    def shape_of_constant(self, name: str) -> tuple[int, ...]:
        """The shape of a constant of 32-bit floats without reading it; empty for anything else."""
        tensor = self._constants.get(name)
        return () if tensor is None or tensor.data_type != 1 else tuple(tensor.dims)

    def add_constant(self, values: Any) -> str:
        """The name of a new constant."""
        name = self._name()
        self._new.append(name)
        self._constants[name] = self.weights.tensor(np.ascontiguousarray(values), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> Any:
        """A new node, which is in no place yet."""
        from onnx import helper

        return helper.make_node(kind, inputs, [output or self._name()], **attributes)

    def _name(self) -> str:
        self._made += 1
        return f"rewritten_{self._made}"


Rule: TypeAlias = Callable[[Graph, Any], "list[Any] | None"]  # the nodes that replace one, or None


def rewrite(graph: Graph) -> int:
    """Applies all rules to a graph; how many nodes they replaced."""
    rules: dict[str, Rule] = {"PRelu": split_prelu, "Conv": cheaper_convolution}
    nodes, count = [], 0
    for node in graph.nodes:
        rule = rules.get(node.op_type)
        instead = rule(graph, node) if rule else None
        count += instead is not None
        nodes.extend([node] if instead is None else instead)
    graph.nodes = nodes
    return count


def split_prelu(graph: Graph, node: Any) -> list[Any] | None:
    """prelu(x) = a * x + (1 - a) * relu(x), each product a 1x1 depthwise convolution.

    ONNX Runtime's own PRelu took 3.5 ms of a face mesh of 1.2 ms.
    """
    shape, slopes = graph.shapes.get(node.input[0], ()), graph.constant(node.input[1])
    if len(shape) != 4 or slopes is None or slopes.dtype != np.float32 or slopes.size != shape[1]:
        return None
    if slopes.shape[-2:] != (1, 1):  # not one slope for each channel
        return None
    factors = slopes.reshape(-1, 1, 1, 1)
    positive = graph.node("Relu", [node.input[0]])
    linear = _scaled(graph, node.input[0], factors)
    bent = _scaled(graph, positive.output[0], np.float32(1) - factors)
    total = graph.node("Add", [linear.output[0], bent.output[0]], node.output[0])
    return [positive, linear, bent, total]


def _scaled(graph: Graph, source: str, factors: Floats) -> Any:
    weights = graph.add_constant(factors)
    return graph.node("Conv", [source, weights], kernel_shape=[1, 1], group=len(factors))


def cheaper_convolution(graph: Graph, node: Any) -> list[Any] | None:
    """Both rules for convolutions, one after the other."""
    folded = fold_repeats(graph, node)
    return winograd(graph, folded or node) or (folded and [folded])


def fold_repeats(graph: Graph, node: Any) -> Any | None:
    """A convolution of one value put beside itself, as one of that value with the weights' halves summed.

    DeepFaceLab's LIAE decoders get the same code twice when they swap: half of their largest layer.
    """
    source = next((other for other in graph.nodes if node.input[0] in other.output), None)
    if source is None or source.op_type != "Concat" or source.attribute[0].i != 1 or not _is_one_group(node):
        return None
    shape, kernels = graph.shapes.get(source.input[0], ()), graph.constant(node.input[1])
    if len(set(source.input)) != 1 or len(shape) != 4 or kernels is None:
        return None
    outputs, channels = kernels.shape[:2]
    if channels != shape[1] * len(source.input):
        return None
    parts = kernels.reshape(outputs, len(source.input), shape[1], *kernels.shape[2:])
    folded = type(node)()
    folded.CopyFrom(node)
    folded.input[0], folded.input[1] = source.input[0], graph.add_constant(parts.sum(1))
    return folded


def _is_one_group(node: Any) -> bool:
    return all(attribute.i == 1 for attribute in node.attribute if attribute.name == "group")


def winograd(graph: Graph, node: Any) -> list[Any] | None:
    """A 3x3 convolution as 36 matrix products over tiles of 4x4 results.

    A 6x6 convolution with stride 4 takes each channel by itself to the 36 numbers of every tile, and a
    product with bias takes their sums back. Only where the shapes gain by it.
    """
    shape, weights = graph.shapes.get(node.input[0], ()), node.input[1]
    if not _gains(shape, graph.shape_of_constant(weights), node):
        return None
    kernels, bias = graph.constant(weights), _bias(graph, node)
    if kernels is None or bias is None:
        return None
    _, channels, height, width = shape
    down, across = height // _TILE, width // _TILE
    numbers, tiles, outputs = _WINDOW * _WINDOW, down * across, len(kernels)
    window = np.kron(_INPUT, _INPUT).reshape(numbers, 1, _WINDOW, _WINDOW).astype(np.float32)
    back = np.kron(_OUTPUT, _OUTPUT).astype(np.float32)
    line = _Line(graph, node.input[0])
    line.reshape(channels, 1, height, width)
    line.add("Conv", [None, window], kernel_shape=[_WINDOW] * 2, strides=[_TILE] * 2, pads=[1] * 4)
    line.reshape(channels, numbers, tiles)
    line.add("Transpose", [None], perm=[1, 0, 2])
    line.add("MatMul", [_transformed(kernels), None])
    line.reshape(numbers, outputs * tiles)
    line.add("Gemm", [back, None, np.repeat(bias, tiles)[None]])
    line.reshape(1, _TILE * _TILE * outputs, down, across)
    line.add("DepthToSpace", [None], blocksize=_TILE, mode="DCR")
    return line.ending_in(node.output[0])


class _Line:
    """Nodes of which each takes the result of the one before."""

    def __init__(self, graph: Graph, source: str) -> None:
        self._graph, self._last = graph, source
        self._nodes: list[Any] = []

    def add(self, kind: str, inputs: list[npt.NDArray[Any] | None], **attributes: Any) -> None:
        """One more node; None stands for the result of the one before, numbers for a constant."""
        names = [self._last if value is None else self._graph.add_constant(value) for value in inputs]
        self._nodes.append(self._graph.node(kind, names, **attributes))
        self._last = self._nodes[-1].output[0]

    def reshape(self, *shape: int) -> None:
        """The same numbers in another shape."""
        self.add("Reshape", [None, np.array(shape, np.int64)])

    def ending_in(self, output: str) -> list[Any]:
        """The nodes, of which the last one has the given result."""
        self._nodes[-1].output[0] = output
        return self._nodes


def _gains(shape: tuple[int, ...], weights: tuple[int, ...], node: Any) -> bool:
    """Whether a convolution is one that the tiles suit, and large enough."""
    if len(shape) != 4 or weights[2:] != (3, 3) or not _is_plain(node):
        return False
    batch, channels, height, width = shape
    fits = batch == 1 and channels == weights[1] and not height % _TILE and not width % _TILE
    tiles = height * width // _TILE**2
    return fits and min(weights[:2]) >= _LEAST_CHANNELS and tiles >= _LEAST_TILES


def _is_plain(node: Any) -> bool:
    """Whether a 3x3 convolution keeps the picture's size and looks at neighbors in all channels."""
    from onnx import helper

    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = {"pads": [1] * 4, "strides": [1] * 2, "dilations": [1] * 2, "group": 1}
    usual = {"pads": [0] * 4, "auto_pad": b"NOTSET"}
    return found.get("auto_pad", usual["auto_pad"]) == usual["auto_pad"] and all(
        found.get(name, usual.get(name, value)) == value for name, value in plain.items()
    )


def _bias(graph: Graph, node: Any) -> npt.NDArray[Any] | None:
    """A convolution's bias, zeros where it has none, or None when it is computed."""
    if len(node.input) > 2:
        return graph.constant(node.input[2])
    return np.zeros(graph.shape_of_constant(node.input[1])[0], np.float32)


def _transformed(kernels: npt.NDArray[Any]) -> Floats:
    """(36, out, in): the products' weights of 3x3 kernels (out, in, 3, 3)."""
    taps = kernels.reshape(-1, 9).T
    products = np.kron(_WEIGHTS, _WEIGHTS).astype(np.float32) @ taps
    return np.asarray(products, np.float32).reshape(-1, *kernels.shape[:2])


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's values, by name, where they are fixed.

    They follow from the nodes and from the small constants; the weights themselves are not looked at.
    """
    from onnx import helper, shape_inference

    graph = model.graph
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _SMALL]
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _SMALL]
    ends = [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in large]
    light = helper.make_graph(graph.node, "shapes", [*graph.input, *ends], graph.output, small)
    inferred = shape_inference.infer_shapes(
        helper.make_model(light, opset_imports=model.opset_import), data_prop=True
    ).graph
    stated = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if all(sides):
            stated[value.name] = tuple(sides)
    return stated
