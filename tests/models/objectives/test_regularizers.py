"""The squared gradient norm against critics whose gradient is known, and its own derivatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.objectives.regularizers import squared_gradient_norms


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_linear_critic_has_the_norm_of_its_weights() -> None:
    weights, samples = normal(5, seed=1), normal(8, 5).requires_grad_()
    norms = squared_gradient_norms(samples @ weights + 3.0, samples)
    torch.testing.assert_close(norms, weights.square().sum().expand(8))


def test_quadratic_critic() -> None:
    """D(x) = xᵀ A x / 2 with A symmetric: ∇D = A x."""
    matrix = normal(4, 4, seed=1)
    matrix = matrix + matrix.T
    samples = normal(6, 4).requires_grad_()
    norms = squared_gradient_norms(0.5 * ((samples @ matrix) * samples).sum(dim=1), samples)
    torch.testing.assert_close(norms, (samples.detach() @ matrix).square().sum(dim=1))


def test_pictures_are_summed_over_all_pixels() -> None:
    samples = normal(3, 2, 4, 5).requires_grad_()
    norms = squared_gradient_norms(0.5 * samples.square().sum(dim=(1, 2, 3)), samples)
    assert norms.shape == (3,)
    torch.testing.assert_close(norms, samples.detach().square().sum(dim=(1, 2, 3)))


def test_each_samples_norm_is_its_own() -> None:
    network = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    samples = normal(5, 3).requires_grad_()
    together = squared_gradient_norms(network(samples).squeeze(1), samples)
    for row in range(5):
        alone = samples[row : row + 1].detach().requires_grad_()
        torch.testing.assert_close(squared_gradient_norms(network(alone).squeeze(1), alone)[0], together[row])


def test_derivative_by_the_weights_in_closed_form() -> None:
    """d/dA of sum ‖A x‖² is 2 A Σ x xᵀ."""
    factor = normal(4, 4, seed=1).requires_grad_()
    samples = normal(6, 4).requires_grad_()
    # D(x) = sum of (A x) * stop(x) has the gradient Aᵀ stop(x): linear in A, and known
    logits = ((samples @ factor.T) * samples.detach()).sum(dim=1)
    (gradient,) = torch.autograd.grad(squared_gradient_norms(logits, samples).sum(), factor)
    fixed = samples.detach()
    torch.testing.assert_close(gradient, 2.0 * (fixed.T @ fixed) @ factor.detach())


def test_differentiable_once_and_twice_more() -> None:
    def penalty(first: Tensor, second: Tensor, samples: Tensor) -> Tensor:
        return squared_gradient_norms(torch.tanh(samples @ first) @ second, samples)

    arguments = tuple(
        tensor.requires_grad_() for tensor in (normal(3, 4, seed=1), normal(4, seed=2), normal(2, 3, seed=3))
    )
    assert torch.autograd.gradcheck(penalty, arguments)
    assert torch.autograd.gradgradcheck(penalty, arguments)
