"""Every number that the gate asks for, of one model against real data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.evaluate.coding import Coding, code, code_dimensions, coding_metrics
from components.evaluate.documents import CodeDimension, Metric
from components.evaluate.own_codes import frechet_own_codes
from components.evaluate.reference import Reference
from components.evaluate.sampling import Sampler
from components.evaluate.scored import Judged, Scored, score
from components.evaluate.settings import GateSettings
from components.export.signature import Signature
from components.extractor.document import Extractor
from components.prepare.manifest import Manifest
from models.metrics.duplicates import duplicates
from models.metrics.frechet import frechet_distance
from models.metrics.frechet_interval import extrapolated_frechet, frechet_interval
from models.metrics.kernel import kernel_distance
from models.metrics.memorization import memorization
from models.metrics.modes import (
    high_quality_share,
    kl_of_histograms,
    kl_sampling_floor,
    recovered_modes,
)
from models.metrics.prdc import prdc
from models.metrics.shares import wilson_interval
from models.metrics.sharpness import sharpness_ratio

COMPARED_ROWS = 3_000
"""Of each side, where every row is compared with every other: precision and recall, twins."""
COMPARED_BY_KERNEL = 5_000
_COMPARED = (
    *("precision", "recall", "density", "coverage"),
    *("memorized_share", "memorization_ratio", "duplicate_share", "support_size"),
)


@dataclass(frozen=True)
class Measured:
    """A model's samples and numbers."""

    samples: Scored
    metrics: dict[str, Metric]
    coding: Coding | None
    code: list[CodeDimension]


def measure(
    bundle: Path,
    signature: Signature,
    reference: Reference,
    extractor_directory: Path,
    extractor: Extractor,
    manifest: Manifest,
    settings: GateSettings,
) -> Measured:
    """Every number of one model. Those that cannot be computed have the value None.

    Args:
        bundle: a finished Bundle, with its ``signature``.
        reference: real data as the extractor sees it; a conditional model is asked for samples in its classes' shares.
        extractor_directory: a finished Extractor, with its document ``extractor``.
        manifest: of the Dataset that the model is judged on.
        settings: how many samples, from which seed.
    """
    sampler = Sampler(bundle, signature, reference.labels)
    samples = score(
        extractor_directory, sampler.chunks(settings.seed, settings.samples), detailed_rows=settings.detailed_samples
    )
    metrics = sample_metrics(samples, reference, extractor, manifest, seed=settings.seed)
    if manifest.mixture is not None:
        metrics |= _mixture(samples.detail, np.asarray(manifest.mixture.centers), manifest.mixture.sigma)
    if "encoder" not in signature.graphs:
        return Measured(samples, metrics, None, [])
    shown = reference.held_out.detail.shown()
    coding = code(
        bundle,
        signature,
        extractor_directory,
        shown.rows,
        reference.labels,
        seed=settings.seed,
        importance_samples=settings.importance_samples,
        importance_rows=settings.likelihood_rows,
    )
    dimensions = int(np.prod(manifest.sample_shape))
    metrics |= coding_metrics(coding, shown, dimensions, signature.likelihood)
    metrics |= _holes(metrics)
    metrics["frechet_own_codes"] = frechet_own_codes(
        bundle, signature, sampler, extractor_directory, reference, settings
    ).model_copy(update={"extractor_sha256": extractor.sha256})
    return Measured(samples, metrics, coding, code_dimensions(coding))


def sample_metrics(
    samples: Scored, reference: Reference, extractor: Extractor, manifest: Manifest, *, seed: int
) -> dict[str, Metric]:
    """Every number that samples alone have, whatever made them; and what the extractor itself is worth.

    Args:
        samples: as the extractor sees them.
        reference: real data as it sees that.
        extractor: its document.
        manifest: of the Dataset that both came from.
        seed: of random subsets.
    """
    held_out = reference.held_out
    by_features = {
        **compare(samples, held_out, reference.training, seed=seed),
        "extractor_accuracy": Metric(value=extractor.held_out_accuracy, count=manifest.splits["test"].rows),
        "held_out_rows_per_feature": Metric(
            value=len(held_out.detail.features) / extractor.feature_width, count=len(held_out.detail.features)
        ),
    }
    return {
        "unsound_sample_share": Metric(value=samples.sums.unsound / samples.sums.count, count=samples.sums.count),
        **{
            name: metric.model_copy(update={"extractor_sha256": extractor.sha256})
            for name, metric in by_features.items()
        },
        **_sharpness(samples, held_out),
    }


def compare(samples: Scored, held_out: Scored, training: Judged, *, seed: int) -> dict[str, Metric]:
    """What the features of samples and of real rows say of each other.

    Args:
        samples: of a model; or of real rows, to see what a perfect one would get.
        held_out: real rows that they are held against.
        training: rows among which copies are looked for.
        seed: of random subsets.
    """
    return {
        **_distances(samples, held_out, seed),
        **_modes(samples, held_out),
        **_compared(samples.detail, held_out.detail, training, seed),
    }


