"""Limits from the data itself: what a perfect generator would get, and some room above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.evaluate.core import FLOOR_PARTITIONS
from components.evaluate.measure import compare
from components.evaluate.reference import reference_of
from components.evaluate.scored import Judged, Scored, Sums
from components.evaluate.settings import GateSettings
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
from models.errors import ConfigurationError
from models.metrics.frechet import real_vs_real_floor
from models.metrics.gaussian import GaussianStatistics
from models.metrics.modes import mode_counts


@dataclass(frozen=True)
class Proposal:
    """One limit: what real rows get against real rows, from the best trial to the worst, and what is proposed."""

    limit: str
    metric: str
    typical: float
    worst: float
    proposed: float


_AT_MOST = {
    "mode_kl_samples_to_data_nats": "mode_kl_samples_to_data",
    "mode_kl_data_to_samples_nats": "mode_kl_data_to_samples",
    "kernel_distance": "kernel_distance",
}
_AT_LEAST = {
    "relative_mode_share": "relative_mode_share",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}
_SHARES = {"memorized_share": "memorized_share", "duplicate_share": "duplicate_share"}
_BY_INTERVAL = ("frechet_distance", "kernel_distance")
"""What the gate judges by the upper end."""
_SMALLEST_SHARE = 0.003
"""A limit on copies and twins below this would reject for a handful of samples."""


def calibrate(
    dataset: Path, extractor_directory: Path, settings: GateSettings, *, trials: int, slack: float, seed: int
) -> tuple[GateSettings, list[Proposal]]:
    """Limits that a generator as good as the data would keep, with room for one that is a little worse.

    In every trial the held-out rows are halved at random, and one half is judged against the other. A perfect
    generator is asked for more samples than half of the held-out rows, so that its numbers scatter less than these.

    Args:
        dataset: a finished Dataset.
        extractor_directory: a finished Extractor.
        settings: whose other fields are kept.
        trials: halvings.
        slack: room. A limit from above is that many times the worst trial (of the Fréchet distance: of the floor), one
            from below the worst trial divided by it.
        seed: of the halvings.

    Returns:
        The settings with the proposed limits, and where each comes from.

    Raises:
        ConfigurationError: if slack is below 1 or the held-out rows are too few for the features.
    """
    if slack < 1.0:
        raise ConfigurationError(f"A slack of {slack:g} would reject real data.", "Give one of at least 1.")
    manifest, extractor = read_manifest(dataset), read_extractor(extractor_directory)
    reference = reference_of(dataset, manifest, extractor_directory, extractor, settings)
    held_out = reference.held_out.detail
    rows = len(held_out.features)
    if rows < settings.minimum_rows_per_feature * extractor.feature_width:
        raise ConfigurationError(
            f"{rows:,} held-out rows are too few for {extractor.feature_width} features: "
            f"{settings.minimum_rows_per_feature:g} a feature are needed.",
            "Take more data, a larger share of it for validation and test, or an extractor with fewer features.",
        )
    floor, _ = real_vs_real_floor(held_out.features, partitions=FLOOR_PARTITIONS, seed=settings.seed)
    found: dict[str, list[float]] = {}
    for one, other in _halves(held_out, trials, seed):
        for name, metric in compare(one, other, reference.training, seed=seed).items():
            value = metric.interval[1] if name in _BY_INTERVAL and metric.interval else metric.value
            if value is not None:
                found.setdefault(name, []).append(value)
    proposals = list(_proposals(found, floor, slack))
    limits = {proposal.limit: proposal.proposed for proposal in proposals}
    return GateSettings.model_validate(settings.model_dump() | limits), proposals


def _proposals(found: dict[str, list[float]], floor: float, slack: float) -> Iterator[Proposal]:
    distances = np.array(found["frechet_distance"]) / floor
    yield Proposal(
        "frechet_floor_multiple",
        "frechet_distance",
        float(np.median(distances)),
        float(distances.max()),
        _rounded(slack * max(1.0, float(distances.max()))),
    )
    for limit, metric in (*_AT_MOST.items(), *_SHARES.items()):
        if metric in found:
            worst = max(found[metric])
            proposed = _rounded(slack * worst)
            if limit in _SHARES:
                proposed = min(1.0, max(proposed, _SMALLEST_SHARE))
            yield Proposal(limit, metric, float(np.median(found[metric])), worst, proposed)
    for limit, metric in _AT_LEAST.items():
        if metric in found:
            worst = min(found[metric])
            yield Proposal(limit, metric, float(np.median(found[metric])), worst, _rounded(worst / slack))


def _rounded(value: float) -> float:
    """Two significant digits: more would be of chance."""
    return float(f"{value:.2g}")


def _halves(judged: Judged, trials: int, seed: int) -> Iterator[tuple[Scored, Scored]]:
    generator = np.random.Generator(np.random.PCG64(seed))
    half = len(judged.features) // 2
    for _ in range(trials):
        order = generator.permutation(len(judged.features))
        yield _scored(judged, order[:half]), _scored(judged, order[half : 2 * half])


def _scored(judged: Judged, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Scored:
    """Some rows as if they were all there is, without the pictures."""
    part = Judged(judged.rows[:0], judged.features[rows], judged.logits[rows])
    return Scored(Sums(GaussianStatistics.of(part.features), mode_counts(part.logits), 0, None), part, "")
