"""The normal interval: 1.96 standard errors to either side."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from models.metrics.estimate import NORMAL_QUANTILE, Estimate


def test_the_quantile_leaves_a_fortieth_on_either_side() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-14) == NORMAL_QUANTILE


@pytest.mark.parametrize("value", [-3.0, 0.0, 7.5])
def test_the_interval_is_as_wide_as_the_quantile_says(value: float) -> None:
    found = Estimate.normal(value, 4.0)
    assert found.value == value
    assert found.low == pytest.approx(value - 2.0 * NORMAL_QUANTILE)
    assert found.high == pytest.approx(value + 2.0 * NORMAL_QUANTILE)


def test_a_number_that_is_certain_has_no_width() -> None:
    assert Estimate.normal(2.5, 0.0) == Estimate(2.5, 2.5, 2.5)
