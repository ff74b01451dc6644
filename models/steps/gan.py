"""Goodfellow et al. 2014, Algorithm 1: k updates of the discriminator, then one of the generator."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.augmentation import DRAWS_PER_SAMPLE, Strength, augment, separation_of
from models.config import AdaptiveNoise, GanSettings
from models.diagnostics import LOG_2, calibrated_jsd_lower_bound, describe_samples, jsd_lower_bound
from models.errors import ConfigurationError
from models.networks.build import Discriminator, Generator, SampleShape
from models.objectives.regularizers import pack
from models.steps.batch import Batch, Moment
from models.steps.game import Penalties, discriminator_losses, generator_loss, logit_is_log_ratio
from models.steps.schedules import noise_sigma, penalty_share
from models.steps.step import (
    Draws,
    Execution,
    TrainingStep,
    frozen,
    gradient_norm,
    in_evaluation,
    require_finite,
    set_learning_rate,
    update_average,
)


class GanStep(TrainingStep):
    """Both players, their optimizers, and the averaged generator that is exported."""

    value_range = Generator.value_range
    selection = "energy_distance"

    def __init__(self, settings: GanSettings, sample_shape: SampleShape, classes: int, execution: Execution) -> None:
        self.settings, self.execution = settings, execution
        self.batches_per_update = settings.discriminator_steps
        self.classes = classes if settings.conditional else 0
        if settings.shared_latents and execution.accumulation > 1:
            raise ConfigurationError(
                "With model.shared_latents the generator's pass over the whole batch is kept until its own update, so "
                f"training.accumulation={execution.accumulation} would spare no memory.",
                "Set one of them to its default.",
            )
        self._augmented = settings.augmentation.maximal_probability > 0
        if self._augmented and len(sample_shape) != 3:
            raise ConfigurationError(
                "Augmentation is for pictures, but the data are vectors.",
                "Set model.augmentation.maximal_probability=0.",
            )
        self.generator = Generator(
            settings.generator,
            settings.latent_size,
            sample_shape,
            normalize_latent=settings.normalize_latent,
            classes=self.classes,
        )
        channels, *size = sample_shape
        packed_shape = (settings.packing * channels, *size)
        self.discriminator = Discriminator(settings.discriminator, packed_shape, classes=self.classes)
        if settings.spectral_norm:
            for layer in list(self.discriminator.modules()):
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    if not layer.weight.any():
                        # A residual branch starts at zero, which no factor brings to norm 1.
                        nn.init.kaiming_normal_(layer.weight)
                    spectral_norm(layer)
        for network in (self.generator, self.discriminator):
            execution.place(network)
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.augmentation_strength = Strength().to(execution.device)
        self.noise_strength = Strength().to(execution.device)
        if isinstance(settings.instance_noise, AdaptiveNoise):
            self.noise_strength.value.fill_(1.0)
        self.networks = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
        }
        if self._augmented:
            self.networks["augmentation_strength"] = self.augmentation_strength
        if isinstance(settings.instance_noise, AdaptiveNoise):
            self.networks["noise_strength"] = self.noise_strength
        penalized = settings.r1_weight > 0 or settings.r2_weight > 0 or settings.gradient_penalty_weight > 0
        self._wrapped_generator = execution.wrapped(self.generator)
        # Compiled code has no second derivative, which the penalties need.
        self._wrapped_discriminator = execution.wrapped(self.discriminator, may_compile=not penalized)
        # beta1 = 0: momentum makes the alternating game overshoot (Mescheder et al. 2018, section 6).
        betas = (0.0, settings.second_moment_decay)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), betas=betas)
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), betas=betas)
        self.optimizers = {"generator": self.generator_optimizer, "discriminator": self.discriminator_optimizer}
        self._latest: dict[str, Tensor] = {}
        self._scheduled_sigma = self._least_sigma = 0.0

    @property
    def latent_size(self) -> int:
        return self.settings.latent_size

    def update(self, batches: list[Batch], draws: Draws, moment: Moment) -> None:
        share = moment.learning_rate_share
        set_learning_rate(self.generator_optimizer, self.settings.generator_learning_rate * share)
        set_learning_rate(self.discriminator_optimizer, self.settings.discriminator_learning_rate * share)
        self._scheduled_sigma = noise_sigma(self.settings.instance_noise, moment.progress)
        self._least_sigma = moment.instance_noise
        shared = None
        for step, batch in enumerate(batches):
            own = draws.named(f"discriminator-{step}")
            kept = self.settings.shared_latents and step == len(batches) - 1
            fake = self._fake(batch, own, kept=kept)
            self._update_discriminator(batch, fake.detach(), own, moment)
            shared = fake if kept else None
        self._update_generator(batches[-1], shared, draws.named("generator"), moment)
        update_average(
            self.generator_ema,
            self.generator,
            half_life_images=self.settings.ema_half_life_images,
            batch_size=sum(len(batch) for batch in batches) * draws.processes,
            images_seen=moment.images_seen,
        )

    def _fake(self, batch: Batch, draws: Draws, *, kept: bool) -> Tensor:
        """Samples for D's update, [N, ...]; with what the generator's own gradient needs, if they are kept for it."""
        latent = draws.normal("latent", len(batch), self.latent_size)
        generator = self._wrapped_generator if kept else self.generator
        with torch.set_grad_enabled(kept), self.execution.autocast():
            return generator(latent, batch.labels).float()  # type: ignore[no-any-return]

    def _update_discriminator(self, batch: Batch, fake: Tensor, draws: Draws, moment: Moment) -> None:
        penalties = self._penalties(moment)
        packs = len(batch) // self.settings.packing
        position = draws.uniform("position", packs, 1).squeeze(1) if penalties.unit_gradient else None
        real, fake = self._shown(batch.samples, draws, "real"), self._shown(fake, draws, "fake")
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        parts = []
        for rows in self.execution.parts(packs, self._wrapped_discriminator):
            with self.execution.autocast():
                losses = discriminator_losses(
                    self._wrapped_discriminator,
                    real[rows],
                    fake[rows],
                    None if batch.labels is None else batch.labels[rows],
                    self.settings.objective,
                    penalties,
                    None if position is None else position[rows],
                )
            require_finite("discriminator", losses.total, moment, self.execution)
            (losses.total / self.execution.accumulation).backward()
            parts.append(losses)
        self.discriminator_optimizer.step()
        real_logits = torch.cat([part.real_logits for part in parts])
        fake_logits = torch.cat([part.fake_logits for part in parts])
        self._latest |= {
            "discriminator_loss": torch.stack([part.adversarial.detach() for part in parts]).mean(),
            "r1": torch.stack([part.r1.detach() for part in parts]).mean(),
            "r2": torch.stack([part.r2.detach() for part in parts]).mean(),
            "unit_gradient": torch.stack([part.unit_gradient.detach() for part in parts]).mean(),
            "logit_gap": real_logits.mean() - fake_logits.mean(),
            "separation": separation_of(real_logits, fake_logits),
        }
        self._follow(len(batch) * draws.processes)

    def _update_generator(self, batch: Batch, shared: Tensor | None, draws: Draws, moment: Moment) -> None:
        """Move G by ``shared`` samples, or by those of latents of its own (Goodfellow et al. 2014, Algorithm 1)."""
        latent = draws.normal("latent", len(batch), self.latent_size)
        real = self._shown(batch.samples, draws, "real")
        noise, uniform = self._shown_draws(len(batch), batch.samples.shape, draws, "fake")
        self.generator_optimizer.zero_grad(set_to_none=True)
        losses = []
        size = self.settings.packing
        with frozen(self.discriminator):
            for packs in self.execution.parts(len(batch) // size, self._wrapped_generator):
                rows = slice(packs.start * size, packs.stop * size)
                labels = None if batch.labels is None else batch.labels[rows]
                fake = shared
                if fake is None:
                    with self.execution.autocast():
                        fake = self._wrapped_generator(latent[rows], labels).float()
                # Outside of autocast, as D's own update: bfloat16 would move pictures by parts of a pixel.
                shown = self._show(fake, _rows(noise, rows), _rows(uniform, rows))
                with self.execution.autocast():
                    loss = generator_loss(self.discriminator, real[packs], shown, labels, self.settings.objective)
                require_finite("generator", loss, moment, self.execution)
                (loss / self.execution.accumulation).backward()
                losses.append(loss.detach())
        self.generator_optimizer.step()
        self._latest["generator_loss"] = torch.stack(losses).mean()

    def _penalties(self, moment: Moment) -> Penalties:
        factor = moment.penalty_factor * penalty_share(self.settings, moment.progress)
        return Penalties(
            self.settings.r1_weight * factor,
            self.settings.r2_weight * factor,
            self.settings.gradient_penalty_weight * moment.penalty_factor,
        )

    def _shown(self, samples: Tensor, draws: Draws, side: str) -> Tensor:
        return self._show(samples, *self._shown_draws(len(samples), samples.shape, draws, side))

    def _shown_draws(
        self, rows: int, shape: torch.Size, draws: Draws, side: str
    ) -> tuple[Tensor | None, Tensor | None]:
        noise = draws.normal(f"noise-{side}", rows, shape[1:].numel()).view(shape) if self._is_noisy else None
        uniform = draws.uniform(f"augmentation-{side}", rows, DRAWS_PER_SAMPLE) if self._augmented else None
        return noise, uniform

    def _show(self, samples: Tensor, noise: Tensor | None, uniform: Tensor | None) -> Tensor:
        """What D is shown of samples: augmented, with instance noise, in packs. [N, ...] → [N / packing, ...]."""
        if uniform is not None:
            probability = self.augmentation_strength.value * self.settings.augmentation.maximal_probability
            samples = augment(samples, probability, uniform, self.settings.augmentation)
        if noise is not None:
            samples = samples + self._sigma() * noise
        return pack(samples, self.settings.packing)

    @property
    def _is_noisy(self) -> bool:
        return self._scheduled_sigma > 0.0 or self._least_sigma > 0.0

    def _sigma(self) -> Tensor | float:
        """Sigma of the instance noise: the schedule's, of which the adaptive one takes its share, or the moment's."""
        if isinstance(self.settings.instance_noise, AdaptiveNoise):
            return (self._scheduled_sigma * self.noise_strength.value).clamp_min(self._least_sigma)
        return max(self._scheduled_sigma, self._least_sigma)

    def _follow(self, images: int) -> None:
        """Steer augmentation and adaptive noise by how well D separates this batch."""
        separation = self.execution.mean_over_processes(self._latest["separation"])
        augmentation, noise = self.settings.augmentation, self.settings.instance_noise
        if self._augmented:
            self.augmentation_strength.follow(
                separation, target=augmentation.target, images=images, images_to_full=augmentation.images_to_full
            )
        if isinstance(noise, AdaptiveNoise):
            self.noise_strength.follow(
                separation, target=noise.target, images=images, images_to_full=noise.images_to_full
            )

    def report(self) -> dict[str, float]:
        numbers = {name: float(value) for name, value in self._latest.items()}
        if not self.settings.gradient_penalty_weight:
            numbers.pop("unit_gradient", None)
        gradients = (gradient_norm(self.generator), gradient_norm(self.discriminator))
        numbers["gradient_norm_ratio"] = gradients[0] / max(gradients[1], 1e-30)
        if self.settings.instance_noise.kind != "none" or self._is_noisy:
            numbers["instance_noise"] = float(self._sigma())
        if self._augmented:
            probability = float(self.augmentation_strength.value) * self.settings.augmentation.maximal_probability
            numbers["augmentation_probability"] = probability
        return numbers

    @torch.no_grad()
    def diagnose(self, train: Batch, held_out: Batch, draws: Draws) -> dict[str, float]:
        """Lower bounds on the JSD in nats and as a share of log 2, and how the samples lie to the data.

        The difference between the bounds on training and on held-out samples is D's overfitting: what it claims to
        see on the samples that it was shown. With packing the bound is on the JSD of packs.
        """
        numbers = {}
        fake = fake_logits = torch.empty(0)
        with in_evaluation(self.discriminator):
            for split, real in (("train", train), ("held_out", held_out)):
                rows = len(real) - len(real) % self.settings.packing
                labels = None if real.labels is None else real.labels[:rows]
                if labels is not None or len(fake) != rows:
                    # Without labels the same fakes face both splits: the bounds then differ by the data alone.
                    fake = self.generator(draws.normal("diagnose", rows, self.latent_size), labels)
                    fake_logits = self.discriminator(pack(fake, self.settings.packing), labels)
                logits = self.discriminator(pack(real.samples[:rows], self.settings.packing), labels)
                log_ratio = logit_is_log_ratio(self.settings.objective)
                bound = (jsd_lower_bound if log_ratio else calibrated_jsd_lower_bound)(logits, fake_logits)
                numbers[f"jsd_bound_{split}"] = bound
                numbers[f"jsd_bound_{split}_share_of_log2"] = bound / LOG_2
                numbers[f"separation_{split}"] = float(separation_of(logits, fake_logits))
                numbers[f"sign_of_d_{split}"] = float(torch.sign(logits).mean())
        return numbers | describe_samples(fake, held_out.samples, train.samples)

    @torch.no_grad()
    def sample(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator_ema.to_sample(self.generator_ema(latent, labels))


def _rows(values: Tensor | None, rows: slice) -> Tensor | None:
    return None if values is None else values[rows]
