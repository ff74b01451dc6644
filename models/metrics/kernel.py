"""The kernel distance (KID): the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.metrics.estimate import Estimate
from models.metrics.gaussian import Array, Features

ENTRIES_AT_ONCE = 1 << 19
"""Kernel values held in memory at a time: 4 MiB, which stays in a cache."""


@dataclass(frozen=True)
class _Sums:
    """Of a kernel matrix: sums of its rows and columns, and of all its squares."""

    rows: Array
    columns: Array
    squares: float


def kernel_distance(a: Features, b: Features) -> Estimate:
    """The unbiased estimate of MMD² with k(x, y) = (xᵀy / d + 1)³ (Bińkowski et al. 2018, eq. 4), and its interval.

    All pairs, no random subsets: the U-statistic has the least variance of all unbiased estimates. It may be
    negative. Its variance has a first-order part, from the means over the rows of the kernel matrices (Hoeffding's
    projection), and a second-order part, from the doubly centred matrices; the second is all there is when the
    distributions are equal. Plugged in, the first holds the second twice (Efron and Stein 1981), which is
    subtracted once; the variance is held from below by the second, so that the interval is too wide where the
    distributions are equal (98 % covered, 95 % else: docs/benchmarks/coverage.md).
    The kernel goes through memory in blocks: memory is linear in N and M, time quadratic.

    Args:
        a: features [N, d], N >= 4.
        b: features [M, d], M >= 4.

    Raises:
        ValueError: below 4 rows on a side.
    """
    n, m = len(a), len(b)
    if min(n, m) < 4:
        raise ValueError(f"a kernel distance with an interval needs at least 4 rows on both sides, got {n} and {m}")
    rows_a, rows_b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    within_a, within_b, across = _within(rows_a), _within(rows_b), _across(rows_a, rows_b)
    value = (
        within_a.rows.sum() / (n * (n - 1)) + within_b.rows.sum() / (m * (m - 1)) - 2.0 * across.rows.sum() / (n * m)
    )
    projection_a = within_a.rows / (n - 1) - across.rows / m
    projection_b = within_b.rows / (m - 1) - across.columns / n
    first = 4.0 * projection_a.var(ddof=1) / n + 4.0 * projection_b.var(ddof=1) / m
    second = (
        2.0 * _centred_square_within(within_a) / (n * (n - 1))
        + 2.0 * _centred_square_within(within_b) / (m * (m - 1))
        + 4.0 * _centred_square_across(across) / (n * m)
    )
    return Estimate.normal(float(value), float(max(first - second, second)))


def _scaled(rows: Array) -> Array:
    """[N, d + 1], so that the product with rows that have a 1 appended is xᵀy / d + 1: two passes over it are saved."""
    return np.concatenate([rows / rows.shape[1], np.ones((len(rows), 1))], axis=1)


def _cubes(left: Array, right: Array) -> Array:
    base = left @ right.T
    cubes: Array = np.square(base)
    cubes *= base
    return cubes


def _within(rows: Array) -> _Sums:
    """Of k(x_i, x_j) without its diagonal; the lower triangle is taken from the upper one."""
    count = len(rows)
    left, right = _scaled(rows), np.pad(rows, ((0, 0), (0, 1)), constant_values=1.0)
    ones, sums, squares = np.ones(count), np.zeros(count), 0.0
    start = 0
    while start < count:
        stop = min(start + max(ENTRIES_AT_ONCE // (count - start), 1), count)
        values = _cubes(left[start:stop], right[start:])
        square, beyond = values[:, : stop - start], values[:, stop - start :]
        np.fill_diagonal(square, 0.0)
        sums[start:stop] += values @ ones[start:]
        sums[stop:] += ones[start:stop] @ beyond
        squares += 2.0 * float(np.vdot(values, values)) - float(np.square(square).sum())
        start = stop
    return _Sums(sums, sums, squares)


def _across(left: Array, right: Array) -> _Sums:
    """Of k(x_i, y_j)."""
    rows, columns, squares = np.zeros(len(left)), np.zeros(len(right)), 0.0
    left, right = _scaled(left), np.pad(right, ((0, 0), (0, 1)), constant_values=1.0)
    at_once, ones = max(ENTRIES_AT_ONCE // len(right), 1), np.ones(max(len(left), len(right)))
    for start in range(0, len(left), at_once):
        values = _cubes(left[start : start + at_once], right)
        rows[start : start + at_once] = values @ ones[: len(right)]
        columns += ones[: len(values)] @ values
        squares += float(np.vdot(values, values))
    return _Sums(rows, columns, squares)


def _centred_square_within(sums: _Sums) -> float:
    """Unbiased mean square of the doubly centred kernel (U-centring, Székely and Rizzo 2014), at least 0."""
    n = len(sums.rows)
    centred = (
        sums.squares
        - 2.0 / (n - 2) * float(np.square(sums.rows).sum())
        + float(sums.rows.sum()) ** 2 / ((n - 1) * (n - 2))
    )
    return max(centred / (n * (n - 3)), 0.0)


def _centred_square_across(sums: _Sums) -> float:
    """The same between the samples: squares less what rows and columns explain, per degree of freedom."""
    n, m = len(sums.rows), len(sums.columns)
    centred = (
        sums.squares
        - float(np.square(sums.rows).sum()) / m
        - float(np.square(sums.columns).sum()) / n
        + float(sums.rows.sum()) ** 2 / (n * m)
    )
    return max(centred / ((n - 1) * (m - 1)), 0.0)
