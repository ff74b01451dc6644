"""What the two players of a GAN descend: the objective's formulas and D's penalties, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn

from models.config import (
    ForwardKlSettings,
    HingeSettings,
    LeastSquaresSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
    ReverseKlSettings,
    WassersteinSettings,
)
from models.objectives import adversarial
from models.objectives.regularizers import between, squared_gradient_norms, unit_gradient_penalty


@dataclass(frozen=True)
class Penalties:
    """Weights of D's penalties at a moment; R1 and R2 are halved, as their equation has it."""

    r1: float = 0.0
    r2: float = 0.0
    unit_gradient: float = 0.0


@dataclass(frozen=True)
class DiscriminatorLosses:
    """Terms of the discriminator's loss, each a scalar, and the logits that they came from."""

    adversarial: Tensor
    r1: Tensor
    r2: Tensor
    unit_gradient: Tensor
    real_logits: Tensor
    fake_logits: Tensor

    @property
    def total(self) -> Tensor:
        return self.adversarial + self.r1 + self.r2 + self.unit_gradient


def discriminator_losses(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    labels: Tensor | None,
    objective: Objective,
    penalties: Penalties,
    position: Tensor | None = None,
) -> DiscriminatorLosses:
    """What D descends.

    Args:
        discriminator: [N, ...], int64 [N] or None → [N].
        real: what D is shown of the data, [N, ...].
        fake: what D is shown of the generator, [N, ...].
        labels: classes of both sides, int64 [N], where there are any.
        objective: which game.
        penalties: on D's gradient.
        position: uniforms in [0, 1], [N]: where between real and fake the unit gradient penalty looks.
    """
    penalized = penalties.r1 > 0 or penalties.r2 > 0
    # One forward, and one gradient, for both sides: no layer lets one sample influence another.
    both = torch.cat([real, fake]).detach().requires_grad_(penalized)
    logits = discriminator(both, None if labels is None else labels.repeat(2)).float()
    real_logits, fake_logits = logits.split([len(real), len(fake)])
    r1 = r2 = unit_gradient = logits.new_zeros(())
    if penalized:
        at_real, at_fake = squared_gradient_norms(logits, both).split([len(real), len(fake)])
        r1 = 0.5 * penalties.r1 * at_real.mean()
        r2 = 0.5 * penalties.r2 * at_fake.mean()
    if penalties.unit_gradient > 0:
        assert position is not None
        midway = between(real, fake, position).detach().requires_grad_(True)
        unit_gradient = penalties.unit_gradient * unit_gradient_penalty(discriminator(midway, labels).float(), midway)
    return DiscriminatorLosses(
        adversarial=_discriminator_objective(objective, real_logits, fake_logits),
        r1=r1,
        r2=r2,
        unit_gradient=unit_gradient,
        real_logits=real_logits.detach(),
        fake_logits=fake_logits.detach(),
    )


def generator_loss(
    discriminator: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None, objective: Objective
) -> Tensor:
    """What G descends; ``fake`` carries the graph back to G, both as D is shown them, [N, ...]."""
    fake_logits = discriminator(fake, labels).float()
    match objective:
        case MinimaxSettings():
            return adversarial.generator_saturating(fake_logits)
        case NonSaturatingSettings():
            return adversarial.generator_non_saturating(fake_logits)
        case LeastSquaresSettings():
            return adversarial.generator_least_squares(fake_logits)
        case HingeSettings() | WassersteinSettings() | ReverseKlSettings():
            return adversarial.generator_mean_score(fake_logits)
        case ForwardKlSettings():
            return adversarial.generator_forward_kl(fake_logits)
        case RelativisticSettings():
            with torch.no_grad():
                real_logits = discriminator(real, labels).float()
            return adversarial.generator_relativistic(real_logits, fake_logits)
        case _:
            assert_never(objective)


def _discriminator_objective(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    match objective:
        # The two KL games take their density ratio from the classifier that cross-entropy fits: the same optimum as
        # their own variational form, without its unbounded exponential in D's loss (Mohamed and Lakshminarayanan 2016).
        case MinimaxSettings() | NonSaturatingSettings() | ForwardKlSettings() | ReverseKlSettings():
            return adversarial.discriminator_cross_entropy(real_logits, fake_logits)
        case LeastSquaresSettings():
            return adversarial.discriminator_least_squares(real_logits, fake_logits)
        case HingeSettings():
            return adversarial.discriminator_hinge(real_logits, fake_logits)
        case WassersteinSettings():
            return adversarial.critic_wasserstein(real_logits, fake_logits)
        case RelativisticSettings():
            return adversarial.discriminator_relativistic(real_logits, fake_logits)
        case _:
            assert_never(objective)


def logit_is_log_ratio(objective: Objective) -> bool:
    """Whether D's logit aims at log p_data / p_G; elsewhere its scale and offset must be fitted first."""
    return isinstance(objective, MinimaxSettings | NonSaturatingSettings | ForwardKlSettings | ReverseKlSettings)
