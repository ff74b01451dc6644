"""Laws of precision, recall, density and coverage."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics import neighbours
from models.metrics.prdc import Prdc, prdc

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def by_definition(real: Array, samples: Array, k: int) -> Prdc:
    def table(a: Array, b: Array) -> Array:
        return np.asarray(np.sqrt(np.square(a[:, None] - b).sum(axis=2)))

    real_radii = np.sort(table(real, real), axis=1)[:, k]
    sample_radii = np.sort(table(samples, samples), axis=1)[:, k]
    across = table(samples, real)
    in_real, in_sample = across <= real_radii, across <= sample_radii[:, None]
    return Prdc(
        float(in_real.any(axis=1).mean()),
        float(in_sample.any(axis=0).mean()),
        float(in_real.sum() / (k * len(samples))),
        float(in_real.any(axis=0).mean()),
    )


@pytest.mark.parametrize("rows_at_once", [9, 1000])
def test_it_is_the_definition(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", rows_at_once)
    real, samples = normal(60, 3, seed=0), 1.5 * normal(41, 3, seed=1) + 0.3
    for k in (1, 3, 5):
        found, expected = prdc(real, samples, neighbours=k), by_definition(real, samples, k)
        assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected))


def test_identical_sets_are_whole_in_everything() -> None:
    features = normal(200, 4, seed=2)
    found = prdc(features, features)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    assert found.density == pytest.approx(6 / 5)  # k balls on average, and its own


def test_equal_distributions_have_density_one_and_the_expected_coverage() -> None:
    found = prdc(normal(2000, 4, seed=3), normal(2000, 4, seed=4))
    assert found.density == pytest.approx(1.0, abs=0.06)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert found.precision > 0.85
    assert found.recall > 0.85


def test_disjoint_sets_share_nothing() -> None:
    assert prdc(normal(100, 4, seed=5), normal(100, 4, seed=6) + 100.0) == Prdc(0.0, 0.0, 0.0, 0.0)


def test_a_collapsed_generator_is_precise_and_recalls_little() -> None:
    real = normal(1000, 4, seed=7)
    found = prdc(real, 0.05 * normal(1000, 4, seed=8))
    assert found.precision > 0.95
    assert found.density > 1.0
    assert found.recall < 0.05
    assert found.coverage < 0.1


def test_noise_recalls_and_is_not_precise() -> None:
    found = prdc(normal(1000, 4, seed=9), 6.0 * normal(1000, 4, seed=10))
    assert found.precision < 0.2
    assert found.recall > 0.9


def test_swapping_the_sets_swaps_precision_and_recall() -> None:
    real, samples = normal(300, 3, seed=11), normal(300, 3, seed=12) + 0.8
    forward, backward = prdc(real, samples), prdc(samples, real)
    assert (forward.precision, forward.recall) == (backward.recall, backward.precision)


def test_a_dropped_mode_is_seen_by_recall_and_coverage_alone() -> None:
    centers = np.array([[0.0, 0.0], [50.0, 0.0]])
    real = normal(1000, 2, seed=13) + centers[np.arange(1000) % 2]
    found = prdc(real, normal(1000, 2, seed=14))
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_as_many_rows_as_neighbours_are_too_few() -> None:
    with pytest.raises(ValueError, match="is not there"):
        prdc(normal(5, 2, seed=0), normal(50, 2, seed=1))


def test_a_row_on_the_edge_of_a_ball_is_inside() -> None:
    inner, outer = np.array([[0.0], [1.0]]), np.array([[-1.0], [2.0]])  # balls of 1 around the inner rows
    assert prdc(outer, inner, neighbours=1).recall == 1.0
    assert prdc(inner, outer, neighbours=1).precision == 1.0
