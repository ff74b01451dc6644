"""The Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6), and what chance makes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.metrics.estimate import Estimate
from models.metrics.gaussian import Array, Features, GaussianStatistics

ROWS_OF_A_BLOCK = 256
"""Of triangular matrices that are multiplied."""


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """‖mu_a - mu_b‖² + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), at least 0.

    With C = F Fᵀ the last trace is the nuclear norm of F_aᵀ F_b; no root of a product is taken, which would not be
    symmetric. Where neither covariance is singular it is the sum of the roots of the eigenvalues of L_aᵀ C_b L_a,
    which is symmetric, with the Cholesky factor of one of them. Where one is, the factors come from eigenvectors,
    without the directions that hold nothing, and the singular values are taken of the product itself: squared, a
    value of zero would come back as the root of the rounding error.

    Raises:
        ValueError: if a statistic is not finite or has fewer than two rows.
    """
    covariance_a, covariance_b = a.covariance, b.covariance
    traces = float(np.trace(covariance_a) + np.trace(covariance_b))
    lower_a = cholesky_factor(covariance_a, a.count) if b.count > len(covariance_b) else None
    if lower_a is not None and np.isfinite(covariance_b).all():
        values = np.linalg.eigvalsh(_congruent(lower_a, covariance_b))
        if values[0] > _rounding(len(values)) * values[-1]:
            return _assembled(a.mean - b.mean, traces, float(np.sqrt(values).sum()))
    factor_a, factor_b = eigen_factor(covariance_a, a.count), eigen_factor(covariance_b, b.count)
    return _assembled(a.mean - b.mean, traces, _nuclear_norm(factor_a.T @ factor_b))


def frechet_between(a: Features, b: Features) -> float:
    """:func:`frechet_distance` of features [N, d] and [M, d], without a d by d matrix where both N and M are at most d.

    Centred rows X / (N - 1)^(1/2) are a factor of the covariance as well, so the trace is the nuclear norm of the
    N by M cross Gram matrix: exact, and fast where features are many and rows few.

    Raises:
        ValueError: if a feature is not finite or a side has fewer than two rows.
    """
    if max(len(a), len(b)) > a.shape[1] or min(len(a), len(b)) < 2:
        return frechet_distance(GaussianStatistics.of(a), GaussianStatistics.of(b))
    (mean_a, rows_a), (mean_b, rows_b) = _centred_factor(a), _centred_factor(b)
    traces = float(np.square(rows_a).sum() + np.square(rows_b).sum())
    return _assembled(mean_a - mean_b, traces, _nuclear_norm(rows_a @ rows_b.T))


def _centred_factor(features: Features) -> tuple[Array, Array]:
    """The mean [d], and centred rows [N, d] whose Gram matrix of columns is the covariance."""
    rows = np.asarray(features, dtype=np.float64)
    mean: Array = rows.mean(axis=0)
    return mean, (rows - mean) / np.sqrt(len(rows) - 1)


def _assembled(difference: Array, traces: float, root: float) -> float:
    distance = float(difference @ difference) + traces - 2.0 * float(root)
    if not np.isfinite(distance):
        raise ValueError("the Fréchet distance needs finite features")
    return max(distance, 0.0)


def _nuclear_norm(matrix: Array) -> float:
    if not np.isfinite(matrix).all():
        raise ValueError("the Fréchet distance needs finite features")
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def _congruent(lower: Array, covariance: Array) -> Array:
    """The lower triangle of Lᵀ C L [d, d], without most of the products with zeros or for the upper one."""
    width = len(lower)
    first, product = np.empty((width, width)), np.empty((width, width))
    blocks = [slice(start, min(start + ROWS_OF_A_BLOCK, width)) for start in range(0, width, ROWS_OF_A_BLOCK)]
    for block in blocks:
        first[block] = lower[block.start :, block].T @ covariance[block.start :]
    for block in blocks:
        product[block.start :, block] = first[block.start :, block.start :] @ lower[block.start :, block]
    return product


def cholesky_factor(covariance: Array, count: int) -> Array | None:
    """L, lower triangular, with L Lᵀ = covariance [d, d] of ``count`` rows; none where it is singular to rounding."""
    width = len(covariance)
    if count <= width or not np.isfinite(covariance).all():
        return None
    try:
        lower: Array = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    pivots = np.square(np.diagonal(lower))
    return lower if pivots.min() > _rounding(width) * pivots.max() else None


def eigen_factor(covariance: Array, count: int) -> Array:
    """F [d, r] with F Fᵀ = covariance and r its rank: at most ``count`` - 1, without what is zero to rounding.

    Raises:
        ValueError: if the covariance is not finite.
    """
    if not np.isfinite(covariance).all():
        raise ValueError("the Fréchet distance needs finite features")
    values, vectors = np.linalg.eigh(covariance)
    held = values > max(_rounding(len(values)) * values[-1], 0.0)
    held[: max(len(values) - (count - 1), 0)] = False
    return np.asarray(vectors[:, held] * np.sqrt(values[held]))


def _rounding(width: int) -> float:
    """Share of the largest eigenvalue that rounding leaves of one that is 0."""
    return float(width * np.finfo(np.float64).eps)


def bootstrap_corrected(
    a: Features,
    b: Features,
    statistic: Callable[[Features, Features], float],
    *,
    replicates: int,
    seed: int,
) -> Estimate:
    """The estimate 2θ̂ - mean(θ*) with the normal interval ± 1.96 sd(θ*), for any statistic of two samples.

    A distance is biased upwards by as much as resampling biases it once more, so the percentile interval misses the
    truth altogether; subtracting the bias once centres it (Efron and Tibshirani 1993, section 10.6). For the Fréchet
    distance itself :func:`models.metrics.frechet_interval.frechet_interval` is nearer to 95 % and cheaper.

    Args:
        a: features [N, d]; rows are resampled with replacement, independently of ``b``.
        b: features [M, d].
        statistic: of two samples of features.
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
    return Estimate.normal(2.0 * estimate - float(resampled.mean()), float(resampled.var(ddof=1)))


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
