"""Parameters of a query: one table that both reads them and describes them.

Every value has one spelling: digits without a sign, no space, no exponent. What is not in the table, is given
twice or out of range, is an error and never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from serving.errors import MalformedRequest

_INTEGER = re.compile(r"[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
SHOWN_CHARACTERS = 40  # of a wrong value


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        read: its value from its text; raises MalformedRequest.
        schema: of the text's meaning, as JSON Schema 2020-12.
        default: the value where it is not given; it is required if there is none and it is not ``optional``.
    """

    name: str
    description: str
    read: Callable[[str], Any]
    schema: dict[str, Any]
    default: Any = None
    optional: bool = False

    @property
    def required(self) -> bool:
        """Whether a query without it is wrong."""
        return self.default is None and not self.optional


def whole(name: str, description: str, low: int, high: int, default: int | None = None) -> Parameter:
    """A whole number in ``low .. high``."""

    def read(text: str) -> int:
        return read_whole(name, text, low, high)

    return Parameter(name, description, read, {"type": "integer", "minimum": low, "maximum": high}, default)


def share(name: str, description: str, default: float) -> Parameter:
    """A number in (0, 1], written as a decimal."""

    def read(text: str) -> float:
        value = float(text) if _DECIMAL.fullmatch(text) else 0.0
        if not 0.0 < value <= 1.0:
            raise MalformedRequest(f"{name} must be a decimal above 0 and at most 1, got {shown(text)}.")
        return value

    return Parameter(name, description, read, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, default)


def choice(name: str, description: str, choices: Collection[str]) -> Parameter:
    """One of a few words; the first is the default."""
    words = tuple(choices)

    def read(text: str) -> str:
        if text not in words:
            raise MalformedRequest(f"{name} must be one of {', '.join(words)}, got {shown(text)}.")
        return text

    return Parameter(name, description, read, {"type": "string", "enum": list(words)}, words[0])


def text(name: str, description: str) -> Parameter:
    """Any text, or none: whether it is right depends on the model."""
    return Parameter(name, description, str, {"type": "string"}, optional=True)


def read_parameters(query: QueryParams, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values by name; None where an optional one is not given.

    Raises:
        MalformedRequest: if a value is wrong, unknown, missing, or given twice.
    """
    table = {parameter.name: parameter for parameter in parameters}
    for name in query:
        if name not in table:
            known = f"there are {', '.join(table)}" if table else "this route takes none"
            raise MalformedRequest(f"there is no parameter {shown(name)}; {known}.")
        if len(query.getlist(name)) > 1:
            raise MalformedRequest(f"{name} is given twice.")
    values = {}
    for name, parameter in table.items():
        if name not in query and parameter.required:
            raise MalformedRequest(f"{name} is missing.", parameter.description)
        values[name] = parameter.read(query[name]) if name in query else parameter.default
    return values


def read_whole(name: str, text: str, low: int, high: int) -> int:
    """A whole number from its digits.

    Raises:
        MalformedRequest: if it is none, or out of range.
    """
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise MalformedRequest(f"{name} must be a whole number in {low} .. {high}, got {shown(text)}.")
    return int(text)


def shown(text: str) -> str:
    """The start of a value, as an error quotes it."""
    return repr(text[:SHOWN_CHARACTERS])
