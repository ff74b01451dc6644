"""The Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6), with an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GaussianStatistics:
    """Mergeable sums of features: count, sum [d], and sum of outer products [d, d], in float64."""

    count: int
    total: Array
    outer: Array

    @classmethod
    def of(cls, features: Features) -> GaussianStatistics:
        """Statistics of features [N, d]."""
        rows = np.asarray(features, dtype=np.float64)
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    def __add__(self, other: GaussianStatistics) -> GaussianStatistics:
        return GaussianStatistics(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> Array:
        """[d]."""
        return self.total / self.count

    @property
    def covariance(self) -> Array:
        """Unbiased, [d, d]. Raises ValueError below two rows."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 rows, got {self.count}")
        mean = self.mean
        return (self.outer - self.count * np.outer(mean, mean)) / (self.count - 1)


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """‖mu_a - mu_b‖² + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), at least 0.

    With C = L Lᵀ the last trace is the nuclear norm of L_aᵀ L_b. Factors from eigh keep this exact when a
    covariance has no full rank; no matrix square root of a product is taken, which would not be symmetric.
    """
    covariance_a, covariance_b = a.covariance, b.covariance
    nuclear_norm = np.linalg.svd(_factor(covariance_a).T @ _factor(covariance_b), compute_uv=False).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * nuclear_norm
    return float(max(distance, 0.0))


def _factor(covariance: Array) -> Array:
    """L with L Lᵀ = covariance, also when it is singular."""
    values, vectors = np.linalg.eigh(covariance)
    factor: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return factor


def frechet_between(a: Features, b: Features) -> float:
    """:func:`frechet_distance` of features [N, d] and [M, d]."""
    return frechet_distance(GaussianStatistics.of(a), GaussianStatistics.of(b))


@dataclass(frozen=True)
class CorrectedEstimate:
    """A bias-corrected estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrap_corrected(
    a: Features,
    b: Features,
    statistic: Callable[[Features, Features], float],
    *,
    replicates: int,
    seed: int,
) -> CorrectedEstimate:
    """The estimate 2θ̂ - mean(θ*) with the normal interval ± 1.96 sd(θ*).

    The Fréchet distance is biased upwards by as much as resampling biases it once more, so the percentile
    interval misses the truth altogether; subtracting the bias once centres it (Efron and Tibshirani 1993,
    section 10.6).

    Args:
        a: features [N, d]; rows are resampled with replacement, independently of ``b``.
        b: features [M, d].
        replicates: number of resamplings.
        seed: of the resampling.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    estimate = statistic(a, b)
    resampled = np.array(
        [
            statistic(a[generator.integers(len(a), size=len(a))], b[generator.integers(len(b), size=len(b))])
            for _ in range(replicates)
        ]
    )
    value = 2.0 * estimate - resampled.mean()
    half_width = 1.96 * resampled.std(ddof=1)
    return CorrectedEstimate(float(value), float(value - half_width), float(value + half_width))


def real_vs_real_floor(features: Features, *, partitions: int, seed: int) -> tuple[float, float]:
    """The Fréchet distance between two random halves of real features: mean and standard deviation.

    It is what chance alone makes of two equal distributions at this sample size: the unit of the gate's limits.

    Args:
        features: held-out real features, [N, d], N >= 4.
        partitions: number of random halvings.
        seed: of the halving.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    half = len(features) // 2
    distances = []
    for _ in range(partitions):
        order = generator.permutation(len(features))
        distances.append(frechet_between(features[order[:half]], features[order[half : 2 * half]]))
    return float(np.mean(distances)), float(np.std(distances, ddof=1))
