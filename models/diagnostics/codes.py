"""What a code carries: its information, its distance from the prior, and what each dimension pays. Nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.objectives.variational import kl_mean_part, kl_to_standard_normal, kl_variance_part

ACTIVE_VARIANCE = 0.01
REPORTED_DIMENSIONS = 64
"""Of wider codes the first ones are reported one by one."""


def active_units(mean: Tensor, *, threshold: float = ACTIVE_VARIANCE) -> int:
    """How many latent dimensions carry anything: variance of the posterior mean over data > threshold.

    Burda et al. 2016, section 5.2, eq. 10.

    Args:
        mean: posterior means over a data set, [N, Z].
    """
    return int((mean.double().var(dim=0) > threshold).sum())


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of the posterior to the prior, averaged over data. [N, Z] → [Z], nats."""
    return kl_to_standard_normal(mean.double(), log_variance.double()).mean(dim=0)


def aggregate_to_prior(mean: Tensor, log_variance: Tensor | None) -> float:
    """How far the codes of all data together are from N(0, I): KL(N(m, S) ‖ N(0, I)), nats.

    m and S are the aggregate's own mean and covariance. Of all densities with these moments the Gaussian is nearest
    to the prior, so that this is a lower bound on KL(q(z) ‖ N(0, I)); 0 when the moments fit.

    Args:
        mean: posterior means, or an autoencoder's codes, [N, Z], N > Z.
        log_variance: of the posteriors, [N, Z]; None for a single-valued code.
    """
    mean = mean.double()
    covariance = torch.atleast_2d(torch.cov(mean.T, correction=0))
    if log_variance is not None:
        covariance = covariance + torch.diag(log_variance.double().exp().mean(dim=0))
    # A dimension that never moves has no density; its variance counts as the smallest that float32 codes show.
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp_min(1e-12)
    return float(0.5 * (mean.mean(dim=0).square().sum() + (eigenvalues - eigenvalues.log() - 1.0).sum()))


def mutual_information(mean: Tensor, log_variance: Tensor, noise: Tensor) -> float:
    """I(x; z) under q, by the mixture of the N posteriors at hand, nats; at most log N.

    E KL(q(z|x) ‖ p) = I(x; z) + KL(q(z) ‖ p) (Hoffman and Johnson 2016, eq. 6): what the KL buys, without what it
    pays for an aggregate that misses the prior.

    Args:
        mean: [N, Z].
        log_variance: [N, Z].
        noise: standard normal, [N, Z].
    """
    mean, log_variance = mean.double(), log_variance.double()
    latent = mean + noise.double() * torch.exp(0.5 * log_variance)
    precision = torch.exp(-log_variance)
    # |z - mu|² / sigma² for all pairs by products, [N draws, N posteriors].
    squared = latent.square() @ precision.T - 2.0 * latent @ (mean * precision).T + (mean.square() * precision).sum(1)
    log_density = -0.5 * (squared + log_variance.sum(dim=1))
    own = log_density.diagonal()
    mixture = torch.logsumexp(log_density, dim=1) - math.log(len(mean))
    return float((own - mixture).mean())


def describe_code(mean: Tensor, log_variance: Tensor | None) -> dict[str, float]:
    """Everything above, of the codes of held-out data.

    Args:
        mean: posterior means, or an autoencoder's codes, [N, Z].
        log_variance: of the posteriors, [N, Z]; None for a single-valued code.
    """
    numbers = {
        "active_units": float(active_units(mean)),
        "aggregate_to_prior_nats": aggregate_to_prior(mean, log_variance),
    }
    if log_variance is None:
        return numbers
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(mean.device)
    active = mean.var(dim=0) > ACTIVE_VARIANCE
    share = torch.exp(log_variance).mean(dim=0) / mean.var(dim=0).clamp_min(1e-12)
    numbers["mutual_information_nats"] = mutual_information(mean, log_variance, noise)
    if bool(active.any()):
        numbers["noise_to_signal"] = float(share[active].mean())
    from_mean = kl_mean_part(mean.double()).mean(dim=0)
    from_variance = kl_variance_part(log_variance.double()).mean(dim=0)
    for dimension in range(min(mean.shape[1], REPORTED_DIMENSIONS)):
        numbers[f"kl_from_mean/{dimension:02d}"] = float(from_mean[dimension])
        numbers[f"kl_from_variance/{dimension:02d}"] = float(from_variance[dimension])
    return numbers
