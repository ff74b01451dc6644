"""Penalties against critics whose gradient is known, and their own derivatives; mixing and packing of samples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.objectives.regularizers import between, pack, squared_gradient_norms, unit_gradient_penalty


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


@pytest.mark.parametrize("norm", [0.0, 0.25, 1.0, 3.0])
def test_the_unit_penalty_of_a_linear_critic_is_its_slopes_distance_from_one(norm: float) -> None:
    direction, samples = normal(5, seed=1), normal(8, 5).requires_grad_()
    weights = norm * direction / direction.norm()
    penalty = unit_gradient_penalty(samples @ weights + 3.0, samples)
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx((norm - 1.0) ** 2, abs=5e-6)


def test_the_unit_penalty_is_a_mean_over_samples() -> None:
    """D(x) = ‖x‖² / 2 has the gradient x: each sample misses 1 by its own length."""
    samples = normal(6, 2, 3).requires_grad_()
    penalty = unit_gradient_penalty(0.5 * samples.square().sum(dim=(1, 2)), samples)
    lengths = samples.detach().flatten(1).norm(dim=1)
    torch.testing.assert_close(penalty, ((lengths - 1.0) ** 2).sum() / 6.0)


def test_the_unit_penalty_pushes_slopes_to_one_from_both_sides() -> None:
    for scale, sign in ((1e-3, -1.0), (0.5, -1.0), (2.0, 1.0)):
        factor = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        samples = normal(4, 1).requires_grad_()
        (slope,) = torch.autograd.grad(unit_gradient_penalty(factor * samples.squeeze(1), samples), factor)
        assert slope.item() == pytest.approx(2.0 * (scale - 1.0), abs=1e-5)
        assert slope.sign().item() == sign


def test_a_flat_critics_penalty_has_a_finite_gradient() -> None:
    weights, samples = torch.zeros(3, requires_grad=True), torch.randn(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(unit_gradient_penalty(samples @ weights, samples), weights)
    assert torch.isfinite(gradient).all()


def test_the_unit_penaltys_gradient_matches_central_differences() -> None:
    def penalty(first: Tensor, second: Tensor, samples: Tensor) -> Tensor:
        return unit_gradient_penalty(torch.tanh(samples @ first) @ second, samples)

    arguments = (normal(3, 4, seed=1), normal(4, seed=2), normal(2, 3, seed=3))
    assert torch.autograd.gradcheck(penalty, tuple(tensor.requires_grad_() for tensor in arguments))


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 3, 5), (4, 4)])
def test_points_between_lie_on_their_own_lines(shape: tuple[int, ...]) -> None:
    real, fake = normal(*shape, seed=1), normal(*shape, seed=2)
    uniform = torch.tensor([0.0, 1.0, 0.5, 0.2], dtype=torch.float64)
    points = between(real, fake, uniform)
    assert points.shape == real.shape
    torch.testing.assert_close(points[0], fake[0])
    torch.testing.assert_close(points[1], real[1])
    torch.testing.assert_close(points[2], 0.5 * (real[2] + fake[2]))
    torch.testing.assert_close(points[3], torch.lerp(fake[3], real[3], 0.2))


def test_points_between_equal_samples_are_these_samples() -> None:
    samples = normal(6, 3)
    torch.testing.assert_close(between(samples, samples, torch.rand(6, dtype=torch.float64)), samples)


@pytest.mark.parametrize("shape", [(6, 3), (6, 2, 3), (6, 3, 4, 5)])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_a_pack_is_its_samples_side_by_side(shape: tuple[int, ...], size: int) -> None:
    samples = normal(*shape)
    packs = pack(samples, size)
    assert packs.shape == (6 // size, size * shape[1], *shape[2:])
    for row in range(6):
        found = packs[row // size].chunk(size, dim=0)[row % size]
        assert torch.equal(found, samples[row])


def test_a_pack_of_one_is_the_sample() -> None:
    samples = normal(5, 2, 3)
    assert torch.equal(pack(samples, 1), samples)


def test_unpacking_is_the_inverse_of_packing() -> None:
    samples = normal(6, 3, 4, 5)
    assert torch.equal(pack(samples, 3).reshape(samples.shape), samples)


def test_what_does_not_fill_its_packs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^7 samples cannot be packed by 2$"):
        pack(normal(7, 3), 2)
