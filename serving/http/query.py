"""The query of the images route."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import QueryParams

from serving.bundle.signature import Signature
from serving.errors import MalformedRequest
from serving.pictures.files import FORMATS, LAYOUTS, Format, Layout

_NAMES = ("n", "seed", "label", "format", "layout")
_DEFAULT_COUNT = 16
_INTEGER = re.compile(r"[0-9]{1,20}")
ChoiceT = TypeVar("ChoiceT", bound=str)


@dataclass(frozen=True)
class ImagesQuery:
    """Which samples are wanted, and how."""

    count: int
    seed: int
    label: int | None
    format: Format
    layout: Layout


def read_images_query(query: QueryParams, signature: Signature, max_images: int) -> ImagesQuery:
    """A query for samples of a model.

    Raises:
        MalformedRequest: if a value is out of range, unknown, or given twice.
    """
    for name in query:
        if name not in _NAMES:
            raise MalformedRequest(f"there is no parameter {name!r}; there are {', '.join(_NAMES)}.")
        if len(query.getlist(name)) > 1:
            raise MalformedRequest(f"{name} is given twice.")
    return ImagesQuery(
        count=_integer("n", query.get("n", str(min(_DEFAULT_COUNT, max_images))), 1, max_images),
        seed=_integer("seed", query.get("seed", "0"), 0, 2**64 - 1),
        label=_label(query["label"], signature) if "label" in query else None,
        format=_choice("format", query.get("format", "png"), FORMATS),
        layout=_choice("layout", query.get("layout", "grid"), LAYOUTS),
    )


def _integer(name: str, text: str, low: int, high: int) -> int:
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise MalformedRequest(f"{name} must be a whole number in {low} .. {high}, got {text[:40]!r}.")
    return int(text)


def _label(text: str, signature: Signature) -> int:
    """A class by its name or its number."""
    if not signature.conditional:
        raise MalformedRequest("this model is unconditional: it takes no label.")
    if text in signature.class_names:
        return signature.class_names.index(text)
    return _integer("label", text, 0, len(signature.class_names) - 1)


def _choice(name: str, text: str, choices: Collection[ChoiceT]) -> ChoiceT:
    for choice in choices:
        if choice == text:
            return choice
    raise MalformedRequest(f"{name} must be one of {', '.join(choices)}, got {text[:40]!r}.")
