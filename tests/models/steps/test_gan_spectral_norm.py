"""Spectral norm: every layer of the discriminator has largest singular value 1, whatever it started from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.config import ResidualSettings, WassersteinSettings
from models.steps.gan import GanStep
from models.steps.step import in_evaluation
from tests.models.steps.small import (
    CONVOLUTIONAL,
    MLP,
    START,
    batches,
    draws,
    equal,
    everything,
    gan,
    gan_settings,
    weights,
)

PICTURE = (1, 8, 8)
RESIDUAL = ResidualSettings(base_channels=2, max_channels=4)
EVERY_NETWORK = pytest.mark.parametrize("network", [MLP, CONVOLUTIONAL, RESIDUAL], ids=lambda network: network.kind)


def normed(**changes: Any) -> GanStep:
    return gan(gan_settings(spectral_norm=True, **changes), PICTURE)


def largest_singular_values(discriminator: nn.Module) -> list[float]:
    with in_evaluation(discriminator):
        return [
            torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
            for layer in discriminator.modules()
            if isinstance(layer, nn.Linear | nn.Conv2d)
        ]


def iterate(step: GanStep, times: int) -> None:
    """Every forward in training is one power iteration."""
    (batch,) = batches(1, PICTURE)
    with torch.no_grad():
        for _ in range(times):
            step.discriminator(batch.samples)


@EVERY_NETWORK
def test_every_layer_of_d_has_spectral_norm_one(network: Any) -> None:
    step = normed(discriminator=network)
    step.update(batches(1, PICTURE), draws(), START)
    iterate(step, 60)
    values = largest_singular_values(step.discriminator)
    assert len(values) >= 3
    assert values == pytest.approx([1.0] * len(values), abs=5e-3)
    without = largest_singular_values(gan(gan_settings(discriminator=network), PICTURE).discriminator)
    assert max(abs(value - 1.0) for value in without) > 0.1  # negative control


@EVERY_NETWORK
def test_after_updates_the_norm_is_still_near_one(network: Any) -> None:
    """One iteration a forward is enough, since weights move slowly."""
    step = normed(discriminator=network, discriminator_learning_rate=1e-3)
    iterate(step, 20)
    for update in range(5):
        step.update(batches(1, PICTURE, seed=update), draws(update), START)
    assert largest_singular_values(step.discriminator) == pytest.approx([1.0] * len(list(norms(step))), abs=0.05)


def norms(step: GanStep) -> list[nn.Module]:
    return [layer for layer in step.discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


def test_an_mlp_of_norm_one_is_a_lipschitz_critic() -> None:
    """|D(x) - D(y)| <= ‖x - y‖: leaky rectifiers stretch nothing."""
    step = normed(objective=WassersteinSettings(), r1_weight=0.0, r2_weight=0.0)
    iterate(step, 100)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 200, *PICTURE, generator=generator)
    with torch.no_grad(), in_evaluation(step.discriminator):
        moved = (step.discriminator(x) - step.discriminator(y)).abs()
    assert (moved <= 1.001 * (x - y).flatten(1).norm(dim=1)).all()


def test_the_factor_of_a_layer_does_not_matter() -> None:
    (batch,) = batches(1, PICTURE)
    outputs: list[Tensor] = []
    for factor in (1.0, 7.0):
        step = normed(discriminator=CONVOLUTIONAL)
        with torch.no_grad():
            for name, parameter in step.discriminator.named_parameters():
                if name.endswith("original"):
                    parameter.mul_(factor)
            outputs.append(step.discriminator(batch.samples))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_branches_that_start_at_zero_have_norm_one_too() -> None:
    """0 / 0 would make the first loss NaN; without spectral norm the branches stay at zero."""
    iterate(step := normed(discriminator=RESIDUAL), 1)
    assert torch.isfinite(weights(step.discriminator)).all()
    plain = gan(gan_settings(discriminator=RESIDUAL), PICTURE)
    zeros = [name for name, value in plain.discriminator.named_parameters() if "narrow" in name and not value.any()]
    assert len(zeros) > 0
    assert all(layer.weight.any() for layer in norms(step))


def test_the_generator_is_left_alone() -> None:
    step = normed(generator=CONVOLUTIONAL)
    assert not any("parametrizations" in name for name in step.generator.state_dict())
    plain = gan(gan_settings(generator=CONVOLUTIONAL), PICTURE)
    assert torch.equal(weights(step.generator), weights(plain.generator))


@EVERY_NETWORK
def test_diagnosis_moves_no_power_iteration(network: Any) -> None:
    step = normed(discriminator=network)
    step.update(batches(1, PICTURE), draws(), START)
    before = everything(step)
    train, held_out = batches(2, PICTURE, rows=12)
    step.diagnose(train, held_out, draws())
    assert equal(everything(step), before)
    iterate(step, 1)
    assert not equal(everything(step), before)  # negative control: a forward in training does