def _sharpness(samples: Scored, held_out: Scored) -> dict[str, Metric]:
    own, real = samples.sums.sharpness, held_out.sums.sharpness
    if own is None or real is None or real.mean == 0.0:
        return {}
    return {"sharpness_ratio": Metric.estimated(sharpness_ratio(own, real), own.count, "of the data's")}


def _distances(samples: Scored, held_out: Scored, seed: int) -> dict[str, Metric]:
    """Distances between distributions of features: of all samples, and with intervals of those held in full."""
    own, real = samples.detail.features, held_out.detail.features
    count = len(own)
    if not np.isfinite(own).all():
        return {
            name: Metric(value=None, count=count)
            for name in ("frechet_distance", "frechet_extrapolated", "kernel_distance")
        }
    metrics = {
        "frechet_distance": Metric.estimated(frechet_interval(own, real, seed=seed), count),
        "frechet_extrapolated": Metric.finite(extrapolated_frechet(own, real, seed=seed), count),
        "kernel_distance": Metric.estimated(
            kernel_distance(own[:COMPARED_BY_KERNEL], real[:COMPARED_BY_KERNEL]), min(count, COMPARED_BY_KERNEL)
        ),
    }
    if samples.sums.count > count:
        metrics["frechet_of_all_samples"] = Metric.finite(
            frechet_distance(samples.sums.features, held_out.sums.features), samples.sums.count
        )
    return metrics


def _modes(samples: Scored, held_out: Scored) -> dict[str, Metric]:
    shares, real_shares = samples.sums.mode_shares(), held_out.sums.mode_shares()
    count = samples.sums.count
    floor = kl_sampling_floor(len(shares), count) + kl_sampling_floor(len(shares), held_out.sums.count)
    weakest = int(samples.sums.modes.min())
    known = real_shares > 0
    return {
        "smallest_mode_share": Metric.estimated(wilson_interval(weakest, count), count, "share"),
        "relative_mode_share": Metric.finite(
            float((shares[known] / real_shares[known]).min()), count, "of its share of the data"
        ),
        "modes_covered": Metric(value=float((shares > 0).sum()), count=count, unit="modes"),
        "mode_kl_samples_to_data": Metric.finite(kl_of_histograms(shares, real_shares) - floor, count, "nats"),
        "mode_kl_data_to_samples": Metric.finite(kl_of_histograms(real_shares, shares) - floor, count, "nats"),
    }


def _compared(samples: Judged, held_out: Judged, training: Judged, seed: int) -> dict[str, Metric]:
    """What comes of laying rows beside each other: quality and variety apart, copies, twins."""
    own, real = samples.features, held_out.features
    if not np.isfinite(own).all():
        return {name: Metric(value=None, count=len(own)) for name in _COMPARED}
    size = min(COMPARED_ROWS, len(own), len(real))
    manifold = prdc(real[:size], own[:size])
    copied = memorization(own, training.features, real, seed=seed)
    twins = duplicates(own[:size], real[:size], seed=seed)
    return {
        "precision": Metric(value=manifold.precision, count=size, unit="share"),
        "recall": Metric(value=manifold.recall, count=size, unit="share"),
        "density": Metric(value=manifold.density, count=size),
        "coverage": Metric(value=manifold.coverage, count=size, unit="share"),
        "memorized_share": Metric.estimated(
            wilson_interval(round(copied.copied_share * len(own)), len(own)), len(own), "share"
        ),
        "memorization_ratio": Metric.finite(copied.median_ratio, len(own), "of the distance to held-out data"),
        "duplicate_share": Metric(value=twins.share, count=size, unit="share"),
        "support_size": Metric.finite(twins.support_size, size, "distinct outputs, at least"),
    }


def _mixture(samples: Judged, centers: npt.NDArray[np.float64], sigma: float) -> dict[str, Metric]:
    rows = samples.rows
    return {
        "high_quality_share": Metric(value=high_quality_share(rows, centers, sigma), count=len(rows), unit="share"),
        "modes_recovered": Metric(value=float(recovered_modes(rows, centers, sigma)), count=len(rows), unit="modes"),
    }


def _holes(metrics: dict[str, Metric]) -> dict[str, Metric]:
    """How much farther from the data the prior's samples lie than what is decoded from encoded data (V2, V8)."""
    prior, coded = metrics["frechet_distance"].value, metrics["frechet_reconstructions"].value
    if prior is None or coded is None or coded <= 0.0:
        return {}
    return {"latent_hole_ratio": Metric.finite(prior / coded, metrics["frechet_distance"].count)}
