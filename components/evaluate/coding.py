"""What encoder and decoder do with held-out rows: reconstruction, bounds on the likelihood, and what the code holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import CodeDimension, Metric
from components.evaluate.sampling import Sampler
from components.evaluate.scored import CHUNK_ROWS, Judged, Rows, in_threads, score
from components.export.signature import Likelihood, Signature
from components.onnx_graphs.sessions import open_session, run_in_batches
from models.latents import standard_normal_latents
from models.metrics.bounds import (
    aggregate_posterior_kl,
    kl_parts,
    log_mean_exp,
    log_weights,
    negative_log_likelihood,
)
from models.metrics.codes import active_units, mutual_information, neighbour_overlap
from models.metrics.frechet import frechet_between

NEIGHBOURS = 10
COMPARED_ROWS = 1_000
"""Held-out rows whose codes are compared with every other's, and their pixels."""
_NOISE_STREAM = 2**63
"""Added to the seed, so that the noise of the code is none of the samples' latents."""
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Coding:
    """Held-out rows through the encoder and back; H of them."""

    mean: Values
    """[H, Z]"""
    log_variance: Values | None
    """[H, Z]; none of an autoencoder."""
    squared_error: npt.NDArray[np.float64]
    """Of the reconstruction by the mean, averaged over the row: [H]."""
    negative_elbo: npt.NDArray[np.float64] | None
    """With one draw of the code for each row, [H] nats; none of an autoencoder."""
    negative_log_likelihood: npt.NDArray[np.float64] | None
    """By importance sampling, of the first rows, nats."""
    reconstructions: Judged
    """As the extractor sees them."""


def code(
    bundle: Path,
    signature: Signature,
    extractor_directory: Path,
    rows: Rows,
    labels: npt.NDArray[np.int64],
    *,
    seed: int,
    importance_samples: int,
    importance_rows: int,
) -> Coding:
    """Encode and decode held-out rows.

    Args:
        bundle: a finished Bundle with an encoder, and its ``signature``.
        extractor_directory: a finished Extractor.
        rows: uint8 [H, h, w, C] or float32 [H, D].
        labels: their classes, int64 [H], which a conditional decoder is told.
        seed: of the noise.
        importance_samples: k of the estimate of the likelihood.
        importance_rows: of how many of the first rows, at most ``CHUNK_ROWS``.
    """
    encoder = signature.graphs["encoder"]
    outputs = [output.name for output in encoder.outputs]
    encode = open_session(bundle / encoder.file, threads=1)
    sampler = Sampler(bundle, signature, labels)
    target_of = _Target(signature.likelihood, seed)

    def one(first: int) -> tuple[list[Values], npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        part = rows[first : first + CHUNK_ROWS]
        encoded = run_in_batches(encode, part, outputs)
        sample = "image" if part.ndim == 4 else "sample"
        (decoded,) = sampler.run(encoded[0], [sample], first)
        error = np.square(decoded.astype(np.float64) - _as_decoded(part)).reshape(len(part), -1).mean(axis=1)
        bound = None
        if signature.likelihood is not None:
            noise = standard_normal_latents(seed + _NOISE_STREAM, *encoded[0].shape, first_index=first)
            weights = _weights(sampler, signature.likelihood, encoded, noise, target_of(part, first), first)
            # The KL in closed form: less noise than by the same draw.
            means, variances = kl_parts(*encoded)
            bound = -weights[1] + (means + variances).sum(axis=1)
        return encoded, error, bound

    parts = list(in_threads(one, range(0, len(rows), CHUNK_ROWS)))
    encoded = [np.concatenate(values) for values in zip(*(part[0] for part in parts), strict=True)]
    likelihood = None
    importance_rows = min(importance_rows, CHUNK_ROWS)
    if signature.likelihood is not None and importance_rows:
        likelihood = _likelihood(
            sampler,
            signature.likelihood,
            [value[:importance_rows] for value in encoded],
            rows,
            target_of,
            seed,
            importance_samples,
        )
    reconstructions = score(
        extractor_directory,
        (
            partial(sampler.decoded, encoded[0][first : first + CHUNK_ROWS], first)
            for first in range(0, len(rows), CHUNK_ROWS)
        ),
        detailed_rows=len(rows),
    )
    return Coding(
        mean=encoded[0],
        log_variance=encoded[1] if len(encoded) == 2 else None,
        squared_error=np.concatenate([part[1] for part in parts]),
        negative_elbo=np.concatenate([part[2] for part in parts if part[2] is not None] or [np.zeros(0)])
        if signature.likelihood is not None
        else None,
        negative_log_likelihood=likelihood,
        reconstructions=reconstructions.detail,
    )


class _Target:
    """What the likelihood is asked for: rows as the decoder makes them, drawn black or white where it says so."""

    def __init__(self, likelihood: Likelihood | None, seed: int) -> None:
        self._binarized = likelihood is not None and likelihood.binarized
        self._seed = seed

    def __call__(self, rows: Rows, first: int) -> npt.NDArray[np.floating]:
        values = _as_decoded(rows)
        if not self._binarized:
            return values
        flat = values.reshape(len(values), -1)
        bits = np.random.PCG64([self._seed, first]).random_raw(flat.size)
        uniform = (bits >> np.uint64(11)).reshape(flat.shape) * 2.0**-53
        return (uniform < flat).astype(np.float32).reshape(values.shape)


def _as_decoded(rows: Rows) -> npt.NDArray[np.floating]:
    """float32 [n, C, h, w] in [0, 1] of uint8 [n, h, w, C]; vectors as they are."""
    return rows.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255.0) if rows.ndim == 4 else rows


