"""Goodfellow's Algorithm 1: who moves, how often, on what noise; stopping in time; reports and samples."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from models.config import (
    AdaptiveNoise,
    AugmentationSettings,
    LinearNoise,
    MinimaxSettings,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
)
from models.diagnostics import LOG_2, calibrated_jsd_lower_bound, describe_samples, jsd_lower_bound
from models.errors import ConfigurationError, TrainingError
from models.objectives import adversarial
from models.objectives.regularizers import pack
from models.steps.batch import Batch, Moment
from models.steps.game import Penalties, discriminator_losses, generator_loss
from models.steps.step import Execution
from tests.models.steps.small import (
    CONVOLUTIONAL,
    CPU,
    ROWS,
    START,
    STILL,
    batches,
    draws,
    equal,
    everything,
    gan,
    gan_settings,
    gradients,
    weights,
)

OBJECTIVES: list[Objective] = [MinimaxSettings(), NonSaturatingSettings(), RelativisticSettings()]
LATE = Moment(images_seen=10**6, progress=0.0)


# -- Algorithm 1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_k_updates_of_the_discriminator_then_exactly_one_of_the_generator(k: int) -> None:
    step = gan(gan_settings(discriminator_steps=k))
    assert step.batches_per_update == k
    moved: list[tuple[bool, bool]] = []
    last = (weights(step.discriminator), weights(step.generator))

    def record(*_: object) -> None:
        nonlocal last
        now = (weights(step.discriminator), weights(step.generator))
        moved.append((not torch.equal(now[0], last[0]), not torch.equal(now[1], last[1])))
        last = now

    for optimizer in step.optimizers.values():
        optimizer.register_step_post_hook(record)
    step.update(batches(k), draws(), START)
    assert moved == [(True, False)] * k + [(False, True)]
    # nothing moved outside of the optimizers' steps
    assert torch.equal(weights(step.discriminator), last[0])
    assert torch.equal(weights(step.generator), last[1])


@pytest.mark.parametrize("k", [1, 3])
def test_every_update_draws_fresh_noise(k: int) -> None:
    step = gan(gan_settings(discriminator_steps=k))
    latents: list[Tensor] = []
    step.generator.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0].clone()))
    step.update(batches(k), draws(0), START)
    step.update(batches(k), draws(1), START)
    assert len(latents) == 2 * (k + 1)
    assert all(latent.shape == (ROWS, 3) for latent in latents)
    for index, latent in enumerate(latents):
        assert not any(torch.any(latent == earlier) for earlier in latents[:index])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("changes", [{}, {"packing": 2}, {"conditional": True}], ids=["plain", "packed", "classes"])
def test_with_shared_latents_g_is_moved_by_the_samples_of_ds_last_update(k: int, changes: dict[str, Any]) -> None:
    """Its gradient is that of its own pass on the same latents; each latent goes through the generator once."""
    settings = gan_settings(discriminator_steps=k, shared_latents=True, **changes)
    step, other = gan(settings), gan(settings)
    latents: list[Tensor] = []
    step.generator.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0].clone()))
    step.update(batches(k), draws(), STILL)
    assert len(latents) == k
    assert not any(torch.any(latent == earlier) for index, latent in enumerate(latents) for earlier in latents[:index])
    real = batches(k)[-1]
    labels = real.labels if settings.conditional else None
    fake = pack(other.generator(latents[-1], labels), settings.packing)
    loss = generator_loss(other.discriminator, pack(real.samples, settings.packing), fake, labels, settings.objective)
    loss.backward()
    torch.testing.assert_close(gradients(step.generator), gradients(other.generator))
    assert gradients(step.generator).abs().max() > 0.0


def test_shared_latents_exclude_parts_of_a_batch() -> None:
    with pytest.raises(ConfigurationError, match="would spare no memory"):
        gan(gan_settings(shared_latents=True), execution=Execution(CPU, accumulation=2))


def test_each_discriminator_update_sees_its_own_batch() -> None:
    step = gan(gan_settings(discriminator_steps=3))
    seen: list[Tensor] = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()[:ROWS].clone()))
    real = batches(3)
    step.update(real, draws(), START)
    assert all(torch.equal(found, batch.samples) for found, batch in zip(seen[:3], real, strict=True))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_generators_update_leaves_no_trace_in_the_discriminator(objective: Objective) -> None:
    step = gan(gan_settings(objective=objective))
    gradients: list[list[Tensor]] = []

    def record(*_: object) -> None:
        gradients.append([p.grad.clone() for p in step.discriminator.parameters() if p.grad is not None])

    step.discriminator_optimizer.register_step_post_hook(record)
    step.generator_optimizer.register_step_post_hook(record)
    step.update(batches(), draws(), START)
    after_discriminator, after_generator = gradients
    assert len(after_discriminator) == len(list(step.discriminator.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(after_discriminator, after_generator, strict=True))


def test_requires_grad_is_as_it_was() -> None:
    step = gan(gan_settings())
    step.update(batches(), draws(), START)
    for name, expected in (("generator", True), ("discriminator", True), ("generator_ema", False)):
        assert all(parameter.requires_grad is expected for parameter in step.networks[name].parameters())


def test_the_discriminators_update_leaves_no_gradient_in_the_generator() -> None:
    step = gan(gan_settings())
    found: list[bool] = []
    step.discriminator_optimizer.register_step_post_hook(
        lambda *_: found.append(all(parameter.grad is None for parameter in step.generator.parameters()))
    )
    step.update(batches(), draws(), START)
    assert found == [True]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_both_learning_rates_are_scaled_apart(share: float) -> None:
    """The first step of Adam with beta1 = 0 moves every weight that has a gradient by its learning rate."""
    step = gan(gan_settings(generator_learning_rate=1e-2, discriminator_learning_rate=3e-3))
    before = weights(step.generator), weights(step.discriminator)
    step.update(batches(), draws(), Moment(0, 0.0, learning_rate_share=share))
    assert (weights(step.generator) - before[0]).abs().max().item() == pytest.approx(1e-2 * share, rel=1e-2)
    assert (weights(step.discriminator) - before[1]).abs().max().item() == pytest.approx(3e-3 * share, rel=1e-2)


def test_the_same_seed_gives_the_same_weights() -> None:
    def train(seed: int, noise_seed: int, data_seed: int = 0) -> dict[str, Tensor]:
        step = gan(gan_settings(), seed=seed)
        for update in range(3):
            moment = Moment(ROWS * update, update / 3)
            step.update(batches(seed=data_seed + update), draws(update, noise_seed), moment)
        return everything(step)

    reference = train(0, 0)
    assert equal(train(0, 0), reference)
    assert not equal(train(1, 0), reference)
    assert not equal(train(0, 1), reference)
    assert not equal(train(0, 0, data_seed=5), reference)


EVERYTHING_ON: dict[str, Any] = {
    "generator": CONVOLUTIONAL,
    "discriminator": CONVOLUTIONAL,
    "discriminator_steps": 2,
    "packing": 2,
    "spectral_norm": True,
    "gradient_penalty_weight": 1.0,
    "instance_noise": AdaptiveNoise(images_to_full=100),
    "augmentation": AugmentationSettings(maximal_probability=0.9, images_to_full=100),
}
PICTURE = (1, 8, 8)


@pytest.mark.parametrize(
    "changes",
    [{}, EVERYTHING_ON, EVERYTHING_ON | {"packing": 1, "conditional": True}, EVERYTHING_ON | {"shared_latents": True}],
    ids=["plain", "packed", "conditional", "shared"],
)
def test_an_update_is_a_function_of_what_a_checkpoint_keeps(changes: dict[str, Any]) -> None:
    """Another step with the same weights and memories goes on bit for bit: nothing is hidden in the first one."""
    settings = gan_settings(**changes)
    step, other = gan(settings, PICTURE, seed=0), gan(settings, PICTURE, seed=1)
    k = settings.discriminator_steps
    for update in range(3):
        step.update(batches(k, PICTURE, seed=update), draws(update), Moment(ROWS * k * update, 0.05 * update))
    for name, network in step.networks.items():
        other.networks[name].load_state_dict(network.state_dict())
    for name, optimizer in step.optimizers.items():
        other.optimizers[name].load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert equal(everything(step), everything(other))
    moment = Moment(ROWS * k * 3, 0.15, 0.7, 2.0)
    step.update(batches(k, PICTURE, seed=3), draws(3), moment)
    torch.manual_seed(99)  # torch's own generator has no part in it
    other.update(batches(k, PICTURE, seed=3), draws(3), moment)
    assert equal(everything(step), everything(other))
    assert step.report() == other.report()


@pytest.mark.parametrize(("k", "processes"), [(1, 1), (2, 1), (2, 3)])
def test_the_averaged_generator_is_its_formula(k: int, processes: int) -> None:
    step = gan(gan_settings(discriminator_steps=k, ema_half_life_images=50))
    before = weights(step.generator_ema)
    step.update(batches(k), draws(processes=processes), LATE)
    keep = 0.5 ** (k * ROWS * processes / 50)
    torch.testing.assert_close(
        weights(step.generator_ema), keep * before + (1.0 - keep) * weights(step.generator), rtol=1e-4, atol=1e-6
    )
    assert not torch.equal(before, weights(step.generator))


# -- stopping in time ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_discriminator_loss_that_is_not_finite_stops_before_anything_moves(value: float) -> None:
    step = gan(gan_settings())
    before = everything(step)
    with pytest.raises(TrainingError, match="discriminator loss became"):
        step.update([Batch(torch.full((ROWS, 2), value))], draws(), START)
    assert equal(everything(step), before)


def test_a_penalty_that_is_not_finite_stops_too() -> None:
    step = gan(gan_settings(r1_weight=1e38))
    with torch.no_grad():
        for parameter in step.discriminator.parameters():
            parameter.mul_(1e3)
    before = everything(step)
    with pytest.raises(TrainingError, match="discriminator loss became inf"):
        step.update(batches(), draws(), START)
    assert equal(everything(step), before)


def test_one_bad_sample_in_the_last_part_stops_too() -> None:
    step = gan(gan_settings(), execution=Execution(CPU, accumulation=4))
    before = everything(step)
    (batch,) = batches()
    batch.samples[-1, 0] = math.nan
    with pytest.raises(TrainingError, match="discriminator loss became nan"):
        step.update([batch], draws(), START)
    assert equal(everything(step), before)


def test_a_generator_loss_that_is_not_finite_stops_before_the_generator_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = gan(gan_settings(objective=NonSaturatingSettings()))
    before = weights(step.generator), weights(step.generator_ema)
    monkeypatch.setattr(adversarial, "generator_non_saturating", lambda fake: fake.mean() * math.nan)
    with pytest.raises(TrainingError, match="generator loss became nan"):
        step.update(batches(), draws(), START)
    assert torch.equal(weights(step.generator), before[0])
    assert torch.equal(weights(step.generator_ema), before[1])
    assert all(parameter.requires_grad for parameter in step.discriminator.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_generator_moves_towards_the_data(objective: Objective) -> None:
    configured = gan_settings(
        objective=objective,
        r1_weight=0.3,
        r2_weight=0.3,
        generator_learning_rate=1e-2,
        discriminator_learning_rate=1e-2,
        ema_half_life_images=1000,
    )
    step = gan(configured)
    center = torch.tensor([1.5, -1.0])
    latent = draws(seed=9).normal("probe", 500, 3)
    start = (step.sample(latent).mean(dim=0) - center).norm()
    generator = torch.Generator().manual_seed(2)
    for update in range(100):
        real = Batch(center + 0.3 * torch.randn(64, 2, generator=generator))
        step.update([real], draws(update), Moment(64 * update, update / 100))
    assert (step.sample(latent).mean(dim=0) - center).norm() < 0.5 * start


# -- reports ------------------------------------------------------------------------------------------


def test_the_report_holds_the_terms_of_the_last_update() -> None:
    step = gan(gan_settings(objective=NonSaturatingSettings(), r1_weight=0.5, r2_weight=0.0))
    (batch,) = batches()
    fake = step.generator(draws().named("discriminator-0").normal("latent", ROWS, 3))
    expected = discriminator_losses(
        copy.deepcopy(step.discriminator), batch.samples, fake, None, step.settings.objective, Penalties(r1=0.5)
    )
    step.update([batch], draws(), STILL)
    report = step.report()
    assert report["discriminator_loss"] == pytest.approx(expected.adversarial.item(), rel=1e-5)
    assert report["r1"] == pytest.approx(expected.r1.item(), rel=1e-5)
    assert report["r2"] == 0.0
    gap = expected.real_logits.mean() - expected.fake_logits.mean()
    assert report["logit_gap"] == pytest.approx(gap.item(), rel=1e-4, abs=1e-6)
    assert report["separation"] == torch.sign(expected.real_logits - expected.fake_logits).mean().item()
    fake = step.generator(draws().named("generator").normal("latent", ROWS, 3))
    assert report["generator_loss"] == pytest.approx(-logsigmoid(step.discriminator(fake)).mean().item(), rel=1e-5)
    lengths = [
        torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
        for network in (step.generator, step.discriminator)
    ]
    assert report["gradient_norm_ratio"] == pytest.approx((lengths[0] / lengths[1]).item(), rel=1e-4)


ALWAYS = {"discriminator_loss", "generator_loss", "r1", "r2", "logit_gap", "separation", "gradient_norm_ratio"}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        ({"gradient_penalty_weight": 1.0}, {"unit_gradient"}),
        ({"instance_noise": LinearNoise()}, {"instance_noise"}),
        ({"augmentation": AugmentationSettings(maximal_probability=0.5)}, {"augmentation_probability"}),
    ],
)
def test_the_report_names_what_is_switched_on(changes: dict[str, Any], more: set[str]) -> None:
    step = gan(gan_settings(**changes), PICTURE)
    assert set(step.report()) == {"gradient_norm_ratio"} | (more - {"unit_gradient"})  # before the first update
    step.update(batches(1, PICTURE), draws(), START)
    assert set(step.report()) == ALWAYS | more


SPLITS = ("train", "held_out")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_diagnosis_bounds_the_jsd_on_both_splits(objective: Objective) -> None:
    step = gan(gan_settings(objective=objective))
    splits = {"train": 2.0 + torch.randn(300, 2), "held_out": -2.0 + torch.randn(200, 2)}
    found = step.diagnose(Batch(splits["train"]), Batch(splits["held_out"]), draws())
    bound = calibrated_jsd_lower_bound if objective.kind == "relativistic" else jsd_lower_bound
    expected: dict[str, float] = {}
    with torch.no_grad():
        for split in SPLITS:
            fake = step.generator(draws().normal("diagnose", len(splits[split]), 3))
            at_real, at_fake = step.discriminator(splits[split]), step.discriminator(fake)
            value = bound(at_real, at_fake)
            expected |= {f"jsd_bound_{split}": value, f"jsd_bound_{split}_share_of_log2": value / LOG_2}
            expected[f"separation_{split}"] = torch.sign(at_real - at_fake).mean().item()
            expected[f"sign_of_d_{split}"] = torch.sign(at_real).mean().item()
        expected |= describe_samples(fake, splits["held_out"], splits["train"])
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found["jsd_bound_train"], found["jsd_bound_held_out"]) > 0.01
    assert step.selection in found


@pytest.mark.parametrize("changes", [{}, EVERYTHING_ON], ids=["plain", "everything"])
def test_diagnosis_and_sampling_move_nothing(changes: dict[str, Any]) -> None:
    """Bit for bit: spectral norm's vectors, the strengths, the optimizers, the modes, torch's own generator."""
    step = gan(gan_settings(**changes), PICTURE)
    k = step.batches_per_update
    step.update(batches(k, PICTURE), draws(), START)
    kept, report = everything(step), step.report()
    modes = [module.training for network in step.networks.values() for module in network.modules()]
    torchs_own = torch.get_rng_state()
    train, held_out = batches(2, PICTURE, seed=7, rows=9)  # 9 rows: packs of two leave one over
    first = step.diagnose(train, held_out, draws(5))
    step.sample(draws().normal("probe", 5, 3))
    assert step.diagnose(train, held_out, draws(5)) == first
    assert equal(everything(step), kept)
    assert step.report() == report
    assert [module.training for network in step.networks.values() for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), torchs_own)


def test_a_relativistic_critics_offset_does_not_change_the_diagnosis() -> None:
    def bounds(objective: Objective, offset: float) -> float:
        step = gan(gan_settings(objective=objective))
        with torch.no_grad():
            list(step.discriminator.parameters())[-1].add_(offset)
        generator = torch.Generator().manual_seed(3)
        real = 2.0 + torch.randn(400, 2, generator=generator)
        return step.diagnose(Batch(real), Batch(real), draws())["jsd_bound_held_out"]

    assert bounds(RelativisticSettings(), 20.0) == pytest.approx(bounds(RelativisticSettings(), 0.0), abs=1e-4)
    assert bounds(NonSaturatingSettings(), 20.0) == 0.0  # negative control


def test_sampling_is_by_the_averaged_generator() -> None:
    step = gan(gan_settings())
    latent = draws().normal("probe", 5, 3)
    reference = step.sample(latent)
    with torch.no_grad():
        for parameter in step.generator.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(latent), reference)
    with torch.no_grad():
        for parameter in step.generator_ema.parameters():
            parameter.add_(1.0)
    assert not torch.equal(step.sample(latent), reference)
    assert not reference.requires_grad


def test_pictures_are_sampled_between_zero_and_one() -> None:
    step = gan(gan_settings(generator=CONVOLUTIONAL, discriminator=CONVOLUTIONAL), PICTURE)
    step.update(batches(1, PICTURE), draws(), START)
    latent = 20.0 * draws().normal("probe", 50, 3)
    images = step.sample(latent)
    assert images.shape == (50, 1, 8, 8)
    assert images.min() >= 0.0
    assert images.min() < 0.1
    assert 0.9 < images.max() <= 1.0
    torch.testing.assert_close(2.0 * images - 1.0, step.generator_ema(latent), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        ({"instance_noise": LinearNoise()}, set()),
        ({"instance_noise": AdaptiveNoise()}, {"noise_strength"}),
        ({"augmentation": AugmentationSettings(maximal_probability=0.5)}, {"augmentation_strength"}),
    ],
)
def test_all_that_updates_change_is_named_for_the_checkpoint(changes: dict[str, Any], more: set[str]) -> None:
    step = gan(gan_settings(**changes), PICTURE)
    assert set(step.networks) == {"generator", "discriminator", "generator_ema"} | more
    assert step.optimizers == {"generator": step.generator_optimizer, "discriminator": step.discriminator_optimizer}
    assert step.latent_size == 3
    assert torch.equal(weights(step.generator), weights(step.generator_ema))


def test_vectors_cannot_be_augmented() -> None:
    with pytest.raises(ConfigurationError, match="Augmentation is for pictures"):
        gan(gan_settings(augmentation=AugmentationSettings(maximal_probability=0.1)))
