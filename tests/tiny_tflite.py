"""Small TensorFlow Lite files, written with the schema's own builder."""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

_TYPES = {"float32": 0, "float16": 1, "int32": 2, "int8": 9}
_CODES = {name: value for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
_OPTIONS = {name: value for name, value in vars(tflite.BuiltinOptions).items() if isinstance(value, int)}


@dataclass
class TfliteFile:
    """Collects tensors and operators; `build` gives the file's content."""

    tensors: list = field(default_factory=list)
    operators: list = field(default_factory=list)

    def tensor(self, shape, values=None, dtype="float32") -> int:
        """Adds an activation, or a constant where values are given, and returns its index."""
        data = b"" if values is None else np.asarray(values).astype(dtype).tobytes()
        self.tensors.append((tuple(shape), _TYPES[dtype], data))
        return len(self.tensors) - 1

    def constant(self, values, dtype="float32") -> int:
        """Adds a constant and returns its index."""
        return self.tensor(np.shape(values), values, dtype)

    def operator(self, code, inputs, shape, options="", **fields) -> int:
        """Adds an operator, e.g. CONV_2D with Conv2DOptions, and returns the index of its result."""
        result = self.tensor(shape)
        self.operators.append((_CODES[code], inputs, [result], options, fields))
        return result

    def build(self, inputs, outputs, subgraphs=1) -> bytes:
        """The file; tensors are called x0, x1, … by index."""
        builder = flatbuffers.Builder(1024)
        buffers = [_buffer(builder, b"")] + [_buffer(builder, data) for _, _, data in self.tensors]
        tensors = [_tensor(builder, index, *parts[:2]) for index, parts in enumerate(self.tensors)]
        codes = sorted({code for code, *_ in self.operators})
        operators = [_operator(builder, codes.index(code), *rest) for code, *rest in self.operators]
        graph = _table(
            builder, "SubGraph",
            Tensors=_offsets(builder, tensors), Operators=_offsets(builder, operators),
            Inputs=builder.CreateNumpyVector(np.array(inputs, np.int32)),
            Outputs=builder.CreateNumpyVector(np.array(outputs, np.int32)),
        )  # fmt: skip
        known = [_table(builder, "OperatorCode", DeprecatedBuiltinCode=code) for code in codes]
        model = _table(
            builder, "Model", Version=3,
            Subgraphs=_offsets(builder, [graph] * subgraphs), Buffers=_offsets(builder, buffers),
            OperatorCodes=_offsets(builder, known),
        )  # fmt: skip
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())


def _table(builder, kind, **fields) -> int:
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return getattr(tflite, f"{kind}End")(builder)


def _offsets(builder, items) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _buffer(builder, data) -> int:
    return (
        _table(builder, "Buffer", Data=builder.CreateByteVector(data)) if data else _table(builder, "Buffer")
    )


def _tensor(builder, index, shape, dtype) -> int:
    name = builder.CreateString(f"x{index}")
    sides = builder.CreateNumpyVector(np.array(shape, np.int32))
    return _table(builder, "Tensor", Name=name, Shape=sides, Type=dtype, Buffer=index + 1)


def _operator(builder, opcode, inputs, outputs, options, fields) -> int:
    parts = {
        "Inputs": builder.CreateNumpyVector(np.array(inputs, np.int32)),
        "Outputs": builder.CreateNumpyVector(np.array(outputs, np.int32)),
    }
    if options:
        parts |= {
            "BuiltinOptions": _table(builder, options, **fields),
            "BuiltinOptionsType": _OPTIONS[options],
        }
    return _table(builder, "Operator", OpcodeIndex=opcode, **parts)
