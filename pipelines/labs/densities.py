"""Mixtures of Gaussians on a line: samples, densities, and divergences between them by quadrature. Nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.objectives.variational import normal_log_density


@dataclass(frozen=True)
class LineMixture:
    """Gaussians on a line."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    sigmas: tuple[float, ...]

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x), [...] → [...], float64."""
        return torch.logsumexp(self.log_joint(x), dim=-1)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, component), [...] → [..., K], float64."""
        weights, means, sigmas = (
            torch.tensor(values, dtype=torch.float64) for values in (self.weights, self.means, self.sigmas)
        )
        value = x.double()[..., None, None]
        return weights.log() + normal_log_density(value, means[:, None], 2.0 * sigmas.log()[:, None])

    def sample(self, rows: int, generator: torch.Generator) -> Tensor:
        """Independent draws, float32 [rows, 1]."""
        component = torch.multinomial(torch.tensor(self.weights), rows, replacement=True, generator=generator)
        means, sigmas = torch.tensor(self.means), torch.tensor(self.sigmas)
        noise = torch.randn(rows, generator=generator)
        return (means[component] + sigmas[component] * noise)[:, None]


def gaussian(mean: float, sigma: float) -> LineMixture:
    """One Gaussian."""
    return LineMixture((1.0,), (mean,), (sigma,))


def line(*mixtures: LineMixture, points: int = 8001) -> Tensor:
    """Points, float64 [points], that reach 12 sigma beyond every component."""
    low = min(mean - 12.0 * sigma for one in mixtures for mean, sigma in zip(one.means, one.sigmas, strict=True))
    high = max(mean + 12.0 * sigma for one in mixtures for mean, sigma in zip(one.means, one.sigmas, strict=True))
    return torch.linspace(low, high, points, dtype=torch.float64)


def kl(p: LineMixture, q: LineMixture) -> float:
    """KL(p ‖ q)."""
    x = line(p, q)
    log_p = p.log_density(x)
    return float(torch.trapezoid(log_p.exp() * (log_p - q.log_density(x)), x))


def jsd(p: LineMixture, q: LineMixture) -> float:
    """JSD(p, q) = (KL(p ‖ m) + KL(q ‖ m)) / 2 with m = (p + q) / 2; between 0 and log 2."""
    x = line(p, q)
    log_p, log_q = p.log_density(x), q.log_density(x)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    integrand = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return float(0.5 * torch.trapezoid(integrand, x))


def entropy(p: LineMixture) -> float:
    """-E_p log p."""
    x = line(p)
    log_p = p.log_density(x)
    return float(-torch.trapezoid(log_p.exp() * log_p, x))
