"""What is exported of each family: modules whose inputs and outputs are the contract's tensors."""

from __future__ import annotations

from torch import Tensor, nn

from components.onnx_graphs.pixels import from_pixels, to_pixels
from models.networks.build import Generator
from models.steps.autoencoder import AutoencoderNetwork
from models.steps.vae import VaeNetwork


class GeneratorGraph(nn.Module):
    """latent [N, Z] and, where conditional, label int64 [N] → image, pixels; or sample [N, D]."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor] | Tensor:
        sample = self.generator.to_sample(self.generator(latent, label))
        if not self.generator.is_image:
            return sample
        image = sample.clamp(0.0, 1.0)
        return image, to_pixels(image)


class DecoderGraph(nn.Module):
    """latent [N, Z] and, where conditional, label int64 [N] → image, pixels, location; or sample [N, D].

    The location is a Bernoulli's logits, else the unbounded mean.
    """

    def __init__(self, network: VaeNetwork | AutoencoderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor] | Tensor:
        location: Tensor = self.network.decoder(latent) if label is None else self.network.decoder(latent, label)
        sample = self.network.to_sample(location)
        return (sample, to_pixels(sample), location) if self.network.is_image else sample


class EncoderGraph(nn.Module):
    """pixels uint8 [N, H, W, C] (or sample [N, D]) → mean and, for a VAE, log_variance, [N, Z]."""

    def __init__(self, network: VaeNetwork | AutoencoderNetwork) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.is_image = network.is_image

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        encoded: tuple[Tensor, Tensor] | Tensor = self.encoder(from_pixels(pixels) if self.is_image else pixels)
        return encoded
