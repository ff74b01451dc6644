"""Boxes in pictures, and bringing pictures upright, as the eight orientations of EXIF say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# Left, top, right, bottom, in pixels from the corner; the last two are outside. A window may lie partly outside of its
# picture and between pixels.
Box = tuple[int, int, int, int]
Window = tuple[float, float, float, float]

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


def stored_window(window: Window, width: int, height: int, orientation: int) -> Window:
    """Where a window of the upright picture lies in the stored one; width and height are the upright picture's."""
    swap, flip_rows, flip_columns = STEPS[orientation]
    left, top, right, bottom = window
    if flip_rows:
        top, bottom = height - bottom, height - top
    if flip_columns:
        left, right = width - right, width - left
    return (top, left, bottom, right) if swap else (left, top, right, bottom)


def upright_window(window: Window, width: int, height: int, orientation: int) -> Window:
    """Where a window of the stored picture lies in the upright one; width and height are the stored picture's."""
    swap, flip_rows, flip_columns = STEPS[orientation]
    left, top, right, bottom = window
    if swap:
        left, top, right, bottom = top, left, bottom, right
        width, height = height, width
    if flip_rows:
        top, bottom = height - bottom, height - top
    if flip_columns:
        left, right = width - right, width - left
    return left, top, right, bottom


def covered(window: Window, width: int, height: int) -> Box:
    """The whole pixels of a picture that a window touches."""
    left, top, right, bottom = window
    return (
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), width),
        min(math.ceil(bottom), height),
    )


def relative(window: Window, left: int, top: int) -> Window:
    """The same window, measured from another corner."""
    return window[0] - left, window[1] - top, window[2] - left, window[3] - top


def turned(picture: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A view of [H, W, ...] the right way up."""
    swap, flip_rows, flip_columns = STEPS[orientation]
    if swap:
        picture = np.swapaxes(picture, 0, 1)
    return picture[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
