"""The birthday test: silent on real data, loud on a generator with few outputs, and how few."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.duplicates import duplicates

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def test_real_data_has_the_quantiles_share() -> None:
    shares = [duplicates(normal(1500, 6, seed=s), normal(1500, 6, seed=s + 100), seed=s).share for s in range(8)]
    assert np.mean(shares) == pytest.approx(0.01, abs=0.005)
    wider = duplicates(normal(1500, 6, seed=0), normal(1500, 6, seed=100), seed=0, quantile=0.3)
    assert wider.share == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("outputs", [5, 100, 2000])
def test_few_distinct_outputs_are_seen_and_counted(outputs: int) -> None:
    generator = np.random.Generator(np.random.PCG64(outputs))
    support = normal(outputs, 8, seed=1)
    found = duplicates(support[generator.integers(outputs, size=3000)], normal(3000, 8, seed=2), seed=0)
    expected_share = 1.0 - (1.0 - 1.0 / outputs) ** 2999
    assert found.share == pytest.approx(expected_share, abs=0.03)
    assert found.support_size == pytest.approx(outputs, rel=0.1)


def test_outputs_with_a_little_noise_on_them_are_the_same_outputs() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    samples = normal(50, 8, seed=4)[generator.integers(50, size=1000)] + 1e-3 * normal(1000, 8, seed=5)
    found = duplicates(samples, normal(1000, 8, seed=6), seed=0)
    assert found.share > 0.99
    assert found.support_size == pytest.approx(50, rel=0.1)


def test_uneven_outputs_count_as_their_effective_number() -> None:
    generator = np.random.Generator(np.random.PCG64(7))
    shares = np.array([0.5, *np.full(50, 0.01)])
    samples = normal(51, 8, seed=8)[generator.choice(51, p=shares, size=2000)]
    found = duplicates(samples, normal(2000, 8, seed=9), seed=0)
    assert found.support_size == pytest.approx(1.0 / np.square(shares).sum(), rel=0.1)


def test_real_data_has_no_bound_on_its_support_that_would_be_small() -> None:
    found = duplicates(normal(1500, 6, seed=10), normal(1500, 6, seed=110), seed=0)
    assert found.support_size > 1500**2 / 100
    spread = duplicates(10.0 * normal(1500, 6, seed=10), normal(1500, 6, seed=110), seed=0)
    assert spread.support_size == math.inf
    assert spread.share == 0.0


def test_equally_many_rows_are_compared() -> None:
    """Ten times as many samples would lie nearer to each other by their number alone."""
    real, many = normal(600, 4, seed=11), normal(6000, 4, seed=12)
    found = duplicates(many, real, seed=0)
    assert found.compared_rows == 600
    assert found.share < 0.05
    assert duplicates(many, normal(6000, 4, seed=13), seed=0).distance < 0.7 * found.distance


def test_pairs_are_counted_once() -> None:
    """Real rows 10 apart but for one pair that is 5 apart; three samples are one and the same."""
    real = np.arange(0.0, 400.0, 10.0)[:, None]
    real[39] -= 5.0
    samples = real.copy()
    samples[1], samples[2] = samples[0], samples[0]
    found = duplicates(samples, real, seed=0)
    assert found.distance == pytest.approx(5.0)
    assert found.share == pytest.approx(5 / 40)
    assert (found.colliding_pairs, found.colliding_pairs_of_real) == (4, 1)
    assert found.support_size == pytest.approx(40 * 39 / (2 * 3))


def test_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        duplicates(normal(1, 2, seed=0), normal(9, 2, seed=1), seed=0)


def test_one_pair_more_than_among_real_rows_is_the_least_that_says_something() -> None:
    real, samples = normal(20, 3, seed=14), 10.0 * normal(20, 3, seed=15)
    assert duplicates(samples, real, seed=0).support_size == math.inf
    samples[1] = samples[0]
    found = duplicates(samples, real, seed=0)
    assert (found.colliding_pairs, found.colliding_pairs_of_real, found.support_size) == (1, 1, math.inf)
    samples[3] = samples[2]
    found = duplicates(samples, real, seed=0)
    assert (found.colliding_pairs, found.colliding_pairs_of_real, found.support_size) == (2, 1, 190.0)


def test_copies_of_wide_rows_are_counted_whichever_way_rounding_falls() -> None:
    wide = np.tile(normal(10, 3000, seed=16), (2, 1))
    found = duplicates(wide, wide, seed=0)
    assert (found.distance, found.colliding_pairs, found.colliding_pairs_of_real) == (0.0, 10, 10)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_pairs_do_not_depend_on_the_unit_of_the_features(unit: float) -> None:
    samples, real = normal(100, 3, seed=17), normal(100, 3, seed=18)
    expected, found = duplicates(samples, real, seed=0), duplicates(unit * samples, unit * real, seed=0)
    assert (found.colliding_pairs, found.share) == (expected.colliding_pairs, expected.share)
    assert expected.colliding_pairs < 100
