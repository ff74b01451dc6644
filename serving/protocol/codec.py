"""JSON of the Open Inference Protocol v2: bytes to arrays and back. It knows no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from serving.bundle.signature import Signature, Tensor
from serving.errors import MalformedRequest

Array = npt.NDArray[Any]

DATATYPES = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("uint8"),
    "INT32": np.dtype("int32"),
    "INT64": np.dtype("int64"),
    "FP32": np.dtype("float32"),
    "FP64": np.dtype("float64"),
}
_NAMES = {dtype.name: name for name, dtype in DATATYPES.items()}
_MAX_AXES = 8


@dataclass(frozen=True)
class InferenceRequest:
    """A decoded request; ``outputs`` is empty if all are wanted."""

    id: str
    inputs: dict[str, Array]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class IndexQuery:
    """A decoded request for the repository's index."""

    ready_only: bool


def describe_model(name: str, version: str, signature: Signature) -> dict[str, Any]:
    """A model's metadata.

    The protocol knows one graph a model; all graphs' tensors stand together there, and apart under
    ``parameters``.
    """
    graphs = {
        graph_name: {"inputs": _describe(graph.inputs), "outputs": _describe(graph.outputs)}
        for graph_name, graph in signature.graphs.items()
    }
    together: dict[str, dict[str, dict[str, Any]]] = {"inputs": {}, "outputs": {}}
    for graph in graphs.values():
        for side, tensors in graph.items():
            together[side] |= {tensor["name"]: tensor for tensor in tensors}
    return {
        "name": name,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        **{side: list(tensors.values()) for side, tensors in together.items()},
        "parameters": {
            "graphs": graphs,
            "family": signature.family,
            "class_names": list(signature.class_names),
            "latent_algorithm": signature.latent.algorithm,
        },
    }


def _describe(tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "datatype": _NAMES[t.dtype], "shape": list(t.shape)} for t in tensors]


def decode_index_query(body: bytes | bytearray) -> IndexQuery:
    """A request for the index; an empty body asks for everything.

    Raises:
        MalformedRequest: if it is not what the protocol says.
    """
    document = _object(body) if body.strip() else {}
    ready = document.get("ready", False)
    if not isinstance(ready, bool):
        raise MalformedRequest("ready must be true or false.")
    return IndexQuery(ready)


def decode_request(body: bytes | bytearray) -> InferenceRequest:
    """A request from its JSON; data may be flat or nested.

    Raises:
        MalformedRequest: if it breaks the protocol, naming the place.
    """
    document = _object(body)
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise MalformedRequest("id must be a string.")
    _parameters(document, "the request")
    inputs: dict[str, Array] = {}
    for position, entry in enumerate(_entries(document, "inputs")):
        name = _name(entry, f"inputs[{position}]", inputs)
        inputs[name] = _decode_tensor(entry, f"input {name!r}")
    if not inputs:
        raise MalformedRequest("inputs must be a list of at least one tensor.")
    outputs: dict[str, None] = {}
    for position, entry in enumerate(_entries(document, "outputs")):
        outputs[_name(entry, f"outputs[{position}]", outputs)] = None
        _parameters(entry, f"outputs[{position}]")
    return InferenceRequest(request_id, inputs, tuple(outputs))


def encode_response(model_name: str, model_version: str, request_id: str, outputs: Mapping[str, Array]) -> bytes:
    """The answer as JSON with flat data.

    Raises:
        MalformedRequest: if an output is not finite, which JSON cannot carry; the inputs were extreme.
    """
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise MalformedRequest(f"output {name!r} is not finite for these inputs.", "Send values of usual size.")
    document: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if request_id:
        document["id"] = request_id
    document["outputs"] = [
        {
            "name": name,
            "datatype": _NAMES[value.dtype.name],
            "shape": list(value.shape),
            "data": np.ascontiguousarray(value).reshape(-1),
        }
        for name, value in outputs.items()
    ]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise MalformedRequest("the body must be a JSON object.")
    return document


def _entries(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MalformedRequest(f"{key} must be a list of objects.")
    return entries


def _name(entry: dict[str, Any], where: str, taken: Mapping[str, object]) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise MalformedRequest(f"{where}.name must be a string.")
    if name in taken:
        raise MalformedRequest(f"{where}.name {name!r} is given twice.")
    return name


def _parameters(entry: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise MalformedRequest(f"parameters of {where} must be an object.")
    return parameters


def _decode_tensor(entry: dict[str, Any], where: str) -> Array:
    if "binary_data_size" in _parameters(entry, where):
        raise MalformedRequest(f"{where}: this server takes no binary tensors.", "Send `data` in the JSON.")
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise MalformedRequest(f"{where}: datatype must be one of {', '.join(DATATYPES)}.")
    shape = entry.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MAX_AXES
        # A size of 0 would let every other size be anything, also one that no array can have.
        or not all(type(size) is int and size >= 1 for size in shape)
    ):
        raise MalformedRequest(f"{where}: shape must be a list of 1 to {_MAX_AXES} sizes of at least 1.")
    data = entry.get("data")
    if not isinstance(data, list):
        raise MalformedRequest(f"{where}: data must be a list.")
    flat, sizes = _flatten(data, where)
    if len(flat) != prod(shape):
        raise MalformedRequest(f"{where}: shape {shape} needs {prod(shape)} values, data has {len(flat)}.")
    if len(sizes) > 1 and sizes != shape:
        raise MalformedRequest(f"{where}: data is nested as {sizes}, shape is {shape}.")
    return _array(flat, DATATYPES[datatype], where).reshape(shape)


def _flatten(data: list[Any], where: str) -> tuple[list[Any], list[int]]:
    """Values in order, and the sizes of the nested lists; one axis if the data is flat."""
    sizes = [len(data)]
    while data and type(data[0]) is list:
        size = len(data[0])
        if len(sizes) == _MAX_AXES or any(type(part) is not list or len(part) != size for part in data):
            raise MalformedRequest(f"{where}: data must be flat, or nested evenly in at most {_MAX_AXES} levels.")
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
        raise MalformedRequest(f"{where}: a value is out of the range of {_NAMES[dtype.name]}.") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise MalformedRequest(f"{where}: a value is out of the range of {_NAMES[dtype.name]}.")
    return array
