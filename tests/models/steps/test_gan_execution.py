"""How an update is computed changes nothing but its cost: parts of a batch, processes, bfloat16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from models.augmentation import DRAWS_PER_SAMPLE, augment
from models.config import AugmentationSettings, HingeSettings, LinearNoise, ResidualSettings, WassersteinSettings
from models.steps.batch import Batch
from models.steps.gan import GanStep
from models.steps.step import Execution
from tests.models.steps.small import (
    CONVOLUTIONAL,
    CPU,
    ROWS,
    START,
    STILL,
    batches,
    draws,
    gan,
    gan_settings,
    gradients,
    weights,
)

PICTURE = (1, 8, 8)
AUGMENTED = AugmentationSettings(maximal_probability=0.9, images_to_full=10**12)
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "packed": {"packing": 2, "objective": HingeSettings()},
    "conditional": {"conditional": True},
    "critic": {"objective": WassersteinSettings(), "gradient_penalty_weight": 10.0, "packing": 2},
    "noisy": {"instance_noise": LinearNoise(), "augmentation": AUGMENTED, "discriminator_steps": 2},
}
EVERY_CASE = pytest.mark.parametrize("changes", CASES.values(), ids=CASES)


def shown_parts(changes: dict[str, Any], accumulation: int) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Both players' gradients of one update by parts, and its report."""
    step = gan(gan_settings(**changes), PICTURE, execution=Execution(CPU, accumulation=accumulation))
    step.augmentation_strength.value.fill_(1.0)
    step.update(batches(step.batches_per_update, PICTURE), draws(), STILL)
    return gradients(step.discriminator), gradients(step.generator), step.report()


@EVERY_CASE
@pytest.mark.parametrize("accumulation", [2, 4])
def test_the_gradients_of_parts_sum_to_the_batchs(changes: dict[str, Any], accumulation: int) -> None:
    whole, parts = shown_parts(changes, 1), shown_parts(changes, accumulation)
    for found, expected in zip(parts[:2], whole[:2], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        assert expected.abs().max() > 1e-3
    assert parts[2] == pytest.approx(whole[2], rel=1e-4, abs=1e-6)


def test_a_batch_that_does_not_divide_is_refused() -> None:
    step = gan(gan_settings(packing=2), execution=Execution(CPU, accumulation=3))
    with pytest.raises(ValueError, match="4 rows cannot be split into 3 equal parts"):
        step.update(batches(), draws(), START)


@EVERY_CASE
def test_the_mean_gradient_of_two_processes_is_that_of_one(changes: dict[str, Any]) -> None:
    """Each with its own half of the batch and its own rows of the noise."""

    def gradients_of(rank: int, processes: int) -> tuple[Tensor, Tensor]:
        step = gan(gan_settings(**changes), PICTURE)
        step.augmentation_strength.value.fill_(1.0)
        given = [batch.split(processes)[rank] for batch in batches(step.batches_per_update, PICTURE)]
        step.update(given, draws(rank=rank, processes=processes), STILL)
        return gradients(step.discriminator), gradients(step.generator)

    alone = gradients_of(0, 1)
    first, second = gradients_of(0, 2), gradients_of(1, 2)
    for index in range(2):
        torch.testing.assert_close(0.5 * (first[index] + second[index]), alone[index], rtol=1e-4, atol=1e-6)
        assert not torch.allclose(first[index], second[index], rtol=1e-2)  # negative control


def test_wrapped_players_are_the_ones_that_move() -> None:
    """Each player is called through its wrap where its own gradients are made, and directly where they are not."""
    calls: list[str] = []

    class Wrapped(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Tensor) -> Tensor:
            calls.append(type(self.network).__name__)
            out: Tensor = self.network(*inputs)
            return out

    step = gan(gan_settings(discriminator_steps=2), execution=Execution(CPU, wrap=Wrapped))
    step.update(batches(2), draws(), START)
    assert calls == ["Discriminator", "Discriminator", "Generator"]
    calls.clear()
    shared = gan_settings(discriminator_steps=2, shared_latents=True)
    gan(shared, execution=Execution(CPU, wrap=Wrapped)).update(batches(2), draws(), START)
    assert calls == ["Discriminator", "Generator", "Discriminator"]


# -- bfloat16 -----------------------------------------------------------------------------------------


def bfloat16(changes: dict[str, Any]) -> GanStep:
    small = {"generator": CONVOLUTIONAL, "discriminator": CONVOLUTIONAL}
    return gan(gan_settings(**(small | changes)), PICTURE, execution=Execution(CPU, bfloat16=True))


@pytest.mark.parametrize(
    "changes",
    [*CASES.values(), {"spectral_norm": True}, {"discriminator": ResidualSettings(base_channels=2, max_channels=4)}],
    ids=[*CASES, "spectral-norm", "residual"],
)
def test_in_bfloat16_weights_gradients_and_losses_stay_float32(changes: dict[str, Any]) -> None:
    step = bfloat16(changes)
    step.update(batches(step.batches_per_update, PICTURE), draws(), START)
    tensors = [*step.networks["discriminator"].state_dict().values(), *step.generator.parameters()]
    tensors += [parameter.grad for parameter in step.discriminator.parameters() if parameter.grad is not None]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    assert torch.isfinite(step.sample(draws().normal("probe", 4, 3), torch.zeros(4, dtype=torch.int64))).all()


@EVERY_CASE
def test_in_bfloat16_gradients_point_where_float32s_do(changes: dict[str, Any]) -> None:
    small = {"generator": CONVOLUTIONAL, "discriminator": CONVOLUTIONAL}
    found, exact = bfloat16(changes), gan(gan_settings(**(small | changes)), PICTURE)
    for step in (found, exact):
        step.augmentation_strength.value.fill_(1.0)
        step.update(batches(step.batches_per_update, PICTURE), draws(), STILL)
    for name in ("generator", "discriminator"):
        pair = gradients(found.networks[name]), gradients(exact.networks[name])
        assert cosine_similarity(*pair, dim=0) > 0.99
        assert not torch.equal(*pair)  # products were in bfloat16
        assert torch.equal(weights(found.networks[name]), weights(exact.networks[name]))


def test_augmentation_is_float32_on_both_sides() -> None:
    """Coordinates in bfloat16 would move G's pictures by parts of a pixel against D's."""
    step = bfloat16({"augmentation": AUGMENTED})
    step.augmentation_strength.value.fill_(1.0)
    seen: list[Tensor] = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    step.update(batches(1, PICTURE), draws(), STILL)
    probability = torch.tensor(0.9)
    for shown, player in ((seen[0][ROWS:], "discriminator-0"), (seen[1], "generator")):
        mine = draws().named(player)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            fake = step.generator(mine.normal("latent", ROWS, 3)).float()
        expected = augment(fake, probability, mine.uniform("augmentation-fake", ROWS, DRAWS_PER_SAMPLE), AUGMENTED)
        torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)


def test_unlabelled_batches_are_cut_as_labelled_ones() -> None:
    for accumulation in (1, 2):
        step = gan(gan_settings(), execution=Execution(CPU, accumulation=accumulation))
        step.update([Batch(batches()[0].samples)], draws(), STILL)
        reference = gan(gan_settings(), execution=Execution(CPU, accumulation=accumulation))
        reference.update(batches(), draws(), STILL)
        assert torch.equal(gradients(step.generator), gradients(reference.generator))
        assert torch.equal(gradients(step.discriminator), gradients(reference.discriminator))
