"""Distances between rows of features, tile by tile, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.metrics.gaussian import Array, Features

Indices = npt.NDArray[np.int64]

ROWS_AT_ONCE = 512
"""Rows of each side in a tile: 2 MiB of distances, whatever N and M are."""


def squared_distances(left: Features, right: Features) -> Iterator[tuple[slice, slice, Array]]:
    """Tiles of ‖x_i - y_j‖² of rows [N, d] and [M, d]: which i, which j, the values in float64; row of tiles by row.

    By ‖x‖² + ‖y‖² - 2 xᵀy about a common origin in the middle of ``right``, so that far features lose no digits; the
    norms are columns of the same product. Rounding leaves about 1e-15 of the features' own squared spread, of either
    sign.
    """
    origin = np.asarray(right, dtype=np.float64).mean(axis=0)
    for top in range(0, len(left), ROWS_AT_ONCE):
        rows = slice(top, min(top + ROWS_AT_ONCE, len(left)))
        x = left[rows].astype(np.float64) - origin
        x = np.column_stack([-2.0 * x, np.square(x).sum(axis=1), np.ones(len(x))])
        for begin in range(0, len(right), ROWS_AT_ONCE):
            columns = slice(begin, min(begin + ROWS_AT_ONCE, len(right)))
            y = right[columns].astype(np.float64) - origin
            yield rows, columns, x @ np.column_stack([y, np.ones(len(y)), np.square(y).sum(axis=1)]).T


def squared_distances_within(features: Features) -> Iterator[tuple[slice, slice, Array]]:
    """The same of a set with itself; a row's distance to itself is infinite."""
    for rows, columns, values in squared_distances(features, features):
        if rows == columns:
            np.fill_diagonal(values, np.inf)
        yield rows, columns, values


def kth_neighbour_distances(features: Features, neighbour: int) -> Array:
    """Distance of every row [N, d] to its k-th nearest other row, [N].

    Raises:
        ValueError: if there are not more than ``neighbour`` rows.
    """
    if not 1 <= neighbour < len(features):
        raise ValueError(f"neighbour {neighbour} of {len(features)} rows is not there")
    nearest = np.full((len(features), neighbour), np.inf)
    for rows, _, values in squared_distances_within(features):
        both = np.concatenate([nearest[rows], _smallest(values, min(neighbour, values.shape[1]))], axis=1)
        nearest[rows] = np.partition(both, neighbour - 1, axis=1)[:, :neighbour]
    kth: Array = np.sqrt(np.maximum(nearest.max(axis=1), 0.0))
    return kth


def nearest_rows_within(features: Features, count: int) -> Indices:
    """Indices of the ``count`` nearest other rows of every row [N, d], the nearest first, [N, count].

    Raises:
        ValueError: if there are not more than ``count`` rows.
    """
    if not 1 <= count < len(features):
        raise ValueError(f"{count} other rows of {len(features)} rows are not there")
    found = np.empty((len(features), count), dtype=np.int64)
    band: list[Array] = []
    for rows, columns, values in squared_distances_within(features):
        band.append(values)
        if columns.stop == len(features):
            found[rows] = np.concatenate(band, axis=1).argsort(axis=1, kind="stable")[:, :count]
            band = []
    return found


def _smallest(values: Array, count: int) -> Array:
    """The smallest of each row [N, M], in no order, [N, count]; ``values`` may be changed.

    A few are found faster one by one: a minimum is vectorised, a partition is not.
    """
    if count > 8:
        return np.asarray(np.partition(values, count - 1, axis=1)[:, :count])
    every, found = np.arange(len(values)), np.empty((len(values), count))
    for index in range(count):
        position = values.argmin(axis=1)
        found[:, index] = values[every, position]
        values[every, position] = np.inf
    return found


def nearest(queries: Features, references: Features) -> tuple[Indices, Array]:
    """Index of the nearest reference [M, d] of every query [N, d], and the distance to it, both [N].

    The distance is computed anew from the difference of the two rows, so that a copy is at exactly 0.
    """
    return _nearest(queries, references, squared_distances(queries, references))


def nearest_within(features: Features) -> tuple[Indices, Array]:
    """Index of and distance to the nearest other row, both [N]; N >= 2."""
    if len(features) < 2:
        raise ValueError(f"a nearest other row needs at least 2 rows, got {len(features)}")
    return _nearest(features, features, squared_distances_within(features))


def _nearest(
    queries: Features, references: Features, tiles: Iterator[tuple[slice, slice, Array]]
) -> tuple[Indices, Array]:
    index = np.zeros(len(queries), dtype=np.int64)
    smallest = np.full(len(queries), np.inf)
    for rows, columns, values in tiles:
        candidate = values.argmin(axis=1)
        value = values[np.arange(len(values)), candidate]
        better = value < smallest[rows]
        index[rows] = np.where(better, columns.start + candidate, index[rows])
        smallest[rows] = np.where(better, value, smallest[rows])
    distance = np.empty(len(queries))
    for top in range(0, len(queries), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        difference = queries[rows].astype(np.float64) - references[index[rows]].astype(np.float64)
        distance[rows] = np.sqrt(np.square(difference).sum(axis=1))
    return index, distance
