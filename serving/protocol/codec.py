"""Requests and answers of the Open Inference Protocol v2: bytes to arrays and back. It knows no model.

Tensors stand in the JSON, or, by the binary tensor extension, after it: little-endian, row by row, in the order of the
entries that give a ``binary_data_size``. A header of length 0 makes the whole body one tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from serving.bundle.signature import Tensor
from serving.errors import MalformedRequest
from serving.protocol.datatypes import DATATYPES, MAX_AXES, NAMES, check_shape
from serving.protocol.documents import Document, entries, flag_of, name_of, parameters_of, read_object

Array = npt.NDArray[Any]
Body = bytes | bytearray


@dataclass(frozen=True)
class InferenceRequest:
    """A decoded request.

    Attributes:
        outputs: names that are wanted, each with whether it is to be binary; empty if all are wanted.
        all_binary: of outputs that are not named.
    """

    id: str
    inputs: dict[str, Array]
    outputs: dict[str, bool]
    all_binary: bool = False


@dataclass(frozen=True)
class Encoded:
    """An answer's body; ``header_length`` counts the JSON where tensors follow it."""

    body: bytes
    header_length: int | None


def decode_request(body: Body, header_length: int | None = None) -> InferenceRequest:
    """A request from its bytes; data in the JSON may be flat or nested.

    Args:
        body: the JSON, and what follows it.
        header_length: how much of it is JSON, at least 1; all if none.

    Raises:
        MalformedRequest: if it breaks the protocol, naming the place.
    """
    if header_length is None:
        document, rest = read_object(body), memoryview(b"")
    else:
        if not 1 <= header_length <= len(body):
            raise MalformedRequest(f"inference-header-content-length must be 0 .. {len(body)}, got {header_length}.")
        view = memoryview(body)
        document, rest = read_object(view[:header_length]), view[header_length:]
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise MalformedRequest("id must be a string.")
    all_binary = flag_of(parameters_of(document, "the request"), "binary_data_output", False, "the request")
    inputs: dict[str, Array] = {}
    taken = 0
    for position, entry in enumerate(entries(document, "inputs")):
        name = name_of(entry, f"inputs[{position}]", inputs)
        where = f"input {name!r}"
        size = parameters_of(entry, where).get("binary_data_size")
        if size is None:
            inputs[name] = _from_json(entry, where)
        else:
            inputs[name] = _from_binary(entry, where, size, rest[taken:])
            taken += size
    if not inputs:
        raise MalformedRequest("inputs must be a list of at least one tensor.")
    if taken != len(rest):
        raise MalformedRequest(f"{len(rest)} bytes follow the JSON, the inputs take {taken}.")
    outputs: dict[str, bool] = {}
    for position, entry in enumerate(entries(document, "outputs")):
        name = name_of(entry, f"outputs[{position}]", outputs)
        where = f"output {name!r}"
        outputs[name] = flag_of(parameters_of(entry, where), "binary_data", all_binary, where)
    return InferenceRequest(request_id, inputs, outputs, all_binary)


def decode_raw(body: Body, tensors: tuple[Tensor, ...]) -> InferenceRequest:
    """A request whose whole body is the one input of a graph; its answer is binary.

    Raises:
        MalformedRequest: if the graph takes several inputs, or the bytes are no whole number of its rows.
    """
    if len(tensors) != 1:
        names = ", ".join(tensor.name for tensor in tensors)
        raise MalformedRequest(f"a body without JSON holds one tensor, this graph takes {names}.", "Send the JSON too.")
    (tensor,) = tensors
    row_bytes = prod(tensor.shape[1:]) * np.dtype(tensor.dtype).itemsize
    if not body or len(body) % row_bytes:
        raise MalformedRequest(f"a row of {tensor.name!r} has {row_bytes} bytes, the body has {len(body)}.")
    value = array_of(memoryview(body), np.dtype(tensor.dtype), [-1, *tensor.shape[1:]], f"input {tensor.name!r}")
    return InferenceRequest("", {tensor.name: value}, {}, all_binary=True)


