"""TensorFlow Lite file to ONNX, for the kinds of operator the default networks are made of.

The networks are float networks whose weights are stored as float16 (a DEQUANTIZE per weight). TFLite works
in NHWC order, ONNX in NCHW: every rank-4 tensor inside the converted network is NCHW, its inputs and outputs
stay NHWC, and a Transpose stands at the few places between.

PReLU is written as two 1x1 depthwise convolutions, prelu(x) = a * x + (1 - a) * relu(x), because ONNX
Runtime's own PRelu is several times slower on the CPU (face mesh: 3.5 ms against 1.2 ms).
"""

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.errors import UnsupportedModelError

Array: TypeAlias = npt.NDArray[Any]

OPSET = 13
IR_VERSION = 7  # what opset 13 came with: every ONNX Runtime this project supports reads it

_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every TFLite file
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)
_AXIS_IN_NCHW = (0, 2, 3, 1)  # where a NHWC axis goes
_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}  # tflite.TensorType
_NONE, _RELU, _RELU6 = 0, 1, 3  # tflite.ActivationFunctionType
_DAMAGED = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)


def convert(data: bytes) -> bytes:
    """The same network as an ONNX file.

    Args:
        data: content of a .tflite file with one subgraph, static shapes and float inputs and outputs.

    Raises:
        UnsupportedModelError: the data is no TFLite network, is damaged, or uses something not known here.
    """
    import onnx
    import tflite  # type: ignore[import-untyped]

    refused = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError)
    if data[4:8] != _IDENTIFIER:
        raise UnsupportedModelError("The file is no TensorFlow Lite network. Fetch it again.")
    try:
        return _Conversion(tflite.Model.GetRootAs(data, 0)).onnx()
    except (*_DAMAGED, *refused) as error:
        raise UnsupportedModelError(
            f"The TensorFlow Lite file is damaged or not of a known form ({error}). Fetch it again."
        ) from error


