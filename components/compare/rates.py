"""What codes cost: a VAE's by its KL to the prior, an autoencoder's rounded until it errs as much as the VAE's does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import Metric
from components.evaluate.sampling import Sampler
from components.export.bundle import read_bundle
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.prepare.dataset import open_split, read_manifest
from models.latents import standard_normal_latents
from models.metrics.bounds import kl_parts

CODED_ROWS: Final = 1_000
"""Held-out rows that are coded, at most."""
FITTED_ROWS: Final = 4_000
"""Training rows that the code's symbols are counted on, at most."""
HALVINGS: Final = 10
"""Of the range of steps: the last one is known to a thousandth of it."""
NOISE_SEED: Final = 0

Values = npt.NDArray[np.float64]
Symbols = npt.NDArray[np.int64]


def code_rates(vae: Path, autoencoder: Path, dataset: Path) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Bits of the VAE's code and of the autoencoder's at equal error of what is decoded.

    The VAE's code costs its KL to the prior, bits back (Hinton and van Camp 1993), and is decoded with its noise. The
    autoencoder's is turned to its principal axes, rounded to multiples of one step and coded symbol by symbol with
    frequencies counted on training rows: the coarsest step whose error is the VAE's at most.

    Args:
        vae: a finished Bundle.
        autoencoder: a finished Bundle.
        dataset: the Dataset that both were trained on; its test split is coded.

    Returns:
        Metrics of the VAE and of the autoencoder. The latter's value is None where no step is fine enough.
    """
    manifest = read_manifest(dataset)
    held_out, labels = open_split(dataset, manifest, "test").first(CODED_ROWS)
    training, _ = open_split(dataset, manifest, "train").first(FITTED_ROWS)
    held_out, training = _as_pixels(held_out), _as_pixels(training)
    coder = _Coder(vae, held_out, labels)
    mean, log_variance = coder.encoded(held_out)
    noise = standard_normal_latents(NOISE_SEED, *mean.shape)
    nats = sum(part.sum(axis=1) for part in kl_parts(mean, log_variance))
    errors = coder.errors(mean + noise * np.exp(0.5 * log_variance))
    of_vae = {
        "code_bits": Metric.mean_of(nats / math.log(2.0), "bits"),
        "drawn_code_mean_squared_error": Metric.mean_of(errors, "per pixel in [0, 1]"),
    }
    coder = _Coder(autoencoder, held_out, labels)
    own, fitted = coder.encoded(held_out)[0], coder.encoded(training)[0]
    if not all(np.isfinite(values).all() for values in (own, fitted, errors)):
        return of_vae, {"code_bits_at_vae_error": Metric(value=None, count=len(own), unit="bits")}
    center, axes = principal_axes(fitted)
    along, along_training = (own - center) @ axes, (fitted - center) @ axes
    widest = float(np.ptp(along_training, axis=0).max())

    def error_of(step: float) -> float:
        return float(coder.errors(np.rint(along / step) * step @ axes.T + center).mean())

    step = coarsest_step(error_of, float(errors.mean()), widest)
    if step is None:
        return of_vae, {"code_bits_at_vae_error": Metric(value=None, count=len(own), unit="bits")}
    bits = np.zeros(len(along))
    for column in range(along.shape[1]):
        bits += code_lengths(*(np.rint(rows[:, column] / step).astype(np.int64) for rows in (along_training, along)))
    return of_vae, {"code_bits_at_vae_error": Metric.mean_of(bits, "bits")}


def principal_axes(codes: Values) -> tuple[Values, Values]:
    """Mean [Z] and orthogonal axes [Z, Z], in columns, along which codes [N, Z] are uncorrelated."""
    _, axes = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    return codes.mean(axis=0), axes


def coarsest_step(error_of: Callable[[float], float], limit: float, widest: float) -> float | None:
    """The largest step, from a ten-thousandth of ``widest`` up to it, whose error is at most the limit; or None.

    The error is taken to grow with the step; halving is by the step's logarithm.
    """
    low, high = math.log(widest * 1e-4 or 1e-12), math.log(widest or 1e-12)
    if error_of(math.exp(low)) > limit:
        return None
    if error_of(math.exp(high)) <= limit:
        return math.exp(high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if error_of(math.exp(middle)) <= limit else (low, middle)
    return math.exp(low)


def code_lengths(counted: Symbols, coded: Symbols) -> Values:
    """Bits of each of some symbols by the frequencies of others; one that was not seen has half a count.

    Args:
        counted: [N] of one dimension.
        coded: [M] of the same.
    """
    lowest = min(counted.min(), coded.min())
    size = int(max(counted.max(), coded.max()) - lowest) + 1
    counts = np.bincount(counted - lowest, minlength=size) + 0.5
    lengths: Values = -np.log2(counts / counts.sum())[coded - lowest]
    return lengths


class _Coder:
    """Encoder and decoder of a bundle, and held-out rows whose reconstruction is judged."""

    def __init__(self, bundle: Path, held_out: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> None:
        signature = read_bundle(bundle)
        encoder = signature.graphs["encoder"]
        self._outputs = [output.name for output in encoder.outputs]
        self._encoder = open_session(bundle / encoder.file)
        self._sampler = Sampler(bundle, signature, labels)
        self._output = "image" if held_out.ndim == 4 else "sample"
        self._target = held_out.astype(np.float64)
        if held_out.ndim == 4:
            self._target = held_out.transpose(0, 3, 1, 2) / 255.0

    def encoded(self, rows: npt.NDArray[Any]) -> list[Values]:
        """The encoder's outputs, each [N, Z]: means, and of a VAE log-variances."""
        return [values.astype(np.float64) for values in run_in_batches(self._encoder, rows, self._outputs)]

    def errors(self, codes: Values) -> Values:
        """Squared error of what each of the held-out rows' codes [M, Z] is decoded to, averaged over the row: [M]."""
        (decoded,) = self._sampler.run(codes.astype(np.float32), [self._output])
        errors: Values = np.square(decoded - self._target).reshape(len(codes), -1).mean(axis=1)
        return errors


def _as_pixels(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(rows.transpose(0, 2, 3, 1)) if rows.ndim == 4 else rows
