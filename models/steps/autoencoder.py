"""The plain autoencoder: a single-valued code, trained on reconstruction error alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.config import AutoencoderSettings
from models.diagnostics import describe_code
from models.networks.build import Decoder, DeterministicEncoder, SampleShape
from models.objectives import variational
from models.steps.autoencoding import AutoencodingStep
from models.steps.batch import Batch, Moment
from models.steps.step import Execution


class AutoencoderNetwork(nn.Module):
    """Encoder, code, decoder."""

    def __init__(self, settings: AutoencoderSettings, sample_shape: SampleShape) -> None:
        super().__init__()
        self.encoder = DeterministicEncoder(settings.encoder, settings.latent_size, sample_shape)
        self.decoder = Decoder(settings.decoder, settings.latent_size, sample_shape)
        self.is_image = len(sample_shape) == 3

    def forward(self, sample: Tensor) -> Tensor:
        """[N, *sample_shape] → its reconstruction, unbounded.

        It is not squashed: a squared error behind a sigmoid is flat where everything is black, and dark pictures
        lead there within the first updates.
        """
        location: Tensor = self.decoder(self.encoder(sample))
        return location

    def to_sample(self, location: Tensor) -> Tensor:
        """The decoder's output as a sample: pictures are cut to [0, 1]. [N, *sample_shape]."""
        return location.clamp(0.0, 1.0) if self.is_image else location


class AutoencoderStep(AutoencodingStep):
    """One update of an autoencoder."""

    network_ema: AutoencoderNetwork

    def __init__(self, settings: AutoencoderSettings, sample_shape: SampleShape, execution: Execution) -> None:
        super().__init__(settings, AutoencoderNetwork(settings, sample_shape), execution)

    def losses(
        self, network: nn.Module, batch: Batch, noise: Mapping[str, Tensor], moment: Moment
    ) -> dict[str, Tensor]:
        return {"loss": variational.squared_error(network(batch.samples).float(), batch.samples).mean()}

    def describe_code(self, held_out: Batch) -> dict[str, float]:
        return describe_code(self.network_ema.encoder(held_out.samples), None)

    @torch.no_grad()
    def sample(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.network_ema.to_sample(self.network_ema.decoder(latent))
