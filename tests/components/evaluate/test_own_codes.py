"""A Gaussian of codes has their mean and covariance, and the noise of their posteriors on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.evaluate.own_codes import fitted_gaussian
from components.evaluate.reader import read_report

GENERATOR = np.random.Generator(np.random.PCG64(0))
CODES = (GENERATOR.standard_normal((400, 3)) @ GENERATOR.standard_normal((3, 3)) + 2.0).astype(np.float32)


@pytest.mark.parametrize("log_variance", [None, -2.0])
def test_the_fitted_gaussian_has_the_moments_of_the_codes(log_variance: float | None) -> None:
    noise = None if log_variance is None else np.full_like(CODES, log_variance)
    center, factor = fitted_gaussian(CODES, noise)
    expected = np.cov(CODES, rowvar=False, ddof=0) + (0.0 if noise is None else np.exp(-2.0) * np.eye(3))
    assert center == pytest.approx(CODES.mean(axis=0), abs=1e-5)
    assert factor @ factor.T == pytest.approx(expected, abs=1e-5)


def test_codes_of_fewer_dimensions_than_they_have_are_drawn_in_those() -> None:
    flat = CODES.copy()
    flat[:, 1] = flat[:, 0]
    _, factor = fitted_gaussian(flat, None)
    drawn = GENERATOR.standard_normal((100, 3)) @ factor.T
    assert drawn[:, 0] == pytest.approx(drawn[:, 1], abs=1e-6)


def test_models_that_encode_are_asked_for_samples_of_their_own_codes(tiny: Any) -> None:
    for family, asked in (("gan", False), ("vae", True), ("ae", True)):
        metrics, _ = read_report(tiny(family).report)
        assert ("frechet_own_codes" in metrics.metrics) is asked
        if asked:
            metric = metrics.metrics["frechet_own_codes"]
            assert metric.extractor_sha256 == metrics.extractor_sha256
            assert metric.count == metrics.metrics["frechet_distance"].count
