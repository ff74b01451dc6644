"""Laws of what each dimension carries."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from components.evaluate.pictures.rates import MOST_COLUMNS, code_rates, mean_kl_parts
from models.diagnostics.codes import kl_per_dimension

RNG = np.random.default_rng(0)
MEAN, LOG_VARIANCE = RNG.normal(size=(200, 7)), RNG.normal(-2.0, 1.0, size=(200, 7))


def test_the_parts_add_up_to_what_training_pays() -> None:
    whole = kl_per_dimension(torch.from_numpy(MEAN), torch.from_numpy(LOG_VARIANCE)).numpy()
    np.testing.assert_allclose(sum(mean_kl_parts(MEAN, LOG_VARIANCE)), whole, rtol=1e-12)


def test_the_prior_itself_costs_nothing_and_no_part_is_negative() -> None:
    for part in mean_kl_parts(np.zeros((5, 3)), np.zeros((5, 3))):
        np.testing.assert_array_equal(part, 0.0)
    for part in mean_kl_parts(MEAN, LOG_VARIANCE):
        assert (part >= 0.0).all()


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_codes_that_fill_the_prior_lie_on_the_curve(sigma: float) -> None:
    mean = np.array([[1.0], [-1.0]]) * math.sqrt(1.0 - sigma**2)  # E[mu²] + sigma² = 1
    log_variance = np.full((2, 1), 2.0 * math.log(sigma))
    bits = float(sum(mean_kl_parts(mean, log_variance))[0]) / math.log(2.0)
    assert bits == pytest.approx(-math.log2(sigma), abs=1e-12)


def test_both_charts_show_every_dimension() -> None:
    exhibit = code_rates(MEAN, LOG_VARIANCE)
    columns, points = (str(figure.svg) for figure in exhibit.figures)
    assert len(re.findall("<rect", columns)) == 2 * 7 and len(re.findall("<circle", points)) == 7
    assert f"{sum(map(np.sum, mean_kl_parts(MEAN, LOG_VARIANCE))):.4g} nats in all" in exhibit.note


def test_a_wide_code_shows_the_dimensions_that_carry_most() -> None:
    width = MOST_COLUMNS + 10
    log_variance = np.tile(-0.1 * np.arange(width), (3, 1))
    columns = code_rates(np.zeros((3, width)), log_variance).figures[0]
    assert f"The {MOST_COLUMNS} largest of {width} are shown." in columns.caption
    assert ">9, from" not in str(columns.svg) and f">{width - 1}, from" in str(columns.svg)
