"""Nearest neighbours against a table of all distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics import neighbours
from models.metrics.neighbours import kth_neighbour_distances, nearest, nearest_rows_within, nearest_within

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def distances(a: Array, b: Array) -> Array:
    return np.asarray(np.sqrt(np.square(a[:, None] - b).sum(axis=2)))


@pytest.fixture(params=[1, 12, 1000])  # 12: tiles with no more columns than neighbours are asked for
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", request.param)
    return int(request.param)


@pytest.mark.usefixtures("rows_at_once")
def test_against_all_distances() -> None:
    a, b = normal(30, 3, seed=0), normal(23, 3, seed=1)
    index, distance = nearest(a, b)
    np.testing.assert_array_equal(index, distances(a, b).argmin(axis=1))
    np.testing.assert_allclose(distance, distances(a, b).min(axis=1), rtol=1e-12)


@pytest.mark.usefixtures("rows_at_once")
def test_within_a_set_no_row_is_its_own_neighbour() -> None:
    a = normal(30, 3, seed=2)
    table = distances(a, a)
    np.fill_diagonal(table, np.inf)
    index, distance = nearest_within(a)
    np.testing.assert_array_equal(index, table.argmin(axis=1))
    np.testing.assert_allclose(distance, table.min(axis=1))
    for k in (1, 2, 5, 29):
        np.testing.assert_allclose(kth_neighbour_distances(a, k), np.sort(table, axis=1)[:, k - 1], rtol=1e-7)
    for k in (1, 7):
        np.testing.assert_array_equal(nearest_rows_within(a, k), table.argsort(axis=1)[:, :k])


def test_a_copy_is_at_exactly_zero_however_far_from_the_origin() -> None:
    a = (normal(50, 4, seed=3) + 1000.0).astype(np.float32)
    index, distance = nearest(a[[3, 40]], a)
    assert index.tolist() == [3, 40]
    assert distance.tolist() == [0.0, 0.0]
    far = nearest(a[:5] + np.float32(1.0), a)[1]
    np.testing.assert_allclose(far, distances((a[:5] + np.float32(1.0)).astype(float), a.astype(float)).min(axis=1))


@pytest.mark.parametrize("neighbour", [0, 5, 6])
def test_neighbours_that_are_not_there_are_refused(neighbour: int) -> None:
    with pytest.raises(ValueError, match="are not there"):
        nearest_rows_within(np.zeros((5, 2)), neighbour)


@pytest.mark.parametrize("neighbour", [0, 5, 6])
def test_a_neighbour_that_is_not_there_is_refused(neighbour: int) -> None:
    with pytest.raises(ValueError, match="is not there"):
        kth_neighbour_distances(normal(5, 2, seed=4), neighbour)


def test_one_row_has_no_other() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        nearest_within(normal(1, 2, seed=5))


@pytest.mark.parametrize("rows", [2, 3])
def test_two_rows_have_each_other(rows: int) -> None:
    a = np.array([[0.0], [1.0], [5.0]])[:rows]
    index, distance = nearest_within(a)
    assert index.tolist() == [1, 0, 1][:rows]
    assert distance.tolist() == [1.0, 1.0, 4.0][:rows]


def test_rows_far_from_the_origin_keep_the_digits_of_their_distances() -> None:
    a = normal(50, 4, seed=6)
    np.testing.assert_allclose(kth_neighbour_distances(a + 1e7, 3), kth_neighbour_distances(a, 3), rtol=1e-6)
