"""The order of the data: endless, complete, a function of seed and position."""

from __future__ import annotations

import numpy as np
import pytest

from components.train.sampler import Sampler


@pytest.mark.parametrize("rows", [1, 2, 17, 100])
def test_every_epoch_is_a_permutation(rows: int) -> None:
    sampler = Sampler(rows, seed=3)
    for epoch in range(4):
        assert sorted(sampler.rows_at(epoch * rows, rows).tolist()) == list(range(rows))


def test_epochs_and_seeds_differ() -> None:
    first, second = Sampler(100, 0).rows_at(0, 100), Sampler(100, 0).rows_at(100, 100)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, Sampler(100, 1).rows_at(0, 100))
    assert not np.array_equal(first, np.arange(100))


def test_a_range_is_the_same_however_it_is_cut() -> None:
    whole = Sampler(17, 5).rows_at(0, 100)
    for size in (1, 3, 16, 17, 18, 50):
        sampler = Sampler(17, 5)
        parts = [sampler.rows_at(start, min(size, 100 - start)) for start in range(0, 100, size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_positions_may_be_asked_for_in_any_order() -> None:
    sampler = Sampler(17, 5)
    late, early = sampler.rows_at(60, 9), sampler.rows_at(2, 9)
    assert np.array_equal(early, Sampler(17, 5).rows_at(2, 9))
    assert np.array_equal(late, sampler.rows_at(60, 9))


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="rows"):
        Sampler(0, 0)
