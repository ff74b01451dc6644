"""The loop of the demonstrations: the families' own steps on samples in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from components.train.moments import moment_at
from components.train.sampler import Sampler
from models.config import GanSettings, MinimaxSettings, MlpSettings, Model, TrainingSettings
from models.networks.build import Discriminator
from models.steps.batch import Batch
from models.steps.build import build_step
from models.steps.game import Penalties, discriminator_losses
from models.steps.step import Draws, Execution, TrainingStep, set_learning_rate

CPU = torch.device("cpu")
Observe = Callable[[int, TrainingStep], None]
Draw = Callable[[int, torch.Generator], Tensor]
"""Rows and a generator → samples, [rows, ...]."""


def new_step(model: Model, sample_shape: tuple[int, ...], seed: int) -> TrainingStep:
    """The family's step with weights of this seed; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_step(model, sample_shape, 0, Execution(CPU))


def train(
    step: TrainingStep,
    samples: Tensor,
    settings: TrainingSettings,
    seed: int,
    *,
    observe: Observe | None = None,
    observations: int = 20,
) -> None:
    """Updates until the budget is spent.

    Args:
        step: trained in place.
        samples: real data as the family takes them, [N, *sample_shape].
        settings: budget, batch size and schedule.
        seed: of order and noise.
        observe: called with the images seen and the step, before the first update and evenly until the end.
        observations: how often.
    """
    sampler = Sampler(len(samples), seed)
    per_update = settings.batch_size * step.batches_per_update
    updates = -(-settings.images_seen // per_update)
    watched = {round(index * updates / observations) for index in range(observations + 1)}
    for update in range(updates + 1):
        if observe is not None and update in watched:
            observe(update * per_update, step)
        if update == updates:
            break
        rows = torch.from_numpy(sampler.rows_at(update * per_update, per_update))
        batches = Batch(samples[rows]).split(step.batches_per_update)
        draws = Draws(seed, update, 0, 1, CPU)
        step.update(batches, draws, moment_at(update * per_update, 0, settings))


def draws_of(seed: int, purpose: str = "look") -> Draws:
    """Noise for measurements, apart from training's."""
    return Draws(seed, -1, 0, 1, CPU, purpose)


def trained_discriminator(
    real: Draw, fake: Draw, seed: int, *, updates: int, batch_size: int = 256, hidden_width: int = 64
) -> Discriminator:
    """A discriminator of vectors that descends the minimax game's cross-entropy on fresh samples of two densities.

    Args:
        real: draws of p_data, [rows, D].
        fake: draws of p_G, [rows, D].
        seed: of weights and samples.
        updates: of Adam at 3e-3, falling to zero along a straight line.
        batch_size: samples of each side.
        hidden_width: of two hidden layers.
    """
    generator = torch.Generator().manual_seed(seed)
    columns = real(1, torch.Generator().manual_seed(0)).shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Discriminator(MlpSettings(hidden_width=hidden_width, hidden_layers=2), (columns,))
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.0, GanSettings().second_moment_decay))
    for update in range(updates):
        set_learning_rate(optimizer, 3e-3 * (1.0 - update / updates))
        optimizer.zero_grad(set_to_none=True)
        pair = real(batch_size, generator), fake(batch_size, generator)
        discriminator_losses(network, *pair, None, MinimaxSettings(), Penalties()).total.backward()
        optimizer.step()
    return network
