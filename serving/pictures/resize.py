"""A picture brought to a model's square as the training data was: the same numbers, bit for bit.

The centre square, or all of it with the border repeated; antialiased bicubic (Keys 1981, eq. 15 with a = -1/2,
widened by the ratio where the picture shrinks; Parmar et al. 2022, "On aliased resizing"), rows first, then columns,
one rounding at the end. Weights and the sums between the two passes are rounded to multiples of powers of two, so
that every sum is exact in float64 and no order of summation matters. A test compares it with what prepares the data,
which serving does not import.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Fit = Literal["crop", "pad"]

_OUTPUTS_AT_ONCE = 8
_WIDE = 16  # times as wide as high
_COLUMNS_AT_ONCE = 512  # converted to float64: the largest temporary
_ROW_UNIT, _BETWEEN_UNIT, _COLUMN_UNIT = 2.0**-43, 2.0**-16, 2.0**-27


def resized_square(picture: Pixels, side: int, fit: Fit = "crop") -> Pixels:
    """A picture made a square, and resized.

    Args:
        picture: uint8 [H, W, C]; the odd pixel of a difference is cut off, or added, right and below.
        side: of the result in pixels.
        fit: ``crop`` takes the centre square; ``pad`` all of it, the border rows or columns repeated.

    Returns:
        uint8 [side, side, C]; the picture itself if it has that size.
    """
    height, width, _ = picture.shape
    if height == width == side:
        return picture
    if fit == "crop":
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        return _resized(picture[top : top + square, left : left + square], side, 0, 0, square)
    square = max(height, width)
    top, left = -((square - height) // 2), -((square - width) // 2)
    if width > _WIDE * height:  # what is between the two passes would be larger than the picture
        return _resized(picture.swapaxes(0, 1), side, left, top, square).swapaxes(0, 1)
    return _resized(picture, side, top, left, square)


def _resized(picture: Pixels, side: int, top: int, left: int, square: int) -> Pixels:
    """A square of a picture, which begins at ``top`` and ``left``, and may reach beyond the picture's border."""
    height, width, channels = picture.shape
    rows = np.empty((side, width, channels))
    for first, outputs, inputs in _bands(height, top, square, side, _ROW_UNIT):
        for start in range(0, width, _COLUMNS_AT_ONCE):
            part = picture[first : first + inputs.shape[1], start : start + _COLUMNS_AT_ONCE].astype(np.float64)
            flat = inputs @ part.reshape(len(part), -1)
            rows[outputs, start : start + _COLUMNS_AT_ONCE] = flat.reshape(len(flat), -1, channels)
    rows = np.rint(rows / _BETWEEN_UNIT)
    result = np.empty((side, side, channels))
    for first, outputs, inputs in _bands(width, left, square, side, _COLUMN_UNIT):
        result[:, outputs] = inputs @ rows[:, first : first + inputs.shape[1]]
    rounded: Pixels = np.clip(np.rint(result * _BETWEEN_UNIT), 0.0, 255.0).astype(np.uint8)
    return rounded


def _bands(size: int, start: int, length: int, outputs: int, unit: float) -> Iterator[tuple[int, slice, Values]]:
    """Weights from ``size`` inputs to a few outputs at a time: the first input, the outputs, [outputs, inputs].

    Args:
        start: where the outputs begin, in inputs; what lies before the first or behind the last has that one's value.
        length: inputs that all outputs together are made of.
    """
    ratio = length / outputs
    widening = max(ratio, 1.0)
    for begin in range(0, outputs, _OUTPUTS_AT_ONCE):
        end = min(begin + _OUTPUTS_AT_ONCE, outputs)
        centres = start + (np.arange(begin, end) + 0.5) * ratio
        lowest = max(math.floor(centres[0] - 2.0 * widening), start)
        highest = min(math.ceil(centres[-1] + 2.0 * widening) + 1, start + length)
        positions = np.arange(lowest, highest)
        weights = _keys((positions + 0.5 - centres[:, None]) / widening)
        weights /= weights.sum(axis=1, keepdims=True)
        inside = positions.clip(0, size - 1)
        if lowest < 0 or highest > size:  # the border's input has the weights of all that repeats it
            weights = np.add.reduceat(weights, np.unique(inside, return_index=True)[1], axis=1)
        yield int(inside[0]), slice(begin, end), np.rint(weights / unit) * unit


def _keys(distance: Values) -> Values:
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
