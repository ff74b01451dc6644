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
import numpy.typing as npt

from components.prepare.decoding.picture import Pixels
from components.prepare.decoding.weights import Band, bands

Fit = Literal["crop", "pad"]

INTERMEDIATE_STEPS = 2.0**16
FIRST_UNIT = 2.0**-43
SECOND_UNIT = 2.0**-27


def margins(size: int, side: int) -> tuple[int, int]:
    """How often the borders of ``size`` pixels are repeated to make ``side``: the odd one comes after."""
    return (side - size) // 2, side - size - (side - size) // 2


def square_box(width: int, height: int, fit: Fit) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what of a picture is used: its centre square, or all."""
    if fit == "pad":
        return 0, 0, width, height
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def to_square(picture: Pixels, pixels: int) -> Pixels:
    """A picture brought to one square, its borders repeated where it is not square.

    Equal to repeating the border rows or columns on both sides until the picture is square and resizing that, without
    the square ever being made.

    Args:
        picture: uint8 [H, W, C], of any strides.
        pixels: side of the result.

    Returns:
        uint8 [C, pixels, pixels], contiguous.
    """
    height, width, channels = picture.shape
    side = max(height, width)
    if height == width == pixels:
        return np.ascontiguousarray(picture.transpose(2, 0, 1))
    rows = np.empty((pixels, width * channels))
    for band in bands(height, *margins(height, side), pixels, FIRST_UNIT):
        used = picture[band.first_input : band.last_input].astype(np.float64, order="C")
        np.matmul(band.weights, used.reshape(len(used), -1), out=rows[band.first : band.last])
    rows *= INTERMEDIATE_STEPS
    np.rint(rows, out=rows)
    columns = rows.reshape(pixels, width, channels).transpose(1, 2, 0).reshape(width, channels * pixels)
    result = np.empty((pixels, channels * pixels))
    for band in bands(width, *margins(width, side), pixels, SECOND_UNIT):
        _second(band, columns, result)
    result *= 1.0 / INTERMEDIATE_STEPS
    np.rint(result, out=result)
    np.clip(result, 0.0, 255.0, out=result)
    return np.ascontiguousarray(result.astype(np.uint8).reshape(pixels, channels, pixels).transpose(1, 2, 0))


def _second(band: Band, columns: npt.NDArray[np.float64], result: npt.NDArray[np.float64]) -> None:
    np.matmul(band.weights, columns[band.first_input : band.last_input], out=result[band.first : band.last])


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
    left, top, right, bottom = square_box(width, height, fit)
    return to_square(picture[:, top:bottom, left:right].transpose(1, 2, 0), pixels)
