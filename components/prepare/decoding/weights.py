"""Weights of antialiased bicubic resizing along one axis.

Keys 1981, "Cubic convolution interpolation for digital image processing", eq. 15 with a = -1/2 (Catmull-Rom), widened
by the ratio where the picture shrinks, as PIL does and Parmar et al. 2022 ask for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

ROWS_OF_A_BAND = 8
KEPT_INPUTS = 1_024


def keys(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The cubic kernel with a = -1/2; zero from a distance of 2 on."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Consecutive outputs and the only inputs that they depend on: float64 [last - first, last_input - first_input]."""

    first: int
    last: int
    first_input: int
    last_input: int
    weights: npt.NDArray[np.float64]


def bands(size: int, start: float, length: float, outputs: int, unit: float) -> Iterable[Band]:
    """The weights from the part of ``size`` inputs that a window covers to ``outputs``, as narrow matrices.

    Args:
        size: inputs; what lies before the first or behind the last has that one's value.
        start: where the window begins, in inputs; below 0 it begins before the first.
        length: of the window, in inputs. Inputs wholly outside of it have no weight.
        outputs: equal parts of the window.
        unit: the weights are rounded to whole multiples of it, a power of two, so that sums of products of them with
            integers are exact in float64 whatever the order of summation: equal bits on every machine.

    Each output's weights sum to 1 to within the rounding.
    """
    make = _kept if size <= KEPT_INPUTS else _made  # about 100 bytes an input
    return make(size, start, length, outputs, unit)


@lru_cache(maxsize=512)
def _kept(size: int, start: float, length: float, outputs: int, unit: float) -> tuple[Band, ...]:
    return tuple(_made(size, start, length, outputs, unit))


def _made(size: int, start: float, length: float, outputs: int, unit: float) -> Iterator[Band]:
    ratio = length / outputs
    widening = max(ratio, 1.0)
    begin, end = math.floor(start), math.ceil(start + length)
    for first in range(0, outputs, ROWS_OF_A_BAND):
        last = min(first + ROWS_OF_A_BAND, outputs)
        centres = start + (np.arange(first, last) + 0.5) * ratio
        lowest = max(math.floor(centres[0] - 2.0 * widening), begin)
        highest = min(math.ceil(centres[-1] + 2.0 * widening) + 1, end)
        positions = np.arange(lowest, highest)
        exact = keys((positions + 0.5 - centres[:, None]) / widening)
        exact /= exact.sum(axis=1, keepdims=True)
        first_input, last_input = (min(max(place, 0), size - 1) for place in (lowest, highest - 1))
        if lowest < 0 or highest > size:  # what falls outside counts for the border
            inputs = positions.clip(0, size - 1)
            exact = np.add.reduceat(exact, np.searchsorted(inputs, np.arange(first_input, last_input + 1)), axis=1)
        yield Band(first, last, first_input, last_input + 1, np.rint(exact / unit) * unit)
