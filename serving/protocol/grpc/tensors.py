"""Messages to arrays and back. It knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import MalformedRequest
from serving.protocol.codec import InferenceRequest, array_of, little_endian
from serving.protocol.datatypes import DATATYPES, NAMES, check_shape
from serving.protocol.grpc.messages import Message, ModelInferResponse

Array = npt.NDArray[Any]

_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def is_raw(request: Message) -> bool:
    """Whether the tensors come as bytes; the answer's go as they came."""
    return len(request.raw_input_contents) > 0


def decode_request(request: Message) -> InferenceRequest:
    """A request from its message.

    Raises:
        MalformedRequest: if it breaks the protocol, naming the place.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise MalformedRequest(
            f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs.", "Give one for each."
        )
    inputs: dict[str, Array] = {}
    for position, tensor in enumerate(request.inputs):
        _check_name(tensor.name, f"inputs[{position}]", inputs)
        content = raw[position] if raw else None
        inputs[tensor.name] = _decode_tensor(tensor, content, f"input {tensor.name!r}")
    if not inputs:
        raise MalformedRequest("inputs must be a list of at least one tensor.")
    outputs: dict[str, bool] = {}
    for position, wanted in enumerate(request.outputs):
        _check_name(wanted.name, f"outputs[{position}]", outputs)
        outputs[wanted.name] = bool(raw)
    return InferenceRequest(request.id, inputs, outputs, bool(raw))


def encode_response(
    model_name: str, model_version: str, request_id: str, outputs: Mapping[str, Array], *, raw: bool
) -> Message:
    """The answer, with its tensors as bytes (``raw``) or as typed contents."""
    response = ModelInferResponse(model_name=model_name, model_version=model_version, id=request_id)
    for name, value in outputs.items():
        datatype = NAMES[value.dtype]
        tensor = response.outputs.add(name=name, datatype=datatype, shape=value.shape)
        if raw:
            response.raw_output_contents.append(little_endian(value).tobytes())
        else:
            getattr(tensor.contents, _CONTENTS[datatype]).extend(value.reshape(-1).tolist())
    return response


def _check_name(name: str, where: str, taken: Mapping[str, object]) -> None:
    if not name:
        raise MalformedRequest(f"{where}.name must be a string.")
    if name in taken:
        raise MalformedRequest(f"{where}.name {name!r} is given twice.")


def _decode_tensor(tensor: Message, content: bytes | None, where: str) -> Array:
    if tensor.datatype not in DATATYPES:
        raise MalformedRequest(f"{where}: datatype must be one of {', '.join(DATATYPES)}.")
    shape = check_shape(list(tensor.shape), where)
    given = [field.name for field, _ in tensor.contents.ListFields()]
    dtype = DATATYPES[tensor.datatype]
    if content is None:
        return _typed(tensor, given, dtype, shape, where)
    if given:
        raise MalformedRequest(f"{where}: it has contents beside raw_input_contents.", "Give one of them.")
    size = prod(shape) * dtype.itemsize
    if len(content) != size:
        raise MalformedRequest(
            f"{where}: {tensor.datatype} {shape} has {size} bytes, raw_input_contents has {len(content)}."
        )
    return array_of(memoryview(content), dtype, shape, where)


def _typed(tensor: Message, given: Sequence[str], dtype: np.dtype[Any], shape: list[int], where: str) -> Array:
    field = _CONTENTS[tensor.datatype]
    if any(name != field for name in given):
        raise MalformedRequest(f"{where}: data of {tensor.datatype} stands in contents.{field} alone.")
    values = getattr(tensor.contents, field)
    if len(values) != prod(shape):
        raise MalformedRequest(f"{where}: shape {shape} needs {prod(shape)} values, contents has {len(values)}.")
    try:
        array = np.array(values, dtype=dtype).reshape(shape)
    except OverflowError as error:
        raise MalformedRequest(f"{where}: a value is out of the range of {tensor.datatype}.") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise MalformedRequest(f"{where}: a value is not finite.")
    return array
