"""Samples from where a model's own codes lie: a Gaussian fitted to those of training rows, instead of N(0, I)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import Metric
from components.evaluate.reference import Reference
from components.evaluate.sampling import Sampler
from components.evaluate.scored import CHUNK_ROWS, in_threads, score
from components.evaluate.settings import GateSettings
from components.export.signature import Signature
from components.onnx_graphs.sessions import open_session, run_in_batches
from models.latents import standard_normal_latents
from models.metrics.bounds import aggregate_moments
from models.metrics.frechet_interval import frechet_interval

CODED_ROWS = 10_000
"""Training rows whose codes are fitted, at most."""
Values = npt.NDArray[np.float32]


def frechet_own_codes(
    bundle: Path,
    signature: Signature,
    sampler: Sampler,
    extractor_directory: Path,
    reference: Reference,
    settings: GateSettings,
) -> Metric:
    """The Fréchet distance of what is decoded from a Gaussian of the model's own codes (theory V2).

    A model that draws well from there and badly from N(0, I) has no holes between its codes: they only lie elsewhere.

    Args:
        bundle: with an encoder, and its ``signature``.
        sampler: of it.
        extractor_directory: a finished Extractor.
        reference: held-out rows, and training rows to encode.
        settings: how many samples, from which seed; the latents are those that the prior's samples come of.
    """
    encoder = signature.graphs["encoder"]
    outputs = [output.name for output in encoder.outputs]
    session = open_session(bundle / encoder.file, threads=1)
    count = min(CODED_ROWS, settings.training_rows, len(reference.training_split))

    def encoded(first: int) -> list[Values]:
        rows = reference.training_pictures(np.arange(first, min(first + CHUNK_ROWS, count)))
        return run_in_batches(session, rows, outputs)

    parts = list(in_threads(encoded, range(0, count, CHUNK_ROWS)))
    codes = [np.concatenate(values) for values in zip(*parts, strict=True)]
    if not all(np.isfinite(values).all() for values in codes):
        return Metric(value=None, count=settings.samples)
    center, factor = fitted_gaussian(codes[0], codes[1] if len(codes) == 2 else None)

    def drawn(first: int) -> Values:
        noise = standard_normal_latents(
            settings.seed, min(CHUNK_ROWS, settings.samples - first), signature.latent.size, first_index=first
        )
        return (center + noise.astype(np.float64) @ factor.T).astype(np.float32)

    samples = score(
        extractor_directory,
        (
            partial(lambda start: sampler.decoded(drawn(start), start), first)
            for first in range(0, settings.samples, CHUNK_ROWS)
        ),
        detailed_rows=settings.detailed_samples,
        held_bytes=0,
    )
    features = samples.detail.features
    if not np.isfinite(features).all():
        return Metric(value=None, count=len(features))
    held_out = reference.held_out.detail.features
    return Metric.estimated(frechet_interval(features, held_out, seed=settings.seed), len(features))


def fitted_gaussian(
    mean: Values, log_variance: Values | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Center [Z] and a factor F [Z, Z] with F F^T the covariance of codes, of which these are all.

    Args:
        mean: codes, or the means of posteriors, [N, Z], at least two.
        log_variance: of the posteriors, [N, Z], whose noise the aggregate's covariance has as well.
    """
    center, covariance = aggregate_moments(mean, log_variance)
    values, vectors = np.linalg.eigh(covariance)
    return center, vectors * np.sqrt(values.clip(0.0))
