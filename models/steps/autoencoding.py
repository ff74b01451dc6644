"""The update that AE and VAE share: encode, decode, descend one loss."""

from __future__ import annotations

import copy
from abc import abstractmethod

import torch
from torch import Tensor, nn

from models.config import AutoencoderSettings, VaeSettings
from models.steps.step import Draws, TrainingStep, Wrap, require_finite, set_learning_rate, update_average


class AutoencodingStep(TrainingStep):
    """One network (encoder and decoder), one optimizer, and the averaged network that is exported."""

    def __init__(self, settings: VaeSettings | AutoencoderSettings, network: nn.Module, wrap: Wrap) -> None:
        self.network = network
        self.network_ema = copy.deepcopy(network).requires_grad_(False)
        self.networks = {"network": self.network, "network_ema": self.network_ema}
        self._settings = settings
        self._wrapped = wrap(network)
        self.optimizer = torch.optim.Adam(network.parameters())
        self.optimizers = {"network": self.optimizer}
        self._latest: dict[str, Tensor] = {}

    @property
    def latent_size(self) -> int:
        return self._settings.latent_size

    @abstractmethod
    def losses(self, network: nn.Module, batch: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Terms to report, each a scalar in nats or squared error per sample; ``loss`` is descended.

        Args:
            network: the family's network, or its wrapped form.
            batch: [N, *sample_shape] in [0, 1] (vectors: as they are).
            noise: standard normal, [N, Z].
        """

    def update(self, batches: list[Tensor], draws: Draws, learning_rate_share: float, images_seen: int) -> None:
        (batch,) = batches
        set_learning_rate(self.optimizer, self._settings.learning_rate * learning_rate_share)
        losses = self.losses(self._wrapped, batch, draws.normal("code", len(batch), self.latent_size))
        require_finite("training", losses["loss"], images_seen)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        self.optimizer.step()
        update_average(
            self.network_ema,
            self.network,
            half_life_images=self._settings.ema_half_life_images,
            batch_size=len(batch) * draws.processes,
            images_seen=images_seen,
        )
        self._latest = {name: loss.detach() for name, loss in losses.items()}

    def report(self) -> dict[str, float]:
        return {name: float(loss) for name, loss in self._latest.items()}

    @torch.no_grad()
    def diagnose(self, train: Tensor, held_out: Tensor, draws: Draws) -> dict[str, float]:
        """The same losses on held-out samples, by the averaged network."""
        noise = draws.normal("diagnose", len(held_out), self.latent_size)
        return {
            f"held_out_{name}": float(loss) for name, loss in self.losses(self.network_ema, held_out, noise).items()
        }
