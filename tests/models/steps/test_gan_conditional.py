"""A conditional game: both players are told the class, and learn from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import ConfigurationError
from models.steps.batch import Batch, Moment
from models.steps.gan import GanStep
from tests.models.steps.small import CLASSES, ROWS, START, STILL, batches, draws, gan, gan_settings


def conditional(**changes: Any) -> GanStep:
    return gan(gan_settings(conditional=True, **changes))


def classes(label: int, rows: int = ROWS) -> Tensor:
    return torch.full((rows,), label)


def test_the_class_changes_what_both_players_say() -> None:
    step = conditional()
    latent, (batch,) = draws().normal("probe", ROWS, 3), batches()
    with torch.no_grad():
        images = [step.sample(latent, classes(label)) for label in range(CLASSES)]
        logits = [step.discriminator(batch.samples, classes(label)) for label in range(CLASSES)]
    for outputs in (images, logits):
        for index, output in enumerate(outputs):
            assert not any(torch.allclose(output, other, atol=1e-4) for other in outputs[:index])


def test_without_conditioning_the_class_changes_nothing() -> None:
    step, latent = gan(gan_settings()), draws().normal("probe", ROWS, 3)
    assert torch.equal(step.sample(latent, classes(0)), step.sample(latent, classes(1)))
    assert torch.equal(step.sample(latent), step.sample(latent, classes(1)))


def test_a_conditional_network_must_be_told() -> None:
    step = conditional()
    with pytest.raises(ConfigurationError, match="not told the class"):
        step.sample(draws().normal("probe", ROWS, 3))
    with pytest.raises(ConfigurationError, match="not told the class"):
        step.update([Batch(batches()[0].samples)], draws(), START)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_gradients_reach_the_embeddings_of_the_classes_that_were_shown(accumulation: int) -> None:
    step = conditional()
    samples = batches()[0].samples
    step.update([Batch(samples, torch.tensor([0, 2] * (ROWS // 2)))], draws(), STILL)
    for network in (step.generator, step.discriminator):
        embedding = network.label
        assert isinstance(embedding, nn.Embedding)
        assert embedding.weight.grad is not None
        assert [bool(row.any()) for row in embedding.weight.grad] == [True, False, True]


@pytest.mark.parametrize("k", [1, 2])
def test_both_sides_and_both_players_see_the_batchs_own_classes(k: int) -> None:
    step = conditional(discriminator_steps=k)
    given: dict[str, list[Tensor]] = {"generator": [], "discriminator": []}
    for name, labels in given.items():
        step.networks[name].register_forward_pre_hook(
            lambda _, inputs, labels=labels: labels.append(inputs[1].clone())  # type: ignore[misc]
        )
    real = [
        Batch(batch.samples, (batch.labels if batch.labels is not None else torch.zeros(0)).roll(index))
        for index, batch in enumerate(batches(k))
    ]
    step.update(real, draws(), START)
    expected = [batch.labels for batch in real] + [real[-1].labels]
    for index, label in enumerate(expected):
        assert label is not None
        assert torch.equal(given["generator"][index], label)
        # D's own update judges both sides at once, G's its own samples first
        shown = torch.cat([label, label]) if index < k else label
        assert torch.equal(given["discriminator"][index], shown)


def test_each_class_learns_its_own_place() -> None:
    step = conditional(generator_learning_rate=1e-2, discriminator_learning_rate=1e-2, ema_half_life_images=300)
    centers = torch.tensor([[1.5, 0.0], [-1.5, 0.0], [0.0, 1.5]])
    generator = torch.Generator().manual_seed(3)
    for update in range(60):
        labels = torch.randint(CLASSES, (64,), generator=generator)
        samples = centers[labels] + 0.1 * torch.randn(64, 2, generator=generator)
        step.update([Batch(samples, labels)], draws(update), Moment(64 * update, update / 60))
    latent = draws(seed=9).normal("probe", 100, 3)
    means = torch.stack([step.sample(latent, classes(label, 100)).mean(dim=0) for label in range(CLASSES)])
    assert torch.cdist(means, centers).argmin(dim=1).tolist() == [0, 1, 2]


def test_diagnosis_tells_the_samples_their_classes() -> None:
    step = conditional()
    train, held_out = batches(2, rows=12)
    with torch.no_grad():
        fake = step.generator(draws().normal("diagnose", 12, 3), train.labels)
        logits = step.discriminator(train.samples, train.labels), step.discriminator(fake, train.labels)
    found = step.diagnose(train, held_out, draws())
    assert found["separation_train"] == pytest.approx(torch.sign(logits[0] - logits[1]).mean().item())
    assert found["sign_of_d_train"] == pytest.approx(torch.sign(logits[0]).mean().item())
