"""Kingma and Welling 2014: maximize the evidence lower bound by the reparameterization trick."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import VaeSettings
from models.networks.build import Decoder, GaussianEncoder, SampleShape
from models.objectives import variational
from models.steps.autoencoding import AutoencodingStep
from models.steps.step import Wrap


class VaeNetwork(nn.Module):
    """q(z|x) and p(x|z)."""

    def __init__(self, settings: VaeSettings, sample_shape: SampleShape) -> None:
        super().__init__()
        self.encoder = GaussianEncoder(settings.encoder, settings.latent_size, sample_shape)
        self.decoder = Decoder(settings.decoder, settings.latent_size, sample_shape)
        self.is_image = len(sample_shape) == 3
        self.is_bernoulli = settings.likelihood == "bernoulli"
        if settings.likelihood == "gaussian":
            self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, sample: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, *sample_shape], [N, Z] → location (before squashing), mean, log-variance of q(z|x)."""
        mean, log_variance = self.encoder(sample)
        location = self.decoder(variational.reparameterize(mean, log_variance, noise))
        return location, mean, log_variance

    def to_sample(self, location: Tensor) -> Tensor:
        """E[x|z] from the decoder's output: pictures in [0, 1]. [N, *sample_shape]."""
        if not self.is_image:
            return location
        return torch.sigmoid(location) if self.is_bernoulli else location.clamp(0.0, 1.0)


def negative_elbo_terms(
    network: nn.Module, settings: VaeSettings, decoder_log_variance: Tensor | None, sample: Tensor, noise: Tensor
) -> dict[str, Tensor]:
    """Reconstruction and KL in nats per sample, and the loss reconstruction + beta * KL.

    Args:
        network: gives location, mean and log-variance for (sample, noise).
        decoder_log_variance: the gaussian likelihood's shared log-variance; None for bernoulli.
        sample: [N, *sample_shape], pictures in [0, 1].
        noise: standard normal, [N, Z].
    """
    location, mean, log_variance = network(sample, noise)
    match settings.likelihood:
        case "bernoulli":
            reconstruction = variational.bernoulli_negative_log_likelihood(location, sample)
        case "gaussian":
            assert decoder_log_variance is not None
            reconstruction = variational.gaussian_negative_log_likelihood(location, decoder_log_variance, sample)
        case _:
            assert_never(settings.likelihood)
    kl_from_mean = variational.kl_mean_part(mean).sum(dim=1).mean()
    kl_from_variance = variational.kl_variance_part(log_variance).sum(dim=1).mean()
    kl = kl_from_mean + kl_from_variance
    return {
        "loss": reconstruction.mean() + settings.beta * kl,
        "reconstruction_nats": reconstruction.mean(),
        "kl_nats": kl,
        "kl_nats_from_mean": kl_from_mean,
        "kl_nats_from_variance": kl_from_variance,
        "posterior_sigma": torch.exp(0.5 * log_variance).mean(),
    }


class VaeStep(AutoencodingStep):
    """One update of a VAE."""

    def __init__(self, settings: VaeSettings, sample_shape: SampleShape, device: torch.device, wrap: Wrap) -> None:
        if settings.likelihood == "bernoulli" and len(sample_shape) != 3:
            from models.errors import ConfigurationError

            raise ConfigurationError(
                "A bernoulli likelihood needs pictures in [0, 1], but the data are vectors.",
                "Set model.likelihood=gaussian.",
            )
        super().__init__(
            settings, VaeNetwork(settings, sample_shape).to(device).to(memory_format=torch.channels_last), wrap
        )
        self.settings = settings

    def losses(self, network: nn.Module, batch: Tensor, noise: Tensor) -> dict[str, Tensor]:
        owner = self.network_ema if network is self.network_ema else self.network
        return negative_elbo_terms(network, self.settings, getattr(owner, "log_variance", None), batch, noise)

    @torch.no_grad()
    def sample(self, latent: Tensor) -> Tensor:
        assert isinstance(self.network_ema, VaeNetwork)
        return self.network_ema.to_sample(self.network_ema.decoder(latent))
