"""Mean and covariance of features, merged over batches and processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GaussianStatistics:
    """Count, mean [d] and centred scatter [d, d] (sum of outer products of what is left of the mean), in float64.

    The scatter is kept centred: sum of x xᵀ less n mean meanᵀ would lose as many digits as the mean is large.
    """

    count: int
    mean: Array
    scatter: Array

    @classmethod
    def of(cls, features: Features) -> GaussianStatistics:
        """Statistics of features [N, d]; N = 0 gives the neutral element of +."""
        rows = np.asarray(features, dtype=np.float64)
        if not len(rows):
            return cls(0, np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1])))
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    @classmethod
    def from_moments(cls, count: int, mean: Array, covariance: Array) -> GaussianStatistics:
        """Of a mean [d] and an unbiased covariance [d, d] that are known already, of ``count`` rows."""
        return cls(count, np.asarray(mean, dtype=np.float64), (count - 1) * np.asarray(covariance, dtype=np.float64))

    def __add__(self, other: GaussianStatistics) -> GaussianStatistics:
        """Statistics of both sets of rows together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if count == 0:
            return self
        between = other.mean - self.mean
        return GaussianStatistics(
            count,
            self.mean + other.count / count * between,
            self.scatter + other.scatter + self.count * other.count / count * np.outer(between, between),
        )

    @property
    def covariance(self) -> Array:
        """Unbiased, [d, d]. Raises ValueError below two rows."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 rows, got {self.count}")
        return self.scatter / (self.count - 1)
