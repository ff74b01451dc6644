"""Losses of the two players, from logits. All are means over the batch, in nats.

``real`` and ``fake`` are D's logits, [N]; D(x) = sigmoid(logit).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """-V(G, D) = -E log D(x) - E log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_saturating(fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1): flat exactly where an early G lives."""
    return -softplus(fake).mean()


def generator_non_saturating(fake: Tensor) -> Tensor:
    """-E log D(G(z)) (Goodfellow et al. 2014, section 3): same fixed point, strong gradient early."""
    return softplus(-fake).mean()


def discriminator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(x) - D(G(z)))) over pairs (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2)."""
    return softplus(fake - real).mean()


def generator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(G(z)) - D(x))): the discriminator's loss with the pair exchanged."""
    return softplus(real - fake).mean()
