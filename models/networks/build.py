"""Networks from their settings, by an explicit match over the closed union."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import ConvolutionalSettings, MlpSettings, Network, ResidualSettings
from models.errors import ConfigurationError
from models.networks.convolutional import ConvolutionalFromImage, ConvolutionalToImage
from models.networks.mlp import MlpFromSample, MlpToSample
from models.networks.residual import ResidualFromImage, ResidualToImage

SampleShape = tuple[int, ...]
"""``(C, H, W)`` of a picture or ``(D,)`` of a vector."""
LABEL_FEATURES = 32
"""Width of a class's embedding beside a latent, and of D's projection onto it."""


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
        case ResidualSettings():
            return ResidualToImage(latent_size, _image_shape(sample_shape), settings)
        case _:
            assert_never(settings)


def build_from_sample(settings: Network, sample_shape: SampleShape, out_features: int) -> nn.Module:
    """A discriminator or encoder body: [N, *sample_shape] → [N, out_features]."""
    match settings:
        case MlpSettings():
            return MlpFromSample(sample_shape, out_features, settings)
        case ConvolutionalSettings():
            return ConvolutionalFromImage(_image_shape(sample_shape), out_features, settings)
        case ResidualSettings():
            return ResidualFromImage(_image_shape(sample_shape), out_features, settings)
        case _:
            assert_never(settings)


class Generator(nn.Module):
    """z, and the class where there are any → sample: pictures in [-1, 1] through tanh, vectors as they are."""

    value_range = (-1.0, 1.0)
    """What the darkest and the brightest pixel are here, and to the discriminator."""

    def __init__(
        self,
        settings: Network,
        latent_size: int,
        sample_shape: SampleShape,
        *,
        normalize_latent: bool,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, LABEL_FEATURES) if classes else None
        self.body = build_to_sample(settings, latent_size + (LABEL_FEATURES if classes else 0), sample_shape)
        self.is_image = len(sample_shape) == 3
        self.normalize_latent = normalize_latent

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        if self.normalize_latent:  # onto the sphere of radius sqrt(Z) (Karras et al. 2018, appendix A.1)
            # A floor and no addend: the exporter drops a small addend, and the zero latent would divide by zero.
            latent = latent * torch.rsqrt(latent.square().mean(dim=1, keepdim=True).clamp_min(1e-8))
        sample: Tensor = self.body(with_label(latent, label, self.label))
        return torch.tanh(sample) if self.is_image else sample

    def to_sample(self, generated: Tensor) -> Tensor:
        """What the generator made, as a sample: pictures in [0, 1]. [N, *sample_shape]."""
        low, high = self.value_range
        return (generated - low) / (high - low) if self.is_image else generated


class Discriminator(nn.Module):
    """Sample, and its class where there are any → one logit: [N, *sample_shape], int64 [N] → [N]."""

    def __init__(self, settings: Network, sample_shape: SampleShape, *, classes: int = 0) -> None:
        super().__init__()
        self.body = build_from_sample(settings, sample_shape, 1 + (LABEL_FEATURES if classes else 0))
        self.label = nn.Embedding(classes, LABEL_FEATURES) if classes else None

    def forward(self, sample: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(sample)
        if self.label is None:
            return out.squeeze(1)
        # The projection of Miyato and Koyama 2018, eq. 3: how real it is, plus how well it fits its class.
        fit = (self.label(_required(label)) * out[:, 1:]).sum(dim=1)
        logit: Tensor = out[:, 0] + fit * LABEL_FEATURES**-0.5
        return logit


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
    """Code, and the class where there are any → the likelihood's location: a Bernoulli's logits, else the mean."""

    def __init__(self, settings: Network, latent_size: int, sample_shape: SampleShape, *, classes: int = 0) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, LABEL_FEATURES) if classes else None
        self.body = build_to_sample(settings, latent_size + (LABEL_FEATURES if classes else 0), sample_shape)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        location: Tensor = self.body(with_label(latent, label, self.label))
        return location


def with_label(latent: Tensor, label: Tensor | None, embedding: nn.Embedding | None) -> Tensor:
    """The class's embedding beside a latent's components.

    Args:
        latent: [N, Z].
        label: int64 [N]; not looked at where there is no embedding.
        embedding: of the classes in E features, or none.

    Returns:
        [N, Z + E], or ``latent`` itself.
    """
    return latent if embedding is None else torch.cat([latent, embedding(_required(label))], dim=1)


def _required(label: Tensor | None) -> Tensor:
    if label is None:
        raise ConfigurationError("A conditional network was not told the class.", "Give it labels, int64 [N].")
    return label


def parameter_count(network: nn.Module) -> int:
    """Number of scalars that training sets."""
    return sum(parameter.numel() for parameter in network.parameters())
