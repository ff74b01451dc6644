"""Losses of the two players, from logits. All are means over the batch; those with a logarithm are in nats.

``real`` and ``fake`` are D's outputs, [N]; where D is a probability, D(x) = sigmoid(logit).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu, softplus


def discriminator_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """-V(G, D) = -E log D(x) - E log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_saturating(fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1): flat exactly where an early G lives."""
    return -softplus(fake).mean()


def generator_non_saturating(fake: Tensor) -> Tensor:
    """-E log D(G(z)) (Goodfellow et al. 2014, section 3): same fixed point, strong gradient early."""
    return softplus(-fake).mean()


def discriminator_least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """(E (D(x) - 1)² + E D(G(z))²) / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real - 1.0).square().mean() + fake.square().mean())


def generator_least_squares(fake: Tensor) -> Tensor:
    """E (D(G(z)) - 1)² / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake - 1.0).square().mean()


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Miyato et al. 2018, eq. 16)."""
    return relu(1.0 - real).mean() + relu(1.0 + fake).mean()


def critic_wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): minus the estimate of the distance, for a 1-Lipschitz D (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def generator_mean_score(fake: Tensor) -> Tensor:
    """-E D(G(z)): G's part of the hinge and the Wasserstein game (Miyato et al. 2018, eq. 17).

    With a D whose logit is log p_data / p_G it is also KL(p_G ‖ p_data) (Nowozin et al. 2016, table 1).
    """
    return -fake.mean()


def generator_forward_kl(fake: Tensor) -> Tensor:
    """-E exp(logit), whose gradient is that of KL(p_data ‖ p_G) when the logit is log p_data / p_G.

    G's part of the variational form E_data T - E_G f*(T) with f*(t) = e^(t - 1) and T = 1 + logit (Nowozin et al.
    2016, eq. 4 and tables 1 and 2).
    """
    return -fake.exp().mean()


def discriminator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(x) - D(G(z)))) over pairs (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2)."""
    return softplus(fake - real).mean()


def generator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-(D(G(z)) - D(x))): the discriminator's loss with the pair exchanged."""
    return softplus(real - fake).mean()
