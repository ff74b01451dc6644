"""What the discriminator is shown: augmented, noisy, packed; on both sides, and with G's gradient passing through."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.augmentation import DRAWS_PER_SAMPLE, augment
from models.config import (
    AdaptiveNoise,
    AugmentationSettings,
    CosineNoise,
    InstanceNoise,
    LinearNoise,
    MinimaxSettings,
    NonSaturatingSettings,
    Objective,
)
from models.objectives.regularizers import pack
from models.steps.batch import Batch, Moment
from models.steps.game import generator_loss
from models.steps.gan import GanStep
from tests.models.steps.small import (
    CONVOLUTIONAL,
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
AUGMENTED = AugmentationSettings(maximal_probability=0.9, mirror=True, images_to_full=10**12)


def shown_to(step: GanStep) -> list[Tensor]:
    """Everything that D is given from now on."""
    seen: list[Tensor] = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    return seen


def fakes_of(step: GanStep, player: str) -> Tensor:
    with torch.no_grad():
        fake: Tensor = step.generator(draws().named(player).normal("latent", ROWS, 3))
    return fake


def at(progress: float, **changes: Any) -> Moment:
    return Moment(0, progress, **({"learning_rate_share": 0.0} | changes))


# -- instance noise -----------------------------------------------------------------------------------

ANNEALED: list[InstanceNoise] = [
    LinearNoise(sigma=0.4, until_share=0.6),
    CosineNoise(sigma=0.4, until_share=0.6),
    AdaptiveNoise(sigma=0.4, until_share=0.6, images_to_full=10**12),  # it stays at the line
]


@pytest.mark.parametrize("noise", ANNEALED, ids=lambda noise: noise.kind)
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.3])
def test_both_sides_are_shown_with_noise_of_the_schedules_sigma(noise: InstanceNoise, progress: float) -> None:
    step = gan(gan_settings(instance_noise=noise))
    seen, (batch,) = shown_to(step), batches()
    step.update([batch], draws(), at(progress))
    share = progress / 0.6
    line, half_cosine = 1.0 - share, 0.5 + 0.5 * math.cos(math.pi * share)
    expected = 0.4 * (half_cosine if noise.kind == "cosine" else line)
    assert step.report()["instance_noise"] == pytest.approx(expected)
    bare = torch.cat([batch.samples, fakes_of(step, "discriminator-0")])
    mine = draws().named("discriminator-0")
    drawn = torch.cat([mine.normal(f"noise-{side}", ROWS, 2) for side in ("real", "fake")])
    torch.testing.assert_close(seen[0], bare + expected * drawn)
    drawn = draws().named("generator").normal("noise-fake", ROWS, 2)
    torch.testing.assert_close(seen[1], fakes_of(step, "generator") + expected * drawn)


@pytest.mark.parametrize("noise", ANNEALED, ids=lambda noise: noise.kind)
@pytest.mark.parametrize("progress", [0.6, 0.9, 1.0])
def test_once_the_noise_is_over_samples_are_shown_bare(noise: InstanceNoise, progress: float) -> None:
    step = gan(gan_settings(instance_noise=noise))
    seen, (batch,) = shown_to(step), batches()
    step.update([batch], draws(), at(progress))
    assert torch.equal(seen[0][:ROWS], batch.samples)
    torch.testing.assert_close(seen[0][ROWS:], fakes_of(step, "discriminator-0"))
    assert step.report()["instance_noise"] == 0.0


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_the_adaptive_noise_is_its_strengths_share_of_the_line(strength: float) -> None:
    step = gan(gan_settings(instance_noise=AdaptiveNoise(sigma=0.4, until_share=1.0)))
    assert step.noise_strength.value.item() == 1.0
    step.noise_strength.value.fill_(strength)
    seen, (batch,) = shown_to(step), batches()
    step.update([batch], draws(), at(0.5))
    noise = draws().named("discriminator-0").normal("noise-real", ROWS, 2)
    torch.testing.assert_close(seen[0][:ROWS], batch.samples + strength * 0.2 * noise)


NOISES: list[InstanceNoise | None] = [None, LinearNoise(sigma=0.1, until_share=0.5), AdaptiveNoise(until_share=0.5)]


@pytest.mark.parametrize("noise", NOISES, ids=["none", "linear", "adaptive"])
@pytest.mark.parametrize("progress", [0.2, 0.8])
def test_after_a_roll_back_the_noise_is_at_least_the_moments(noise: InstanceNoise | None, progress: float) -> None:
    step = gan(gan_settings(**({} if noise is None else {"instance_noise": noise})))
    step.noise_strength.value.zero_()  # an adaptive schedule that asks for none
    seen, (batch,) = shown_to(step), batches()
    step.update([batch], draws(), at(progress, instance_noise=0.3))
    expected = batch.samples + 0.3 * draws().named("discriminator-0").normal("noise-real", ROWS, 2)
    torch.testing.assert_close(seen[0][:ROWS], expected)
    assert step.report()["instance_noise"] == pytest.approx(0.3)


def separating(sign: float) -> GanStep:
    """D(x) is ``sign`` times the first component, and the samples of G lie at zero."""
    step = gan(gan_settings(instance_noise=AdaptiveNoise(sigma=0.01, target=0.5, images_to_full=100)))
    with torch.no_grad():
        for network in (step.generator, step.discriminator):
            for parameter in network.parameters():
                parameter.zero_()
        for name, parameter in step.discriminator.named_parameters():
            if name.endswith("weight"):
                parameter[0, 0] = sign if parameter.shape[0] == 1 else 1.0
    step.noise_strength.value.fill_(0.5)
    return step


@pytest.mark.parametrize("processes", [1, 3])
def test_the_adaptive_noise_rises_while_d_separates_and_falls_while_it_does_not(processes: int) -> None:
    real = [Batch(torch.tensor([[1.0, 0.0]]).repeat(ROWS, 1))]
    for sign, direction in ((1.0, 1.0), (-1.0, -1.0), (0.0, -1.0)):
        step = separating(sign)
        for update in range(1, 4):
            step.update(real, draws(update, processes=processes), at(0.0))
            moved = update * direction * ROWS * processes / 100
            assert step.noise_strength.value.item() == pytest.approx(min(1.0, max(0.0, 0.5 + moved)))
        assert step.report()["separation"] == sign


def test_the_adaptive_strength_is_kept_by_the_checkpoint() -> None:
    settings = gan_settings(instance_noise=AdaptiveNoise(sigma=0.4, images_to_full=100))
    step, other = gan(settings), gan(settings)
    step.update(batches(), draws(), START)
    assert step.noise_strength.value.item() < 1.0
    other.networks["noise_strength"].load_state_dict(step.networks["noise_strength"].state_dict())
    assert torch.equal(other.noise_strength.value, step.noise_strength.value)


def far_apart(noise: float, objective: Objective) -> GanStep:
    """D trained on two thin clouds six units apart, while G stands still."""
    settings = gan_settings(
        objective=objective,
        r1_weight=0.0,
        r2_weight=0.0,
        generator_learning_rate=1e-30,
        discriminator_learning_rate=2e-2,
        instance_noise=LinearNoise(sigma=3.0, until_share=1.0) if noise else LinearNoise(sigma=1e-9),
    )
    step = gan(settings)
    with torch.no_grad():
        last = list(step.generator.parameters())[-1]
        last.copy_(torch.tensor([-3.0, 0.0]))
        list(step.generator.parameters())[-2].mul_(0.01)
    generator = torch.Generator().manual_seed(0)
    for update in range(40):
        real = torch.tensor([3.0, 0.0]) + 0.01 * torch.randn(64, 2, generator=generator)
        step.update([Batch(real)], draws(update), START)
    return step


def test_noise_gives_g_a_gradient_where_disjoint_supports_leave_none() -> None:
    """The supports do not meet: D is sure, log(1 - D) is flat at G's samples; noise makes the sides overlap."""

    def pull(step: GanStep) -> float:
        """Mean length of G's gradient at its own samples."""
        fake = fakes_of(step, "probe").requires_grad_(True)
        loss = generator_loss(step.discriminator, fake, fake, None, step.settings.objective)
        (gradient,) = torch.autograd.grad(loss * ROWS, fake)
        return gradient.norm(dim=1).mean().item()

    bare, noisy = (far_apart(noise, MinimaxSettings()) for noise in (0.0, 3.0))
    assert bare.report()["separation"] == 1.0
    assert noisy.report()["separation"] < 0.95
    assert pull(bare) < 1e-3
    assert pull(noisy) > 0.02
    assert pull(noisy) > 100.0 * pull(bare)


