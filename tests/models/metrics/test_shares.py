"""Intervals of shares against published values, their defining equations and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.metrics.shares import binomial_tail, upper_bound, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # the first is Newcombe 1998, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_published_score_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson_interval(successes, trials)
    assert found.value == successes / trials
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(1, 10), (37, 100), (950, 1000)])
def test_its_ends_are_the_shares_that_the_score_test_just_keeps(successes: int, trials: int) -> None:
    found = wilson_interval(successes, trials)
    for end in (found.low, found.high):
        assert abs(found.value - end) / math.sqrt(end * (1 - end) / trials) == pytest.approx(1.959964, rel=1e-6)


def test_mirrored_and_inside_and_narrower_with_more_trials() -> None:
    for successes in range(21):
        found, mirrored = wilson_interval(successes, 20), wilson_interval(20 - successes, 20)
        assert found.low == pytest.approx(1.0 - mirrored.high, abs=1e-12)
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert wilson_interval(50, 100).high > wilson_interval(500, 1000).high


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.95])
def test_the_score_interval_covers(probability: float) -> None:
    draws = np.random.Generator(np.random.PCG64(0)).binomial(200, probability, size=2000)
    intervals = [wilson_interval(int(successes), 200) for successes in draws]
    covered = np.mean([interval.low <= probability <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("trials", [1, 20, 59, 3000])
def test_without_a_success_the_bound_is_the_rule_of_three(trials: int) -> None:
    assert upper_bound(0, trials) == pytest.approx(1.0 - 0.05 ** (1.0 / trials), rel=1e-9)


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(1, 20, 0.95), (7, 50, 0.9), (990, 10_000, 0.99)])
def test_the_bound_leaves_the_tail_it_should(successes: int, trials: int, confidence: float) -> None:
    bound = upper_bound(successes, trials, confidence=confidence)
    tail = sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(bound)
            + (trials - k) * math.log1p(-bound)
        )
        for k in range(successes + 1)
    )
    assert tail == pytest.approx(1.0 - confidence, rel=1e-6)
    assert bound > successes / trials


def test_one_success_of_twenty() -> None:
    """Clopper and Pearson's table: 5 % of mass at 1 or fewer of 20."""
    assert upper_bound(1, 20) == pytest.approx(0.2161, abs=5e-5)
    assert upper_bound(20, 20) == 1.0


def test_the_bound_covers_at_least_as_often_as_it_says() -> None:
    draws = np.random.Generator(np.random.PCG64(1)).binomial(40, 0.05, size=4000)
    bounds = {int(k): upper_bound(int(k), 40) for k in np.unique(draws)}
    assert np.mean([bounds[int(k)] >= 0.05 for k in draws]) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_a_tail_of_everything_is_one() -> None:
    assert binomial_tail(30, 30, 0.3) == pytest.approx(1.0)
    assert binomial_tail(0, 3, 0.5) == pytest.approx(0.125)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_is_refused(successes: int, trials: int) -> None:
    for of in (wilson_interval, upper_bound):
        with pytest.raises(ValueError, match="no share"):
            of(successes, trials)
    with pytest.raises(ValueError, match="confidence"):
        upper_bound(1, 5, confidence=1.0)


def test_rounding_makes_no_tail_exceed_one() -> None:
    assert max(binomial_tail(trials, trials, 0.3) for trials in range(1, 200)) == 1.0


def test_the_bound_of_all_but_certainty_is_one() -> None:
    assert upper_bound(0, 1, confidence=math.nextafter(1.0, 0.0)) == 1.0
