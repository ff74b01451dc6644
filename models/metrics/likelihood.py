"""Log-likelihood of a VAE by importance sampling: the number that bounds are compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from models.config import VaeSettings
from models.objectives.variational import normal_log_density, reparameterize
from models.steps.vae import Coded, VaeNetwork, negative_log_likelihood

FACTORS = 96
"""Pixels whose probabilities share one logarithm."""


@torch.no_grad()
def log_likelihood(
    network: VaeNetwork,
    settings: VaeSettings,
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
        settings: its likelihood.
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
        coded = Coded(location, log_scale, mean, log_variance, latent)
        zeros = torch.zeros_like(mean)
        reconstruction = (
            bernoulli_nats(location.view(draws, rows, -1), samples.view(rows, -1))
            if network.likelihood == "bernoulli"
            else negative_log_likelihood(coded, settings, samples)
        )
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
