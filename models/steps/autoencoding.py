"""The update that AE and VAE share: encode, decode, descend one loss."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.config import AutoencoderSettings, VaeSettings
from models.steps.batch import Batch, Moment
from models.steps.step import (
    Draws,
    Execution,
    TrainingStep,
    gradient_norm,
    require_finite,
    set_learning_rate,
    update_average,
)

SCALE_RATE_FACTOR = 10.0
"""The likelihood's one scale learns faster than the weights: where it lags behind the error, the KL outweighs the
reconstruction, and the code collapses before it has carried anything."""
FINISHED = Moment(images_seen=0, progress=1.0)
"""Held-out losses are those of the finished schedule, so that they compare along a run."""


class AutoencodingStep(TrainingStep):
    """One network (encoder and decoder), one optimizer, and the averaged network that is exported."""

    selection = "held_out_loss"

    def __init__(self, settings: VaeSettings | AutoencoderSettings, network: nn.Module, execution: Execution) -> None:
        execution.place(network)
        self.network = network
        self.network_ema = copy.deepcopy(network).requires_grad_(False)
        self.networks = {"network": self.network, "network_ema": self.network_ema}
        self.execution = execution
        self._settings = settings
        self._wrapped = execution.wrapped(network)
        scales = [parameter for name, parameter in network.named_parameters() if name == "log_scale"]
        weights = [parameter for name, parameter in network.named_parameters() if name != "log_scale"]
        groups: list[dict[str, Any]] = [{"params": weights}]
        if scales:
            groups.append({"params": scales, "rate_factor": SCALE_RATE_FACTOR})
        self.optimizer = torch.optim.Adam(groups, eps=settings.adam_epsilon)
        self.optimizers = {"network": self.optimizer}
        self._latest: dict[str, Tensor] = {}

    @property
    def latent_size(self) -> int:
        return self._settings.latent_size

    def noise(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """The noise that :meth:`losses` takes for a batch of N samples, by name, each [N, ...]."""
        return {}

    @abstractmethod
    def losses(
        self, network: nn.Module, batch: Batch, noise: Mapping[str, Tensor], moment: Moment
    ) -> dict[str, Tensor]:
        """Terms to report, each a scalar in nats or squared error per sample; ``loss`` is descended.

        Args:
            network: the family's network, or its wrapped form.
            batch: pictures in [0, 1] (vectors: as they are).
            noise: of :meth:`noise`.
            moment: where training stands.
        """

    def update(self, batches: list[Batch], draws: Draws, moment: Moment) -> None:
        (batch,) = batches
        set_learning_rate(self.optimizer, self._settings.learning_rate * moment.learning_rate_share)
        self.optimizer.zero_grad(set_to_none=True)
        reported: list[dict[str, Tensor]] = []
        noise = self.noise(batch, draws)
        for rows in self.execution.parts(len(batch), self._wrapped):
            piece = Batch(batch.samples[rows], None if batch.labels is None else batch.labels[rows])
            with self.execution.autocast():
                losses = self.losses(
                    self._wrapped, piece, {name: values[rows] for name, values in noise.items()}, moment
                )
            require_finite("training", losses["loss"], moment, self.execution)
            (losses["loss"] / self.execution.accumulation).backward()
            reported.append({name: loss.detach() for name, loss in losses.items()})
        self.optimizer.step()
        self._latest = {name: torch.stack([losses[name] for losses in reported]).mean() for name in reported[0]}
        update_average(
            self.network_ema,
            self.network,
            half_life_images=self._settings.ema_half_life_images,
            batch_size=len(batch) * draws.processes,
            images_seen=moment.images_seen,
        )

    def report(self) -> dict[str, float]:
        numbers = {name: float(value) for name, value in self._latest.items()}
        return numbers | {"gradient_norm": gradient_norm(self.network)}

    @torch.no_grad()
    def diagnose(self, train: Batch, held_out: Batch, draws: Draws) -> dict[str, float]:
        """The same losses on held-out samples by the averaged network, and what its code carries."""
        losses = self.losses(self.network_ema, held_out, self.noise(held_out, draws.named("diagnose")), FINISHED)
        return {f"held_out_{name}": float(loss) for name, loss in losses.items()} | self.describe_code(held_out)

    @abstractmethod
    def describe_code(self, held_out: Batch) -> dict[str, float]:
        """What the averaged network's code of held-out samples carries."""
