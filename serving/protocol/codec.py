"""Requests and answers of the Open Inference Protocol v2: bytes to arrays and back. It knows no model.

Tensors stand in the JSON, or, by the binary tensor extension, after it: little-endian, row by row, in the order of the
entries that give a ``binary_data_size``. A header of length 0 makes the whole body one tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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

_ELSEWHERE = np.empty(0)  # in the place of a tensor that follows the JSON


@dataclass(frozen=True)
class InferenceRequest:
    """A decoded request.

    Attributes:
        outputs: names that are wanted, each with whether it is to be binary; empty if all are wanted.
        all_binary: of outputs that are not named.
    """

    id: str
    inputs: dict[str, Array]
    outputs: Mapping[str, bool]
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
        plan, rest = _plan(read_object(body)), memoryview(b"")
    else:
        if not 1 <= header_length <= len(body):
            raise MalformedRequest(f"inference-header-content-length must be 0 .. {len(body)}, got {header_length}.")
        view = memoryview(body)
        head, rest = view[:header_length], view[header_length:]
        # A client's requests mostly differ in what follows the JSON, not in the JSON.
        plan = _known_plan(bytes(head)) if header_length <= _KNOWN_BYTES else _plan(read_object(head))
    inputs = dict(plan.inputs)
    taken = 0
    for name, dtype, shape, size in plan.binary:
        where = f"input {name!r}"
        if size > len(rest) - taken:
            raise MalformedRequest(f"{where}: {size} bytes are announced, {len(rest) - taken} are left after the JSON.")
        inputs[name] = array_of(rest[taken : taken + size], dtype, shape, where)
        taken += size
    if taken != len(rest):
        raise MalformedRequest(f"{len(rest)} bytes follow the JSON, the inputs take {taken}.")
    return InferenceRequest(plan.id, inputs, plan.outputs, plan.all_binary)


@dataclass(frozen=True)
class _Plan:
    """What the JSON of a request says.

    Attributes:
        inputs: those whose data stands in it; empty arrays in the places of the others.
        binary: name, type, shape and bytes of those that follow it, in order.
    """

    id: str
    inputs: Mapping[str, Array]
    binary: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int], ...]
    outputs: Mapping[str, bool]
    all_binary: bool


_KNOWN_BYTES = 1 << 10


@lru_cache(maxsize=256)
def _known_plan(head: bytes) -> _Plan:
    return _plan(read_object(head))


def _plan(document: Document) -> _Plan:
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise MalformedRequest("id must be a string.")
    all_binary = flag_of(parameters_of(document, "the request"), "binary_data_output", False, "the request")
    inputs: dict[str, Array] = {}
    binary = []
    for position, entry in enumerate(entries(document, "inputs")):
        name = name_of(entry, f"inputs[{position}]", inputs)
        where = f"input {name!r}"
        size = parameters_of(entry, where).get("binary_data_size")
        if size is None:
            inputs[name] = _from_json(entry, where)
            inputs[name].flags.writeable = False  # the same arrays may serve another request
        else:
            inputs[name] = _ELSEWHERE
            binary.append((name, *_after_the_json(entry, where, size)))
    if not inputs:
        raise MalformedRequest("inputs must be a list of at least one tensor.")
    outputs: dict[str, bool] = {}
    for position, entry in enumerate(entries(document, "outputs")):
        name = name_of(entry, f"outputs[{position}]", outputs)
        where = f"output {name!r}"
        outputs[name] = flag_of(parameters_of(entry, where), "binary_data", all_binary, where)
    return _Plan(request_id, inputs, tuple(binary), outputs, all_binary)


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


def _after_the_json(entry: Document, where: str, size: object) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    dtype, shape = _datatype(entry, where), check_shape(entry.get("shape"), where)
    if "data" in entry:
        raise MalformedRequest(f"{where}: data stands in the JSON or after it, not in both.")
    if type(size) is not int or size != prod(shape) * dtype.itemsize:
        raise MalformedRequest(
            f"{where}: shape {shape} of {NAMES[dtype]} has {prod(shape) * dtype.itemsize} bytes, "
            f"binary_data_size says {str(size)[:40]}."
        )
    return dtype, tuple(shape), size


def array_of(content: memoryview, dtype: np.dtype[Any], shape: Sequence[int], where: str) -> Array:
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
