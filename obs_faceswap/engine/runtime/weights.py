"""A model's large constants in files beside it, while the model is changed.

Within it they would pass through Python's protocol buffers, which keep its lock: a stream in the same process
stood still for ten seconds while a model of 0.7 GB was put together. Files are read and written without it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LARGE_BYTES = 1024  # what is smaller may be a shape, and stays in the model

_FILE = "new_weights.bin"
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # fields of onnx.proto's ModelProto, GraphProto, TensorProto
_BYTES = 2  # the kind of field that has a length


class Weights:
    """The constants of one model, in the folder that it lies in."""

    def __init__(self, folder: Path, large_bytes: int = LARGE_BYTES) -> None:
        """New constants of so many bytes are added to one file of the folder."""
        self._folder, self._large_bytes = folder, large_bytes

    def numbers(self, tensor: Any) -> npt.NDArray[Any]:
        """The numbers of a constant, wherever it lies; large ones are to be read only."""
        import onnx

        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        where = {entry.key: entry.value for entry in tensor.external_data}
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        offset, shape = int(where.get("offset", 0)), tuple(tensor.dims)
        return np.memmap(self._folder / where["location"], kind, "r", offset, shape)

    def tensor(self, values: npt.NDArray[Any], name: str) -> Any:
        """A constant of the model; a large one's numbers are written to the file."""
        import onnx

        if values.nbytes < self._large_bytes:
            return onnx.numpy_helper.from_array(values, name)
        with (self._folder / _FILE).open("ab") as file:
            offset = file.seek(0, 2)
            file.write(values.data.cast("B"))
        tensor = onnx.TensorProto(
            name=name, dims=values.shape, data_location=onnx.TensorProto.EXTERNAL,
            data_type=onnx.helper.np_dtype_to_tensor_dtype(values.dtype),
        )  # fmt: skip
        for key, value in (("location", _FILE), ("offset", offset), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def write(self, model: Any, path: Path) -> None:
        """Writes a model with all its constants into one file; the model keeps only the small ones."""
        import onnx

        constants = model.graph.initializer
        large = [tensor for tensor in constants if tensor.data_location == onnx.TensorProto.EXTERNAL]
        small = [tensor for tensor in constants if tensor.data_location != onnx.TensorProto.EXTERNAL]
        del constants[:]
        constants.extend(small)
        with path.open("wb") as file:
            file.write(model.SerializeToString())
            for tensor in large:
                for part in self._parts(tensor):
                    file.write(part)

    def _parts(self, tensor: Any) -> Iterator[bytes | memoryview]:
        """A constant as bytes to put behind a model: a field that comes again is added to what is there."""
        import onnx

        numbers = np.ascontiguousarray(self.numbers(tensor))
        about = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        inner = about.SerializeToString() + _head(_RAW_DATA, numbers.nbytes)
        inner = _head(_INITIALIZER, len(inner) + numbers.nbytes) + inner
        yield _head(_GRAPH, len(inner) + numbers.nbytes) + inner
        yield numbers.data.cast("B")


def _head(number: int, length: int) -> bytes:
    """What comes before a field of bytes: its number and kind, and its length in seven bits a byte."""
    head = [number << 3 | _BYTES]
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length])
