"""Precision, recall, density and coverage: which part of the samples is real, and which part of the data is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.metrics.gaussian import Features
from models.metrics.neighbours import kth_neighbour_distances, squared_distances

EDGE = 1.0 + 1e-9
"""A row on the edge of a ball is inside, whichever way rounding falls."""


@dataclass(frozen=True)
class Prdc:
    """Shares in [0, 1], but for the density, which is about 1 where the distributions are equal and may exceed it."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Features, samples: Features, *, neighbours: int = 5) -> Prdc:
    """Of real features [N, d] and samples' features [M, d], blockwise.

    Every row has a ball that reaches to its k-th nearest row of its own set. Precision is the share of samples in a
    real ball, recall the share of real rows in a sample's ball (Kynkäänniemi et al. 2019). Density is the
    mean number of real balls around a sample, over k; coverage the share of real balls with a sample inside (Naeem
    et al. 2020). Coverage at equal distributions and sizes is about 1 - 2^-k.

    Args:
        real: held-out real features.
        samples: as many, for the numbers to be comparable.
        neighbours: k.

    Raises:
        ValueError: if a side has not more than k rows.
    """
    real_radii = np.square(kth_neighbour_distances(real, neighbours)) * EDGE
    sample_radii = np.square(kth_neighbour_distances(samples, neighbours)) * EDGE
    balls_around_sample = np.zeros(len(samples), dtype=np.int64)
    is_covered, is_recalled = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for of_samples, of_real, squared in squared_distances(samples, real):
        in_real_ball = squared <= real_radii[of_real]
        balls_around_sample[of_samples] += in_real_ball.sum(axis=1)
        is_covered[of_real] |= in_real_ball.any(axis=0)
        is_recalled[of_real] |= (squared <= sample_radii[of_samples, None]).any(axis=0)
    return Prdc(
        precision=float((balls_around_sample > 0).mean()),
        recall=float(is_recalled.mean()),
        density=float(balls_around_sample.mean() / neighbours),
        coverage=float(is_covered.mean()),
    )
