"""The dimensions that matter are found, and walked along alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

from components.evaluate.pictures.graphs import Codes
from components.evaluate.pictures.traversals import DIMENSIONS, STEPS, along_codes, along_prior, effects
from components.evaluate.pictures.traversals import _largest as largest
from tests.components.evaluate.pictures.linear import LinearRenderer, tiles

SIDE, SIZE = 28, 12
STRENGTHS = np.array([0.0, 9.0, 1.0, 12.0, 3.0, 0.0, 5.0, 2.0, 7.0, 6.0, 11.0, 4.0])
WEIGHTS = STRENGTHS[:, None] * np.sign(np.random.default_rng(0).normal(size=(SIZE, SIDE * SIDE)))
RENDERER: LinearRenderer = LinearRenderer(WEIGHTS, side=SIDE)
ORDER = [3, 10, 1, 8, 9, 6, 11, 4]
ZEROS = np.zeros(64, dtype=np.int64)


def dimensions(exhibit: object) -> list[int]:
    return [int(re.findall(r"\d+", figure.caption)[0]) for figure in exhibit.figures]  # type: ignore[attr-defined]


def test_the_effect_of_a_linear_decoder_is_its_columns_square() -> None:
    probes = np.random.default_rng(1).integers(-2, 3, size=(16, SIZE)).astype(np.float64)  # integer levels: no rounding
    scale = np.where(np.arange(SIZE) % 2, 2.0, 1.0)
    measured = effects(RENDERER, probes, scale)  # type: ignore[arg-type]
    np.testing.assert_allclose(measured, np.square(STRENGTHS * scale / 255.0), rtol=1e-12)


def test_a_gans_strongest_dimensions_come_first() -> None:
    exhibit = along_prior(RENDERER)  # type: ignore[arg-type]
    assert dimensions(exhibit) == ORDER


def test_an_autoencoders_dimensions_are_measured_by_its_own_spread() -> None:
    spread = np.ones(SIZE)
    spread[2], spread[3] = 20.0, 0.01
    mean = 1.0 + spread * np.random.default_rng(2).normal(size=(64, SIZE))
    found = dimensions(along_codes(RENDERER, Codes(mean, None), ZEROS))  # type: ignore[arg-type]
    assert found[0] == 2 and 3 not in found


def test_a_vaes_dimensions_are_those_with_the_largest_kl() -> None:
    log_variance = np.zeros((64, SIZE))
    log_variance[:, [5, 0, 7]] = [-6.0, -4.0, -2.0]
    exhibit = along_codes(RENDERER, Codes(np.zeros((64, SIZE)), log_variance), ZEROS)  # type: ignore[arg-type]
    assert dimensions(exhibit)[:3] == [5, 0, 7]
    assert exhibit.figures[0].caption == "Dimension 5: 2.5 nats"  # (e^-6 + 6 - 1) / 2


def test_a_row_changes_its_own_dimension_only_and_passes_evenly() -> None:
    mean = np.zeros((64, SIZE))
    log_variance = np.tile(-STRENGTHS, (64, 1))
    exhibit = along_codes(RENDERER, Codes(mean, log_variance), ZEROS)  # type: ignore[arg-type]
    assert exhibit.figures[0].png is not None
    row = tiles(exhibit.figures[0].png, side=SIDE, factor=2)[0].astype(np.int64)
    expected = RENDERER.pixels(np.linspace(-3, 3, STEPS)[:, None] * np.eye(SIZE)[3])[:, :, :, 0]
    np.testing.assert_array_equal(row, expected)
    assert (row[STEPS // 2] == 127).all()


@pytest.mark.parametrize("count", [1, 3])
def test_a_small_code_shows_all_that_it_has(count: int) -> None:
    renderer = LinearRenderer(WEIGHTS[:count], side=SIDE)
    assert len(along_prior(renderer).figures) == count  # type: ignore[arg-type]


def test_equal_effects_keep_their_order_and_what_is_not_finite_comes_last() -> None:
    values = np.ones(DIMENSIONS + 2)
    values[0] = np.nan
    assert largest(values).tolist() == list(range(1, DIMENSIONS + 1))


def test_a_conditional_models_class_is_named_and_heeded() -> None:
    renderer = LinearRenderer(WEIGHTS, side=SIDE, class_names=["a", "b"])
    codes = Codes(np.zeros((64, SIZE)), np.tile(-STRENGTHS, (64, 1)))
    exhibit = along_codes(renderer, codes, ZEROS + 1)  # type: ignore[arg-type]
    assert exhibit.note.endswith("The class is b.") and exhibit.figures[0].png is not None
    assert (tiles(exhibit.figures[0].png, side=SIDE, factor=2)[0, STEPS // 2] == 147).all()
    assert "class" not in along_codes(RENDERER, codes, ZEROS).note  # type: ignore[arg-type]