def _weights(
    sampler: Sampler,
    likelihood: Likelihood,
    encoded: list[Values],
    noise: Values,
    target: npt.NDArray[np.floating],
    first: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """log p(z) - log q(z|x) and log p(x|z) of one draw for each row, [n] each."""
    mean, log_variance = encoded
    latent = (mean + noise * np.exp(0.5 * log_variance)).astype(np.float32)
    (location,) = sampler.run(latent, ["location" if target.ndim == 4 else "sample"], first)
    nats = negative_log_likelihood(likelihood.kind, location, target, likelihood.log_scale)
    return log_weights(latent, mean, log_variance), -nats


def _likelihood(
    sampler: Sampler,
    likelihood: Likelihood,
    encoded: list[Values],
    rows: Rows,
    target_of: _Target,
    seed: int,
    importance_samples: int,
) -> npt.NDArray[np.float64]:
    count, size = encoded[0].shape
    target = target_of(rows[:count], 0)

    def draw(number: int) -> npt.NDArray[np.float64]:
        # The indices of the draw that the ELBO took belong to the first one.
        noise = standard_normal_latents(seed + _NOISE_STREAM, count, size, first_index=len(rows) + number * count)
        prior_over_posterior, likelihood_of_draw = _weights(sampler, likelihood, encoded, noise, target, 0)
        return prior_over_posterior + likelihood_of_draw

    return -log_mean_exp(np.stack(list(in_threads(draw, range(importance_samples)))))


def coding_metrics(
    coding: Coding, held_out: Judged, dimensions: int, likelihood: Likelihood | None
) -> dict[str, Metric]:
    """Every number of a coding.

    Args:
        coding: of held-out rows.
        held_out: these rows as the extractor sees them.
        dimensions: pixels and channels, or components, of one row.
        likelihood: the decoder's.
    """
    count = len(coding.mean)
    metrics = {
        "reconstruction_mean_squared_error": Metric.mean_of(coding.squared_error, "per pixel in [0, 1]"),
        "active_units": Metric(value=float(active_units(coding.mean)), count=count, unit="dimensions"),
        "aggregate_posterior_kl": Metric.finite(
            aggregate_posterior_kl(coding.mean, coding.log_variance), count, "nats"
        ),
        "frechet_reconstructions": Metric.finite(
            frechet_between(coding.reconstructions.features, held_out.features[:count])
            if np.isfinite(coding.reconstructions.features).all()
            else math.nan,
            count,
            "",
        ),
        **_compared(coding, held_out),
    }
    if coding.log_variance is None:
        return metrics
    from_mean, from_variance = kl_parts(coding.mean, coding.log_variance)
    metrics |= {
        "kl_from_mean": Metric.mean_of(from_mean.sum(axis=1), "nats"),
        "kl_from_variance": Metric.mean_of(from_variance.sum(axis=1), "nats"),
        "posterior_sigma": Metric.mean_of(np.exp(0.5 * coding.log_variance.astype(np.float64)).mean(axis=1)),
    }
    if coding.negative_elbo is not None and likelihood is not None:
        metrics["negative_elbo"] = Metric.mean_of(coding.negative_elbo, "nats")
        if likelihood.kind == "discretized-logistic" or likelihood.binarized:
            # Of grey values under a bernoulli, or of a density, bits would be of nothing that could be stored.
            metrics["bits_per_dimension"] = Metric.mean_of(coding.negative_elbo / (dimensions * math.log(2.0)), "bits")
    if coding.negative_log_likelihood is not None and coding.negative_elbo is not None:
        nats = coding.negative_log_likelihood
        metrics["negative_log_likelihood"] = Metric.mean_of(nats, "nats")
        metrics["bound_gap"] = Metric.mean_of(coding.negative_elbo[: len(nats)] - nats, "nats")
    return metrics


def _compared(coding: Coding, held_out: Judged) -> dict[str, Metric]:
    """What comes of laying codes beside each other: what they tell of the row, and whose neighbours they keep."""
    # Rows of a Dataset may lie class by class.
    some = np.random.Generator(np.random.PCG64(0)).permutation(len(coding.mean))[:COMPARED_ROWS]
    mean, count = coding.mean[some], len(some)
    metrics: dict[str, Metric] = {}
    if coding.log_variance is not None:
        noise = standard_normal_latents(_NOISE_STREAM, *mean.shape)
        metrics["mutual_information"] = Metric.finite(
            mutual_information(mean, coding.log_variance[some], noise), count, f"nats, at most {math.log(count):.1f}"
        )
    pixels = held_out.rows[some].reshape(count, -1)
    if count > NEIGHBOURS and np.isfinite(mean).all():
        shared = neighbour_overlap(mean, pixels.astype(np.float32), NEIGHBOURS)
        chance = NEIGHBOURS / (count - 1)
        metrics["code_neighbour_overlap"] = Metric.mean_of(shared, f"share of {NEIGHBOURS}, by chance {chance:.2g}")
    return metrics


def code_dimensions(coding: Coding) -> list[CodeDimension]:
    """What each dimension of a VAE's code costs and carries, the dearest first."""
    if coding.log_variance is None:
        return []
    from_mean, from_variance = (part.mean(axis=0) for part in kl_parts(coding.mean, coding.log_variance))
    sigma = np.exp(0.5 * coding.log_variance.astype(np.float64)).mean(axis=0)
    variance = coding.mean.astype(np.float64).var(axis=0, ddof=1)
    order = np.argsort(-(from_mean + from_variance), kind="stable")
    return [
        CodeDimension(
            dimension=int(place),
            kl_from_mean=float(from_mean[place]),
            kl_from_variance=float(from_variance[place]),
            posterior_sigma=float(sigma[place]),
            mean_variance=float(variance[place]),
        )
        for place in order
        if np.isfinite([from_mean[place], from_variance[place], sigma[place], variance[place]]).all()
    ]
