"""A planted copy is the first that people see."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluate.pictures.neighbours import SHOWN, nearest_neighbours
from components.evaluate.scored import Judged
from tests.components.evaluate.pictures.linear import tiles

SIDE = 28


def judged(count: int, seed: int) -> Judged:
    """Noise whose features are some of its pixels."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
    return Judged(rows, rows[:, 0, :8, 0].astype(np.float32), np.zeros((count, 2), dtype=np.float32))


def test_planted_copies_come_first_and_have_ratio_zero() -> None:
    samples, held_out, training = judged(300, 0), judged(200, 1), judged(200, 2)
    planted = {17: 5, 250: 199}
    for sample, row in planted.items():
        samples.rows[sample], samples.features[sample] = training.rows[row], training.features[row]
    exhibit = nearest_neighbours(samples, held_out, training.features, training.rows.__getitem__)
    assert exhibit is not None and len(exhibit.figures) == SHOWN
    assert [figure.caption for figure in exhibit.figures[:2]] == ["× 0", "× 0"]
    for figure, (sample, row) in zip(exhibit.figures, planted.items(), strict=False):
        assert f"Sample {sample} " in figure.alt and figure.png is not None
        above, beneath = tiles(figure.png, side=SIDE, factor=2)[:, 0]
        assert (above == samples.rows[sample, :, :, 0]).all() and (beneath == training.rows[row, :, :, 0]).all()
    ratios = [float(figure.caption.removeprefix("× ")) for figure in exhibit.figures]
    assert ratios == sorted(ratios) and ratios[2] > 0.1


def test_samples_that_know_neither_side_are_as_near_to_both() -> None:
    exhibit = nearest_neighbours(
        judged(2000, 0), judged(500, 1), judged(500, 2).features, judged(500, 2).rows.__getitem__
    )
    assert exhibit is not None
    median = float(exhibit.note.split("is ")[1].split(":")[0])
    assert median == pytest.approx(1.0, abs=0.03)


def test_only_the_rows_asked_for_are_read() -> None:
    training, asked = judged(50, 2), []

    def read(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return training.rows[rows]

    assert nearest_neighbours(judged(40, 0), judged(30, 1), training.features, read) is not None
    assert asked == [SHOWN]


def test_what_cannot_be_compared_is_left_out() -> None:
    samples, held_out, training = judged(20, 0), judged(20, 1), judged(20, 2)
    assert nearest_neighbours(samples, held_out, training.features[:0], training.rows.__getitem__) is None
    samples.features[3, 3] = np.nan
    assert nearest_neighbours(samples, held_out, training.features, training.rows.__getitem__) is None
