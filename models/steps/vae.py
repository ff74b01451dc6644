"""Kingma and Welling 2014: maximize the evidence lower bound by the reparameterization trick.

With several importance samples it is the tighter bound of Burda et al. 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    values = variational.negative_log_likelihood(settings.likelihood, coded.location, coded.log_scale, target)
    return values.view(draws, len(sample))


def bound_terms(
    coded: Coded, settings: VaeSettings, sample: Tensor, moment: Moment, whole_kl: Tensor | None = None
) -> dict[str, Tensor]:
    """What is descended, and its terms, in nats per sample; the decoder's sigma in units of the samples.

    Of one draw: reconstruction + beta * KL, the KL in closed form and shaped as the settings say. Of several:
    minus the importance-weighted bound.

    Args:
        coded: of the samples.
        settings: how they are weighed.
        sample: [N, *sample_shape], pictures in [0, 1].
        moment: where training stands.
        whole_kl: mean KL of each dimension over the whole batch, [Z], where the samples are a part of it: free bits
            and capacity are of its expectation.
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
    sigma = variational.standard_deviation(settings.likelihood, coded.log_scale.detach())
    if sigma is not None:
        terms["decoder_sigma"] = sigma
    if settings.importance_samples > 1:
        log_prior = variational.normal_log_density(
            coded.latent, torch.zeros_like(coded.mean), torch.zeros_like(coded.mean)
        )
        log_posterior = variational.normal_log_density(coded.latent, coded.mean, coded.log_variance)
        bound = variational.importance_weighted_bound(-reconstruction + log_prior - log_posterior)
        terms["loss"] = -bound.mean()
    else:
        if settings.capacity_nats:
            whole = None if whole_kl is None else whole_kl.sum()
            cost = variational.capacity_penalty(kl, capacity_nats(settings, moment.progress), whole)
        else:
            cost = variational.free_bits(from_mean + from_variance, settings.free_bits_nats, whole_kl)
        terms["loss"] = reconstruction.mean() + kl_weight(settings, moment.progress) * cost
    terms["bits_per_dimension"] = variational.bits_per_dimension(reconstruction.mean() + kl, sample[0].numel())
    return terms


class VaeStep(AutoencodingStep):
    """One update of a VAE."""

    network: VaeNetwork
    network_ema: VaeNetwork

    def __init__(self, settings: VaeSettings, sample_shape: SampleShape, classes: int, execution: Execution) -> None:
        if settings.likelihood != "gaussian" and len(sample_shape) != 3:
            raise ConfigurationError(
                f"A {settings.likelihood} likelihood needs pictures in [0, 1], but the data are vectors.",
                "Set model.likelihood=gaussian.",
            )
        super().__init__(settings, VaeNetwork(settings, sample_shape, classes), execution)
        self.settings = settings
        self._whole_kl: Tensor | None = None
        """Of the update that is being computed, where its parts are not to be seen alone."""

    def update(self, batches: list[Batch], draws: Draws, moment: Moment) -> None:
        shaped = self.settings.free_bits_nats or self.settings.capacity_nats
        if shaped and (self.execution.accumulation > 1 or self.execution.processes > 1):
            self._whole_kl = self._kl_of_the_whole_batch(batches[0], draws)
        try:
            super().update(batches, draws, moment)
        finally:
            self._whole_kl = None

    @torch.no_grad()
    def _kl_of_the_whole_batch(self, batch: Batch, draws: Draws) -> Tensor:
        """Mean KL of each dimension over all parts and processes, [Z]: a pass of the encoder, without gradients."""
        parts = []
        for sample in self._shown(batch, self._thresholds(batch, draws)).chunk(self.execution.accumulation):
            with self.execution.autocast():
                mean, log_variance = (value.float() for value in self.network.encoder(sample))
            parts.append(variational.kl_to_standard_normal(mean, log_variance).mean(dim=0))
        return self.execution.mean_over_processes(torch.stack(parts).mean(dim=0))

    def _thresholds(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Of the pixels that are drawn black or white, [N, pixels]."""
        if not self.settings.binarize:
            return {}
        return {"binarization": draws.uniform("binarization", len(batch), batch.samples[0].numel())}

    def _shown(self, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        """The samples as both halves of the network see them."""
        sample = batch.samples
        if "binarization" in noise:
            sample = (noise["binarization"].view(sample.shape) < sample).to(sample.dtype)
        return sample

    def noise(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        rows, count = len(batch), self.settings.importance_samples
        code = draws.normal("code", rows, count * self.latent_size).view(rows, count, self.latent_size)
        return {"code": code} | self._thresholds(batch, draws)

    def losses(
        self, network: nn.Module, batch: Batch, noise: Mapping[str, Tensor], moment: Moment
    ) -> dict[str, Tensor]:
        sample = self._shown(batch, noise)
        coded = Coded(*network(sample, noise["code"].transpose(0, 1), batch.labels))
        return bound_terms(coded, self.settings, sample, moment, self._whole_kl)

    def describe_code(self, held_out: Batch) -> dict[str, float]:
        return describe_code(*self.network_ema.encoder(held_out.samples))

    @torch.no_grad()
    def sample(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.network_ema.to_sample(self.network_ema.decoder(latent, labels))
