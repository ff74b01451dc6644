"""JSON documents of the protocol, field by field, each refused by its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from serving.errors import MalformedRequest

Document = dict[str, Any]


def read_object(body: bytes | bytearray | memoryview) -> Document:
    """A JSON object.

    Raises:
        MalformedRequest: if the bytes are none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise MalformedRequest("the body must be a JSON object.")
    return document


def entries(document: Document, key: str) -> list[Document]:
    """The objects of a list, empty if there is none.

    Raises:
        MalformedRequest: if it is no list of objects.
    """
    found = document.get(key, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MalformedRequest(f"{key} must be a list of objects.")
    return found


def name_of(entry: Document, where: str, taken: Mapping[str, object]) -> str:
    """A name that was not given before.

    Raises:
        MalformedRequest: if it is no string, empty, or taken.
    """
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise MalformedRequest(f"{where}.name must be a string.")
    if name in taken:
        raise MalformedRequest(f"{where}.name {name!r} is given twice.")
    return name


def parameters_of(entry: Document, where: str) -> Document:
    """The parameters, empty if there are none.

    Raises:
        MalformedRequest: if they are no object, or ask for what this server never does.
    """
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise MalformedRequest(f"parameters of {where} must be an object.")
    for name in parameters:
        if name.startswith("shared_memory"):
            raise MalformedRequest(f"parameters of {where}: this server reads no memory but its own.")
        if name == "classification":
            raise MalformedRequest(f"parameters of {where}: this server's models classify nothing.")
    return parameters


def flag_of(parameters: Document, name: str, default: bool, where: str) -> bool:
    """A parameter that is true or false.

    Raises:
        MalformedRequest: if it is neither.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise MalformedRequest(f"{name} of {where} must be true or false.")
    return value
