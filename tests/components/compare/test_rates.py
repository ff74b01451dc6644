"""Codes rounded, counted and weighed: bits have a closed form where the code's distribution is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.compare.rates import coarsest_step, code_lengths, principal_axes


@pytest.mark.parametrize("symbols", [2, 16, 256])
def test_equally_frequent_symbols_take_the_logarithm_of_their_number(symbols: int) -> None:
    counted = np.tile(np.arange(symbols), 1_000) - 7
    assert code_lengths(counted, counted[:100]) == pytest.approx(math.log2(symbols), abs=1e-3)


def test_a_rounded_gaussian_takes_its_entropy_less_the_logarithm_of_the_step() -> None:
    rows = np.random.Generator(np.random.PCG64(0)).standard_normal((2, 50_000))
    for step in (0.5, 0.1):
        counted, coded = (np.rint(values / step).astype(np.int64) for values in rows)
        expected = 0.5 * math.log2(2.0 * math.pi * math.e) - math.log2(step)
        assert code_lengths(counted, coded).mean() == pytest.approx(expected, abs=0.02)


def test_what_was_never_counted_is_dear_and_not_impossible() -> None:
    lengths = code_lengths(np.zeros(100, dtype=np.int64), np.array([0, 3, -2]))
    assert np.isfinite(lengths).all()
    assert lengths[0] < 0.1 < 7.0 < lengths[1] == lengths[2]


def test_the_coarsest_step_is_found_and_what_no_step_reaches_is_told() -> None:
    # Rounding errs by step² / 12 on average.
    step = coarsest_step(lambda step: step**2 / 12.0, 0.03, 10.0)
    assert step == pytest.approx(0.6, rel=0.01)
    assert step is not None and step**2 / 12.0 <= 0.03
    assert coarsest_step(lambda step: 1.0 + step, 0.5, 10.0) is None
    assert coarsest_step(lambda step: 0.1, 0.5, 10.0) == pytest.approx(10.0)
    assert coarsest_step(lambda step: 0.1, 0.5, 0.0) is not None  # codes that are all alike


def test_along_the_principal_axes_codes_are_uncorrelated() -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    codes = generator.standard_normal((500, 3)) @ generator.standard_normal((3, 3)) + 5.0
    center, axes = principal_axes(codes)
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-12)
    turned = (codes - center) @ axes
    covariance = np.cov(turned, rowvar=False)
    assert covariance - np.diag(np.diag(covariance)) == pytest.approx(np.zeros((3, 3)), abs=1e-9)
    assert turned @ axes.T + center == pytest.approx(codes)
