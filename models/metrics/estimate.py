"""A number with its interval."""

from __future__ import annotations

from dataclasses import dataclass

NORMAL_QUANTILE = 1.959963984540054
"""Two-sided 95 % of the standard normal."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, in the value's own unit."""

    value: float
    low: float
    high: float

    @classmethod
    def normal(cls, value: float, variance: float) -> Estimate:
        """value ± 1.96 standard errors; ``variance`` is the estimate's own, at least 0."""
        half_width = NORMAL_QUANTILE * variance**0.5
        return cls(float(value), float(value - half_width), float(value + half_width))
