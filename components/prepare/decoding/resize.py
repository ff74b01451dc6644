"""Antialiased resizing with one rounding at the end, as Parmar et al. 2022 ("On aliased resizing") ask for.

Two products with the matrices of ``weights.py``: rows first, then columns, both exact in float64, so that the result is
the same bits on every machine, BLAS and number of threads:

- The first sum is of 8-bit integers times multiples of 2**-43: at most 9 + 43 bits. It is then rounded to a multiple
  of 2**-16, which moves the result by at most 2**-17 * 1.25, far below an eighth bit's half.
- The second sum is of multiples of 2**-16 below 2**9 times multiples of 2**-27: at most 9 + 16 + 27 = 52 bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from components.prepare.decoding.framing import Box, Window, covered, relative
from components.prepare.decoding.picture import Pixels
from components.prepare.decoding.weights import bands

Fit = Literal["crop", "pad"]

INTERMEDIATE_STEPS = 2.0**16
FIRST_UNIT = 2.0**-43
VALUES_AT_ONCE = 2**21  # converted to float64; most pictures are smaller
WIDE = 16  # times as wide as high
SECOND_UNIT = 2.0**-27


def square_window(width: int, height: int, fit: Fit) -> Box:
    """The square of a picture that is shown: its centre, or around all of it. The odd pixel goes right and below."""
    side = min(width, height) if fit == "crop" else max(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    if fit == "pad":
        left, top = -((side - width) // 2), -((side - height) // 2)
    return left, top, left + side, top + side


def to_square(picture: Pixels, pixels: int, window: Window) -> Pixels:
    """A square part of a picture brought to one size.

    Where the window is larger than the picture, the border rows or columns are repeated: equal to making that larger
    picture and resizing it, without its ever being made.

    Args:
        picture: uint8 [H, W, C], of any strides.
        pixels: side of the result.
        window: left, top, right and bottom of the part in pixels, which need not be whole.

    Returns:
        uint8 [C, pixels, pixels], contiguous.
    """
    height, width, channels = picture.shape
    left, top, right, bottom = window
    if height == width == pixels and list(window) == [0, 0, pixels, pixels]:
        return np.ascontiguousarray(picture.transpose(2, 0, 1))
    if width > WIDE * height:  # what is between the two products would be larger than the picture
        swapped = to_square(picture.swapaxes(0, 1), pixels, (top, left, bottom, right))
        return np.ascontiguousarray(swapped.transpose(0, 2, 1))
    rows = np.empty((pixels, width * channels))
    for band in bands(height, top, bottom - top, pixels, FIRST_UNIT):
        used = picture[band.first_input : band.last_input]
        step = max(VALUES_AT_ONCE // (len(used) * channels), 1)
        for start in range(0, width, step):
            values = used[:, start : start + step].astype(np.float64, order="C").reshape(len(used), -1)
            np.matmul(band.weights, values, out=rows[band.first : band.last, start * channels :][:, : values.shape[1]])
    rows *= INTERMEDIATE_STEPS
    np.rint(rows, out=rows)
    columns = rows.reshape(pixels, width, channels).transpose(1, 2, 0).reshape(width, channels * pixels)
    result = np.empty((pixels, channels * pixels))
    for band in bands(width, left, right - left, pixels, SECOND_UNIT):
        used = columns[band.first_input : band.last_input]
        np.matmul(band.weights, used, out=result[band.first : band.last])
    result *= 1.0 / INTERMEDIATE_STEPS
    np.rint(result, out=result)
    np.clip(result, 0.0, 255.0, out=result)
    return np.ascontiguousarray(result.astype(np.uint8).reshape(pixels, channels, pixels).transpose(1, 2, 0))


def resize_square(picture: Pixels, pixels: int, fit: Fit = "crop") -> Pixels:
    """Make a square, resize it by an antialiased bicubic filter, round once.

    Args:
        picture: uint8 [C, H, W].
        pixels: side of the result.
        fit: ``crop`` takes the centre square, ``pad`` repeats the border rows or columns until it is square.

    Returns:
        uint8 [C, pixels, pixels], contiguous.
    """
    _, height, width = picture.shape
    window = square_window(width, height, fit)
    left, top, right, bottom = covered(window, width, height)
    part = picture[:, top:bottom, left:right].transpose(1, 2, 0)
    return to_square(part, pixels, relative(window, left, top))
