"""Terms of the evidence lower bound, per sample, summed over pixels or latents, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def kl_mean_part(mean: Tensor) -> Tensor:
    """The share of the KL that comes from the mean, per dimension: mu^2 / 2. [N, Z] → [N, Z]."""
    return 0.5 * mean.square()


def kl_variance_part(log_variance: Tensor) -> Tensor:
    """The share of the KL from the variance, per dimension: (sigma^2 - log sigma^2 - 1) / 2. [N, Z] → [N, Z]."""
    return 0.5 * (torch.expm1(log_variance) - log_variance)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) ‖ N(0, I)) per dimension (Kingma and Welling 2014, appendix B). [N, Z] → [N, Z]."""
    return kl_mean_part(mean) + kl_variance_part(log_variance)


def reparameterize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = mu + eps * sigma (Kingma and Welling 2014, section 2.4). All [N, Z]."""
    return mean + noise * torch.exp(0.5 * log_variance)


def bernoulli_negative_log_likelihood(logits: Tensor, target: Tensor) -> Tensor:
    """-log Bernoulli(target; sigmoid(logits)), summed over pixels. Targets in [0, 1]. [N, ...] → [N]."""
    return binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(dim=1)


def gaussian_negative_log_likelihood(location: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    """-log N(target; location, sigma^2), summed over pixels. [N, ...] → [N].

    ``log_variance`` is one learned scalar: at the optimum sigma^2 is the mean squared error, so that the
    balance against the KL is calibrated by the data and not by hand (Rybkin et al. 2021, section 3).
    """
    scaled = (target - location).square() * torch.exp(-log_variance)
    per_pixel = 0.5 * (scaled + log_variance + math.log(2.0 * math.pi))
    return per_pixel.flatten(1).sum(dim=1)


def squared_error(location: Tensor, target: Tensor) -> Tensor:
    """Reconstruction error of an autoencoder, summed over pixels. [N, ...] → [N]."""
    return (target - location).square().flatten(1).sum(dim=1)
