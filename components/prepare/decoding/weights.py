"""Weights of antialiased bicubic resizing along one axis.

Keys 1981, "Cubic convolution interpolation for digital image processing", eq. 15 with a = -1/2 (Catmull-Rom), widened
by the ratio where the picture shrinks, as PIL does and Parmar et al. 2022 ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

ROWS_OF_A_BAND = 8


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


@lru_cache(maxsize=1024)
def bands(size: int, before: int, after: int, outputs: int, unit: float) -> tuple[Band, ...]:
    """The weights from ``size`` inputs to ``outputs``, as narrow matrices.

    Args:
        size: inputs.
        before: how often the first input is repeated in front of it.
        after: how often the last input is repeated behind it.
        outputs: what becomes of the ``before + size + after`` values.
        unit: the weights are rounded to whole multiples of it, a power of two, so that sums of products of them with
            integers are exact in float64 whatever the order of summation: equal bits on every machine.

    Each output's weights sum to 1 to within the rounding.
    """
    padded = before + size + after
    ratio = padded / outputs
    widening = max(ratio, 1.0)
    result = []
    for first in range(0, outputs, ROWS_OF_A_BAND):
        last = min(first + ROWS_OF_A_BAND, outputs)
        centres = (np.arange(first, last) + 0.5) * ratio
        lowest = max(int(np.floor(centres[0] - 2.0 * widening)), 0)
        highest = min(int(np.ceil(centres[-1] + 2.0 * widening)) + 1, padded)
        positions = np.arange(lowest, highest)
        exact = keys((positions + 0.5 - centres[:, None]) / widening)
        exact /= exact.sum(axis=1, keepdims=True)
        inputs = np.clip(positions - before, 0, size - 1)
        first_input, last_input = int(inputs[0]), int(inputs[-1]) + 1
        if before or after:  # what falls on repetitions counts for the border
            exact = np.add.reduceat(exact, np.searchsorted(inputs, np.arange(first_input, last_input)), axis=1)
        rounded = np.rint(exact / unit) * unit
        result.append(Band(first, last, first_input, last_input, rounded))
    return tuple(result)
