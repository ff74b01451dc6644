"""Penalties on the discriminator."""

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
