"""What the exported graphs do: samples, their soundness, and every number that the gate asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import Metric
from components.evaluate.settings import GateSettings
from components.export.signature import Signature
from components.extractor.document import EXTRACTOR_GRAPH_NAME, Extractor
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.prepare.manifest import Manifest
from models.latents import standard_normal_latents
from models.metrics.frechet import bootstrap_corrected, frechet_between
from models.metrics.modes import (
    high_quality_share,
    kl_of_histograms,
    kl_sampling_floor,
    mode_counts,
    recovered_modes,
)

RANGE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Judged:
    """Samples with what the extractor says of them.

    ``rows`` is uint8 [N, H, W, C] or float32 [N, D]; ``features`` [N, d]; ``logits`` [N, K].
    """

    rows: npt.NDArray[Any]
    features: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]

    def modes(self) -> npt.NDArray[np.int64]:
        """The mode of each row, int64 [N]."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)

    def mode_shares(self) -> npt.NDArray[np.float64]:
        """[K], summing to 1."""
        return mode_counts(self.logits) / len(self.logits)


@dataclass(frozen=True)
class Measured:
    """A model's samples and numbers."""

    samples: Judged
    metrics: dict[str, Metric]
    reconstructions: npt.NDArray[np.uint8] | None


def extract(extractor_directory: Path, rows: npt.NDArray[Any]) -> Judged:
    """Features and logits of uint8 [N, H, W, C] or float32 [N, D]."""
    session = open_session(extractor_directory / EXTRACTOR_GRAPH_NAME)
    features, logits = run_in_batches(session, rows, ["features", "logits"])
    return Judged(rows, features, logits)


def measure(
    bundle: Path,
    signature: Signature,
    held_out: Judged,
    labels: npt.NDArray[np.int64],
    extractor_directory: Path,
    extractor: Extractor,
    manifest: Manifest,
    settings: GateSettings,
) -> Measured:
    """Every number of one model. Those that cannot be computed have the value None.

    Args:
        bundle: a finished Bundle, with its ``signature``.
        held_out: validation and test rows as the extractor sees them.
        labels: their classes, int64 [M]; a conditional model is asked for samples in the same shares.
        extractor_directory: a finished Extractor, with its document ``extractor``.
        manifest: of the Dataset that the model is judged on.
        settings: how many samples, from which seed.
    """
    samples, unsound_share = _draw(bundle, signature, labels, extractor_directory, settings)
    sha256 = extractor.sha256
    metrics = {
        "unsound_sample_share": Metric(value=unsound_share, count=len(samples.rows)),
        "extractor_accuracy": Metric(
            value=extractor.held_out_accuracy, count=manifest.splits["test"].rows, extractor_sha256=sha256
        ),
        "held_out_rows_per_feature": Metric(
            value=len(held_out.features) / extractor.feature_width, count=len(held_out.features)
        ),
        "frechet_distance": _frechet(samples, held_out, settings, sha256),
        **_modes(samples, held_out, sha256),
    }
    if manifest.mixture is not None:
        metrics |= _mixture(samples, np.asarray(manifest.mixture.centers), manifest.mixture.sigma)
    reconstructions = None
    if "encoder" in signature.graphs:
        coding, reconstructions = _coding(bundle, signature, held_out.rows, labels)
        metrics |= coding
    return Measured(samples, metrics, reconstructions)


def _draw(
    bundle: Path,
    signature: Signature,
    labels: npt.NDArray[np.int64],
    extractor_directory: Path,
    settings: GateSettings,
) -> tuple[Judged, float]:
    """Samples of the prior, and the share of them with a value that is not finite or out of range."""
    inputs = _sampler_inputs(
        signature, standard_normal_latents(settings.seed, settings.samples, signature.latent.size), labels
    )
    session = open_session(bundle / signature.graphs[signature.sampler].file)
    if signature.sample.kind == "vector":
        (rows,) = run_in_batches(session, inputs, ["sample"])
        sound = np.isfinite(rows).all(axis=1)
        judged = extract(extractor_directory, np.where(np.isfinite(rows), rows, np.float32(0.0)))
        return judged, float(1.0 - sound.mean())
    image, pixels = run_in_batches(session, inputs, ["image", "pixels"])
    low, high = signature.sample.value_range or (0.0, 1.0)
    inside = np.isfinite(image) & (image >= low - RANGE_TOLERANCE) & (image <= high + RANGE_TOLERANCE)
    sound = inside.reshape(len(image), -1).all(axis=1)
    return extract(extractor_directory, pixels), float(1.0 - sound.mean())


