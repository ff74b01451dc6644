"""Bringing a picture upright, as the eight orientations of EXIF say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside

# (swap rows and columns, then flip the rows, then flip the columns)
STEPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height after turning."""
    return (height, width) if STEPS[orientation][0] else (width, height)


def stored_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """Where a box of the upright picture lies in the stored one; width and height are the upright picture's."""
    swap, flip_rows, flip_columns = STEPS[orientation]
    left, top, right, bottom = box
    if flip_rows:
        top, bottom = height - bottom, height - top
    if flip_columns:
        left, right = width - right, width - left
    return (top, left, bottom, right) if swap else (left, top, right, bottom)


def turned(picture: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A view of [H, W, ...] the right way up."""
    swap, flip_rows, flip_columns = STEPS[orientation]
    if swap:
        picture = np.swapaxes(picture, 0, 1)
    return picture[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
