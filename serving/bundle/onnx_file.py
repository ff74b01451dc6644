"""Whether an ONNX file points at other files, found without the onnx package.

A tensor with external data names a path that a runtime would open: one from a registry could read any file
of this machine. The walk below follows the few fields of ``onnx.proto`` that lead to tensors, by their
numbers, over the protobuf wire format.
"""

from __future__ import annotations

from collections.abc import Iterator

from serving.errors import BundleError

# message -> field number -> message that this field holds
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of TensorProto


def has_external_data(content: bytes) -> bool:
    """Whether any tensor of a serialized ``ModelProto`` lies outside the file.

    Raises:
        BundleError: if the bytes are not protobuf.
    """
    try:
        return _points_outside(memoryview(content), "model")
    except (IndexError, ValueError, RecursionError) as error:
        raise BundleError("the bytes are not an ONNX model.", "Export the bundle again.") from error


def _points_outside(message: memoryview, kind: str) -> bool:
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1):
                return True
            continue
        child = _CHILDREN[kind].get(number)
        if child and isinstance(value, memoryview) and _points_outside(value, child):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key >> 32:
            raise ValueError("key too long")  # protobuf in C++ would drop what is too much, and find a field there
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _varint(message, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + size > len(message):
            raise ValueError("truncated")
        yield number, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