def _sampler_inputs(
    signature: Signature, latent: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """The graph's inputs by name; a conditional one is told ``labels``, from the start again when they end."""
    inputs: dict[str, npt.NDArray[Any]] = {"latent": latent}
    if any(tensor.name == "label" for tensor in signature.graphs[signature.sampler].inputs):
        inputs["label"] = np.resize(labels, len(latent)).astype(np.int64)
    return inputs


def _frechet(samples: Judged, held_out: Judged, settings: GateSettings, sha256: str) -> Metric:
    if not np.isfinite(samples.features).all():
        return Metric(value=None, count=len(samples.features), extractor_sha256=sha256)
    estimate = bootstrap_corrected(
        samples.features,
        held_out.features,
        frechet_between,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )
    return Metric(
        value=estimate.value,
        interval=(estimate.low, estimate.high),
        count=len(samples.features),
        extractor_sha256=sha256,
    )


def _modes(samples: Judged, held_out: Judged, sha256: str) -> dict[str, Metric]:
    shares, real_shares = samples.mode_shares(), held_out.mode_shares()
    count = len(samples.rows)
    floor = kl_sampling_floor(len(shares), count)
    values = {
        "smallest_mode_share": float(shares.min()),
        "modes_covered": float((shares > 0).sum()),
        "mode_kl": kl_of_histograms(shares, real_shares) - floor,
        "mode_kl_reverse": kl_of_histograms(real_shares, shares) - floor,
    }
    units = {"smallest_mode_share": "share", "modes_covered": "modes"}
    return {
        name: Metric(
            value=value if np.isfinite(value) else None,
            count=count,
            unit=units.get(name, "nats"),
            extractor_sha256=sha256,
        )
        for name, value in values.items()
    }


def _mixture(samples: Judged, centers: npt.NDArray[np.float64], sigma: float) -> dict[str, Metric]:
    count = len(samples.rows)
    return {
        "high_quality_share": Metric(value=high_quality_share(samples.rows, centers, sigma), count=count, unit="share"),
        "modes_recovered": Metric(
            value=float(recovered_modes(samples.rows, centers, sigma)), count=count, unit="modes"
        ),
    }


def _coding(
    bundle: Path, signature: Signature, rows: npt.NDArray[Any], labels: npt.NDArray[np.int64]
) -> tuple[dict[str, Metric], npt.NDArray[np.uint8] | None]:
    """Reconstruction by the posterior mean, and what the code carries, on held-out rows."""
    import torch  # late: a GAN is judged without it

    from models.diagnostics import active_units, kl_per_dimension

    encoder = signature.graphs["encoder"]
    encoded = run_in_batches(open_session(bundle / encoder.file), rows, [output.name for output in encoder.outputs])
    mean = encoded[0]
    is_image = signature.sample.kind == "image"
    outputs = ["image", "pixels"] if is_image else ["sample"]
    decoded = run_in_batches(
        open_session(bundle / signature.graphs["decoder"].file), _sampler_inputs(signature, mean, labels), outputs
    )
    target = rows.transpose(0, 3, 1, 2) / 255.0 if is_image else rows
    error = float(np.square(decoded[0] - target).mean())
    metrics = {
        "reconstruction_mean_squared_error": Metric(
            value=error if np.isfinite(error) else None, count=len(rows), unit="per pixel in [0, 1]"
        ),
        "active_units": Metric(value=float(active_units(torch.from_numpy(mean))), count=len(rows), unit="dimensions"),
    }
    if len(encoded) == 2:
        means, log_variances = map(torch.from_numpy, encoded)
        # Of the two parts each is the whole divergence where the other has the prior's value.
        parts = {
            "kl_from_mean": kl_per_dimension(means, torch.zeros_like(log_variances)),
            "kl_from_variance": kl_per_dimension(torch.zeros_like(means), log_variances),
        }
        for name, part in parts.items():
            value = float(part.sum())
            metrics[name] = Metric(value=value if np.isfinite(value) else None, count=len(rows), unit="nats")
    return metrics, decoded[1] if is_image else None
