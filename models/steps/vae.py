"""Kingma and Welling 2014: maximize the evidence lower bound by the reparameterization trick.

With several importance samples it is the tighter bound of Burda et al. 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import VaeSettings
from models.diagnostics import describe_code
from models.errors import ConfigurationError
from models.networks.build import Decoder, GaussianEncoder, SampleShape
from models.objectives import variational
from models.steps.autoencoding import AutoencodingStep
from models.steps.batch import Batch, Moment
from models.steps.schedules import capacity_nats, kl_weight
from models.steps.step import Draws, Execution


@dataclass(frozen=True)
class Coded:
    """What one pass through a VAE gives.

    ``location`` is [k * N, *sample_shape] (before squashing), the k draws of all samples one after the other;
    ``log_scale`` a scalar; ``mean`` and ``log_variance`` of q(z|x) [N, Z]; ``latent`` [k, N, Z].
    """

    location: Tensor
    log_scale: Tensor
    mean: Tensor
    log_variance: Tensor
    latent: Tensor


class VaeNetwork(nn.Module):
    """q(z|x) and p(x|z)."""

    def __init__(self, settings: VaeSettings, sample_shape: SampleShape, classes: int = 0) -> None:
        super().__init__()
        classes = classes if settings.conditional else 0
        self.encoder = GaussianEncoder(settings.encoder, settings.latent_size, sample_shape)
        self.decoder = Decoder(settings.decoder, settings.latent_size, sample_shape, classes=classes)
        self.is_image = len(sample_shape) == 3
        self.likelihood = settings.likelihood
        if settings.likelihood != "bernoulli":
            # Of the gaussian it is the logarithm of the variance, of the logistic that of the scale. Of pixels in
            # [0, 1] it starts near what a first reconstruction misses by.
            self.log_scale = nn.Parameter(torch.full((), -3.0 if self.is_image else 0.0))

    def forward(self, sample: Tensor, noise: Tensor, label: Tensor | None = None) -> tuple[Tensor, ...]:
        """The fields of :class:`Coded`, in order.

        Args:
            sample: [N, *sample_shape].
            noise: standard normal, [k, N, Z].
            label: int64 [N], for a conditional model.
        """
        mean, log_variance = (value.float() for value in self.encoder(sample))
        latent = variational.reparameterize(mean, log_variance, noise)
        draws = noise.shape[0]
        location = self.decoder(latent.flatten(0, 1), None if label is None else label.repeat(draws)).float()
        log_scale = location.new_zeros(()) if self.likelihood == "bernoulli" else self.log_scale
        return location, log_scale, mean, log_variance, latent

    def to_sample(self, location: Tensor) -> Tensor:
        """E[x|z] from the decoder's output: pictures in [0, 1]. [N, *sample_shape]."""
        if not self.is_image:
            return location
        return torch.sigmoid(location) if self.likelihood == "bernoulli" else location.clamp(0.0, 1.0)


def negative_log_likelihood(coded: Coded, settings: VaeSettings, sample: Tensor) -> Tensor:
    """-log p(x|z) of every draw, [k, N], nats.

    Args:
        coded: k draws of N samples.
        settings: which likelihood.
        sample: [N, *sample_shape], pictures in [0, 1].
    """
    draws = len(coded.latent)
    target = sample if draws == 1 else sample.repeat(draws, *(1 for _ in sample.shape[1:]))
    match settings.likelihood:
        case "bernoulli":
            values = variational.bernoulli_negative_log_likelihood(coded.location, target)
        case "gaussian":
            values = variational.gaussian_negative_log_likelihood(coded.location, coded.log_scale, target)
        case "discretized-logistic":
            values = variational.discretized_logistic_negative_log_likelihood(coded.location, coded.log_scale, target)
        case _:
            assert_never(settings.likelihood)
    return values.view(draws, len(sample))


def bound_terms(coded: Coded, settings: VaeSettings, sample: Tensor, moment: Moment) -> dict[str, Tensor]:
    """What is descended, and its terms, in nats per sample.

    Of one draw: reconstruction + beta * KL, the KL in closed form and shaped as the settings say. Of several:
    minus the importance-weighted bound.
    """
    reconstruction = negative_log_likelihood(coded, settings, sample)
    from_mean = variational.kl_mean_part(coded.mean)
    from_variance = variational.kl_variance_part(coded.log_variance)
    kl = (from_mean + from_variance).sum(dim=1).mean()
    terms = {
        "reconstruction_nats": reconstruction.mean(),
        "kl_nats": kl,
        "kl_nats_from_mean": from_mean.sum(dim=1).mean(),
        "kl_nats_from_variance": from_variance.sum(dim=1).mean(),
        "posterior_sigma": torch.exp(0.5 * coded.log_variance).mean(),
    }
    if settings.importance_samples > 1:
        log_prior = variational.normal_log_density(
            coded.latent, torch.zeros_like(coded.mean), torch.zeros_like(coded.mean)
        )
        log_posterior = variational.normal_log_density(coded.latent, coded.mean, coded.log_variance)
        bound = variational.importance_weighted_bound(-reconstruction + log_prior - log_posterior)
        terms["loss"] = -bound.mean()
    else:
        if settings.capacity_nats:
            cost = variational.capacity_penalty(kl, capacity_nats(settings, moment.progress))
        else:
            cost = variational.free_bits(from_mean + from_variance, settings.free_bits_nats)
        terms["loss"] = reconstruction.mean() + kl_weight(settings, moment.progress) * cost
    terms["bits_per_dimension"] = variational.bits_per_dimension(reconstruction.mean() + kl, sample[0].numel())
    return terms


class VaeStep(AutoencodingStep):
    """One update of a VAE."""

    network_ema: VaeNetwork

    def __init__(self, settings: VaeSettings, sample_shape: SampleShape, classes: int, execution: Execution) -> None:
        if settings.likelihood != "gaussian" and len(sample_shape) != 3:
            raise ConfigurationError(
                f"A {settings.likelihood} likelihood needs pictures in [0, 1], but the data are vectors.",
                "Set model.likelihood=gaussian.",
            )
        super().__init__(settings, VaeNetwork(settings, sample_shape, classes), execution)
        self.settings = settings

    def noise(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        rows, count = len(batch), self.settings.importance_samples
        noise = {"code": draws.normal("code", rows, count * self.latent_size).view(rows, count, self.latent_size)}
        if self.settings.binarize:
            noise["binarization"] = draws.uniform("binarization", rows, batch.samples[0].numel())
        return noise

    def losses(
        self, network: nn.Module, batch: Batch, noise: Mapping[str, Tensor], moment: Moment
    ) -> dict[str, Tensor]:
        sample = batch.samples
        if "binarization" in noise:
            sample = (noise["binarization"].view(sample.shape) < sample).to(sample.dtype)
        coded = Coded(*network(sample, noise["code"].transpose(0, 1), batch.labels))
        return bound_terms(coded, self.settings, sample, moment)

    def describe_code(self, held_out: Batch) -> dict[str, float]:
        return describe_code(*self.network_ema.encoder(held_out.samples))

    @torch.no_grad()
    def sample(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.network_ema.to_sample(self.network_ema.decoder(latent, labels))
