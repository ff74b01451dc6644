"""What a code carries: its information, its distance from the prior, and what each dimension pays. Nats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.metrics import bounds, codes
from models.metrics.codes import ACTIVE_VARIANCE
from models.objectives.variational import kl_mean_part, kl_to_standard_normal, kl_variance_part

REPORTED_DIMENSIONS = 64
"""Of wider codes the first ones are reported one by one."""


def active_units(mean: Tensor, *, threshold: float = ACTIVE_VARIANCE) -> int:
    """:func:`models.metrics.codes.active_units` of posterior means over a data set, [N, Z]."""
    return codes.active_units(_array(mean), threshold=threshold)


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of the posterior to the prior, averaged over data. [N, Z] → [Z], nats."""
    return kl_to_standard_normal(mean.double(), log_variance.double()).mean(dim=0)


def aggregate_to_prior(mean: Tensor, log_variance: Tensor | None) -> float:
    """:func:`models.metrics.bounds.aggregate_posterior_kl`: how far the codes of all data are from N(0, I), nats.

    Args:
        mean: posterior means, or an autoencoder's codes, [N, Z].
        log_variance: of the posteriors, [N, Z]; None for a single-valued code.
    """
    return bounds.aggregate_posterior_kl(_array(mean), None if log_variance is None else _array(log_variance))


def mutual_information(mean: Tensor, log_variance: Tensor, noise: Tensor) -> float:
    """:func:`models.metrics.codes.mutual_information`, I(x; z) in nats; all [N, Z]."""
    return codes.mutual_information(_array(mean), _array(log_variance), _array(noise))


def _array(values: Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(values.detach().double().cpu().numpy())


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
