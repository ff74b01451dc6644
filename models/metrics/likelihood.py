"""Log-likelihood of a VAE by importance sampling: the number that bounds are compared with.

Of networks in torch, on their device, vectorized and made fast: k = 5,000 of the published benchmarks. What a report
states of an exported model comes from ``components.evaluate.coding`` (numpy, the ONNX bytes, latents that any client
can make); a test holds both to the same number on the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from models.config import LikelihoodKind
from models.objectives.variational import (
    negative_log_likelihood,
    normal_log_density,
    reparameterize,
)

FACTORS = 96
"""Pixels whose probabilities share one logarithm."""


class LatentVariableModel(Protocol):
    """q(z|x) and p(x|z), as :class:`models.steps.vae.VaeNetwork` has them."""

    likelihood: LikelihoodKind

    @property
    def encoder(self) -> Callable[..., Any]:
        """[N, *sample_shape] → mean and log-variance of q(z|x), [N, Z] each."""

    @property
    def decoder(self) -> Callable[..., Any]:
        """[N, Z], and int64 labels [N] or None → location of p(x|z), [N, *sample_shape]."""

    @property
    def log_scale(self) -> Tensor:
        """A scalar; a bernoulli has none."""


@torch.no_grad()
def log_likelihood(
    network: LatentVariableModel,
    samples: Tensor,
    *,
    importance_samples: int,
    generator: torch.Generator,
    labels: Tensor | None = None,
    decoded_at_once: int = 1_000,
) -> Tensor:
    """log (1/k) sum_i p(x, z_i) / q(z_i | x) with z_i from q (Burda et al. 2016, section 5: k = 5,000), nats.

    A lower bound on log p(x) in expectation, tight as k grows. Every z of every sample goes through the decoder in
    batches of one size; the running sum of weights is kept as a logarithm, so that k is not limited by memory.

    Args:
        network: of the VAE.
        samples: [N, *sample_shape], pictures in [0, 1].
        importance_samples: k.
        generator: of the noise, on the samples' device.
        labels: int64 [N], for a conditional model.
        decoded_at_once: latents that one call of the decoder takes; a thousand pictures of logits stay in a core's
            cache.

    Returns:
        [N], float64.
    """
    rows = len(samples)
    mean, log_variance = network.encoder(samples)
    log_scale = samples.new_zeros(()) if network.likelihood == "bernoulli" else network.log_scale
    at_once = max(1, min(importance_samples, decoded_at_once // rows))
    total = torch.full((rows,), -torch.inf, dtype=torch.float64, device=samples.device)
    drawn = 0
    while drawn < importance_samples:
        draws = min(at_once, importance_samples - drawn)
        noise = torch.randn(draws, *mean.shape, generator=generator, device=samples.device)
        latent = reparameterize(mean, log_variance, noise)
        location = network.decoder(latent.flatten(0, 1), None if labels is None else labels.repeat(draws))
        zeros = torch.zeros_like(mean)
        if network.likelihood == "bernoulli":
            reconstruction = bernoulli_nats(location.view(draws, rows, -1), samples.view(rows, -1))
        else:
            target = samples.repeat(draws, *(1 for _ in samples.shape[1:]))
            reconstruction = negative_log_likelihood(network.likelihood, location, log_scale, target).view(draws, rows)
        log_weights = (
            -reconstruction + normal_log_density(latent, zeros, zeros) - normal_log_density(latent, mean, log_variance)
        )
        total = torch.logaddexp(total, torch.logsumexp(log_weights.double(), dim=0))
        drawn += draws
    return total - torch.log(torch.tensor(float(importance_samples), dtype=torch.float64))


def bernoulli_nats(logits: Tensor, target: Tensor) -> Tensor:
    """-log Bernoulli(target; sigmoid(logits)) summed over pixels, without gradients. [k, N, D], [N, D] → [k, N].

    sum log(1 + e^l) = sum max(l, 0) + log prod (1 + e^-|l|): one logarithm for a group of pixels instead of one each.
    Every factor lies in (1, 2], so that a product of 96 stays below 2^96, well within float32.
    """
    factors = torch.exp_(torch.neg_(torch.abs(logits))).add_(1.0)
    remainder = torch.stack([group.prod(dim=-1) for group in factors.split(FACTORS, dim=-1)], dim=-1).log_().sum(dim=-1)
    return torch.relu(logits).sum(dim=-1) + remainder - torch.einsum("knd,nd->kn", logits, target)
