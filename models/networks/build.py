"""Networks from their settings, by an explicit match over the closed union."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import ConvolutionalSettings, MlpSettings, Network
from models.errors import ConfigurationError
from models.networks.convolutional import ConvolutionalFromImage, ConvolutionalToImage
from models.networks.mlp import MlpFromSample, MlpToSample

SampleShape = tuple[int, ...]
"""``(C, H, W)`` of a picture or ``(D,)`` of a vector."""


def _image_shape(sample_shape: SampleShape) -> tuple[int, int, int]:
    if len(sample_shape) != 3:
        raise ConfigurationError(
            f"A convolutional network needs pictures, but a sample has the shape {list(sample_shape)}.",
            "Choose the kind mlp for data of vectors.",
        )
    channels, height, width = sample_shape
    return channels, height, width


def build_to_sample(settings: Network, latent_size: int, sample_shape: SampleShape) -> nn.Module:
    """A generator or decoder body: [N, Z] → [N, *sample_shape], unbounded values."""
    match settings:
        case MlpSettings():
            return MlpToSample(latent_size, sample_shape, settings)
        case ConvolutionalSettings():
            return ConvolutionalToImage(latent_size, _image_shape(sample_shape), settings)
        case _:
            assert_never(settings)


def build_from_sample(settings: Network, sample_shape: SampleShape, out_features: int) -> nn.Module:
    """A discriminator or encoder body: [N, *sample_shape] → [N, out_features]."""
    match settings:
        case MlpSettings():
            return MlpFromSample(sample_shape, out_features, settings)
        case ConvolutionalSettings():
            return ConvolutionalFromImage(_image_shape(sample_shape), out_features, settings)
        case _:
            assert_never(settings)


class Generator(nn.Module):
    """z → sample: pictures in [-1, 1] through tanh, vectors as they are."""

    def __init__(
        self, settings: Network, latent_size: int, sample_shape: SampleShape, *, normalize_latent: bool
    ) -> None:
        super().__init__()
        self.body = build_to_sample(settings, latent_size, sample_shape)
        self.is_image = len(sample_shape) == 3
        self.normalize_latent = normalize_latent

    def forward(self, latent: Tensor) -> Tensor:
        if self.normalize_latent:  # onto the sphere of radius sqrt(Z) (Karras et al. 2018, appendix A.1)
            latent = latent * torch.rsqrt(latent.square().mean(dim=1, keepdim=True) + 1e-8)
        sample: Tensor = self.body(latent)
        return torch.tanh(sample) if self.is_image else sample


class Discriminator(nn.Module):
    """Sample → one logit: [N, *sample_shape] → [N]."""

    def __init__(self, settings: Network, sample_shape: SampleShape) -> None:
        super().__init__()
        self.body = build_from_sample(settings, sample_shape, 1)

    def forward(self, sample: Tensor) -> Tensor:
        logit: Tensor = self.body(sample)
        return logit.squeeze(1)


class GaussianEncoder(nn.Module):
    """Sample → mean and log-variance of q(z|x): [N, *sample_shape] → 2 × [N, Z]."""

    def __init__(self, settings: Network, latent_size: int, sample_shape: SampleShape) -> None:
        super().__init__()
        self.body = build_from_sample(settings, sample_shape, 2 * latent_size)

    def forward(self, sample: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.body(sample).chunk(2, dim=1)
        return mean, log_variance


class DeterministicEncoder(nn.Module):
    """Sample → code: [N, *sample_shape] → [N, Z]."""

    def __init__(self, settings: Network, latent_size: int, sample_shape: SampleShape) -> None:
        super().__init__()
        self.body = build_from_sample(settings, sample_shape, latent_size)

    def forward(self, sample: Tensor) -> Tensor:
        code: Tensor = self.body(sample)
        return code


class Decoder(nn.Module):
    """Code → the likelihood's location: a Bernoulli's logits, else the mean."""

    def __init__(self, settings: Network, latent_size: int, sample_shape: SampleShape) -> None:
        super().__init__()
        self.body = build_to_sample(settings, latent_size, sample_shape)

    def forward(self, latent: Tensor) -> Tensor:
        location: Tensor = self.body(latent)
        return location


def parameter_count(network: nn.Module) -> int:
    """Number of scalars that training sets."""
    return sum(parameter.numel() for parameter in network.parameters())