# -- augmentation -------------------------------------------------------------------------------------


def test_at_probability_zero_augmentation_is_the_identity() -> None:
    (batch,) = batches(1, PICTURE)
    uniform = draws().uniform("augmentation", ROWS, DRAWS_PER_SAMPLE)
    assert torch.equal(augment(batch.samples, torch.tensor(0.0), uniform, AUGMENTED), batch.samples)
    assert not torch.equal(augment(batch.samples, torch.tensor(1.0), uniform, AUGMENTED), batch.samples)


def test_while_its_strength_is_zero_augmentation_changes_no_update() -> None:
    found = []
    for changes in ({}, {"augmentation": AUGMENTED}):
        step = gan(gan_settings(**changes), PICTURE)
        step.update(batches(1, PICTURE), draws(), START)
        found.append(torch.cat([weights(step.generator), weights(step.discriminator)]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_both_sides_are_augmented_and_gs_gradient_is_that_through_the_augmentation(strength: float) -> None:
    settings = gan_settings(objective=NonSaturatingSettings(), augmentation=AUGMENTED)
    step = gan(settings, PICTURE)
    step.augmentation_strength.value.fill_(strength)
    probability = torch.tensor(0.9 * strength)
    seen, (batch,) = shown_to(step), batches(1, PICTURE)
    mine = draws().named("discriminator-0")
    expected = torch.cat(
        [
            augment(samples, probability, mine.uniform(f"augmentation-{side}", ROWS, DRAWS_PER_SAMPLE), AUGMENTED)
            for side, samples in (("real", batch.samples), ("fake", fakes_of(step, "discriminator-0")))
        ]
    )
    step.update([batch], draws(), STILL)
    torch.testing.assert_close(seen[0], expected)
    found = gradients(step.generator)

    mine = draws().named("generator")
    fake = step.generator(mine.normal("latent", ROWS, 3))
    uniform = mine.uniform("augmentation-fake", ROWS, DRAWS_PER_SAMPLE)
    augmented = augment(fake, probability, uniform, AUGMENTED)
    for samples, same in ((augmented, True), (fake, False)):
        step.generator.zero_grad()
        (-torch.sigmoid(step.discriminator(samples)).log().mean()).backward(retain_graph=True)
        assert torch.allclose(found, gradients(step.generator), rtol=1e-4, atol=1e-6) is same
    assert found.abs().max() > 0


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 0.16), (-1.0, 0.0)])
def test_the_probability_follows_the_separation(sign: float, expected: float) -> None:
    """From 0 by one batch's images an update: up while D separates, never below 0."""
    settings = gan_settings(
        augmentation=AugmentationSettings(maximal_probability=0.5, images_to_full=50), r1_weight=0.0, r2_weight=0.0
    )
    step = gan(settings, PICTURE)
    with torch.no_grad():
        for parameter in step.generator.parameters():
            parameter.zero_()  # G paints grey
        first, *rest = (layer for layer in step.discriminator.modules() if hasattr(layer, "weight"))
        for layer in (first, *rest):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[0] = 1.0
        for layer in rest:
            layer.weight[0, 0] = 1.0
        rest[-1].weight[0, 0] = sign
    bright = [Batch(0.9 * torch.ones(ROWS, *PICTURE))]
    for update in range(2):
        step.update(bright, draws(update), at(0.0))
    assert step.report()["augmentation_probability"] == pytest.approx(expected)


