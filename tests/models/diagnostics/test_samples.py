"""How samples lie to the data: laws of the energy distance and of coverage, and controls that must show."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.diagnostics import coverage, describe_samples, energy_distance


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def modes(rows: int, *, of: int = 8, shown: int = 8, seed: int = 0) -> Tensor:
    """``rows`` points around ``shown`` of ``of`` centres on a circle, [rows, 2]."""
    angle = 2.0 * math.pi * (torch.arange(rows) % shown) / of
    centers = torch.stack([angle.cos(), angle.sin()], dim=1).double()
    return centers + 0.02 * normal(rows, 2, seed=seed)


def test_the_energy_distance_of_one_law_is_zero_on_average() -> None:
    found = torch.tensor(
        [energy_distance(normal(12, 3, seed=seed), normal(20, 3, seed=1000 + seed)) for seed in range(300)]
    )
    assert abs(found.mean()) < 4.0 * found.std() / math.sqrt(300)
    assert found.min() < 0.0 < found.max()  # unbiased, not clamped


def test_the_energy_distance_is_symmetric() -> None:
    first, second = normal(15, 4, seed=1), 0.3 + 2.0 * normal(9, 4, seed=2)
    assert energy_distance(first, second) == pytest.approx(energy_distance(second, first), rel=1e-12)


def test_the_energy_distance_of_two_points_is_twice_their_distance() -> None:
    first, second = torch.zeros(5, 2).double(), torch.tensor([[3.0, 4.0]]).double().expand(7, 2)
    assert energy_distance(first, second) == pytest.approx(10.0)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_the_energy_distance_of_shifted_normals_is_its_closed_form(shift: float) -> None:
    """On a line E|X - Y| of N(0, 1) and N(m, 1) is 2 exp(-m²/4) / sqrt(pi) + m erf(m / 2)."""
    count = 1500
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    points = math.sqrt(2.0) * torch.erfinv(2.0 * shares - 1.0)[:, None]
    across = 2.0 * math.exp(-(shift**2) / 4.0) / math.sqrt(math.pi) + shift * math.erf(shift / 2.0)
    expected = 2.0 * across - 4.0 / math.sqrt(math.pi)
    assert energy_distance(points, points + shift) == pytest.approx(expected, abs=5e-3)


def test_the_energy_distance_follows_units_and_ignores_place_and_direction() -> None:
    first, second = normal(15, 3, seed=1), 0.5 + normal(12, 3, seed=2)
    reference = energy_distance(first, second)
    rotation = torch.linalg.qr(normal(3, 3, seed=3)).Q
    assert energy_distance(first + 7.0, second + 7.0) == pytest.approx(reference)
    assert energy_distance(first @ rotation, second @ rotation) == pytest.approx(reference)
    assert energy_distance(5.0 * first, 5.0 * second) == pytest.approx(5.0 * reference)


def test_the_energy_distance_grows_with_the_shift() -> None:
    first, second = normal(200, 2, seed=1), normal(200, 2, seed=2)
    found = [energy_distance(first, second + shift) for shift in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert found == sorted(found)


def test_copies_cover_everything() -> None:
    real = normal(40, 3)
    assert coverage(real, real) == 1.0
    assert coverage(real.flip(0).repeat(2, 1), real) == 1.0


def test_samples_far_away_cover_nothing() -> None:
    real = normal(40, 3)
    assert coverage(real + 100.0, real) == 0.0


def test_another_draw_of_the_same_law_covers_what_theory_says() -> None:
    """Naeem et al. 2020, lemma 2: 1 - (N - 1)...(N - k) / (2N - 1)...(2N - k), near 1 - 2^-k."""
    rows, neighbours = 60, 3
    expected = 1.0 - math.prod((rows - i) / (2 * rows - i) for i in range(1, neighbours + 1))
    found = torch.tensor(
        [
            coverage(normal(rows, 2, seed=seed), normal(rows, 2, seed=1000 + seed), neighbours=neighbours)
            for seed in range(150)
        ]
    )
    assert abs(found.mean() - expected) < 4.0 * found.std() / math.sqrt(150)


@pytest.mark.parametrize("shown", [1, 4, 7])
def test_a_dropped_mode_lowers_coverage_by_its_share(shown: int) -> None:
    real = modes(400, seed=1)
    whole, part = coverage(modes(400, seed=2), real), coverage(modes(400, shown=shown, seed=2), real)
    assert whole > 0.93
    assert part == pytest.approx(shown / 8.0, abs=0.05)


def test_more_neighbours_never_cover_less() -> None:
    samples, real = normal(30, 2, seed=1), 0.5 + normal(40, 2, seed=2)
    found = [coverage(samples, real, neighbours=neighbours) for neighbours in (1, 2, 5, 10)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_a_perfect_generator_is_described_as_real_data_are() -> None:
    numbers = describe_samples(modes(400, seed=1), modes(400, seed=2), modes(400, seed=3))
    assert numbers["coverage_of_real"] == pytest.approx(1.0, abs=0.06)
    assert numbers["diversity"] == pytest.approx(1.0, abs=0.02)
    assert abs(numbers["energy_distance"]) < 0.02


def test_a_collapsed_generator_is_described_as_one() -> None:
    numbers = describe_samples(modes(400, shown=1, seed=1), modes(400, seed=2), modes(400, seed=3))
    assert numbers["coverage_of_real"] < 0.2
    assert numbers["diversity"] < 0.1
    assert numbers["energy_distance"] > 0.5


def test_pictures_are_described_by_their_pixels() -> None:
    pictures = [normal(30, 2, 3, 4, seed=seed) for seed in range(3)]
    assert describe_samples(*pictures) == describe_samples(*(values.flatten(1) for values in pictures))


def test_coverage_is_in_units_of_what_training_data_reach() -> None:
    held_out, train = modes(80, seed=1), modes(80, shown=4, seed=2)
    assert 0.4 < coverage(train.float(), held_out.float()) < 0.6
    assert describe_samples(train, held_out, train)["coverage_of_real"] == 1.0
    assert describe_samples(held_out, held_out, train)["coverage_of_real"] > 1.0 / 0.6


def test_diversity_is_in_units_of_the_real_distances() -> None:
    samples, real = normal(50, 3, seed=1), normal(50, 3, seed=2)
    reference = describe_samples(samples, real, real)["diversity"]
    assert describe_samples(0.5 * samples, real, real)["diversity"] == pytest.approx(0.5 * reference, rel=1e-4)


def test_as_many_rows_are_compared_as_the_shorter_split_has() -> None:
    samples, held_out, train = normal(50, 3, seed=1), normal(40, 3, seed=2), normal(30, 3, seed=3)
    assert describe_samples(samples, held_out, train) == describe_samples(samples[:30], held_out[:30], train)


def test_too_few_rows_for_neighbours_are_not_described() -> None:
    few = normal(5, 2)
    assert describe_samples(few, few, few) == {}
    assert describe_samples(normal(6, 2), normal(6, 2, seed=1), normal(6, 2, seed=2)) != {}


def test_broken_samples_are_never_described_as_good_ones() -> None:
    real = normal(30, 2).float()
    numbers = describe_samples(torch.full_like(real, float("nan")), real, real)
    assert numbers["coverage_of_real"] == 0.0
    assert math.isnan(numbers["energy_distance"])
    assert math.isnan(numbers["diversity"])