def encode_response(
    model_name: str,
    model_version: str,
    request: InferenceRequest,
    outputs: Mapping[str, Array],
) -> Encoded:
    """The answer: JSON, and after it the tensors that were wanted in binary.

    Raises:
        MalformedRequest: if an output for the JSON is not finite, which JSON cannot carry; the inputs were extreme.
    """
    described: list[Document] = []
    binary: list[bytes] = []
    for name, value in outputs.items():
        entry: Document = {"name": name, "datatype": NAMES[value.dtype], "shape": value.shape}
        if request.outputs.get(name, request.all_binary):
            content = little_endian(value).tobytes()
            entry["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        elif value.dtype.kind == "f" and not np.isfinite(value).all():
            raise MalformedRequest(f"output {name!r} is not finite for these inputs.", "Send values of usual size.")
        else:
            entry["data"] = np.ascontiguousarray(value).reshape(-1)
        described.append(entry)
    document: Document = {"model_name": model_name, "model_version": model_version}
    if request.id:
        document["id"] = request.id
    document["outputs"] = described
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Encoded(b"".join((head, *binary)), len(head)) if binary else Encoded(head, None)


def little_endian(value: Array) -> Array:
    """The same values in the wire's order of bytes."""
    return value if sys.byteorder == "little" else value.astype(value.dtype.newbyteorder("<"))


def _datatype(entry: Document, where: str) -> np.dtype[Any]:
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise MalformedRequest(f"{where}: datatype must be one of {', '.join(DATATYPES)}.")
    return DATATYPES[datatype]


def _from_binary(entry: Document, where: str, size: object, rest: memoryview) -> Array:
    dtype, shape = _datatype(entry, where), check_shape(entry.get("shape"), where)
    if "data" in entry:
        raise MalformedRequest(f"{where}: data stands in the JSON or after it, not in both.")
    if type(size) is not int or size != prod(shape) * dtype.itemsize:
        raise MalformedRequest(
            f"{where}: shape {shape} of {NAMES[dtype]} has {prod(shape) * dtype.itemsize} bytes, "
            f"binary_data_size says {str(size)[:40]}."
        )
    if size > len(rest):
        raise MalformedRequest(f"{where}: {size} bytes are announced, {len(rest)} are left after the JSON.")
    return array_of(rest[:size], dtype, shape, where)


def array_of(content: memoryview, dtype: np.dtype[Any], shape: list[int], where: str) -> Array:
    """Little-endian bytes, of the right number, as an array of their own.

    Raises:
        MalformedRequest: if a BOOL is neither 0 nor 1, or a number is not finite.
    """
    if dtype.kind == "b":
        bits = np.frombuffer(content, dtype=np.uint8).reshape(shape)
        if bits.max() > 1:
            raise MalformedRequest(f"{where}: a BOOL is a byte of 0 or 1.")
        return bits.astype(np.bool_)
    # A copy: what follows the JSON is not aligned, and the body is let go sooner.
    array = np.frombuffer(content, dtype=dtype.newbyteorder("<")).reshape(shape).astype(dtype)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise MalformedRequest(f"{where}: a value is not finite.")
    return array


def _from_json(entry: Document, where: str) -> Array:
    dtype, shape = _datatype(entry, where), check_shape(entry.get("shape"), where)
    data = entry.get("data")
    if not isinstance(data, list):
        raise MalformedRequest(f"{where}: data must be a list.")
    flat, sizes = _flatten(data, where)
    if len(flat) != prod(shape):
        raise MalformedRequest(f"{where}: shape {shape} needs {prod(shape)} values, data has {len(flat)}.")
    if len(sizes) > 1 and sizes != shape:
        raise MalformedRequest(f"{where}: data is nested as {sizes}, shape is {shape}.")
    return _array(flat, dtype, where).reshape(shape)


def _flatten(data: list[Any], where: str) -> tuple[list[Any], list[int]]:
    """Values in order, and the sizes of the nested lists; one axis if the data is flat."""
    sizes = [len(data)]
    while data and type(data[0]) is list:
        size = len(data[0])
        if len(sizes) == MAX_AXES or any(type(part) is not list or len(part) != size for part in data):
            raise MalformedRequest(f"{where}: data must be flat, or nested evenly in at most {MAX_AXES} levels.")
        data = list(chain.from_iterable(data))
        sizes.append(size)
    return data, sizes


def _array(values: list[Any], dtype: np.dtype[Any], where: str) -> Array:
    # numpy would take True for 1, "1" for 1 and null for NaN: JSON's own types decide.
    by_kind: dict[str, set[type]] = {"b": {bool}, "f": {int, float}}
    allowed = by_kind.get(dtype.kind, {int})
    if not set(map(type, values)) <= allowed:
        kind = {"b": "true or false", "f": "numbers"}.get(dtype.kind, "whole numbers")
        raise MalformedRequest(f"{where}: data must hold {kind} only.")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise MalformedRequest(f"{where}: a value is out of the range of {NAMES[dtype]}.") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise MalformedRequest(f"{where}: a value is out of the range of {NAMES[dtype]}.")
    return array
