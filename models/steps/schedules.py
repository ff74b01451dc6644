"""What changes over a training run, as functions of the share of the budget that is spent."""

from __future__ import annotations

import math
from typing import assert_never

from models.config import AdaptiveNoise, CosineNoise, GanSettings, InstanceNoise, LinearNoise, NoNoise, VaeSettings


def noise_sigma(settings: InstanceNoise, progress: float) -> float:
    """Sigma of the instance noise (Sønderby et al. 2017, section 4; Arjovsky and Bottou 2017, section 3).

    Returns:
        Of the adaptive schedule the line it never exceeds. Exactly 0 from ``until_share`` on.
    """
    match settings:
        case NoNoise():
            return 0.0
        case LinearNoise() | AdaptiveNoise():
            return settings.sigma * max(0.0, 1.0 - progress / settings.until_share)
        case CosineNoise():
            spent = min(1.0, progress / settings.until_share)
            return settings.sigma * 0.5 * (1.0 + math.cos(math.pi * spent)) if spent < 1.0 else 0.0
        case _:
            assert_never(settings)


def penalty_share(settings: GanSettings, progress: float) -> float:
    """Factor on R1 and R2: from 1 geometrically to ``penalty_final_share``, and constant then."""
    spent = min(1.0, progress / settings.penalty_decay_share)
    return float(settings.penalty_final_share**spent)


def kl_weight(settings: VaeSettings, progress: float) -> float:
    """beta after warm-up: linear from 0 over ``kl_warmup_share`` of the budget (Sønderby et al. 2016, section 2.3)."""
    if settings.kl_warmup_share == 0.0:
        return settings.beta
    return settings.beta * min(1.0, progress / settings.kl_warmup_share)


def capacity_nats(settings: VaeSettings, progress: float) -> float:
    """The KL that the code is steered to: linear from 0 to ``capacity_nats`` (Burgess et al. 2018, section 5)."""
    return settings.capacity_nats * min(1.0, progress / settings.capacity_share)
