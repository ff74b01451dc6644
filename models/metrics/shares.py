"""Intervals of a share: k of n."""

from __future__ import annotations

import math

import numpy as np

from models.metrics.estimate import NORMAL_QUANTILE, Estimate


def wilson_interval(successes: int, trials: int) -> Estimate:
    """The share and its 95 % score interval (Wilson 1927; Brown, Cai and DasGupta 2001), within [0, 1].

    Raises:
        ValueError: unless 0 <= successes <= trials and trials >= 1.
    """
    _check(successes, trials)
    share, square = successes / trials, NORMAL_QUANTILE**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half_width = (
        NORMAL_QUANTILE
        / (1 + square / trials)
        * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    )
    # The ends are exact where all or none succeed; rounding would leave 1e-19.
    low = 0.0 if successes == 0 else max(centre - half_width, 0.0)
    high = 1.0 if successes == trials else min(centre + half_width, 1.0)
    return Estimate(share, low, high)


def upper_bound(successes: int, trials: int, *, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability (Clopper and Pearson 1934): the p with P(X <= successes) = 1 - confidence.

    Found by bisection on the binomial tail; 1 where every trial succeeded.

    Raises:
        ValueError: unless 0 <= successes <= trials, trials >= 1 and 0 < confidence < 1.
    """
    _check(successes, trials)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    if successes == trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(60):  # an interval of 2^-60
        middle = 0.5 * (low + high)
        if middle >= 1.0 or binomial_tail(successes, trials, middle) < 1.0 - confidence:
            high = middle
        else:
            low = middle
    return high


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes) of a binomial X with 0 < probability < 1, summed in logarithms."""
    drawn = np.arange(1, successes + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log(trials - drawn + 1.0) - np.log(drawn))])
    log_terms = (
        log_choose
        + np.arange(successes + 1) * math.log(probability)
        + (trials - np.arange(successes + 1)) * math.log1p(-probability)
    )
    largest = log_terms.max()
    return float(min(math.exp(largest) * np.exp(log_terms - largest).sum(), 1.0))


def _check(successes: int, trials: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
