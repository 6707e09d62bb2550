"""What an ONNX file takes and gives, read from the file itself. Standard library only.

A file may have half a gigabyte of weights. They are stepped over: a protocol buffer is a row of numbered
fields with their lengths. Field numbers are those of onnx/onnx.proto of the ONNX project.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_SIDE = 1, 2, 1
_SIDE_NUMBER = 1
_LONGEST_VARINT = 10

Span: TypeAlias = tuple[int, int]  # first byte, and the byte after the last
Shape: TypeAlias = tuple[int, ...]  # -1: free


@dataclass(frozen=True, slots=True)
class Contract:
    """Inputs and outputs: their shapes by their names, in the network's order."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def contract_of(path: Path) -> Contract | None:
    """What a file takes and gives; None if it is no ONNX network or cannot be read."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _contract(content)
    except (OSError, ValueError, IndexError):
        return None


def _contract(content: mmap.mmap) -> Contract | None:
    graph = _last(content, (0, len(content)), _MODEL_GRAPH)
    if graph is None:
        return None
    inputs, outputs, weights = {}, {}, set()
    for number, span in _parts(content, graph):
        if number == _GRAPH_INPUT:
            name, shape = _value(content, span)
            inputs[name] = shape
        elif number == _GRAPH_OUTPUT:
            name, shape = _value(content, span)
            outputs[name] = shape
        elif number == _GRAPH_INITIALIZER:
            weights.add(_text(content, _last(content, span, _TENSOR_NAME)))
    # Before version 4 of the format weights were listed among the inputs.
    taken = {name: shape for name, shape in inputs.items() if name not in weights}
    return Contract(taken, outputs) if taken and outputs else None


def _value(content: mmap.mmap, span: Span) -> tuple[str, Shape]:
    """The name and the shape of an input or output."""
    place: Span | None = span
    for number in (_VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE):
        place = _last(content, place, number) if place is not None else None
    sides = _parts(content, place) if place is not None else ()
    shape = tuple(_side(content, side) for number, side in sides if number == _SHAPE_SIDE)
    return _text(content, _last(content, span, _VALUE_NAME)), shape


def _side(content: mmap.mmap, span: Span) -> int:
    for number, kind, start, _ in _fields(content, span):
        if number == _SIDE_NUMBER and kind == _VARINT:
            return _varint(content, start)[0]
    return -1


def _text(content: mmap.mmap, span: Span | None) -> str:
    return content[slice(*span)].decode("utf-8") if span is not None else ""


def _last(content: mmap.mmap, span: Span, wanted: int) -> Span | None:
    found = None
    for number, part in _parts(content, span):
        if number == wanted:
            found = part
    return found


def _parts(content: mmap.mmap, span: Span) -> Iterator[tuple[int, Span]]:
    """The numbers and places of the fields that hold bytes."""
    for number, kind, start, end in _fields(content, span):
        if kind == _BYTES:
            yield number, (start, end)


def _fields(content: mmap.mmap, span: Span) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, first byte and end of each field; raises ValueError where there can be none."""
    at, end = span
    while at < end:
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        start, after = at, _end(content, kind, at)
        if kind == _BYTES:
            length, start = _varint(content, at)
            after = start + length
        if not number or after > end:
            raise ValueError("not a protocol buffer")
        yield number, kind, start, after
        at = after


def _end(content: mmap.mmap, kind: int, at: int) -> int:
    """Where a field of a fixed or self-ending kind ends."""
    if kind == _VARINT:
        return _varint(content, at)[1]
    if kind in (_FIXED64, _FIXED32):
        return at + (8 if kind == _FIXED64 else 4)
    if kind != _BYTES:
        raise ValueError("not a protocol buffer")
    return at


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = content[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, at + place + 1
    raise ValueError("not a protocol buffer")
