"""What every family's training step offers to the loop around it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import TrainingError

Wrap = Callable[[nn.Module], nn.Module]
"""Makes a network's gradients agree between processes (DistributedDataParallel), or does nothing."""


@dataclass(frozen=True)
class Draws:
    """The noise of one update, as a function of (seed, update) alone.

    Every process draws the whole batch's noise and keeps its own rows: two processes see what one would have
    seen, and going on from a checkpoint needs no generator's state.
    """

    seed: int
    update: int
    rank: int
    processes: int
    device: torch.device

    def normal(self, purpose: str, rows: int, columns: int) -> Tensor:
        """Standard normal noise for this process's ``rows`` of the batch, [rows, columns]."""
        digest = hashlib.sha256(f"{self.seed}/{self.update}/{purpose}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        noise = torch.randn(rows * self.processes, columns, generator=generator)
        return noise[self.rank * rows : (self.rank + 1) * rows].to(self.device)


class TrainingStep(ABC):
    """One family's networks, optimizers and update."""

    batches_per_update: int = 1
    """Real batches that one update consumes."""

    networks: dict[str, nn.Module]
    """Everything that a checkpoint keeps, by name; averaged copies end in ``_ema``."""

    optimizers: dict[str, torch.optim.Optimizer]

    @abstractmethod
    def update(self, batches: list[Tensor], draws: Draws, learning_rate_share: float, images_seen: int) -> None:
        """Move every network once.

        Args:
            batches: ``batches_per_update`` real batches, [N, *sample_shape], as the family takes them.
            draws: this update's noise.
            learning_rate_share: factor on every learning rate, in [0, 1].
            images_seen: real samples shown before this update.

        Raises:
            TrainingError: if a loss is not finite; nothing has been moved by it then.
        """

    @abstractmethod
    def report(self) -> dict[str, float]:
        """The latest losses by name. The only place that waits for the device."""

    @abstractmethod
    def diagnose(self, train: Tensor, held_out: Tensor, draws: Draws) -> dict[str, float]:
        """Diagnostics that are too dear for every update, on samples [N, *sample_shape] of both splits."""

    @abstractmethod
    def sample(self, latent: Tensor) -> Tensor:
        """Samples of the averaged network in [0, 1] (vectors: as they are), [N, Z] → [N, *sample_shape]."""

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """Components of z."""


def require_finite(name: str, loss: Tensor, images_seen: int) -> None:
    """Stop before the optimizer moves when a loss is not finite.

    Raises:
        TrainingError: naming the term and the moment.
    """
    if not bool(torch.isfinite(loss)):
        raise TrainingError(
            f"The {name} loss became {float(loss.detach())} after {images_seen:,} images.",
            "Lower the learning rate or raise the penalties, then train again.",
        )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, *, half_life_images: int, batch_size: int, images_seen: int
) -> None:
    """Exponential moving average of weights with its half-life counted in images.

    While training is young the half-life is a twentieth of what has been seen, so that the average forgets the
    start (the ramp-up of Karras et al. 2020, StyleGAN2-ADA).
    """
    half_life = min(float(half_life_images), max(images_seen * 0.05, 1e-8))
    decay = 0.5 ** (batch_size / half_life)
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through the network but not into it, for the length of a ``with`` block."""
    parameters = list(network.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
