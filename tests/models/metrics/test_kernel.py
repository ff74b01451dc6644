"""Laws of the kernel distance: the definition, unbiased, covered, in blocks of any size."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics import kernel
from models.metrics.kernel import kernel_distance

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def by_definition(a: Array, b: Array) -> float:
    """Every pair of different rows, one after the other."""

    def k(x: Array, y: Array) -> float:
        return float((x @ y / len(x) + 1.0) ** 3)

    n, m = len(a), len(b)
    within_a = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_a + within_b - 2.0 * sum(k(x, y) for x in a for y in b) / (n * m)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (7, 12), (20, 9)])
def test_it_is_the_definition(n: int, m: int) -> None:
    a, b = normal(n, 5, seed=n), 1.3 * normal(m, 5, seed=m) + 0.2
    assert kernel_distance(a, b).value == pytest.approx(by_definition(a, b), rel=1e-10)


@pytest.mark.parametrize("entries", [1, 50, 333, 10_000])
def test_the_size_of_its_blocks_does_not_matter(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(40, 5, seed=1), normal(57, 5, seed=2) + 0.2
    expected = kernel_distance(a, b)
    monkeypatch.setattr(kernel, "ENTRIES_AT_ONCE", entries)
    found = kernel_distance(a, b)
    assert found.value == pytest.approx(expected.value, rel=1e-10)
    assert found.high == pytest.approx(expected.high, rel=1e-10)


def test_symmetric_and_blind_to_the_order_of_rows() -> None:
    a, b = normal(40, 5, seed=3), normal(57, 5, seed=4) + 0.2
    forward = kernel_distance(a, b)
    for other in (kernel_distance(b, a), kernel_distance(a[::-1], b[::-1])):
        assert other.value == pytest.approx(forward.value, rel=1e-10)
        assert other.low == pytest.approx(forward.low, rel=1e-10)


def test_unbiased_at_equal_distributions_and_covered_there() -> None:
    estimates = [kernel_distance(normal(60, 8, seed=s), normal(120, 8, seed=s + 5000)) for s in range(200)]
    values = np.array([estimate.value for estimate in estimates])
    assert abs(values.mean()) < 4.0 * values.std(ddof=1) / math.sqrt(200)
    assert values.min() < 0.0 < values.max()
    half_widths = np.array([estimate.high - estimate.value for estimate in estimates])
    assert half_widths.mean() == pytest.approx(1.96 * values.std(ddof=1), rel=0.2)


def test_a_known_distance_of_shifted_normals_is_covered() -> None:
    """In one dimension, with x ~ N(0, 1), y ~ N(m, 1): E (xy + 1)³ from moments of products of independent normals."""
    shift = 0.7

    def mean(p: float, q: float) -> float:
        second, third = (p * p + 1) * (q * q + 1), (p**3 + 3 * p) * (q**3 + 3 * q)
        return 1.0 + 3.0 * p * q + 3.0 * second + third

    truth = mean(0, 0) + mean(shift, shift) - 2.0 * mean(0, shift)
    estimates = [kernel_distance(normal(300, 1, seed=s), normal(300, 1, seed=s + 5000) + shift) for s in range(200)]
    values = np.array([estimate.value for estimate in estimates])
    half_widths = np.array([estimate.high - estimate.value for estimate in estimates])
    assert abs(values.mean() - truth) < 4.0 * values.std(ddof=1) / math.sqrt(200)
    assert half_widths.mean() == pytest.approx(1.96 * values.std(ddof=1), rel=0.2)


def test_monotone_in_a_shift_and_far_for_a_collapsed_generator() -> None:
    features = normal(300, 4, seed=5)
    distances = [kernel_distance(features, features + shift).value for shift in (0.2, 0.5, 1.0)]
    assert distances[0] < distances[1] < distances[2]
    collapsed = kernel_distance(features, np.repeat(features[:1], 300, axis=0))
    assert collapsed.low > kernel_distance(features, normal(300, 4, seed=6)).high


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 rows"):
        kernel_distance(normal(3, 2, seed=0), normal(9, 2, seed=1))


def test_rows_that_are_all_one_row_are_at_zero_without_doubt() -> None:
    found = kernel_distance(np.zeros((5, 3)), np.zeros((9, 3)))
    assert found.value == 0.0
    assert 0.0 <= found.high < 1e-6  # a root of what rounding leaves
