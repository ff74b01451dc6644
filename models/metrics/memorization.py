"""Whether samples are copies of training rows: nearest neighbours there against those in rows never seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.metrics.gaussian import Array, Features
from models.metrics.neighbours import Indices, nearest


@dataclass(frozen=True)
class Memorization:
    """Of [S] samples.

    Attributes:
        copied_share: share of samples whose ratio is below the threshold.
        median_ratio: of distances to equally many rows of both sides; 1 where nothing is memorized.
        ratios: distance to the nearest training row over the distance to the nearest held-out row, [S].
        nearest_training_rows: their indices, [S].
    """

    copied_share: float
    median_ratio: float
    ratios: Array
    nearest_training_rows: Indices


def memorization(
    samples: Features, training: Features, held_out: Features, *, seed: int, threshold: float = 0.2
) -> Memorization:
    """Ratio of each sample's distance to the training rows and to held-out rows that are disjoint from them.

    A sample of the data's own distribution is as often nearer to one set as to the other if both are equally large
    (Meehan et al. 2020), so that its ratio is below 1 with probability 1/2, and the median is 1; a copy
    has a ratio near 0. Copies are sought among all T training rows. The median compares equally many: a random part
    of the larger set.

    By chance a ratio is below τ with probability c τ^D / (1 + c τ^D) in D intrinsic dimensions, c = T / H
    (:func:`share_by_chance`): the volume that must be empty of one set and not of the other. With τ = 0.2 that is
    1.6e-3 at D = 4, 6e-6 at D = 7.5, and 4 % at D = 2: pictures have dimension enough, a toy density in the plane has
    not. A larger τ would take near rows for copies, a smaller one would miss copies with a little noise on them.

    Args:
        samples: features [S, d].
        training: features of the training rows [T, d].
        held_out: features of rows that are not in training, exactly or nearly, [H, d].
        seed: of the random part.
        threshold: τ, in (0, 1).

    Raises:
        ValueError: if a set is empty.
    """
    if not (len(samples) and len(training) and len(held_out)):
        raise ValueError("memorization needs samples, training rows and held-out rows")
    generator = np.random.Generator(np.random.PCG64(seed))
    equal = min(len(training), len(held_out))
    chosen, left_out = np.split(generator.permutation(len(training)), [equal])
    _, real_distance = nearest(samples, held_out[np.sort(generator.permutation(len(held_out))[:equal])])
    index, distance = nearest(samples, training[chosen])
    median_ratio = float(np.median(_ratio(distance, real_distance)))
    index = chosen[index]
    if len(left_out):
        other_index, other_distance = nearest(samples, training[left_out])
        index = np.where(other_distance < distance, left_out[other_index], index)
        distance = np.minimum(distance, other_distance)
    ratios = _ratio(distance, real_distance)
    return Memorization(float((ratios < threshold).mean()), median_ratio, ratios, index)


def _ratio(distance: Array, real_distance: Array) -> Array:
    """1 where both are 0: a row that lies in both sets tells nothing."""
    is_in_both = (distance == 0.0) & (real_distance == 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(is_in_both, 1.0, distance / real_distance))


def share_by_chance(threshold: float, dimension: float, training_per_held_out: float = 1.0) -> float:
    """Probability c τ^D / (1 + c τ^D) of a ratio below τ where nothing is memorized.

    For rows that are locally uniform in D dimensions: their numbers in a ball are Poisson, so r^D to the nearest row
    of either set is exponential, with rates in the proportion c of the sets' sizes.
    """
    odds = training_per_held_out * math.pow(threshold, dimension)
    return odds / (1.0 + odds)
