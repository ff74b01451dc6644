"""Both directions of the KL: with the true log-ratio for a logit, a loss's gradient is the divergence's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from models.objectives.adversarial import generator_forward_kl, generator_mean_score

Loss = Callable[[Tensor], Tensor]
DATA = torch.tensor([0.5, 0.1, 0.3, 0.1], dtype=torch.float64)
SCORES = torch.tensor([0.2, -0.5, 1.0, 0.3], dtype=torch.float64)


def forward_kl(data: Tensor, generated: Tensor) -> Tensor:
    return (data * (data / generated).log()).sum()


def reverse_kl(data: Tensor, generated: Tensor) -> Tensor:
    return (generated * (generated / data).log()).sum()


def gradient_of_loss(loss: Loss) -> Tensor:
    """By G's parameters, for a G that draws one of four values with probabilities softmax(scores)."""
    scores = SCORES.clone().requires_grad_()
    generated = torch.softmax(scores, dim=0)
    log_ratio = (DATA / generated).log().detach()  # D is fixed while G moves
    of_each_value = torch.stack([loss(logit[None]) for logit in log_ratio])
    (gradient,) = torch.autograd.grad((generated * of_each_value).sum(), scores)
    return gradient


def gradient_of_divergence(divergence: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    scores = SCORES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(DATA, torch.softmax(scores, dim=0)), scores)
    return gradient


@pytest.mark.parametrize(
    ("loss", "own", "other"),
    [(generator_forward_kl, forward_kl, reverse_kl), (generator_mean_score, reverse_kl, forward_kl)],
)
def test_on_a_discrete_law_the_gradient_is_that_of_one_direction_and_not_of_the_other(
    loss: Loss, own: Callable[[Tensor, Tensor], Tensor], other: Callable[[Tensor, Tensor], Tensor]
) -> None:
    torch.testing.assert_close(gradient_of_loss(loss), gradient_of_divergence(own))
    assert (gradient_of_loss(loss) - gradient_of_divergence(other)).abs().max() > 0.05


def quantiles(count: int = 20_000) -> Tensor:
    """Points that a standard normal visits equally often."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return math.sqrt(2.0) * torch.erfinv(2.0 * shares - 1.0)


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (0.8, 1.5), (-0.5, 1.2)])
def test_on_gaussians_the_gradient_through_the_samples_is_the_closed_form(mean: float, sigma: float) -> None:
    """p_data = N(0, 1), G(z) = m + s z.

    KL(p ‖ q) = log s + (1 + m²) / 2s² - 1/2 and KL(q ‖ p) = -log s + (s² + m²) / 2 - 1/2.
    """
    expected = {
        generator_forward_kl: (mean / sigma**2, 1.0 / sigma - (1.0 + mean**2) / sigma**3),
        generator_mean_score: (mean, sigma - 1.0 / sigma),
    }
    data, generated = Normal(torch.zeros(1).double(), 1.0), Normal(torch.full((1,), mean).double(), sigma)
    for loss, (by_mean, by_sigma) in expected.items():
        m, s = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (mean, sigma))
        samples = m + s * quantiles()
        gradients = torch.autograd.grad(loss(data.log_prob(samples) - generated.log_prob(samples)), (m, s))
        assert gradients[0].item() == pytest.approx(by_mean, abs=2e-3)
        assert gradients[1].item() == pytest.approx(by_sigma, abs=2e-3)


def test_forward_kl_hears_the_missed_mode_and_reverse_kl_the_invented_one() -> None:
    """The share of a value's pull: p/q of it in one direction, the same for every value in the other."""
    logits = torch.tensor([3.0, -3.0], dtype=torch.float64, requires_grad=True)  # under- and over-represented
    (forward,) = torch.autograd.grad(generator_forward_kl(logits), logits)
    (reverse,) = torch.autograd.grad(generator_mean_score(logits), logits)
    torch.testing.assert_close(forward[0] / forward[1], torch.tensor(math.exp(6.0), dtype=torch.float64))
    assert reverse[0] == reverse[1]
