"""Penalties on the discriminator."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_squared_gradient_norm(logits: Tensor, samples: Tensor) -> Tensor:
    """E ‖∇_x D(x)‖² at ``samples`` (Mescheder et al. 2018, eq. 9, without its gamma/2).

    R1 takes it at real samples, R2 at generated ones.

    Args:
        logits: D(x), [N], computed from ``samples`` in the same graph; no sample may influence another's.
        samples: [N, ...], requires gradients.

    Returns:
        A scalar that can be differentiated once more.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()
