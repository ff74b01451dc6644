"""Terms of the evidence lower bound, per sample, summed over pixels or latents, in nats."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

from models.config import LikelihoodKind


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


def negative_log_likelihood(kind: LikelihoodKind, location: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """-log p(x|z), summed over pixels. [N, ...] → [N], nats.

    Args:
        kind: which likelihood.
        location: what the decoder gives: logits of a bernoulli, else means.
        log_scale: logarithm of the gaussian's variance or of the logistic's scale; a bernoulli has none.
        target: the samples.
    """
    match kind:
        case "bernoulli":
            return bernoulli_negative_log_likelihood(location, target)
        case "gaussian":
            return gaussian_negative_log_likelihood(location, log_scale, target)
        case "discretized-logistic":
            return discretized_logistic_negative_log_likelihood(location, log_scale, target)
        case _:
            assert_never(kind)


def standard_deviation(kind: LikelihoodKind, log_scale: Tensor) -> Tensor | None:
    """Of p(x|z) around its location, in units of the samples; none of a bernoulli, which has no scale of its own.

    A logistic's is its scale times pi / sqrt 3. What rounding to levels adds, 1/255 / sqrt 12, is left out.
    """
    match kind:
        case "bernoulli":
            return None
        case "gaussian":
            return torch.exp(0.5 * log_scale)
        case "discretized-logistic":
            return torch.exp(log_scale) * (math.pi / math.sqrt(3.0))
        case _:
            assert_never(kind)


def squared_error(location: Tensor, target: Tensor) -> Tensor:
    """Reconstruction error of an autoencoder, summed over pixels. [N, ...] → [N]."""
    return (target - location).square().flatten(1).sum(dim=1)


def discretized_logistic_negative_log_likelihood(location: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """-log P(target) of 8-bit pixels, summed over pixels. [N, ...] → [N], nats.

    The logistic density is integrated over the 1/255 wide bin around each level; the two outermost bins reach to
    infinity, so that the 256 probabilities sum to 1 (Kingma et al. 2016, appendix A; Salimans et al. 2017, eq. 2).

    Args:
        location: the density's mean, pixels in [0, 1].
        log_scale: logarithm of the logistic's scale, one learned scalar.
        target: levels k / 255, in [0, 1].
    """
    half_bin = 0.5 / 255.0
    above = (target - location + half_bin) * torch.exp(-log_scale)
    below = (target - location - half_bin) * torch.exp(-log_scale)
    # sigmoid(above) - sigmoid(below) = sigmoid(above) * sigmoid(-below) * (1 - e^(below - above)): no cancellation.
    width = 2.0 * half_bin * torch.exp(-log_scale)
    inside = logsigmoid(above) + logsigmoid(-below) + torch.log(-torch.expm1(-width))
    log_probability = torch.where(
        target < half_bin, -softplus(-above), torch.where(target > 1.0 - half_bin, -softplus(below), inside)
    )
    return -log_probability.flatten(1).sum(dim=1)


def bits_per_dimension(negative_log_likelihood: Tensor, dimensions: int) -> Tensor:
    """Nats per sample as bits per pixel and channel."""
    return negative_log_likelihood / (dimensions * math.log(2.0))


def normal_log_density(value: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(value; mean, diag(exp(log_variance))), summed over the last axis. Broadcasts, [..., Z] → [...]."""
    scaled = (value - mean).square() * torch.exp(-log_variance)
    return -0.5 * (scaled + log_variance + math.log(2.0 * math.pi)).sum(dim=-1)


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """L_k = E log (1/k) sum_i w_i (Burda et al. 2016, eq. 8), never above log p(x); k = 1 is the ELBO.

    Args:
        log_weights: log p(x, z_i) - log q(z_i | x), [k, N].

    Returns:
        [N], nats.
    """
    return torch.logsumexp(log_weights, dim=0) - math.log(log_weights.shape[0])


def free_bits(kl_by_dimension: Tensor, nats: float, whole: Tensor | None = None) -> Tensor:
    """sum_j max(nats, E KL_j): the first ``nats`` of each dimension cost nothing (Kingma et al. 2016, eq. 15).

    Args:
        kl_by_dimension: KL of each sample and dimension, [N, Z].
        nats: what each dimension has free; 0 gives the mean KL itself.
        whole: the mean KL of each dimension over the whole batch, [Z], where these are a part of it. It decides which
            dimensions pay; the mean of all equal parts' values is the whole batch's then, and so is their gradients'.

    Returns:
        A scalar: the expectation is taken over the batch before the maximum, as the equation has it.
    """
    part = kl_by_dimension.mean(dim=0)
    return torch.where((part if whole is None else whole) < nats, nats, part).sum()


def capacity_penalty(kl: Tensor, capacity_nats: float, whole: Tensor | None = None) -> Tensor:
    """|KL - C| (Burgess et al. 2018, eq. 8, without its gamma): the code is steered to carry C nats.

    Args:
        kl: the mean KL of the batch, or of a part of it.
        capacity_nats: C.
        whole: the mean KL of the whole batch, where ``kl`` is that of a part. It decides the sign; the mean of all
            equal parts' values is the whole batch's then, and so is their gradients'.
    """
    return torch.sign((kl if whole is None else whole).detach() - capacity_nats) * (kl - capacity_nats)
