"""Lower bounds on the Jensen-Shannon divergence, from a discriminator's logits. Nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_2 = math.log(2.0)
RIDGE = 1e-5
"""On the squared scale, in units of the logits' standard deviation. A hundred times as much caps the bound on logits
that are told apart at .93 log 2 where they are spread evenly, and the alarm for it would stay silent."""


def jsd_lower_bound(real: Tensor, fake: Tensor) -> float:
    """A lower bound on JSD(p_data, p_G) from D's logits on samples of both.

    max_D V = -2 log 2 + 2 JSD (Goodfellow et al. 2014, theorem 1), so any D gives JSD >= V / 2 + log 2. It holds
    in expectation; on samples that D was trained on it overestimates. At most log 2; a poor D can make it
    negative, and 0 is then the better bound.

    Args:
        real: logits at real samples, [N].
        fake: logits at generated samples, [M].
    """
    value = -softplus(-real.double()).mean() - softplus(fake.double()).mean()
    return float((0.5 * value + LOG_2).clamp_min(0.0))  # NaN stays NaN: it must not read as a perfect generator


def calibrate_logits(real: Tensor, fake: Tensor, *, iterations: int = 50) -> tuple[float, float]:
    """Scale and offset that make ``scale * logit + offset`` the best classifier (Platt 1999).

    A relativistic critic fixes differences only, its offset is free; logistic regression by Newton's method on
    these two numbers recovers it. A ridge on the scale, relative to the logits' own spread, keeps the separable case
    finite; it is small enough that sides which are told apart come within 2 % of log 2, whatever their shape, unless
    a few logits lie so far out that the gap between the sides is nothing in their spread.

    Args:
        real: logits at real samples, [N].
        fake: logits at generated samples, [M].
    """
    logits = torch.cat([real, fake]).double()
    targets = torch.cat([torch.ones_like(real), torch.zeros_like(fake)]).double()
    weights = torch.cat([torch.full_like(real, 0.5 / len(real)), torch.full_like(fake, 0.5 / len(fake))]).double()
    center, spread = logits.mean(), logits.std().clamp_min(1e-12)
    features = torch.stack([(logits - center) / spread, torch.ones_like(logits)], dim=1)
    ridge = torch.diag(torch.tensor([RIDGE, 1e-9], dtype=torch.float64, device=logits.device))
    coefficients = torch.zeros(2, dtype=torch.float64, device=logits.device)
    for _ in range(iterations):
        probability = torch.sigmoid(features @ coefficients)
        gradient = features.T @ (weights * (probability - targets)) + ridge @ coefficients
        curvature = weights * probability * (1.0 - probability)
        hessian = features.T @ (curvature[:, None] * features) + ridge
        step = torch.linalg.solve(hessian, gradient)
        coefficients = coefficients - step.clamp(-2.0, 2.0)
        if float(step.abs().max()) < 1e-9:
            break
    scale = float(coefficients[0] / spread)
    return scale, float(coefficients[1] - coefficients[0] * center / spread)


def calibrated_jsd_lower_bound(real: Tensor, fake: Tensor) -> float:
    """:func:`jsd_lower_bound` for a critic whose scale and offset are free.

    They are fitted on the even rows of both sides and the bound is taken on the odd ones, so that the fit cannot
    flatter it.

    Args:
        real: logits at real samples, [N], N >= 4.
        fake: logits at generated samples, [M], M >= 4.
    """
    scale, offset = calibrate_logits(real[0::2], fake[0::2])
    return jsd_lower_bound(scale * real[1::2] + offset, scale * fake[1::2] + offset)
