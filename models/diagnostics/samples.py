"""How a generator's samples lie to the data, without labels or features: cheap enough for every report."""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 5


def energy_distance(first: Tensor, second: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo 2013, eq. 5), U-statistics: 0 on average for one law.

    Args:
        first: [N, D].
        second: [M, D].
    """
    across = torch.cdist(first, second).mean()
    return float(2.0 * across - _mean_distance(first) - _mean_distance(second))


def coverage(samples: Tensor, real: Tensor, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of real samples that have a generated one nearer than their own k-th real neighbour.

    Naeem et al. 2020, eq. 4. With as many samples as real ones and a perfect generator 1 - 2^-k.

    Args:
        samples: generated, [N, D].
        real: [M, D], M > neighbours.
        neighbours: k.
    """
    radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values  # the first neighbour is itself
    return float((torch.cdist(real, samples).amin(dim=1) <= radius).double().mean())


def describe_samples(samples: Tensor, held_out: Tensor, train: Tensor) -> dict[str, float]:
    """Distance, coverage and diversity of samples against held-out data, each beside what real data get.

    Args:
        samples: generated, [N, ...].
        held_out: [M, ...].
        train: [K, ...].

    Returns:
        ``energy_distance``; ``coverage_of_real``: coverage as a share of what training data reach; ``diversity``:
        mean distance of two samples as a share of that of two real ones.
    """
    rows = min(len(held_out), len(train))
    samples, held_out, train = (values.flatten(1).float() for values in (samples[:rows], held_out[:rows], train[:rows]))
    if rows <= NEIGHBOURS:
        return {}
    reached = coverage(train, held_out)
    return {
        "energy_distance": energy_distance(samples, held_out),
        "coverage_of_real": coverage(samples, held_out) / max(reached, 1e-12),
        "diversity": _mean_distance(samples) / max(_mean_distance(held_out), 1e-12),
    }


def _mean_distance(samples: Tensor) -> float:
    """Mean distance of two different rows, [N, D]."""
    rows = len(samples)
    return float(torch.cdist(samples, samples).sum() / (rows * (rows - 1)))
