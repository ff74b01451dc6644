"""Laws of the Fréchet distance, its statistics, its floor and its corrected estimate."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics import frechet
from models.metrics.frechet import (
    bootstrap_corrected,
    frechet_between,
    frechet_distance,
    real_vs_real_floor,
)
from models.metrics.gaussian import GaussianStatistics

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def gaussian(mean: Array, covariance: Array, count: int = 101) -> GaussianStatistics:
    """Statistics whose mean and covariance are exactly these."""
    return GaussianStatistics.from_moments(count, mean, covariance)


def random_covariance(size: int, seed: int) -> Array:
    factor = normal(size, size + 3, seed=seed)
    return np.asarray(factor @ factor.T / size)


def rotation(size: int, seed: int) -> Array:
    return np.linalg.qr(normal(size, size, seed=seed))[0]


@pytest.mark.parametrize("rows", [5, 16, 200])
def test_zero_on_identity(rows: int) -> None:
    features = normal(rows, 16, seed=2)
    assert frechet_between(features, features) == pytest.approx(0.0, abs=1e-9)
    assert frechet_between(features, features[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_symmetric_and_never_negative() -> None:
    for seed in range(5):
        a, b = normal(30, 8, seed=seed), 2.0 * normal(50, 8, seed=seed + 100) + 0.3
        forward = frechet_between(a, b)
        assert forward == pytest.approx(frechet_between(b, a), rel=1e-10)
        assert forward > 0.1


def test_closed_form_of_diagonal_gaussians() -> None:
    """Independent components: sum of (mu_a - mu_b)² + (sigma_a - sigma_b)²."""
    mean_a, mean_b = normal(6, seed=3), normal(6, seed=4)
    sigma_a, sigma_b = np.abs(normal(6, seed=5)), np.abs(normal(6, seed=6))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((sigma_a - sigma_b) ** 2)
    found = frechet_distance(gaussian(mean_a, np.diag(sigma_a**2)), gaussian(mean_b, np.diag(sigma_b**2)))
    assert found == pytest.approx(expected, rel=1e-10)


def test_closed_form_of_full_commuting_covariances() -> None:
    axes = rotation(6, seed=7)
    sigma_a, sigma_b = np.abs(normal(6, seed=5)), np.abs(normal(6, seed=6))
    a, b = (gaussian(np.zeros(6), axes @ np.diag(sigma**2) @ axes.T) for sigma in (sigma_a, sigma_b))
    assert frechet_distance(a, b) == pytest.approx(np.sum((sigma_a - sigma_b) ** 2), rel=1e-9)


def test_closed_form_of_full_covariances_in_the_plane() -> None:
    """For 2 by 2 matrices tr (A B)^(1/2) = (tr(A B) + 2 (det A det B)^(1/2))^(1/2) (Cayley and Hamilton)."""
    for seed in range(4):
        a, b = random_covariance(2, seed), random_covariance(2, seed + 50)
        root = math.sqrt(np.trace(a @ b) + 2.0 * math.sqrt(np.linalg.det(a) * np.linalg.det(b)))
        expected = np.trace(a) + np.trace(b) - 2.0 * root
        assert frechet_distance(gaussian(np.zeros(2), a), gaussian(np.zeros(2), b)) == pytest.approx(expected)


def test_full_covariances_against_the_eigenvalues_of_their_product() -> None:
    mean_a, mean_b = normal(12, seed=8), normal(12, seed=9)
    a, b = random_covariance(12, 10), random_covariance(12, 11)
    assert np.abs(a @ b - b @ a).max() > 0.1  # they do not commute
    root = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(a) + np.trace(b) - 2.0 * root
    assert frechet_distance(gaussian(mean_a, a), gaussian(mean_b, b)) == pytest.approx(expected, rel=1e-9)


def test_unchanged_by_rotation_and_shift_and_squared_by_scale() -> None:
    a, b = normal(60, 5, seed=12), 1.5 * normal(40, 5, seed=13) + 0.5
    reference, axes = frechet_between(a, b), rotation(5, seed=14)
    assert frechet_between(a @ axes + 4.0, b @ axes + 4.0) == pytest.approx(reference, rel=1e-9)
    assert frechet_between(3.0 * a, 3.0 * b) == pytest.approx(9.0 * reference, rel=1e-9)


def test_monotone_in_a_shift() -> None:
    features = normal(200, 4, seed=15)
    shift = np.array([1.0, -2.0, 0.0, 0.5])
    distances = [frechet_between(features, features + step * shift) for step in (0.0, 0.1, 0.5, 1.0, 3.0)]
    assert all(later > earlier for earlier, later in itertools.pairwise(distances))
    assert distances[3] == pytest.approx(shift @ shift)


def test_a_collapsed_and_a_noisier_generator_are_both_far() -> None:
    features = normal(500, 4, seed=16)
    features -= features.mean(axis=0)
    assert frechet_between(features, np.repeat(features[:1], 500, axis=0)) > 3.0
    assert frechet_between(features, 2.0 * features) == pytest.approx(np.trace(np.cov(features, rowvar=False)))


@pytest.mark.parametrize(("rows_a", "rows_b"), [(6, 9), (20, 30), (3, 60)])
def test_exact_where_covariances_have_no_full_rank(rows_a: int, rows_b: int) -> None:
    """With X, Y the centred features the trace is the nuclear norm of X Yᵀ / ((N - 1) (M - 1))^(1/2)."""
    a, b = normal(rows_a, 32, seed=17), normal(rows_b, 32, seed=18) + 0.2
    centred_a, centred_b = (side - side.mean(axis=0) for side in (a, b))
    nuclear = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum() / math.sqrt((rows_a - 1) * (rows_b - 1))
    expected = (
        np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
        + a.var(axis=0, ddof=1).sum()
        + b.var(axis=0, ddof=1).sum()
        - 2.0 * nuclear
    )
    assert frechet_between(a, b) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("rows_of_a_block", [1, 5, 12, 40])
def test_the_blocks_of_its_triangles_do_not_matter(rows_of_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(60, 12, seed=38), 1.5 * normal(50, 12, seed=39) + 0.2
    expected = exact_distance(a, b)
    monkeypatch.setattr(frechet, "ROWS_OF_A_BLOCK", rows_of_a_block)
    assert frechet_between(a, b) == pytest.approx(expected, rel=1e-9)


def exact_distance(a: Array, b: Array) -> float:
    """From the features themselves: singular values of the product of centred rows, nothing squared."""
    centred_a, centred_b = ((side - side.mean(axis=0)) / math.sqrt(len(side) - 1) for side in (a, b))
    traces = np.sum(centred_a**2) + np.sum(centred_b**2)
    root = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + traces - 2.0 * root)


def decaying(rows: int, width: int, seed: int) -> Array:
    """Features whose variances fall by six decades, as those of a network do."""
    return np.asarray(normal(rows, width, seed=seed) * np.logspace(0, -3, width) @ rotation(width, seed=seed + 1))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(normal(20, 64, seed=40), normal(30, 64, seed=41), id="both short"),
        pytest.param(normal(20, 64, seed=40), normal(300, 64, seed=41), id="one short"),
        pytest.param(normal(64, 64, seed=40), normal(65, 64, seed=41), id="short by one"),
        pytest.param(decaying(300, 64, seed=42), decaying(200, 64, seed=44), id="wide spectrum"),
        pytest.param(decaying(40, 64, seed=42), decaying(200, 64, seed=44), id="wide spectrum, one short"),
    ],
)
def test_it_is_exact_to_1e_7_of_the_traces_from_features_and_from_statistics(a: Array, b: Array) -> None:
    scale = a.var(axis=0, ddof=1).sum() + b.var(axis=0, ddof=1).sum()
    for first, second in ((a, b), (b, a)):
        assert frechet_between(first, second) == pytest.approx(exact_distance(a, b), abs=1e-7 * scale)
        statistics = GaussianStatistics.of(first), GaussianStatistics.of(second)
        assert frechet_distance(*statistics) == pytest.approx(exact_distance(a, b), abs=1e-7 * scale)


def test_features_that_are_constant_or_repeated_add_what_they_should() -> None:
    """A dead feature adds nothing; all features twice is twice the distance, with no full rank at any size."""
    a, b = normal(200, 12, seed=46), 1.5 * normal(300, 12, seed=47) + 0.3
    reference = frechet_between(a, b)
    dead_a, dead_b = (np.concatenate([side, np.full((len(side), 30), 5.0)], axis=1) for side in (a, b))
    assert frechet_between(dead_a, dead_b) == pytest.approx(reference, rel=1e-9)
    assert frechet_between(np.tile(a, 2), np.tile(b, 2)) == pytest.approx(2.0 * reference, rel=1e-7)


def test_supports_that_are_orthogonal_have_no_common_root() -> None:
    a, b = normal(100, 8, seed=48), normal(100, 8, seed=49)
    a[:, 4:] = 0.0
    b[:, :4] = 0.0
    expected = (
        np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + a.var(axis=0, ddof=1).sum() + b.var(axis=0, ddof=1).sum()
    )
    assert frechet_between(a, b) == pytest.approx(expected, rel=1e-12)


def test_a_common_shift_of_a_million_changes_nothing() -> None:
    """With sums of x xᵀ instead of centred ones the covariance would keep four digits."""
    a, b = normal(300, 8, seed=50), 1.2 * normal(200, 8, seed=51)
    assert frechet_between(a + 1e6, b + 1e6) == pytest.approx(frechet_between(a, b), rel=1e-8)


@pytest.mark.parametrize("rows", [5, 200])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(rows: int, bad: float) -> None:
    features = normal(rows, 8, seed=52)
    broken = features.copy()
    broken[2, 3] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="finite"):
        frechet_between(broken, features)


def test_the_floor_is_what_chance_makes_and_shrinks_with_the_samples() -> None:
    features = normal(4000, 4, seed=19)
    small, large = (real_vs_real_floor(features[:rows], partitions=40, seed=0) for rows in (1000, 4000))
    assert 0.0 < large[0] < small[0]
    assert large[0] / small[0] == pytest.approx(0.25, abs=0.1)  # the bias falls as 1 / N
    assert large[1] < small[1]


def test_the_floor_is_the_distance_of_disjoint_halves() -> None:
    """Halvings of N rows behave as independent samples of N / 2; halves that share rows would be nearer."""
    features = normal(200, 3, seed=20)
    mean, deviation = real_vs_real_floor(features, partitions=50, seed=1)
    independent = [frechet_between(normal(100, 3, seed=s), normal(100, 3, seed=s + 500)) for s in range(50)]
    assert mean == pytest.approx(np.mean(independent), rel=0.3)
    assert deviation == pytest.approx(np.std(independent), rel=0.6)


def test_the_floors_seed_decides() -> None:
    features = normal(60, 3, seed=21)
    first, again, other = (real_vs_real_floor(features, partitions=5, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_corrected_distance_of_equal_distributions_is_centred_on_zero() -> None:
    plain, corrected = [], []
    for seed in range(10):
        a, b = normal(300, 6, seed=seed), normal(300, 6, seed=seed + 1000)
        plain.append(frechet_between(a, b))
        corrected.append(bootstrap_corrected(a, b, frechet_between, replicates=30, seed=seed).value)
    assert np.mean(plain) > 0.05
    assert min(plain) > 0.02
    assert abs(np.mean(corrected)) < 0.2 * np.mean(plain)


def test_the_corrected_distance_keeps_a_true_difference() -> None:
    inside = 0
    for seed in range(10):
        a, b = normal(300, 4, seed=seed), normal(300, 4, seed=seed + 1000) + 0.5
        estimate = bootstrap_corrected(a, b, frechet_between, replicates=40, seed=seed)
        inside += estimate.low < 1.0 < estimate.high  # four components, each 0.5 apart
    assert inside >= 8


def squared_difference(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    return float((a.mean() - b.mean()) ** 2)


def difference(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    return float(a.mean() - b.mean())


def test_the_correction_subtracts_the_known_bias() -> None:
    """E (mean_a - mean_b)² exceeds the truth by var_a / N + var_b / M, and the bootstrap knows it."""
    a, b = normal(50, 1, seed=22) + 1.0, 2.0 * normal(80, 1, seed=23)
    bias = a.var() / 50 + b.var() / 80
    estimate = bootstrap_corrected(a, b, squared_difference, replicates=20_000, seed=0)
    assert estimate.value == pytest.approx(squared_difference(a, b) - bias, abs=0.1 * bias)


def test_an_unbiased_statistic_keeps_its_value_and_its_normal_interval() -> None:
    a, b = normal(50, 1, seed=24), 2.0 * normal(80, 1, seed=25)
    standard_error = math.sqrt(a.var() / 50 + b.var() / 80)
    estimate = bootstrap_corrected(a, b, difference, replicates=5000, seed=0)
    assert estimate.value == pytest.approx(difference(a, b), abs=0.05 * standard_error)
    assert estimate.high - estimate.value == pytest.approx(1.96 * standard_error, rel=0.04)
    assert estimate.value - estimate.low == pytest.approx(estimate.high - estimate.value)


def test_both_sides_are_resampled_independently() -> None:
    """The same features on both sides: resampled in step their difference would never move."""
    features = normal(100, 1, seed=26)
    estimate = bootstrap_corrected(features, features, difference, replicates=500, seed=0)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * math.sqrt(2 * features.var() / 100), rel=0.15)


def test_the_resamplings_seed_decides() -> None:
    a, b = normal(40, 3, seed=27), normal(40, 3, seed=28)
    first, again, other = (bootstrap_corrected(a, b, frechet_between, replicates=5, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other
