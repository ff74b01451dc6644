"""Laws of the corrected Fréchet distance: centred on the truth, as wide as its scatter, by hand in one dimension."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.frechet import frechet_between
from models.metrics.frechet_interval import extrapolated_frechet, frechet_interval

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def test_equal_distributions_are_at_zero_where_the_plain_distance_is_not() -> None:
    plain, corrected, covered = [], [], 0
    for seed in range(40):
        a, b = normal(128, 16, seed=seed), normal(512, 16, seed=seed + 1000)
        estimate = frechet_interval(a, b, seed=seed)
        plain.append(frechet_between(a, b))
        corrected.append(estimate.value)
        covered += estimate.low <= 0.0 <= estimate.high
    assert min(plain) > 0.5
    assert abs(np.mean(corrected)) < 0.06 * np.mean(plain)
    assert covered >= 34
    assert min(corrected) < 0.0  # unbiased at 0 is negative half of the time


def test_a_known_distance_is_covered_and_the_width_is_the_scatter() -> None:
    scales, shift = np.linspace(0.5, 1.5, 16), 0.3
    truth = 16 * shift**2 + np.square(scales - 1.0).sum()
    estimates = [
        frechet_interval(normal(256, 16, seed=s), scales * normal(512, 16, seed=s + 1000) + shift, seed=s)
        for s in range(40)
    ]
    values = np.array([estimate.value for estimate in estimates])
    half_widths = np.array([estimate.high - estimate.value for estimate in estimates])
    assert abs(values.mean() - truth) < 4.0 * values.std(ddof=1) / math.sqrt(40)
    assert half_widths.mean() == pytest.approx(1.96 * values.std(ddof=1), rel=0.4)
    assert sum(abs(values - truth) <= half_widths) >= 34


def test_in_one_dimension_it_is_the_closed_forms_own_delta_method() -> None:
    """(mu_a - mu_b)² + (s_a - s_b)² at many rows: the standard error by hand, for normals."""
    a, b = normal(40_000, 1, seed=1), 2.0 * normal(60_000, 1, seed=2) + 1.0
    estimate = frechet_interval(a, b, seed=0)
    by_hand = 4.0 * (1 / 40_000 + 4 / 60_000) + 4.0 * (1 / (2 * 40_000) + 4 / (2 * 60_000))
    assert estimate.high - estimate.value == pytest.approx(1.96 * math.sqrt(by_hand), rel=0.03)
    assert estimate.value == pytest.approx(2.0, abs=4 * math.sqrt(by_hand))


def test_symmetric_and_squared_by_scale_and_unchanged_by_a_shift() -> None:
    a, b = normal(300, 6, seed=3), 1.4 * normal(300, 6, seed=4) + 0.2
    forward, backward = frechet_interval(a, b, seed=0), frechet_interval(b, a, seed=0)
    assert backward.high - backward.low == pytest.approx(forward.high - forward.low, rel=1e-9)
    assert backward.value == pytest.approx(forward.value, rel=0.02)  # other halves
    scaled = frechet_interval(3.0 * a + 50.0, 3.0 * b + 50.0, seed=0)
    assert scaled.value == pytest.approx(9.0 * forward.value, rel=1e-8)
    assert scaled.high == pytest.approx(9.0 * forward.high, rel=1e-8)


def test_features_that_are_constant_or_repeated_do_not_matter() -> None:
    a, b = normal(200, 5, seed=5), 1.4 * normal(300, 5, seed=6) + 0.2
    expected = frechet_interval(a, b, seed=0)
    dead = frechet_interval(np.pad(a, ((0, 0), (0, 3))), np.pad(b, ((0, 0), (0, 3))), seed=0)
    assert dead.value == pytest.approx(expected.value, rel=1e-9)
    assert dead.high == pytest.approx(expected.high, rel=1e-9)
    twice = frechet_interval(np.tile(a, 2), np.tile(b, 2), seed=0)
    assert twice.value == pytest.approx(2.0 * expected.value, rel=1e-6)
    assert twice.high == pytest.approx(2.0 * expected.high, rel=1e-6)


def test_a_generator_that_has_collapsed_to_one_output_is_as_far_as_the_data_is_wide() -> None:
    """‖mu - c‖² + tr C, less the bias of that mean: what is left has the variance of ‖x - c‖² alone."""
    data, collapsed = normal(400, 6, seed=11), np.full((300, 6), 2.0)
    squares = np.square(data - 2.0).sum(axis=1)
    for estimate in (frechet_interval(collapsed, data, seed=0), frechet_interval(data, collapsed, seed=0)):
        assert estimate.value == pytest.approx(squares.mean(), rel=1e-3)
        assert estimate.high - estimate.value == pytest.approx(1.96 * squares.std() / math.sqrt(400), rel=0.01)
    assert frechet_interval(collapsed, collapsed, seed=0).high == 0.0


def test_its_seed_decides_and_few_rows_are_refused() -> None:
    a, b = normal(60, 3, seed=7), normal(60, 3, seed=8)
    assert frechet_interval(a, b, seed=0) == frechet_interval(a, b, seed=0)
    assert frechet_interval(a, b, seed=0) != frechet_interval(a, b, seed=1)
    with pytest.raises(ValueError, match="at least 4 rows"):
        frechet_interval(a[:3], b, seed=0)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(side: int, bad: float) -> None:
    sides = [normal(60, 3, seed=7), normal(60, 3, seed=8)]
    sides[side][5, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        frechet_interval(sides[0], sides[1], seed=0)


def test_the_extrapolated_distance_of_equal_distributions_is_centred_on_zero() -> None:
    plain, extrapolated = [], []
    for seed in range(20):
        a, b = normal(300, 6, seed=seed), normal(300, 6, seed=seed + 1000)
        plain.append(frechet_between(a, b))
        extrapolated.append(extrapolated_frechet(a, b, seed=seed))
    assert min(plain) > 0.02
    assert abs(np.mean(extrapolated)) < 0.3 * np.mean(plain)
    assert abs(np.mean(extrapolated)) < 4.0 * np.std(extrapolated) / math.sqrt(20)


def test_the_extrapolated_distance_keeps_a_true_difference() -> None:
    values = [
        extrapolated_frechet(normal(400, 4, seed=s), normal(400, 4, seed=s + 1000) + 0.5, seed=s) for s in range(20)
    ]
    assert np.mean(values) == pytest.approx(1.0, abs=4.0 * np.std(values) / math.sqrt(20))


def test_the_extrapolations_seed_decides_and_a_line_needs_two_points() -> None:
    a, b = normal(60, 3, seed=9), normal(60, 3, seed=10)
    assert extrapolated_frechet(a, b, seed=0) == extrapolated_frechet(a, b, seed=0)
    assert extrapolated_frechet(a, b, seed=0) != extrapolated_frechet(a, b, seed=1)
    with pytest.raises(ValueError, match="2 points"):
        extrapolated_frechet(a, b, seed=0, points=1)


def test_the_unit_of_the_features_may_be_as_small_as_it_likes() -> None:
    a, b = normal(60, 3, seed=12), 1.4 * normal(60, 3, seed=13) + 0.2
    expected, found = frechet_interval(a, b, seed=0), frechet_interval(1e-6 * a, 1e-6 * b, seed=0)
    assert found.value == pytest.approx(1e-12 * expected.value, rel=1e-8, abs=0.0)
    assert found.high == pytest.approx(1e-12 * expected.high, rel=1e-8, abs=0.0)


def test_four_rows_are_enough_to_answer() -> None:
    assert np.isfinite(frechet_interval(normal(4, 2, seed=14), normal(5, 2, seed=15), seed=0).high)
    assert np.isfinite(extrapolated_frechet(normal(4, 2, seed=14), normal(5, 2, seed=15), seed=0, points=2))
