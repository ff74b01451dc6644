"""Bounds on a VAE's log-likelihood from what its exported graphs give. numpy only; natural logarithms."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
import numpy.typing as npt

from models.config import LikelihoodKind

Values = npt.NDArray[np.floating]
Nats = npt.NDArray[np.float64]
SMALLEST_VARIANCE = 1e-12
"""What counts as the variance of a direction in which no code moves, which has no density: far, and yet a number."""


def negative_log_likelihood(
    kind: LikelihoodKind, location: Values, target: Values, log_scale: float | None = None
) -> Nats:
    """-log p(x|z), summed over pixels or dimensions.

    The formulas are those of ``models.objectives.variational``, which say where they come from.

    Args:
        kind: which likelihood.
        location: the decoder's, [N, ...]: logits of a bernoulli, else means.
        target: [N, ...], pixels in [0, 1] or vectors.
        log_scale: logarithm of the gaussian's variance or of the logistic's scale.

    Returns:
        [N], nats; of a gaussian from a density, so that it may be negative.

    Raises:
        ValueError: if a scale is missing.
    """
    place = np.asarray(location, dtype=np.float64).reshape(len(location), -1)
    value = np.asarray(target, dtype=np.float64).reshape(len(target), -1)
    if kind != "bernoulli" and log_scale is None:
        raise ValueError(f"a {kind} likelihood needs its scale")
    match kind:
        case "bernoulli":
            nats = _softplus(place) - place * value
        case "gaussian":
            scale = log_scale or 0.0
            nats = 0.5 * (np.square(value - place) * math.exp(-scale) + scale + math.log(2.0 * math.pi))
        case "discretized-logistic":
            nats = _discretized_logistic(place, value, log_scale or 0.0)
        case _:
            assert_never(kind)
    return np.asarray(nats.sum(axis=1))


def _softplus(value: Nats) -> Nats:
    return np.logaddexp(0.0, value)


def _discretized_logistic(location: Nats, target: Nats, log_scale: float) -> Nats:
    half_bin = 0.5 / 255.0
    above = (target - location + half_bin) * math.exp(-log_scale)
    below = (target - location - half_bin) * math.exp(-log_scale)
    width = 2.0 * half_bin * math.exp(-log_scale)
    inside = _softplus(-above) + _softplus(below) - math.log(-math.expm1(-width))
    return np.where(target < half_bin, _softplus(-above), np.where(target > 1.0 - half_bin, _softplus(below), inside))


def kl_parts(mean: Values, log_variance: Values) -> tuple[Nats, Nats]:
    """KL(N(mean, sigma^2) ‖ N(0, I)) of every sample and dimension, as what the mean and what the variance cost.

    1/2 mean^2 and 1/2 (sigma^2 - log sigma^2 - 1) (Kingma and Welling 2014, appendix B). [N, Z] each, nats.
    """
    center = np.asarray(mean, dtype=np.float64)
    spread = np.asarray(log_variance, dtype=np.float64)
    return 0.5 * np.square(center), 0.5 * (np.exp(spread) - spread - 1.0)


def log_weights(latent: Values, mean: Values, log_variance: Values) -> Nats:
    """log p(z) - log q(z|x) of latents [..., Z]; with log p(x|z) the weights of importance sampling. [...]."""
    z, center, spread = (np.asarray(value, dtype=np.float64) for value in (latent, mean, log_variance))
    return np.asarray(0.5 * (np.square(z - center) * np.exp(-spread) + spread - np.square(z)).sum(axis=-1))


def log_mean_exp(values: Nats) -> Nats:
    """log of the mean of exp over the first axis, [k, N] → [N] (Burda et al. 2016, eq. 8)."""
    largest = values.max(axis=0)
    return np.asarray(largest + np.log(np.exp(values - largest).mean(axis=0)))


def aggregate_posterior_kl(mean: Values, log_variance: Values | None = None) -> float:
    """KL(N(m, S) ‖ N(0, I)), m and S being the moments of the aggregate posterior, nats.

    The aggregate of N rows, q(z) = 1/N sum q(z|x_i), has mean m = E mu and covariance S = Cov mu + E diag sigma^2, both
    divided by N; where it is the prior, sampling the prior is legitimate. KL(q ‖ N(0, I)) = -h(q) + E|z|^2 / 2 +
    Z/2 log 2 pi, whose second term the moments fix, and the Gaussian has the largest entropy h of all densities with
    these moments: so this is a lower bound on KL(q ‖ N(0, I)), tight where the aggregate is Gaussian, and 0 where the
    moments are the prior's. (An autoencoder's aggregate of N points has no density, and its own KL is infinite.)

    Args:
        mean: of q(z|x), [N, Z].
        log_variance: [N, Z]; none of an autoencoder, whose codes are points.

    Returns:
        Finite where the moments are; else NaN.
    """
    shift, covariance = aggregate_moments(mean, log_variance)
    if not np.isfinite(covariance).all():
        return math.nan
    variances = np.maximum(np.linalg.eigvalsh(covariance), SMALLEST_VARIANCE)
    return float(0.5 * (shift @ shift + (variances - np.log(variances) - 1.0).sum()))


def aggregate_moments(mean: Values, log_variance: Values | None = None) -> tuple[Nats, Nats]:
    """Mean [Z] and covariance [Z, Z] of the aggregate posterior of N rows; arguments as above."""
    center = np.asarray(mean, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(center, rowvar=False, ddof=0))
    if log_variance is not None:
        covariance = covariance + np.diag(np.exp(np.asarray(log_variance, dtype=np.float64)).mean(axis=0))
    return center.mean(axis=0), covariance