# -- packing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), PICTURE])
@pytest.mark.parametrize("packing", [1, 2, 4])
def test_packs_divide_the_batch_and_multiply_the_channels(shape: tuple[int, ...], packing: int) -> None:
    network = {"generator": CONVOLUTIONAL, "discriminator": CONVOLUTIONAL} if len(shape) == 3 else {}
    step = gan(gan_settings(packing=packing, **network), shape)
    seen, (batch,) = shown_to(step), batches(1, shape)
    step.update([batch], draws(), at(0.0))
    packs = ROWS // packing
    assert seen[0].shape == (2 * packs, packing * shape[0], *shape[1:])
    assert torch.equal(seen[0][:packs], pack(batch.samples, packing))
    # the samples of a pack are neighbours: unpacking is a view
    assert torch.equal(seen[0][:packs].reshape(batch.samples.shape), batch.samples)
    torch.testing.assert_close(seen[0][packs:], pack(fakes_of(step, "discriminator-0"), packing))
    assert step.sample(draws().normal("probe", 5, 3)).shape == (5, *shape)  # G makes one at a time


def test_noise_and_packing_act_together() -> None:
    step = gan(gan_settings(packing=2, instance_noise=LinearNoise(sigma=0.4)))
    seen, (batch,) = shown_to(step), batches()
    step.update([batch], draws(), at(0.0))
    noisy = batch.samples + 0.4 * draws().named("discriminator-0").normal("noise-real", ROWS, 2)
    torch.testing.assert_close(seen[0][: ROWS // 2], pack(noisy, 2))
