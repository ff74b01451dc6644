"""Schedules over the budget: where they start, where they end, that they never turn back."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from models.config import (
    AdaptiveNoise,
    CosineNoise,
    GanSettings,
    InstanceNoise,
    LinearNoise,
    MlpSettings,
    NoNoise,
    VaeSettings,
)
from models.steps.schedules import capacity_nats, kl_weight, noise_sigma, penalty_share

MLP = MlpSettings(hidden_width=4, hidden_layers=1)
PROGRESS = [step / 997 for step in range(998)]
UNTIL = [0.1, 0.3, 1.0 / 3.0, 0.7, 1.0]
ANNEALED: list[type[LinearNoise | CosineNoise | AdaptiveNoise]] = [LinearNoise, CosineNoise, AdaptiveNoise]


@pytest.mark.parametrize("kind", ANNEALED)
@pytest.mark.parametrize("until", UNTIL)
def test_the_noise_falls_from_sigma_to_exactly_zero(
    kind: type[LinearNoise | CosineNoise | AdaptiveNoise], until: float
) -> None:
    settings = kind(sigma=0.4, until_share=until)
    values = [noise_sigma(settings, progress) for progress in PROGRESS]
    assert values[0] == 0.4
    assert all(later <= earlier for earlier, later in pairwise(values))
    for progress, value in zip(PROGRESS, values, strict=True):
        assert (value == 0.0) is (progress >= until)
        assert value >= 0.0
    assert noise_sigma(settings, until) == 0.0
    assert noise_sigma(settings, 0.5 * until) == pytest.approx(0.2)
    # no jump: no step larger than the steepest slope of half a cosine
    slope = 0.4 * 0.5 * math.pi / until / 997
    assert max(a - b for a, b in pairwise(values)) <= slope * 1.001


def test_the_cosine_is_above_the_line_at_first_and_below_it_at_the_end() -> None:
    line, cosine = LinearNoise(sigma=1.0, until_share=1.0), CosineNoise(sigma=1.0, until_share=1.0)
    assert noise_sigma(cosine, 0.25) > noise_sigma(line, 0.25)
    assert noise_sigma(cosine, 0.75) < noise_sigma(line, 0.75)
    for progress in (0.1, 0.3, 0.45):  # a point symmetry about the middle
        assert noise_sigma(cosine, progress) + noise_sigma(cosine, 1.0 - progress) == pytest.approx(1.0)


def test_the_adaptive_noise_never_exceeds_the_line() -> None:
    adaptive: InstanceNoise = AdaptiveNoise(sigma=0.3, until_share=0.6)
    line = LinearNoise(sigma=0.3, until_share=0.6)
    assert all(noise_sigma(adaptive, progress) == noise_sigma(line, progress) for progress in PROGRESS)


def test_without_noise_sigma_is_zero() -> None:
    assert {noise_sigma(NoNoise(), progress) for progress in PROGRESS} == {0.0}


@pytest.mark.parametrize("final", [1.0, 0.1, 1e-3])
@pytest.mark.parametrize("decay", [0.2, 0.5, 1.0])
def test_the_penalties_fall_geometrically_to_their_final_share(final: float, decay: float) -> None:
    settings = GanSettings(generator=MLP, discriminator=MLP, penalty_final_share=final, penalty_decay_share=decay)
    values = [penalty_share(settings, progress) for progress in PROGRESS]
    assert values[0] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(values))
    assert {value for progress, value in zip(PROGRESS, values, strict=True) if progress >= decay} == {final}
    assert penalty_share(settings, 0.5 * decay) == pytest.approx(math.sqrt(final))
    # equal times, equal factors
    quarter = penalty_share(settings, 0.25 * decay)
    assert penalty_share(settings, 0.75 * decay) == pytest.approx(quarter**3)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("warmup", [0.1, 0.25, 1.0])
def test_the_kl_warms_up_in_a_straight_line(beta: float, warmup: float) -> None:
    settings = VaeSettings(encoder=MLP, decoder=MLP, beta=beta, kl_warmup_share=warmup)
    assert kl_weight(settings, 0.0) == 0.0
    assert kl_weight(settings, 0.5 * warmup) == pytest.approx(0.5 * beta)
    assert {kl_weight(settings, progress) for progress in PROGRESS if progress >= warmup} == {beta}


def test_without_warm_up_beta_holds_from_the_start() -> None:
    settings = VaeSettings(encoder=MLP, decoder=MLP, beta=3.0)
    assert {kl_weight(settings, progress) for progress in PROGRESS} == {3.0}


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_capacity_rises_in_a_straight_line(share: float) -> None:
    settings = VaeSettings(encoder=MLP, decoder=MLP, capacity_nats=12.0, capacity_share=share)
    assert capacity_nats(settings, 0.0) == 0.0
    assert capacity_nats(settings, 0.25 * share) == pytest.approx(3.0)
    assert {capacity_nats(settings, progress) for progress in PROGRESS if progress >= share} == {12.0}
