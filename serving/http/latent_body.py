"""JSON bodies that hold latents."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import MalformedRequest
from serving.http.parameters import shown
from serving.http.query import LARGEST_INDEX, LARGEST_SEED
from serving.protocol import documents

Latents = npt.NDArray[np.float32]


def read_object(body: bytes | bytearray, names: Collection[str]) -> dict[str, Any]:
    """A JSON object of no other members than these.

    Raises:
        MalformedRequest: if it is none, or has others.
    """
    document = documents.read_object(body)
    for name in document:
        if name not in names:
            raise MalformedRequest(f"there is no member {shown(name)}; there are {', '.join(names)}.")
    return document


def read_latent(document: dict[str, Any], name: str, size: int) -> Latents:
    """One latent, float32 [Z].

    Raises:
        MalformedRequest: if it is missing, of another size, or not finite in float32.
    """
    values = document.get(name)
    if not isinstance(values, list) or len(values) != size:
        raise MalformedRequest(f"{name} must be a list of {size} numbers.")
    # numpy would take True for 1 and "1" for 1.
    if not set(map(type, values)) <= {int, float}:
        raise MalformedRequest(f"{name} must hold numbers only.")
    with np.errstate(over="ignore"):
        latent = np.array(values, dtype=np.float64).astype(np.float32)
    if not np.isfinite(latent).all():
        raise MalformedRequest(f"{name} holds a number beyond float32.")
    return latent


def read_place(document: dict[str, Any]) -> tuple[int, int]:
    """``seed`` and ``index``, each 0 if it is not given.

    Raises:
        MalformedRequest: if one is not a whole number in range.
    """
    found = []
    for name, high in (("seed", LARGEST_SEED), ("index", LARGEST_INDEX)):
        value = document.get(name, 0)
        if type(value) is not int or not 0 <= value <= high:
            raise MalformedRequest(f"{name} must be a whole number in 0 .. {high}.")
        found.append(value)
    return found[0], found[1]
