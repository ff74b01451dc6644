"""The GAN's demonstrations in small: their closed forms, and the direction of what they measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pipelines.labs import jsd, kl_direction, maximum_likelihood, noise, optimal_discriminator, saturation
from pipelines.labs.densities import gaussian
from pipelines.labs.result import Finding, about, at_least, shown

Measured = Callable[[Finding], dict[str, float]]


def test_the_two_generator_losses_are_what_the_formulas_say(measured: Measured) -> None:
    finding = saturation.run(0)
    assert finding.confirmed
    assert measured(finding)["saturating: its share of that pull, 6 sigma away"] < 0.01


@pytest.mark.parametrize("name", saturation.LOSSES)
def test_both_losses_pull_towards_the_data_from_either_side(name: str) -> None:
    assert saturation.pull(name, 1.0) > 0.0
    assert saturation.pull(name, -1.0) == pytest.approx(-saturation.pull(name, 1.0), abs=1e-9)


def test_the_pull_of_minimax_is_the_derivative_of_its_value() -> None:
    from pipelines.labs.densities import jsd as divergence

    step = 1e-4
    data = gaussian(0.0, 1.0)
    above, below = (divergence(data, gaussian(1.5 + shift, 1.0)) for shift in (step, -step))
    assert saturation.pull("saturating", 1.5) == pytest.approx((above - below) / step, rel=1e-5)  # V = 2 JSD + const.


def test_a_little_training_takes_d_towards_the_best_one(measured: Measured) -> None:
    short, longer = (
        measured(optimal_discriminator.run(0, optimal_discriminator.Size(updates=updates, batch_size=128)))
        for updates in (2, 80)
    )
    name = "different: mean of |D - D*|"
    assert longer[name] < short[name]


def test_the_best_logit_is_zero_between_equal_densities() -> None:
    x = torch.linspace(-5.0, 5.0, 50)
    assert float(optimal_discriminator.best_logit(gaussian(0.0, 1.0), gaussian(0.0, 1.0), x).abs().max()) == 0.0


def test_the_bound_is_below_the_divergence_and_d_learns_few_samples_by_heart(measured: Measured) -> None:
    size = jsd.Size(updates=60, shifts=(0.0, 3.0), held_out=5_000, few=8, few_dimensions=32)
    finding = jsd.run(0, size)
    numbers = measured(finding)
    assert all(quantity.holds for quantity in finding.quantities if quantity.relation == "at most")
    assert numbers["p_G at 3: the bound, at most the JSD"] > numbers["p_G at 0: the bound, at most the JSD"]
    assert numbers["equal densities, few samples: the bound on D's own samples"] > 0.05


def test_an_iteration_of_the_fit_never_lowers_the_likelihood() -> None:
    samples = maximum_likelihood.DATA.sample(2_000, torch.Generator().manual_seed(0))
    fits = [maximum_likelihood.START]
    for _ in range(40):
        fits.append(maximum_likelihood.expectation_maximization(fits[-1], samples))
    likelihoods = [float(fit.log_density(samples[:, 0]).mean()) for fit in fits]
    assert likelihoods == sorted(likelihoods)
    assert math.fsum(fits[-1].weights) == pytest.approx(1.0, abs=1e-12)


def test_one_gaussian_is_fitted_by_its_moments_in_one_iteration() -> None:
    samples = maximum_likelihood.DATA.sample(2_000, torch.Generator().manual_seed(0))
    fit = maximum_likelihood.expectation_maximization(gaussian(5.0, 3.0), samples)
    assert fit.means[0] == pytest.approx(float(samples.double().mean()), abs=1e-12)
    assert fit.sigmas[0] == pytest.approx(float(samples.double().std(correction=0)), abs=1e-12)


def test_likelihood_and_kl_exchange_one_for_one(measured: Measured) -> None:
    size = maximum_likelihood.Size(rows=5_000, iterations=30, images_seen=512, hidden_width=8)
    finding = maximum_likelihood.run(0, size)
    numbers = measured(finding)
    (exchanged,) = (q for q in finding.quantities if q.name.startswith("likelihood gained"))
    assert exchanged.expected is not None
    assert numbers[exchanged.name] == pytest.approx(exchanged.expected, abs=0.05)


def test_disjoint_supports_give_the_alarm_and_the_noise_ends_at_zero() -> None:
    size = noise.Size(images_seen=128, batch_size=16, updates_ahead=40, hidden_width=32, rows=1_000)
    data = noise.thin_line(size.rows, 0)
    assert "disjoint-supports" in noise.watch("minimax", data, 0, size).alarms
    at_once = replace(size, images_seen=512, updates_ahead=0)
    assert noise.watch("minimax, noise", data, 0, at_once).sigma == 0.0


def test_g_waits_while_d_trains_ahead() -> None:
    size = noise.Size(images_seen=64, batch_size=16, updates_ahead=3, hidden_width=8, rows=1_000)
    data = noise.thin_line(size.rows, 0)
    at_once = replace(size, updates_ahead=0)
    assert noise.watch("minimax", data, 0, size).distance[0] == noise.watch("minimax", data, 0, at_once).distance[0]


def test_the_forward_kl_bridges_two_modes_and_the_reverse_kl_keeps_one() -> None:
    forward, reverse = (kl_direction.best_gaussian(name, 80) for name in ("forward-kl", "reverse-kl"))
    assert kl_direction.lesser_mode_share(forward) > 0.45
    assert kl_direction.between_modes_share(forward) > 0.2
    assert kl_direction.lesser_mode_share(reverse) < 0.01
    assert kl_direction.between_modes_share(reverse) < 0.05


def test_every_game_is_run_at_every_pace(measured: Measured) -> None:
    size = kl_direction.Size(iterations=2, images_seen=128, batch_size=64, hidden_width=8, samples=200)
    numbers = measured(kl_direction.run(0, size))
    assert sum(name.endswith(": modes") for name in numbers) == len(kl_direction.GAMES) * len(kl_direction.PACES)


@pytest.mark.parametrize(
    ("fit", "modes", "said"),
    [
        (0.0, (8.0, 8.0), "decides as claimed; of 2 games of trained players 0 "),
        (0.0, (6.0, 8.0), "decides as claimed; of 2 games of trained players 1 "),
        (9.0, (6.0, 0.0), "does not decide as claimed; of 2 games of trained players 2 "),
    ],
)
def test_the_refuted_direction_is_told_by_its_rows(fit: float, modes: tuple[float, float], said: str) -> None:
    games = [at_least(f"game {index}", value, 8.0) for index, value in enumerate(modes)]
    assert said in kl_direction.refutation([about("mean", fit, 0.0, 0.05), shown("share", 1.0)], games)
