"""Goodfellow et al. 2014, Algorithm 1: k updates of the discriminator, then one of the generator."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import GanSettings, MinimaxSettings, NonSaturatingSettings, Objective, RelativisticSettings
from models.diagnostics import LOG_2, calibrated_jsd_lower_bound, jsd_lower_bound
from models.networks.build import Discriminator, Generator, SampleShape
from models.objectives import adversarial
from models.objectives.regularizers import squared_gradient_norms
from models.steps.step import Draws, TrainingStep, Wrap, frozen, require_finite, set_learning_rate, update_average


@dataclass(frozen=True)
class DiscriminatorLosses:
    """Terms of the discriminator's loss; each a scalar."""

    adversarial: Tensor
    r1: Tensor
    r2: Tensor

    @property
    def total(self) -> Tensor:
        return self.adversarial + self.r1 + self.r2


def discriminator_losses(
    discriminator: nn.Module, real: Tensor, fake: Tensor, settings: GanSettings
) -> DiscriminatorLosses:
    """What D descends, on real and generated samples [N, *sample_shape]."""
    penalized = settings.r1_weight > 0 or settings.r2_weight > 0
    # One forward, and one gradient, for both sides: no layer lets one sample influence another.
    both = torch.cat([real, fake]).detach().requires_grad_(penalized)
    logits = discriminator(both)
    real_logits, fake_logits = logits.split([len(real), len(fake)])
    r1 = r2 = logits.new_zeros(())
    if penalized:
        at_real, at_fake = squared_gradient_norms(logits, both).split([len(real), len(fake)])
        r1 = 0.5 * settings.r1_weight * at_real.mean()
        r2 = 0.5 * settings.r2_weight * at_fake.mean()
    return DiscriminatorLosses(
        adversarial=_discriminator_objective(settings.objective, real_logits, fake_logits), r1=r1, r2=r2
    )


def generator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor, objective: Objective) -> Tensor:
    """What G descends; ``fake`` carries the graph back to G, both [N, *sample_shape]."""
    match objective:
        case MinimaxSettings():
            return adversarial.generator_saturating(discriminator(fake))
        case NonSaturatingSettings():
            return adversarial.generator_non_saturating(discriminator(fake))
        case RelativisticSettings():
            with torch.no_grad():
                real_logits = discriminator(real)
            return adversarial.generator_relativistic(real_logits, discriminator(fake))
        case _:
            assert_never(objective)


def _discriminator_objective(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    match objective:
        case MinimaxSettings() | NonSaturatingSettings():
            return adversarial.discriminator_cross_entropy(real_logits, fake_logits)
        case RelativisticSettings():
            return adversarial.discriminator_relativistic(real_logits, fake_logits)
        case _:
            assert_never(objective)


class GanStep(TrainingStep):
    """Both players, their optimizers, and the averaged generator that is exported."""

    def __init__(self, settings: GanSettings, sample_shape: SampleShape, device: torch.device, wrap: Wrap) -> None:
        self.settings = settings
        self.batches_per_update = settings.discriminator_steps
        self.generator = Generator(
            settings.generator, settings.latent_size, sample_shape, normalize_latent=settings.normalize_latent
        )
        self.discriminator = Discriminator(settings.discriminator, sample_shape)
        for network in (self.generator, self.discriminator):
            # Convolutions are faster so; the stubs of torch know only one of the two at a time.
            network.to(device).to(memory_format=torch.channels_last)
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.networks = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
        }
        self._wrapped_generator = wrap(self.generator)
        self._wrapped_discriminator = wrap(self.discriminator)
        # beta1 = 0: momentum makes the alternating game overshoot (Mescheder et al. 2018, section 6).
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), betas=(0.0, 0.99))
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), betas=(0.0, 0.99))
        self.optimizers = {"generator": self.generator_optimizer, "discriminator": self.discriminator_optimizer}
        self._latest: dict[str, Tensor] = {}

    @property
    def latent_size(self) -> int:
        return self.settings.latent_size

    def update(self, batches: list[Tensor], draws: Draws, learning_rate_share: float, images_seen: int) -> None:
        set_learning_rate(self.generator_optimizer, self.settings.generator_learning_rate * learning_rate_share)
        set_learning_rate(self.discriminator_optimizer, self.settings.discriminator_learning_rate * learning_rate_share)
        for step, real in enumerate(batches):
            self._update_discriminator(
                real, draws.normal(f"discriminator-{step}", len(real), self.latent_size), images_seen
            )
        real = batches[-1]
        self._update_generator(real, draws.normal("generator", len(real), self.latent_size), images_seen)
        update_average(
            self.generator_ema,
            self.generator,
            half_life_images=self.settings.ema_half_life_images,
            batch_size=sum(len(batch) for batch in batches) * draws.processes,
            images_seen=images_seen,
        )

    def _update_discriminator(self, real: Tensor, latent: Tensor, images_seen: int) -> None:
        with torch.no_grad():
            fake = self.generator(latent)
        losses = discriminator_losses(self._wrapped_discriminator, real, fake, self.settings)
        require_finite("discriminator", losses.total, images_seen)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.discriminator_optimizer.step()
        self._latest |= {
            "discriminator_loss": losses.adversarial.detach(),
            "r1": losses.r1.detach(),
            "r2": losses.r2.detach(),
        }

    def _update_generator(self, real: Tensor, latent: Tensor, images_seen: int) -> None:
        with frozen(self.discriminator):
            fake = self._wrapped_generator(latent)
            loss = generator_loss(self.discriminator, real, fake, self.settings.objective)
            require_finite("generator", loss, images_seen)
            self.generator_optimizer.zero_grad(set_to_none=True)
            loss.backward()
        self.generator_optimizer.step()
        self._latest["generator_loss"] = loss.detach()

    def report(self) -> dict[str, float]:
        return {name: float(loss) for name, loss in self._latest.items()}

    @torch.no_grad()
    def diagnose(self, train: Tensor, held_out: Tensor, draws: Draws) -> dict[str, float]:
        """Lower bounds on the JSD in nats and as a share of log 2, on training and held-out samples.

        Their difference is D's overfitting: what it claims to see on the samples that it was shown.
        """
        fake = self.generator(draws.normal("diagnose", max(len(train), len(held_out)), self.latent_size))
        bounds = {}
        for split, real in (("train", train), ("held_out", held_out)):
            logits, fake_logits = self.discriminator(real), self.discriminator(fake[: len(real)])
            bound = (
                calibrated_jsd_lower_bound(logits, fake_logits)
                if isinstance(self.settings.objective, RelativisticSettings)
                else jsd_lower_bound(logits, fake_logits)
            )
            bounds[f"jsd_bound_{split}"] = bound
            bounds[f"jsd_bound_{split}_share_of_log2"] = bound / LOG_2
        return bounds

    @torch.no_grad()
    def sample(self, latent: Tensor) -> Tensor:
        sample: Tensor = self.generator_ema(latent)
        return (sample + 1.0) / 2.0 if self.generator_ema.is_image else sample
