"""A picture brought to a model's square as the training data was: the same numbers, bit for bit.

Centre square, antialiased bicubic (Keys 1981, eq. 15 with a = -1/2, widened by the ratio where the picture shrinks;
Parmar et al. 2022, "On aliased resizing"), rows first, then columns, one rounding at the end. Weights and the sums
between the two passes are rounded to multiples of powers of two, so that every sum is exact in float64 and no order
of summation matters. A test compares it with what prepares the data, which serving does not import.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

_OUTPUTS_AT_ONCE = 8
_COLUMNS_AT_ONCE = 512  # converted to float64: the largest temporary
_ROW_UNIT, _BETWEEN_UNIT, _COLUMN_UNIT = 2.0**-43, 2.0**-16, 2.0**-27


def centre_square(picture: Pixels, side: int) -> Pixels:
    """The centre square of a picture, resized.

    Args:
        picture: uint8 [H, W, C]; what is left over by an odd difference is cut off right and below.
        side: of the result in pixels.

    Returns:
        uint8 [side, side, C]; the picture itself if it has that size.
    """
    height, width, channels = picture.shape
    if height == width == side:
        return picture
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    picture = picture[top : top + square, left : left + square]
    rows = np.empty((side, square, channels))
    for first, outputs, inputs in _bands(square, side, _ROW_UNIT):
        for start in range(0, square, _COLUMNS_AT_ONCE):
            part = picture[first : first + inputs.shape[1], start : start + _COLUMNS_AT_ONCE].astype(np.float64)
            flat = inputs @ part.reshape(len(part), -1)
            rows[outputs, start : start + _COLUMNS_AT_ONCE] = flat.reshape(len(flat), -1, channels)
    rows = np.rint(rows / _BETWEEN_UNIT)
    result = np.empty((side, side, channels))
    for first, outputs, inputs in _bands(square, side, _COLUMN_UNIT):
        result[:, outputs] = inputs @ rows[:, first : first + inputs.shape[1]]
    rounded: Pixels = np.clip(np.rint(result * _BETWEEN_UNIT), 0.0, 255.0).astype(np.uint8)
    return rounded


def _bands(size: int, outputs: int, unit: float) -> Iterator[tuple[int, slice, Values]]:
    """Weights from ``size`` inputs to a few outputs at a time: the first input, the outputs, [outputs, inputs]."""
    ratio = size / outputs
    widening = max(ratio, 1.0)
    for start in range(0, outputs, _OUTPUTS_AT_ONCE):
        end = min(start + _OUTPUTS_AT_ONCE, outputs)
        centres = (np.arange(start, end) + 0.5) * ratio
        lowest = max(math.floor(centres[0] - 2.0 * widening), 0)
        highest = min(math.ceil(centres[-1] + 2.0 * widening) + 1, size)
        weights = _keys((np.arange(lowest, highest) + 0.5 - centres[:, None]) / widening)
        weights /= weights.sum(axis=1, keepdims=True)
        yield lowest, slice(start, end), np.rint(weights / unit) * unit


def _keys(distance: Values) -> Values:
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
