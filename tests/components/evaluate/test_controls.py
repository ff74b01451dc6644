"""What must not pass: copies of training rows, a class left out, noise, a collapse. Real rows stand in for samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.evaluate.documents import Metric
from components.evaluate.measure import compare
from components.evaluate.reference import Reference, read_reference
from components.evaluate.scored import Judged, Scored, Sums, extract
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
from models.metrics.gaussian import GaussianStatistics
from models.metrics.modes import mode_counts
from pipelines.recipes import recipe_by_name

ExtractorOf = Callable[[Path], Path]
LIMITS = recipe_by_name("digits-gan").gate


@pytest.fixture(scope="module")
def reference(digits: Path, extractor_of: ExtractorOf) -> Reference:
    extractor = extractor_of(digits)
    return read_reference(
        digits, read_manifest(digits), extractor, read_extractor(extractor), held_out=10_000, training=50_000
    )


def scored(judged: Judged) -> Scored:
    return Scored(Sums(GaussianStatistics.of(judged.features), mode_counts(judged.logits), 0, None), judged, "")


def halves(reference: Reference) -> tuple[Judged, Judged]:
    """Samples that are as good as can be, and real rows to hold them against."""
    held_out = reference.held_out.detail
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(held_out.features))
    parts = np.array_split(order, 2)
    first, second = (Judged(held_out.rows[part], held_out.features[part], held_out.logits[part]) for part in parts)
    return first, second


def judged(reference: Reference, samples: Judged) -> dict[str, Metric]:
    return compare(scored(samples), scored(halves(reference)[1]), reference.training, seed=0)


def value(metrics: dict[str, Metric], name: str) -> float:
    found = metrics[name].value
    assert found is not None
    return found


def test_real_rows_keep_the_limits(reference: Reference) -> None:
    metrics = judged(reference, halves(reference)[0])
    assert value(metrics, "memorized_share") <= (LIMITS.memorized_share or 0.0)
    assert value(metrics, "duplicate_share") <= (LIMITS.duplicate_share or 0.0)
    assert value(metrics, "relative_mode_share") >= (LIMITS.relative_mode_share or 1.0)


def test_one_planted_copy_in_a_hundred_is_found(reference: Reference) -> None:
    samples, _ = halves(reference)
    planted = samples.features.copy()
    count = len(planted) // 100
    planted[:count] = reference.training.features[:count]
    metrics = judged(reference, Judged(samples.rows, planted, samples.logits))
    assert value(metrics, "memorized_share") > (LIMITS.memorized_share or 1.0)


def test_a_class_left_out_is_found(reference: Reference) -> None:
    samples, _ = halves(reference)
    weakest = int(np.bincount(samples.modes()).argmax())
    kept = samples.modes() != weakest
    metrics = judged(reference, Judged(samples.rows[kept], samples.features[kept], samples.logits[kept]))
    assert value(metrics, "relative_mode_share") < (LIMITS.relative_mode_share or 0.0)


def test_a_collapse_is_found(reference: Reference) -> None:
    samples, _ = halves(reference)
    rows = np.resize(np.arange(20), len(samples.features))
    metrics = judged(reference, Judged(samples.rows[rows], samples.features[rows], samples.logits[rows]))
    assert value(metrics, "duplicate_share") > (LIMITS.duplicate_share or 1.0)
    assert value(metrics, "support_size") < 100
    assert value(metrics, "recall") < 0.5 * value(judged(reference, samples), "recall")


def test_noise_is_found(reference: Reference, digits: Path, extractor_of: ExtractorOf) -> None:
    samples, _ = halves(reference)
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, samples.rows.shape, dtype=np.uint8)
    metrics = judged(reference, extract(extractor_of(digits), noise))
    sound = judged(reference, samples)
    assert value(metrics, "frechet_distance") > 20 * abs(value(sound, "frechet_distance"))
    assert value(metrics, "coverage") < 0.1 < value(sound, "coverage")
