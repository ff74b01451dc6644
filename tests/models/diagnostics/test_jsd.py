"""The bound on the JSD against the integral that it bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import softplus

from models.alarms import DISJOINT_SHARE
from models.diagnostics import LOG_2, calibrate_logits, calibrated_jsd_lower_bound, jsd_lower_bound
from models.diagnostics.jsd import RIDGE

SAMPLES = 200_000


def two_gaussians(distance: float, scale: float = 1.0) -> tuple[Normal, Normal]:
    """p = N(d/2, 1) and q = N(-d/2, scale^2)."""
    p = Normal(torch.tensor(distance / 2, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    q = Normal(torch.tensor(-distance / 2, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))
    return p, q


def integrated_jsd(p: Normal, q: Normal) -> float:
    """(KL(p ‖ m) + KL(q ‖ m)) / 2, m the equal mixture, by the trapezoidal rule."""
    grid = torch.linspace(-60.0, 60.0, 120_001, dtype=torch.float64)
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    log_m = torch.logaddexp(log_p, log_q) - LOG_2
    integrand = 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m))
    return float(torch.trapezoid(integrand, grid))


def optimal_logits(p: Normal, q: Normal, samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """log p/q, the logit of D* = p / (p + q), at samples of p and of q."""
    torch.manual_seed(0)
    x, y = p.sample((samples,)), q.sample((samples,))
    return p.log_prob(x) - q.log_prob(x), p.log_prob(y) - q.log_prob(y)


@pytest.mark.parametrize(("distance", "scale"), [(0.5, 1.0), (2.0, 1.0), (4.0, 1.0), (0.0, 3.0), (1.0, 0.3)])
def test_the_optimal_discriminator_reaches_the_jsd(distance: float, scale: float) -> None:
    p, q = two_gaussians(distance, scale)
    real, fake = optimal_logits(p, q)
    standard_error = 0.5 * math.sqrt(float(softplus(-real).var() + softplus(fake).var()) / SAMPLES)
    assert abs(jsd_lower_bound(real, fake) - integrated_jsd(p, q)) < 4.0 * standard_error


def test_any_other_discriminator_stays_below() -> None:
    p, q = two_gaussians(2.0)
    real, fake = optimal_logits(p, q)
    best = jsd_lower_bound(real, fake)
    for scale, offset in [(0.3, 0.0), (3.0, 0.0), (1.0, 1.0), (1.0, -1.0)]:
        assert jsd_lower_bound(scale * real + offset, scale * fake + offset) < best - 0.01


def test_equal_densities_give_zero() -> None:
    p, q = two_gaussians(0.0)
    assert jsd_lower_bound(*optimal_logits(p, q)) == 0.0
    torch.manual_seed(1)
    assert calibrated_jsd_lower_bound(torch.randn(20_000), torch.randn(20_000)) < 1e-3


def test_disjoint_densities_give_log_2() -> None:
    p, q = two_gaussians(40.0)
    real, fake = optimal_logits(p, q, 2000)
    assert jsd_lower_bound(real, fake) == pytest.approx(LOG_2, abs=1e-6)
    assert DISJOINT_SHARE * LOG_2 < calibrated_jsd_lower_bound(real, fake) <= LOG_2


def normals(random: torch.Generator) -> Tensor:
    return torch.randn(500, generator=random)


def uniforms(random: torch.Generator) -> Tensor:
    return torch.rand(500, generator=random)


def exponentials(random: torch.Generator) -> Tensor:
    return -torch.log1p(-torch.rand(500, generator=random))


Shape = Callable[[torch.Generator], Tensor]
LOGITS: dict[str, tuple[Shape, Shape]] = {
    "narrow": (lambda r: 5.0 + 0.1 * normals(r), lambda r: -5.0 + 0.1 * normals(r)),
    "normal": (lambda r: 4.0 + normals(r), lambda r: -4.0 + normals(r)),
    "even, nearly touching": (lambda r: 0.05 + uniforms(r), lambda r: -0.05 - uniforms(r)),
    "one narrow, one wide": (lambda r: 0.01 * normals(r), lambda r: -1.0 - 10.0 * uniforms(r)),
    "long tails": (lambda r: 0.5 + exponentials(r), lambda r: -0.5 - exponentials(r)),
    "longer tails": (lambda r: 0.2 + normals(r).exp(), lambda r: -0.2 - normals(r).exp()),
    "far from zero": (lambda r: 104.5 + exponentials(r), lambda r: 103.5 - exponentials(r)),
    "tails that meet nearly": (lambda r: 0.1 - exponentials(r).clamp_max(3.0), lambda r: -3.5 - uniforms(r)),
}
"""Of a critic that tells every pair apart: at real samples, at generated ones."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", LOGITS)
def test_logits_that_are_told_apart_reach_what_the_alarm_asks_for(shape: str, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    real, fake = (side(random) for side in LOGITS[shape])
    assert real.min() > fake.max()
    assert DISJOINT_SHARE * LOG_2 < calibrated_jsd_lower_bound(real, fake) <= LOG_2
    # Negative control: the same logits with one row in twenty changed over, whatever the ridge.
    swapped = torch.arange(500) % 20 < 1
    mixed = torch.where(swapped, fake, real), torch.where(swapped, real, fake)
    assert calibrated_jsd_lower_bound(*mixed) < 0.9 * LOG_2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("gap", "share"), [(0.0, 0.01), (1.0, 0.2), (2.0, 0.6), (4.0, 0.96)])
