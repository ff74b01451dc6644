"""Laws of nearest neighbours."""

from __future__ import annotations

import numpy as np

from components.evaluate.pictures import distances
from components.evaluate.pictures.distances import nearest


def test_it_is_what_all_pairs_say() -> None:
    rng = np.random.default_rng(0)
    rows, among = rng.normal(size=(2500, 5)).astype(np.float32), rng.normal(size=(70, 5)).astype(np.float32)
    pairs = np.linalg.norm(rows[:, None].astype(np.float64) - among[None], axis=2)
    index, distance = nearest(rows, among)
    assert len(rows) > distances._BLOCK
    np.testing.assert_allclose(distance, pairs.min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(pairs[np.arange(len(rows)), index], pairs.min(axis=1), rtol=1e-12)


def test_a_row_is_at_distance_zero_of_itself_unless_that_does_not_count() -> None:
    rows = np.random.default_rng(1).normal(1e3, 1.0, size=(1100, 4))  # far from the origin: where expansion cancels
    index, distance = nearest(rows, rows)
    assert (index == np.arange(len(rows))).all() and (distance == 0.0).all()
    index, distance = nearest(rows, rows, not_itself=True)
    assert (index != np.arange(len(rows))).all() and (distance > 0.0).all()


def test_a_twin_is_still_found_when_the_row_itself_does_not_count() -> None:
    rows = np.array([[0.0, 0.0], [5.0, 5.0], [0.0, 0.0]])
    index, distance = nearest(rows, rows, not_itself=True)
    assert index[0] == 2 and index[2] == 0 and distance[0] == 0.0


def test_no_row_has_no_neighbour() -> None:
    index, distance = nearest(np.zeros((0, 3)), np.ones((2, 3)))
    assert len(index) == len(distance) == 0
