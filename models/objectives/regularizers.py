"""Penalties on the discriminator, and what it is shown instead of bare samples."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_gradient_norms(logits: Tensor, samples: Tensor) -> Tensor:
    """‖∇_x D(x)‖² at every sample (Mescheder et al. 2018, eq. 9, without its expectation and gamma/2).

    R1 is its mean over real samples, R2 over generated ones.

    Args:
        logits: D(x), [N], computed from ``samples`` in the same graph; no sample may influence another's.
        samples: [N, ...], requires gradients.

    Returns:
        [N], differentiable once more.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1)


def unit_gradient_penalty(logits: Tensor, samples: Tensor) -> Tensor:
    """E (‖∇_x D(x)‖ - 1)² (Gulrajani et al. 2017, eq. 3, without its lambda).

    Args:
        logits: D(x), [N], computed from ``samples`` in the same graph.
        samples: points between real and generated ones, [N, ...], requires gradients.
    """
    # The root's derivative is infinite at zero: a flat critic must still be pushed, not made NaN.
    norms = torch.sqrt(squared_gradient_norms(logits, samples) + 1e-12)
    return (norms - 1.0).square().mean()


def between(real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
    """Points on the lines from real to generated samples (Gulrajani et al. 2017, Algorithm 1).

    Args:
        real: [N, ...].
        fake: [N, ...].
        uniform: the position on each line in [0, 1], [N].
    """
    position = uniform.view(-1, *(1 for _ in real.shape[1:]))
    return position * real + (1.0 - position) * fake


def pack(samples: Tensor, size: int) -> Tensor:
    """Samples that D judges together, side by side (Lin et al. 2018, section 3).

    Args:
        samples: [N, C, ...], N a multiple of ``size``.
        size: samples of a pack.

    Returns:
        [N / size, size * C, ...]; the samples of a pack are neighbours in the batch.

    Raises:
        ValueError: if N is not a multiple of ``size``.
    """
    if samples.shape[0] % size:
        raise ValueError(f"{samples.shape[0]} samples cannot be packed by {size}")
    return samples.reshape(samples.shape[0] // size, size * samples.shape[1], *samples.shape[2:])
