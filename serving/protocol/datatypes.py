"""The protocol's names of datatypes, and numpy's."""

from __future__ import annotations

import numpy as np

from serving.errors import MalformedRequest

DATATYPES = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("uint8"),
    "INT32": np.dtype("int32"),
    "INT64": np.dtype("int64"),
    "FP32": np.dtype("float32"),
    "FP64": np.dtype("float64"),
}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}
MAX_AXES = 8


def check_shape(shape: object, where: str) -> list[int]:
    """A tensor's shape as the protocol allows it here.

    Raises:
        MalformedRequest: if it is none.
    """
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MAX_AXES
        # A size of 0 would let every other size be anything, also one that no array can have.
        or not all(type(size) is int and size >= 1 for size in shape)
    ):
        raise MalformedRequest(f"{where}: shape must be a list of 1 to {MAX_AXES} sizes of at least 1.")
    return shape
