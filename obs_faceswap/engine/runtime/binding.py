"""Inputs and outputs at fixed places in a graphics card's memory.

Without it ONNX Runtime allocates and frees both for every run; and a CUDA graph, which starts all of a
network's kernels at once instead of one by one, reads and writes the places it was captured with:
https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html and
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview
On the CPU it gains nothing (docs/performance.md).
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shapes: TypeAlias = dict[str, tuple[int, ...]]

_SAME = 1e-3  # of values 0..1, between a run that was captured and one that was not


class Binding:
    """A session whose inputs and outputs have places of their own. It belongs to one thread.

    Only for networks of 32-bit floats whose shapes are fixed, see `fixed_shapes`.
    """

    def __init__(self, session: Any, memory: str, card: int) -> None:
        """Reserves the places; `memory` is ONNX Runtime's name for the card's, e.g. “cuda”."""
        from onnxruntime import OrtValue  # type: ignore[import-untyped]

        def place(shape: tuple[int, ...]) -> Any:
            return OrtValue.ortvalue_from_shape_and_type(shape, np.float32, memory, card)

        self._session = session
        self._inputs = {name: place(shape) for name, shape in fixed_shapes(session.get_inputs()).items()}
        self._outputs = {name: place(shape) for name, shape in fixed_shapes(session.get_outputs()).items()}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """All outputs for the given inputs; raises ValueError for inputs that do not fit."""
        if feeds.keys() != self._inputs.keys():
            raise ValueError(f"expected the inputs {', '.join(self._inputs)}, got {', '.join(feeds)}")
        for name, value in self._inputs.items():
            given = feeds[name]
            if list(given.shape) != value.shape() or given.dtype != np.float32:
                raise ValueError(
                    f"{name} should be float32 {value.shape()} and is {given.dtype} {given.shape}"
                )
            value.update_inplace(np.ascontiguousarray(given))
        self._session.run_with_iobinding(self._binding)
        return [value.numpy() for value in self._outputs.values()]


def fixed_shapes(values: Any) -> Shapes:
    """The shapes of a session's inputs or outputs, with a free batch as one; empty when one is not fixed."""
    shapes = {}
    for value in values:
        first, rest = value.shape[:1], value.shape[1:]
        if value.type != "tensor(float)" or not all(isinstance(side, int) for side in rest):
            return {}
        shapes[value.name] = (*(side if isinstance(side, int) else 1 for side in first), *rest)
    return shapes


def suits(session: Any) -> bool:
    """Whether a network can be bound.

    One input: with a second one, as the morph of a .dfm, sizes inside the network may follow a value, and a
    captured graph would go on with those of the value it saw.
    """
    return len(fixed_shapes(session.get_inputs())) == 1 and bool(fixed_shapes(session.get_outputs()))


def replays(binding: Binding, session: Any) -> bool:
    """Whether runs of a captured graph give what the first run gave, and follow their input.

    ONNX Runtime runs twice as usual, captures (microsoft/onnxruntime#15005), and replays from then on.
    """
    numbers = np.random.default_rng(11)
    first, second = (
        {
            name: numbers.random(shape, np.float32)
            for name, shape in fixed_shapes(session.get_inputs()).items()
        }
        for _ in range(2)
    )
    expected = [output.copy() for output in binding.run(first)]
    binding.run(first)
    again = [output.copy() for output in binding.run(first)]
    other = binding.run(second)
    differs = any(not np.array_equal(a, b) for a, b in zip(expected, other, strict=True))
    return differs and all(np.allclose(a, b, atol=_SAME) for a, b in zip(expected, again, strict=True))
