"""The memorization test: silent on fresh samples, and it finds planted copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.memorization import memorization, share_by_chance

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


WIDTH = 12


def test_fresh_samples_have_a_median_of_one_and_no_copies() -> None:
    """With twice to five times as many training rows as held-out ones too: the median compares equally many."""
    for training_rows in (800, 2400):
        found = memorization(
            normal(2000, WIDTH, seed=0), normal(training_rows, WIDTH, seed=1), normal(800, WIDTH, seed=2), seed=0
        )
        assert found.copied_share == 0.0
        assert found.median_ratio == pytest.approx(1.0, abs=0.03)
        assert found.ratios.shape == found.nearest_training_rows.shape == (2000,)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_one_planted_copy_in_a_hundred_is_found_and_nothing_else(noise: float) -> None:
    samples, training, held_out = normal(2000, WIDTH, seed=3), normal(3000, WIDTH, seed=4), normal(700, WIDTH, seed=5)
    planted, copied = np.arange(0, 2000, 100), np.arange(20) * 140 + 7
    samples[planted] = training[copied] + noise * normal(20, WIDTH, seed=6)
    found = memorization(samples, training, held_out, seed=0)
    assert found.copied_share == pytest.approx(0.01)
    np.testing.assert_array_equal(np.flatnonzero(found.ratios < 0.2), planted)
    np.testing.assert_array_equal(found.nearest_training_rows[planted], copied)
    if noise == 0.0:
        assert (found.ratios[planted] == 0.0).all()


def test_a_generator_that_hugs_its_training_rows_has_a_low_median() -> None:
    training, held_out = normal(800, WIDTH, seed=7), normal(800, WIDTH, seed=8)
    samples = training + 0.3 * normal(800, WIDTH, seed=9)
    assert memorization(samples, training, held_out, seed=0).median_ratio < 0.7
    samples = held_out + 0.3 * normal(800, WIDTH, seed=9)
    assert memorization(samples, training, held_out, seed=0).median_ratio > 1 / 0.7


def test_nearest_rows_are_sought_in_all_of_training() -> None:
    samples, training = normal(50, 3, seed=10), normal(400, 3, seed=11)
    found = memorization(samples, training, normal(40, 3, seed=12), seed=0)
    table = np.square(samples[:, None] - training).sum(axis=2)
    np.testing.assert_array_equal(found.nearest_training_rows, table.argmin(axis=1))


@pytest.mark.parametrize(("dimension", "per_held_out"), [(2, 1), (2, 4), (3, 1), (4, 2)])
def test_the_share_by_chance_is_what_simulation_finds(dimension: int, per_held_out: int) -> None:
    """Uniform rows in a box; a generous threshold, so that there is something to count."""
    generator = np.random.Generator(np.random.PCG64(dimension))
    threshold, held_out_rows = 0.5, 1500
    samples = 0.6 * generator.random((20_000, dimension)) + 0.2
    found = memorization(
        samples,
        generator.random((per_held_out * held_out_rows, dimension)),
        generator.random((held_out_rows, dimension)),
        seed=0,
        threshold=threshold,
    )
    expected = share_by_chance(threshold, dimension, per_held_out)
    assert found.copied_share == pytest.approx(expected, rel=0.1)


def test_the_shares_that_the_threshold_is_argued_by() -> None:
    assert share_by_chance(0.2, 4) == pytest.approx(1.6e-3, rel=0.01)
    assert share_by_chance(1.0, 5) == 0.5


def test_rows_that_lie_in_both_sets_tell_nothing() -> None:
    training, held_out = normal(30, 3, seed=13), normal(30, 3, seed=14)
    held_out[0] = training[0]
    found = memorization(training[:1], training, held_out, seed=0)
    assert found.ratios.tolist() == [1.0]


def test_empty_sets_are_refused() -> None:
    some = normal(9, 3, seed=15)
    for sets in ((some[:0], some, some), (some, some[:0], some), (some, some, some[:0])):
        with pytest.raises(ValueError, match="needs samples"):
            memorization(*sets, seed=0)
