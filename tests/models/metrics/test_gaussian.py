"""Laws of the statistics of features: merging, precision and their neutral element."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.frechet import frechet_distance
from models.metrics.gaussian import GaussianStatistics

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def test_mean_and_covariance_are_the_samples() -> None:
    features = normal(40, 5, seed=0) + 3.0
    statistics = GaussianStatistics.of(features)
    np.testing.assert_allclose(statistics.mean, features.mean(axis=0))
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), atol=1e-12)
    assert statistics.count == 40


def test_moments_that_are_known_come_back() -> None:
    covariance = np.cov(normal(40, 5, seed=0), rowvar=False)
    statistics = GaussianStatistics.from_moments(17, np.arange(5), covariance)
    assert statistics.count == 17
    np.testing.assert_allclose(statistics.mean, np.arange(5))
    np.testing.assert_allclose(statistics.covariance, covariance)


def test_statistics_are_kept_in_float64() -> None:
    features = (normal(4000, 3, seed=0) + 1000.0).astype(np.float32)
    statistics = GaussianStatistics.of(features)
    assert statistics.mean.dtype == statistics.scatter.dtype == np.float64
    np.testing.assert_allclose(statistics.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-10)


@pytest.mark.parametrize("cuts", [(1,), (13,), (5, 6, 30), (0, 40)])
def test_merged_statistics_are_those_of_the_whole(cuts: tuple[int, ...]) -> None:
    features = normal(40, 5, seed=1)
    first, *rest = (GaussianStatistics.of(part) for part in np.split(features, cuts))
    merged = sum(rest, start=first)
    whole = GaussianStatistics.of(features)
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.mean, whole.mean)
    np.testing.assert_allclose(merged.covariance, whole.covariance, atol=1e-12)
    assert frechet_distance(merged, whole) == pytest.approx(0.0, abs=1e-9)


def test_merging_keeps_the_digits_of_features_far_from_the_origin() -> None:
    """Batches at 10⁸ with variance 1: an uncentred sum of squares would hold nothing of it."""
    features = normal(400, 4, seed=2) + 1e8
    parts = [GaussianStatistics.of(part) for part in np.array_split(features, 7)]
    merged = sum(parts[1:], start=parts[0])
    np.testing.assert_allclose(merged.covariance, np.cov(features - 1e8, rowvar=False), atol=1e-6)


def test_the_order_of_merging_does_not_matter() -> None:
    a, b, c = (GaussianStatistics.of(normal(rows, 4, seed=rows) + rows) for rows in (3, 17, 50))
    np.testing.assert_allclose(((a + b) + c).scatter, (a + (b + c)).scatter)
    np.testing.assert_allclose((a + b).scatter, (b + a).scatter)
    np.testing.assert_allclose((a + b).mean, (b + a).mean)


def test_no_rows_are_the_neutral_element() -> None:
    none, some = GaussianStatistics.of(np.zeros((0, 4))), GaussianStatistics.of(normal(9, 4, seed=3))
    for merged in (none + some, some + none):
        assert merged.count == 9
        np.testing.assert_array_equal(merged.mean, some.mean)
        np.testing.assert_array_equal(merged.scatter, some.scatter)
    assert (none + none).count == 0


def test_one_row_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        _ = GaussianStatistics.of(np.zeros((1, 3))).covariance


@pytest.mark.parametrize("rows", [2, 3])
def test_two_rows_have_one(rows: int) -> None:
    features = normal(rows, 3, seed=4)
    np.testing.assert_allclose(GaussianStatistics.of(features).covariance, np.cov(features, rowvar=False))


def test_a_single_row_is_not_lost_in_the_sum() -> None:
    none, one = GaussianStatistics.of(np.zeros((0, 3))), GaussianStatistics.of(normal(1, 3, seed=5))
    for merged in (none + one, one + none):
        assert merged.count == 1
        np.testing.assert_array_equal(merged.mean, one.mean)
