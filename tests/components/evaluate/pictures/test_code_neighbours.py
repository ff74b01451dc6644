"""Neighbours in code beside neighbours in pixels: the same where the code is the picture, others where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluate.documents import Metric
from components.evaluate.pictures.code_neighbours import NEIGHBOURS, QUERIES, code_neighbours, nearest_to_the_first
from models.metrics.neighbours import nearest_rows_within
from tests.components.evaluate.pictures.linear import tiles

SIDE = 28
ROWS = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE, 1), dtype=np.uint8)
PIXELS = ROWS.reshape(len(ROWS), -1).astype(np.float64)


@pytest.mark.parametrize("same", [True, False])
def test_each_picture_stands_before_its_nearest_by_pixels_and_by_code(same: bool) -> None:
    codes = 2.0 * PIXELS + 5.0 if same else np.random.default_rng(1).normal(size=(60, 3))
    exhibit = code_neighbours(codes, ROWS)
    assert exhibit is not None
    shown = []
    for figure, values in zip(exhibit.figures, (PIXELS, codes), strict=True):
        assert figure.png is not None
        seen = tiles(figure.png, side=SIDE, factor=2)
        assert seen.shape[:2] == (QUERIES, 1 + NEIGHBOURS)
        expected = ROWS[nearest_rows_within(values, NEIGHBOURS)[:QUERIES], :, :, 0]
        np.testing.assert_array_equal(seen[:, 0], ROWS[:QUERIES, :, :, 0])
        np.testing.assert_array_equal(seen[:, 1:], expected)
        shown.append(figure.png)
    assert (shown[0] == shown[1]) is same


def test_no_row_is_its_own_neighbour_even_beside_its_copy() -> None:
    values = np.repeat(np.arange(20.0), 2)[:, None]
    found = nearest_to_the_first(values)
    assert not (found == np.arange(QUERIES)[:, None]).any()
    assert found[:, 0].tolist() == [1, 0, 3, 2]


def test_the_share_over_all_of_the_data_is_said() -> None:
    said = code_neighbours(PIXELS, ROWS, Metric(value=0.4321, count=60, unit="share of 10, by chance 0.17"))
    assert said is not None and "Shared by both: 0.432 (share of 10, by chance 0.17)." in said.note
    unsaid = code_neighbours(PIXELS, ROWS, Metric(value=None, count=60))
    assert unsaid is not None and "Shared" not in unsaid.note


def test_too_few_rows_have_no_neighbours_to_show() -> None:
    assert code_neighbours(PIXELS[:NEIGHBOURS], ROWS[:NEIGHBOURS]) is None
    assert code_neighbours(PIXELS[: NEIGHBOURS + 1], ROWS[: NEIGHBOURS + 1]) is not None