def test_logits_that_overlap_stay_below_it(gap: float, share: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    assert calibrated_jsd_lower_bound(gap + normals(random), normals(random)) < share * LOG_2


def test_never_above_log_2_and_never_below_zero() -> None:
    torch.manual_seed(2)
    for scale in (0.1, 1.0, 10.0, 1000.0):
        real, fake = scale * torch.randn(500), scale * torch.randn(500)
        for bound in (jsd_lower_bound, calibrated_jsd_lower_bound):
            assert 0.0 <= bound(real, fake) <= LOG_2
    assert jsd_lower_bound(torch.full((4,), -9.0), torch.full((4,), 9.0)) == 0.0


def test_huge_logits_do_not_overflow() -> None:
    assert jsd_lower_bound(torch.full((4,), 1e30), torch.full((4,), -1e30)) == pytest.approx(LOG_2)


def test_bounds_take_sides_of_different_length() -> None:
    p, q = two_gaussians(2.0)
    real, fake = optimal_logits(p, q, 40_000)
    assert jsd_lower_bound(real, fake[:30_000]) == pytest.approx(integrated_jsd(p, q), abs=0.01)
    assert calibrated_jsd_lower_bound(real[:10_000], fake) == pytest.approx(integrated_jsd(p, q), abs=0.02)


def test_calibration_recovers_scale_and_offset() -> None:
    p, q = two_gaussians(1.0)
    real, fake = optimal_logits(p, q)
    scale, offset = calibrate_logits(5.0 * real + 7.0, 5.0 * fake + 7.0)
    assert scale == pytest.approx(1.0 / 5.0, rel=0.03)
    assert offset == pytest.approx(-7.0 / 5.0, rel=0.03)


def test_calibration_weighs_both_sides_equally() -> None:
    """Ten times as many generated samples must not move the offset: the prior is one half."""
    p, q = two_gaussians(1.0)
    real, fake = optimal_logits(p, q)
    scale, offset = calibrate_logits(real[:20_000], fake)
    assert scale == pytest.approx(1.0, rel=0.05)
    assert offset == pytest.approx(0.0, abs=0.03)


def test_calibration_solves_the_equations_of_logistic_regression() -> None:
    """Both sides' residuals cancel in sum; weighed by the standardised logits they leave what the ridge holds back."""
    random = torch.Generator().manual_seed(5)
    real, fake = (1.5 * normals(random) + 4.0).double(), normals(random)[:300].double()
    scale, offset = calibrate_logits(real, fake)
    both = torch.cat([real, fake])
    center, spread = both.mean(), both.std()
    above, below = torch.sigmoid(scale * real + offset) - 1.0, torch.sigmoid(scale * fake + offset)
    assert float(above.mean() + below.mean()) == pytest.approx(0.0, abs=1e-8)
    slope = 0.5 * (above * (real - center)).mean() + 0.5 * (below * (fake - center)).mean()
    assert float(slope / spread) == pytest.approx(-RIDGE * scale * float(spread), rel=1e-4)


def test_calibration_is_the_best_of_its_neighbours() -> None:
    real, fake = optimal_logits(*two_gaussians(2.0), 20_000)
    critic_real, critic_fake = 0.2 * real - 3.0, 0.2 * fake - 3.0
    scale, offset = calibrate_logits(critic_real, critic_fake)
    best = jsd_lower_bound(scale * critic_real + offset, scale * critic_fake + offset)
    for factor, shift in [(1.2, 0.0), (0.8, 0.0), (1.0, 0.3), (1.0, -0.3)]:
        moved = (factor * (scale * side + offset) + shift for side in (critic_real, critic_fake))
        assert jsd_lower_bound(*moved) < best


@pytest.mark.parametrize("scale", [1e-3, 0.5, 40.0])
@pytest.mark.parametrize("offset", [0.0, -13.0, 500.0])
def test_calibrated_bound_ignores_scale_and_offset_of_the_critic(scale: float, offset: float) -> None:
    real, fake = optimal_logits(*two_gaussians(2.0), 20_000)
    reference = calibrated_jsd_lower_bound(real, fake)
    assert reference == pytest.approx(jsd_lower_bound(real[1::2], fake[1::2]), abs=1e-3)
    assert calibrated_jsd_lower_bound(scale * real + offset, scale * fake + offset) == pytest.approx(
        reference, abs=1e-6
    )
    # negative control: the plain bound does not ignore them
    assert jsd_lower_bound(scale * real + offset, scale * fake + offset) < reference - 0.01


def test_calibration_is_not_judged_on_the_rows_that_fitted_it() -> None:
    """A critic that separates the even rows and confuses the odd ones has learnt nothing."""
    sign = torch.tensor([1.0, -1.0]).repeat(500)
    assert calibrated_jsd_lower_bound(sign, -sign) == 0.0


def test_every_even_row_fits_and_every_odd_row_judges() -> None:
    random = torch.Generator().manual_seed(6)
    real, fake = 1.0 + normals(random), normals(random)[:301]
    scale, offset = calibrate_logits(real[0::2], fake[0::2])
    expected = jsd_lower_bound(scale * real[1::2] + offset, scale * fake[1::2] + offset)
    assert calibrated_jsd_lower_bound(real, fake) == pytest.approx(expected, rel=1e-12)


def test_a_constant_critic_bounds_nothing() -> None:
    assert calibrated_jsd_lower_bound(torch.full((10,), 3.0), torch.full((10,), 3.0)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bound", [jsd_lower_bound, calibrated_jsd_lower_bound])
@pytest.mark.parametrize("row", [0, 1])  # the calibration fits even rows and judges odd ones
def test_one_nan_logit_never_reads_as_a_perfect_generator(bound: Callable[[Tensor, Tensor], float], row: int) -> None:
    torch.manual_seed(0)
    sound = torch.randn(20)
    broken = sound.clone()
    broken[row] = float("nan")
    assert math.isnan(bound(sound, broken))
    assert math.isnan(bound(broken, sound))


def test_all_logits_nan_give_nan() -> None:
    nan = torch.full((8,), float("nan"))
    assert math.isnan(jsd_lower_bound(nan, nan))
    assert math.isnan(calibrated_jsd_lower_bound(nan, nan))
