"""The demonstrations' loop: a function of its seed, and of the families' own steps."""

from __future__ import annotations

import pytest
import torch

from models.config import GanSettings, MlpSettings, TrainingSettings
from pipelines.labs.densities import gaussian
from pipelines.labs.training import new_step, train, trained_discriminator

SMALL = MlpSettings(hidden_width=8, hidden_layers=1)
MODEL = GanSettings(latent_size=2, generator=SMALL, discriminator=SMALL, discriminator_steps=2)
DATA = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))


def weights(seed: int) -> torch.Tensor:
    step = new_step(MODEL, (2,), seed)
    train(step, DATA, TrainingSettings(images_seen=160, batch_size=8), seed)
    return torch.cat([value.detach().flatten() for value in step.networks["generator"].parameters()])


def test_the_same_seed_trains_the_same_network_and_another_does_not() -> None:
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_global_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    weights(3)
    trained_discriminator(gaussian(0.0, 1.0).sample, gaussian(1.0, 1.0).sample, 0, updates=2, batch_size=8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("observations", [1, 5])
def test_observers_see_the_start_and_the_end(observations: int) -> None:
    seen: list[int] = []
    step = new_step(MODEL, (2,), 0)
    settings = TrainingSettings(images_seen=160, batch_size=8)
    train(step, DATA, settings, 0, observe=lambda images, _: seen.append(images), observations=observations)
    assert (seen[0], seen[-1], len(seen)) == (0, 160, observations + 1)