class _Conversion:
    """One run of the converter: the TFLite graph that is read and the ONNX nodes written so far."""

    def __init__(self, model: Any) -> None:
        import onnx
        import tflite

        self._helper: Any = onnx.helper
        self._tflite = tflite
        self._model = model
        if model.SubgraphsLength() != 1:
            raise UnsupportedModelError(
                f"The network has {model.SubgraphsLength()} subgraphs; one is expected. Use another file."
            )
        self.graph = model.Subgraphs(0)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.constants: dict[int, Array] = {}  # results of DEQUANTIZE
        self._names: dict[int, str] = {}
        self._stored = 0  # constants that are operands

    def onnx(self) -> bytes:
        """The converted network, checked by the ONNX package."""
        import onnx

        inputs = [self._input(index) for index in self.graph.InputsAsNumpy()]
        for position in range(self.graph.OperatorsLength()):
            self._convert_operator(self.graph.Operators(position))
        outputs = [self._output(index) for index in self.graph.OutputsAsNumpy()]
        graph = self._helper.make_graph(self.nodes, "network", inputs, outputs, self.initializers)
        opset = self._helper.make_opsetid("", OPSET)
        model = self._helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "obs-faceswap"
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    # Reading

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape in TFLite's own order; () for a scalar."""
        tensor = self.graph.Tensors(index)
        return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))

    def constant(self, index: int) -> Array:
        """A stored tensor's values, float16 widened to float32."""
        if index in self.constants:
            return self.constants[index]
        tensor = self.graph.Tensors(index)
        buffer = self._model.Buffers(tensor.Buffer())
        if tensor.Type() not in _DTYPES or not buffer.DataLength():
            raise UnsupportedModelError(
                f"Tensor “{tensor.Name().decode()}” should hold float or int32 constants. Use another file."
            )
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
        values = values.reshape(self.shape(index))
        return values.astype(np.float32) if values.dtype == np.float16 else values

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values are stored in the file."""
        return index in self.constants or self._model.Buffers(self.graph.Tensors(index).Buffer()).DataLength()

    def options(self, operator: Any, kind: str) -> Any:
        """An operator's options table, e.g. kind “Conv2DOptions”."""
        table, stored = getattr(self._tflite, kind)(), operator.BuiltinOptions()
        table.Init(stored.Bytes, stored.Pos)
        return table

    # Writing

    def name(self, index: int) -> str:
        """The ONNX name of a tensor as the network's inside sees it (rank 4: NCHW)."""
        return self._names.get(index, f"t{index}")

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Appends a node and returns its output's name."""
        self.nodes.append(self._helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def store(self, name: str, values: Array) -> str:
        """Appends an initializer and returns its name."""
        import onnx

        contiguous = np.ascontiguousarray(values)
        self.initializers.append(onnx.numpy_helper.from_array(contiguous, name))
        return name

    def operand(self, index: int, rank: int) -> str:
        """The ONNX name of a tensor, perhaps a constant, beside one of that rank: broadcast as in NumPy."""
        if not self.is_constant(index):
            if rank == 4 and len(self.shape(index)) != 4:
                raise UnsupportedModelError("The network mixes tensors of different ranks. Use another file.")
            return self.name(index)
        values = self.constant(index)
        if rank == 4:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(_TO_NCHW)
        self._stored += 1
        return self.store(f"c{self._stored}", values)

    def _value_info(self, index: int) -> Any:
        import onnx

        name = self.graph.Tensors(index).Name().decode()
        return self._helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, self.shape(index))

    def _input(self, index: int) -> Any:
        info = self._value_info(index)
        if len(self.shape(index)) == 4:
            self._names[index] = self.add("Transpose", [info.name], f"t{index}", perm=_TO_NCHW)
        else:
            self._names[index] = info.name
        return info

    def _output(self, index: int) -> Any:
        info = self._value_info(index)
        if len(self.shape(index)) == 4:
            self.add("Transpose", [self.name(index)], info.name, perm=_TO_NHWC)
        else:
            self.add("Identity", [self.name(index)], info.name)
        return info

    def _convert_operator(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Old files carry the code in the deprecated byte, new ones in both.
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind not in _CONVERTERS:
            known = {value: name for name, value in vars(self._tflite.BuiltinOperator).items()}
            raise UnsupportedModelError(
                f"The network uses the operator {known.get(kind, kind)}, which is not known here. "
                "Use another file, or one already in ONNX form."
            )
        inputs = [int(index) for index in operator.InputsAsNumpy()]
        _CONVERTERS[kind](self, operator, inputs, int(operator.Outputs(0)))


def _dequantize(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    net.constants[output] = net.constant(inputs[0])


def _conv(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "Conv2DOptions")
    weights = net.constant(inputs[1]).transpose(_TO_NCHW)  # OHWI -> OIHW
    _write_conv(net, options, inputs, weights, output, group=1)


def _depthwise_conv(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "DepthwiseConv2DOptions")
    weights = net.constant(inputs[1]).transpose(3, 0, 1, 2)  # 1HWO -> O1HW
    _write_conv(net, options, inputs, weights, output, group=net.shape(inputs[0])[3])


def _write_conv(
    net: _Conversion, options: Any, inputs: list[int], weights: Array, output: int, group: int
) -> None:
    kernel = weights.shape[2:]
    strides = (options.StrideH(), options.StrideW())
    dilations = (options.DilationHFactor(), options.DilationWFactor())
    names = [
        net.name(inputs[0]),
        net.store(f"t{output}_weights", weights),
        net.store(f"t{output}_bias", net.constant(inputs[2])),
    ]
    raw = _raw_name(options, output)
    net.add(
        "Conv", names, raw,
        kernel_shape=kernel, strides=strides, dilations=dilations, group=group,
        pads=_pads(net.shape(inputs[0]), options.Padding(), kernel, strides, dilations),
    )  # fmt: skip
    _activate(net, options, raw, output)


def _max_pool(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "Pool2DOptions")
    kernel = (options.FilterHeight(), options.FilterWidth())
    strides = (options.StrideH(), options.StrideW())
    pads = _pads(net.shape(inputs[0]), options.Padding(), kernel, strides, (1, 1))
    raw = _raw_name(options, output)
    net.add("MaxPool", [net.name(inputs[0])], raw, kernel_shape=kernel, strides=strides, pads=pads)
    _activate(net, options, raw, output)


def _combined(operation: str) -> "_Converter":
    """Addition and the like: Add, Sub, Mul or Div."""

    def convert(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
        options = net.options(operator, f"{operation}Options")
        raw = _raw_name(options, output)
        net.add(operation, _operands(net, inputs, output), raw)
        _activate(net, options, raw, output)

    return convert


def _operands(net: _Conversion, inputs: list[int], output: int) -> list[str]:
    shape = net.shape(output)
    if np.broadcast_shapes(*(net.shape(index) for index in inputs)) != shape:
        raise UnsupportedModelError("The network combines tensors of different shapes. Use another file.")
    return [net.operand(index, len(shape)) for index in inputs]


def _squared_difference(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    apart = net.add("Sub", _operands(net, inputs, output), f"t{output}_apart")
    net.add("Mul", [apart, apart], net.name(output))


def _changed(operation: str) -> "_Converter":
    """A function of each value by itself: Sqrt, Neg, Relu, Sigmoid."""

    def convert(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
        net.add(operation, [net.name(inputs[0])], net.name(output))

    return convert


def _reciprocal_root(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    root = net.add("Sqrt", [net.name(inputs[0])], f"t{output}_root")
    net.add("Reciprocal", [root], net.name(output))


def _transpose(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    perm = [int(axis) for axis in net.constant(inputs[1])]
    if len(perm) == 4:  # of NCHW to NHWC, as the network has it, and back
        perm = [_TO_NHWC[perm[axis]] for axis in _TO_NCHW]
    net.add("Transpose", [net.name(inputs[0])], net.name(output), perm=perm)


def _strided_slice(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "StridedSliceOptions")
    begin, end, strides = (net.constant(index).astype(np.int64) for index in inputs[1:])
    shrinks = options.ShrinkAxisMask()
    is_known = not (options.EllipsisMask() or options.NewAxisMask() or (shrinks and len(begin) == 4))
    if not is_known or (strides < 1).any():
        raise UnsupportedModelError("The network takes a slice that is not known here. Use another file.")
    axes = np.arange(len(begin))
    begin = np.where(options.BeginMask() >> axes & 1, 0, begin)
    end = np.where(options.EndMask() >> axes & 1, net.shape(inputs[0]), end)
    if len(axes) == 4:
        axes = np.array(_AXIS_IN_NCHW)
    limits = {"from": begin, "to": end, "axes": axes, "steps": strides}
    names = [net.store(f"t{output}_{name}", values.astype(np.int64)) for name, values in limits.items()]
    part = net.add("Slice", [net.name(inputs[0]), *names], f"t{output}_part")
    shape = net.store(f"t{output}_shape", np.array(_onnx_shape(net.shape(output)), np.int64))
    net.add("Reshape", [part, shape], net.name(output))


def _onnx_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in _TO_NCHW) if len(shape) == 4 else shape


def _prelu(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    """prelu(x) = a * x + (1 - a) * relu(x), each product a 1x1 depthwise convolution."""
    channels = net.shape(inputs[0])[3]
    slopes = net.constant(inputs[1]).reshape(channels, 1, 1, 1)
    source, stem = net.name(inputs[0]), f"t{output}"
    positive = net.add("Relu", [source], f"{stem}_positive")
    parts = [
        _scaled(net, source, f"{stem}_linear", slopes),
        _scaled(net, positive, f"{stem}_bent", (1 - slopes).astype(np.float32)),
    ]
    net.add("Add", parts, net.name(output))


def _scaled(net: _Conversion, source: str, output: str, factors: Array) -> str:
    weights = net.store(f"{output}_weights", factors)
    return net.add("Conv", [source, weights], output, kernel_shape=(1, 1), group=len(factors))


def _pad(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    before, after = net.constant(inputs[1]).T
    if len(before) == 4:
        before, after = before[list(_TO_NCHW)], after[list(_TO_NCHW)]
    pads = net.store(f"t{output}_pads", np.concatenate([before, after]).astype(np.int64))
    net.add("Pad", [net.name(inputs[0]), pads], net.name(output))


def _reshape(net: _Conversion, _operator: Any, inputs: list[int], output: int) -> None:
    source, shape = net.name(inputs[0]), net.shape(output)
    if len(net.shape(inputs[0])) == 4:
        source = net.add("Transpose", [source], f"t{output}_nhwc", perm=_TO_NHWC)
    wanted = net.store(f"t{output}_shape", np.array(shape, np.int64))
    if len(shape) != 4:
        net.add("Reshape", [source, wanted], net.name(output))
        return
    flat = net.add("Reshape", [source, wanted], f"t{output}_reshaped")
    net.add("Transpose", [flat], net.name(output), perm=_TO_NCHW)


def _concatenate(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options, rank = net.options(operator, "ConcatenationOptions"), len(net.shape(output))
    axis = options.Axis() % rank
    if rank == 4:
        axis = _AXIS_IN_NCHW[axis]
    raw = _raw_name(options, output)
    net.add("Concat", [net.operand(index, rank) for index in inputs], raw, axis=axis)
    _activate(net, options, raw, output)


def _resize_bilinear(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "ResizeBilinearOptions")
    if options.AlignCorners() or not options.HalfPixelCenters():
        raise UnsupportedModelError(
            "The network enlarges in a way that is not known here; expected half-pixel centers. "
            "Use another file."
        )
    (_, height, width, _), (_, to_height, to_width, _) = net.shape(inputs[0]), net.shape(output)
    scales = np.array([1, 1, to_height / height, to_width / width], np.float32)
    names = [net.name(inputs[0]), "", net.store(f"t{output}_scales", scales)]
    net.add("Resize", names, net.name(output), mode="linear", coordinate_transformation_mode="half_pixel")


def _sum(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    if len(net.shape(inputs[0])) == 4:
        raise UnsupportedModelError("The network takes a sum that is not known here. Use another file.")
    axes = net.store(f"t{output}_axes", np.atleast_1d(net.constant(inputs[1])).astype(np.int64))
    keeps = net.options(operator, "ReducerOptions").KeepDims()
    net.add("ReduceSum", [net.name(inputs[0]), axes], net.name(output), keepdims=int(keeps))


def _mean(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    axes = [int(axis) for axis in np.atleast_1d(net.constant(inputs[1]))]
    keeps = net.options(operator, "ReducerOptions").KeepDims()
    if len(net.shape(inputs[0])) == 4:
        axes = [_AXIS_IN_NCHW[axis] for axis in axes]
        keeps_order = keeps or len(net.shape(output)) == 2  # of N and C, in whichever order
        if not keeps_order:
            raise UnsupportedModelError("The network takes a mean that is not known here. Use another file.")
    net.add("ReduceMean", [net.name(inputs[0])], net.name(output), axes=sorted(axes), keepdims=int(keeps))


def _fully_connected(net: _Conversion, operator: Any, inputs: list[int], output: int) -> None:
    options = net.options(operator, "FullyConnectedOptions")
    weights = net.constant(inputs[1])  # (outputs, inputs)
    source = net.name(inputs[0])
    if len(net.shape(inputs[0])) == 4:
        source = net.add("Transpose", [source], f"t{output}_nhwc", perm=_TO_NHWC)
    flat = net.add(
        "Reshape", [source, net.store(f"t{output}_shape", np.array([-1, weights.shape[1]], np.int64))],
        f"t{output}_flat",
    )  # fmt: skip
    names = [
        flat,
        net.store(f"t{output}_weights", weights),
        net.store(f"t{output}_bias", net.constant(inputs[2])),
    ]
    raw = _raw_name(options, output)
    net.add("Gemm", names, raw, transB=1)
    _activate(net, options, raw, output)


def _pads(
    shape: tuple[int, ...],
    padding: int,
    kernel: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> list[int]:
    """ONNX pads (top, left, bottom, right) of TensorFlow's SAME (0) or VALID (1) padding of a NHWC shape.

    SAME gives ceil(size / stride) results and puts the odd pixel at the bottom and the right.
    """
    if padding != 0:
        return [0, 0, 0, 0]
    totals = []
    for size, side, stride, dilation in zip(shape[1:3], kernel, strides, dilations, strict=True):
        reach = (side - 1) * dilation + 1
        totals.append(max((-(-size // stride) - 1) * stride + reach - size, 0))
    before = [total // 2 for total in totals]
    return before + [total - half for total, half in zip(totals, before, strict=True)]


def _raw_name(options: Any, output: int) -> str:
    return f"t{output}_raw" if options.FusedActivationFunction() else f"t{output}"


def _activate(net: _Conversion, options: Any, raw: str, output: int) -> None:
    """Writes the activation that TFLite fuses into an operator: none (0), ReLU (1) or ReLU6 (3)."""
    kind = options.FusedActivationFunction()
    if kind not in (_NONE, _RELU, _RELU6):
        raise UnsupportedModelError(
            f"The network uses the fused activation {kind}; only ReLU and ReLU6 are known. Use another file."
        )
    if kind == _RELU:
        net.add("Relu", [raw], net.name(output))
    elif kind == _RELU6:
        limits = [
            net.store(f"t{output}_{name}", np.array(value, np.float32))
            for name, value in (("low", 0), ("high", 6))
        ]
        net.add("Clip", [raw, *limits], net.name(output))


_Converter: TypeAlias = Callable[[_Conversion, Any, list[int], int], None]

# Keys: the numbers of tflite.BuiltinOperator, fixed by TFLite's schema.
_CONVERTERS: dict[int, _Converter] = {
    0: _combined("Add"),  # ADD
    2: _concatenate,  # CONCATENATION
    3: _conv,  # CONV_2D
    4: _depthwise_conv,  # DEPTHWISE_CONV_2D
    6: _dequantize,  # DEQUANTIZE
    9: _fully_connected,  # FULLY_CONNECTED
    14: _changed("Sigmoid"),  # LOGISTIC
    17: _max_pool,  # MAX_POOL_2D
    18: _combined("Mul"),  # MUL
    19: _changed("Relu"),  # RELU
    22: _reshape,  # RESHAPE
    23: _resize_bilinear,  # RESIZE_BILINEAR
    34: _pad,  # PAD
    39: _transpose,  # TRANSPOSE
    40: _mean,  # MEAN
    41: _combined("Sub"),  # SUB
    42: _combined("Div"),  # DIV
    45: _strided_slice,  # STRIDED_SLICE
    54: _prelu,  # PRELU
    59: _changed("Neg"),  # NEG
    74: _sum,  # SUM
    75: _changed("Sqrt"),  # SQRT
    76: _reciprocal_root,  # RSQRT
    99: _squared_difference,  # SQUARED_DIFFERENCE
}
