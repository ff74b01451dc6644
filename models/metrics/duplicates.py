"""The birthday test: samples that are nearer to each other than real rows are, and how many outputs that means."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.metrics.gaussian import Features
from models.metrics.neighbours import nearest_within, squared_distances_within

ROUNDING = 1e-13
"""Of the features' squared spread: what a distance of 0 may come out as."""


@dataclass(frozen=True)
class Duplicates:
    """Of n samples.

    Attributes:
        share: of the samples, with another one nearer than ``distance``; about ``quantile`` for real data.
        distance: the quantile of nearest-neighbour distances among real rows.
        colliding_pairs: pairs of samples at most that far apart.
        colliding_pairs_of_real: the same among as many real rows.
        support_size: estimated number of distinct outputs; infinite where samples collide no more than real rows.
        compared_rows: n, equal on both sides.
    """

    share: float
    distance: float
    colliding_pairs: int
    colliding_pairs_of_real: int
    support_size: float
    compared_rows: int


def duplicates(samples: Features, real: Features, *, seed: int, quantile: float = 0.01) -> Duplicates:
    """Birthday test (Arora and Zhang 2017): n draws from K equally likely outputs collide n (n-1) / 2K times.

    The support size is n (n - 1) / (2 (pairs - pairs of real)), K for a uniform law over K outputs; uneven ones have
    as many effective outputs as collide so often, 1 / sum p². Equally many rows are compared: a random part of the
    larger set, because neighbours come nearer as rows become more.

    Args:
        samples: features [S, d], S >= 2.
        real: held-out features [R, d], R >= 2.
        seed: of the random part.
        quantile: of the nearest-neighbour distances among real rows, in (0, 1).

    Raises:
        ValueError: below 2 rows on a side.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    count = min(len(samples), len(real))
    samples, real = (side[np.sort(generator.permutation(len(side))[:count])] for side in (samples, real))
    distance = float(np.quantile(nearest_within(real)[1], quantile))
    share = float((nearest_within(samples)[1] <= distance).mean())
    pairs, pairs_of_real = _pairs(samples, distance), _pairs(real, distance)
    excess = pairs - pairs_of_real
    return Duplicates(
        share=share,
        distance=distance,
        colliding_pairs=pairs,
        colliding_pairs_of_real=pairs_of_real,
        support_size=count * (count - 1) / (2.0 * excess) if excess > 0 else math.inf,
        compared_rows=count,
    )


def _pairs(features: Features, distance: float) -> int:
    rounding = ROUNDING * float(np.var(features, axis=0, dtype=np.float64).sum())
    return sum(int((v <= distance**2 + rounding).sum()) for _, _, v in squared_distances_within(features)) // 2
