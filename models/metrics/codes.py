"""What codes carry: how many dimensions are in use, how much of the data they tell, whose neighbours they keep."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from models.metrics.bounds import Nats, Values
from models.metrics.gaussian import Features
from models.metrics.neighbours import nearest_rows_within

ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean over data above which a dimension is in use (Burda et al. 2016, section 5.2)."""
_DRAWS_AT_ONCE = 512


def active_units(mean: Values, *, threshold: float = ACTIVE_VARIANCE) -> int:
    """How many latent dimensions carry anything: variance of the posterior mean over data > threshold.

    Burda et al. 2016, section 5.2, eq. 10.

    Args:
        mean: posterior means over a data set, [N, Z], N >= 2.
    """
    return int((np.asarray(mean, dtype=np.float64).var(axis=0, ddof=1) > threshold).sum())


def mutual_information(mean: Values, log_variance: Values, noise: Values) -> float:
    """I(x; z) under q, by the mixture of the N posteriors at hand, nats; at most log N.

    E KL(q(z|x) ‖ p) = I(x; z) + KL(q(z) ‖ p) (Hoffman and Johnson 2016, eq. 6): what the KL buys, without what it
    pays for an aggregate that misses the prior.

    Args:
        mean: [N, Z].
        log_variance: [N, Z].
        noise: standard normal, [N, Z].

    Returns:
        NaN where a posterior is not finite.
    """
    center, spread = (np.asarray(value, dtype=np.float64) for value in (mean, log_variance))
    precision = np.exp(-spread)
    if not (np.isfinite(center).all() and np.isfinite(precision).all() and np.isfinite(np.exp(spread)).all()):
        return math.nan
    latent = center + np.asarray(noise, dtype=np.float64) * np.exp(0.5 * spread)
    weighted, constant = center * precision, (np.square(center) * precision + spread).sum(axis=1)
    total = 0.0
    for first in range(0, len(latent), _DRAWS_AT_ONCE):
        draws = slice(first, first + _DRAWS_AT_ONCE)
        # |z - mu|² / sigma² for all pairs by products, [draws, N posteriors].
        density = -0.5 * (np.square(latent[draws]) @ precision.T - 2.0 * latent[draws] @ weighted.T + constant)
        own = density[np.arange(len(density)), np.arange(first, first + len(density))]
        largest = density.max(axis=1)
        mixture = largest + np.log(np.exp(density - largest[:, None]).mean(axis=1))
        total += float((own - mixture).sum())
    return total / len(latent)


def neighbour_overlap(codes: Features, rows: Features, neighbours: int) -> Nats:
    """Of each row's k nearest others, the share that is among the k nearest by code, too. [N].

    1 where the code keeps who is near to whom, k / (N - 1) on average where it knows nothing of it.

    Args:
        codes: [N, Z].
        rows: the same data, as vectors, [N, D].
        neighbours: k, less than N.

    Raises:
        ValueError: if there are not more than k rows.
    """
    by_code, by_row = (nearest_rows_within(values, neighbours) for values in (codes, rows))
    shared: npt.NDArray[np.bool_] = (by_code[:, :, None] == by_row[:, None, :]).any(axis=2)
    return np.asarray(shared.mean(axis=1))
