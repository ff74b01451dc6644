"""What a VAE descends, by hand: the reparameterized gradient, the KL's shapes, the importance-weighted bound."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from models.config import MlpSettings, VaeSettings
from models.steps.batch import Batch, Moment
from models.steps.vae import Coded, VaeStep, bound_terms, negative_log_likelihood
from tests.models.steps.small import ALONE, START, STILL, draws, gradients

MLP = MlpSettings(hidden_width=16, hidden_layers=1)
PICTURE = (1, 4, 4)
ROWS, Z, PIXELS = 6, 3, 4


def settings(**changes: Any) -> VaeSettings:
    return VaeSettings(**({"latent_size": Z, "encoder": MLP, "decoder": MLP, "likelihood": "gaussian"} | changes))


def at(progress: float) -> Moment:
    return Moment(0, progress)


class Linear:
    """x | z ~ N(A z, s² I) in float64, and a posterior N(mu, sigma²) for every sample, its numbers being leaves."""

    log_variance_of_x = -0.4

    def __init__(self, draws_per_sample: int = 1) -> None:
        generator = torch.Generator().manual_seed(3)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.matrix, self.x = normal(Z, PIXELS), normal(ROWS, PIXELS)
        self.mean, self.log_variance = normal(ROWS, Z).requires_grad_(True), normal(ROWS, Z).requires_grad_(True)
        self.eps = normal(draws_per_sample, ROWS, Z)

    def coded(self) -> Coded:
        latent = self.mean + self.eps * torch.exp(0.5 * self.log_variance)
        log_scale = torch.tensor(self.log_variance_of_x, dtype=torch.float64)
        return Coded((latent @ self.matrix).flatten(0, 1), log_scale, self.mean, self.log_variance, latent)

    def terms(self, configured: VaeSettings, moment: Moment = START) -> dict[str, Tensor]:
        return bound_terms(self.coded(), configured, self.x, moment)

    def kl_by_dimension(self) -> Tensor:
        """[N, Z]."""
        return kl_divergence(Normal(self.mean, torch.exp(0.5 * self.log_variance)), Normal(0.0, 1.0)).detach()


# -- the reparameterized gradient (theory V3) ---------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_gradients_of_mu_and_sigma_are_the_analytic_ones(beta: float) -> None:
    """With r = A'(A z - x) / s²: r + beta mu by mu, (r eps sigma + beta (sigma² - 1)) / 2 by log sigma²."""
    model = Linear()
    loss = model.terms(settings(beta=beta))["loss"]
    found = torch.autograd.grad(loss, [model.mean, model.log_variance])
    mean, sigma = model.mean.detach(), torch.exp(0.5 * model.log_variance.detach())
    latent = mean + model.eps[0] * sigma
    residual = (latent @ model.matrix - model.x) @ model.matrix.T / math.exp(model.log_variance_of_x)
    torch.testing.assert_close(found[0] * ROWS, residual + beta * mean)
    expected = residual * model.eps[0] * sigma / 2.0 + beta * (sigma.square() - 1.0) / 2.0
    torch.testing.assert_close(found[1] * ROWS, expected)


def test_gradients_of_the_importance_weighted_bound_agree_with_central_differences() -> None:
    model, configured, step = Linear(4), settings(importance_samples=4), 1e-5
    gradient_of = torch.autograd.grad(model.terms(configured)["loss"], [model.mean, model.log_variance])
    for leaf, gradient in zip((model.mean, model.log_variance), gradient_of, strict=True):
        for row, column in ((0, 0), (2, 1), (5, 2)):
            values = []
            for sign in (1.0, -1.0):
                with torch.no_grad():
                    leaf[row, column] += sign * step
                    values.append(model.terms(configured)["loss"].item())
                    leaf[row, column] -= sign * step
            assert gradient[row, column].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


# -- the KL's shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.4, 1.0])
def test_the_kl_is_paid_as_warm_up_says(progress: float) -> None:
    model = Linear()
    terms = model.terms(settings(beta=3.0, kl_warmup_share=0.4), at(progress))
    weight = 3.0 * min(1.0, progress / 0.4)
    expected = terms["reconstruction_nats"] + weight * model.kl_by_dimension().sum(dim=1).mean()
    torch.testing.assert_close(terms["loss"], expected)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.2, 1.0])
@pytest.mark.parametrize("beta", [1.0, 50.0])
@pytest.mark.parametrize("capacity", [0.5, 40.0])
def test_the_code_is_steered_to_its_capacity(progress: float, beta: float, capacity: float) -> None:
    model = Linear()
    configured = settings(capacity_nats=capacity, capacity_share=0.2, beta=beta)
    terms = model.terms(configured, at(progress))
    kl, target = model.kl_by_dimension().sum(dim=1).mean(), capacity * min(1.0, progress / 0.2)
    torch.testing.assert_close(terms["loss"], terms["reconstruction_nats"] + beta * (kl - target).abs())
    (by_mean,) = torch.autograd.grad(terms["loss"] - terms["reconstruction_nats"], model.mean)
    # below the target a larger KL is rewarded, above it punished
    torch.testing.assert_close(by_mean, torch.sign(kl - target) * beta * model.mean.detach() / ROWS)


@pytest.mark.parametrize("nats", [0.0, 0.3, 0.8, 100.0])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_free_bits_cost_nothing_and_pull_nothing(nats: float, beta: float) -> None:
    model = Linear()
    terms = model.terms(settings(free_bits_nats=nats, beta=beta))
    by_dimension = model.kl_by_dimension().mean(dim=0)
    expected = terms["reconstruction_nats"] + beta * torch.clamp(by_dimension, min=nats).sum()
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(terms["kl_nats"], by_dimension.sum())  # what is reported is the KL itself
    (by_mean,) = torch.autograd.grad(terms["loss"] - terms["reconstruction_nats"], model.mean)
    pulled = (by_dimension > nats).double()
    torch.testing.assert_close(by_mean, pulled * beta * model.mean.detach() / ROWS)


def test_bits_per_dimension_are_those_of_the_bound() -> None:
    model = Linear()
    for changes in ({}, {"beta": 5.0}, {"free_bits_nats": 2.0}):
        terms = model.terms(settings(**changes))
        nats = terms["reconstruction_nats"] + model.kl_by_dimension().sum(dim=1).mean()
        torch.testing.assert_close(terms["bits_per_dimension"] * PIXELS * math.log(2.0), nats)


# -- several importance samples -----------------------------------------------------------------------


def log_weights(model: Linear) -> Tensor:
    """log p(x, z) - log q(z | x) by torch's own densities, [k, N]."""
    coded = model.coded()
    sigma_of_x = math.exp(0.5 * model.log_variance_of_x)
    log_likelihood = Normal(coded.latent @ model.matrix, sigma_of_x).log_prob(model.x).sum(dim=2)
    log_prior = Normal(0.0, 1.0).log_prob(coded.latent).sum(dim=2)
    posterior = Normal(model.mean, torch.exp(0.5 * model.log_variance))
    return log_likelihood + log_prior - posterior.log_prob(coded.latent).sum(dim=2)


@pytest.mark.parametrize("count", [2, 5, 50])
def test_the_loss_of_several_draws_is_minus_their_bound(count: int) -> None:
    """-E log (1/k) sum w_i (Burda et al. 2016, eq. 8)."""
    model = Linear(count)
    expected = -torch.log(log_weights(model).exp().mean(dim=0)).mean()
    torch.testing.assert_close(model.terms(settings(importance_samples=count))["loss"], expected)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_under_the_exact_posterior_every_bound_is_the_log_likelihood(count: int) -> None:
    """All weights are p(x) then, whatever the noise; with a wrong posterior the bound lies below."""
    scale, variance = 1.3, 0.5
    x = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64)[:, None]
    mean = scale * x / (scale**2 + variance)
    log_variance = torch.full_like(mean, math.log(variance / (scale**2 + variance)))
    exact = Normal(0.0, math.sqrt(scale**2 + variance)).log_prob(x).mean()
    eps = torch.randn(count, 9, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(shift: float) -> Tensor:
        latent = mean + shift + eps * torch.exp(0.5 * log_variance)
        log_scale = torch.tensor(math.log(variance), dtype=torch.float64)
        coded = Coded((scale * latent).flatten(0, 1), log_scale, mean + shift, log_variance, latent)
        return bound_terms(coded, settings(importance_samples=max(2, count)), x, START)["loss"]

    torch.testing.assert_close(loss(0.0), -exact)
    assert loss(3.0) > -exact + 0.5


def test_one_draw_estimates_the_elbo_and_more_draws_tighten_it() -> None:
    generator = torch.Generator().manual_seed(5)
    repeats = 2000
    model = Linear()
    model.x, model.mean, model.log_variance = (
        tensor.detach().repeat(repeats, 1) for tensor in (model.x, model.mean, model.log_variance)
    )
    bounds = []
    for count in (1, 2, 8):
        model.eps = torch.randn(count, ROWS * repeats, Z, generator=generator, dtype=torch.float64)
        bounds.append(-model.terms(settings(importance_samples=max(2, count)))["loss"].item())
        if count == 1:
            by_draw = log_weights(model)[0]
            error = by_draw.view(repeats, ROWS).std(dim=0).square().mean().div(ROWS * repeats).sqrt().item()
            # E log p(x|z) in closed form, less the KL
            sigma = torch.exp(0.5 * model.log_variance)
            spread = (sigma.square()[:, :, None] * model.matrix.square()).sum(dim=1)
            squared = (model.mean @ model.matrix - model.x).square() + spread
            constant = model.log_variance_of_x + math.log(2.0 * math.pi)
            nats = 0.5 * (squared / math.exp(model.log_variance_of_x) + constant)
            elbo = (-nats.sum(dim=1) - model.kl_by_dimension().sum(dim=1)).mean().item()
            assert bounds[0] == pytest.approx(elbo, abs=4.0 * error)
            assert error < 0.2
    assert bounds[0] < bounds[1] < bounds[2]


def test_the_draws_of_each_sample_are_compared_with_that_sample() -> None:
    """[k, N] in the order of the draws, for pictures too."""
    generator = torch.Generator().manual_seed(2)
    location, x = torch.randn(3 * ROWS, *PICTURE, generator=generator), torch.rand(ROWS, *PICTURE, generator=generator)
    empty = torch.zeros(ROWS, Z)
    coded = Coded(location, torch.zeros(()), empty, empty, torch.zeros(3, ROWS, Z))
    found = negative_log_likelihood(coded, settings(likelihood="bernoulli"), x)
    assert found.shape == (3, ROWS)
    for draw in range(3):
        for row in range(ROWS):
            at_draw = Bernoulli(logits=location[draw * ROWS + row], validate_args=False)
            torch.testing.assert_close(found[draw, row], -at_draw.log_prob(x[row]).sum())


# -- likelihoods of pictures, through the step --------------------------------------------------------


def step_of(**changes: Any) -> VaeStep:
    torch.manual_seed(0)
    return VaeStep(settings(**changes), PICTURE, 0, ALONE)


def test_the_discretized_logistic_is_the_mass_of_each_level() -> None:
    step = step_of(likelihood="discretized-logistic")
    with torch.no_grad():
        step.network.get_parameter("log_scale").fill_(0.5)
    levels = torch.randint(1, 255, (ROWS, *PICTURE), generator=torch.Generator().manual_seed(0)) / 255.0
    levels[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    eps = draws().normal("code", ROWS, Z)
    location = Coded(*step.network(levels, eps[None])).location.double()
    found = step.losses(step.network, Batch(levels), {"code": eps[:, None]}, START)["reconstruction_nats"]
    above = torch.sigmoid((levels.double() + 0.5 / 255.0 - location) * math.exp(-0.5))
    below = torch.sigmoid((levels.double() - 0.5 / 255.0 - location) * math.exp(-0.5))
    above, below = torch.where(levels == 1.0, 1.0, above), torch.where(levels == 0.0, 0.0, below)
    expected = -(above - below).log().flatten(1).sum(dim=1).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_binarized_pixels_are_black_or_white_with_the_grey_as_their_probability() -> None:
    step, rows = step_of(likelihood="bernoulli", binarize=True), 64
    grey = torch.linspace(0.0, 1.0, 16).view(1, *PICTURE).repeat(rows, 1, 1, 1)
    seen: list[Tensor] = []
    step.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    for update in range(25):
        step.update([Batch(grey)], draws(update), STILL)
    shown = torch.cat(seen)
    assert set(shown.unique().tolist()) == {0.0, 1.0}
    error = 4.0 * torch.sqrt(grey[0] * (1.0 - grey[0]) / len(shown))
    assert ((shown.mean(dim=0) - grey[0]).abs() <= error).all()  # black and white pixels exactly
    assert not torch.equal(seen[0], seen[1])  # drawn anew at every view
    assert torch.equal(grey, torch.linspace(0.0, 1.0, 16).view(1, *PICTURE).repeat(rows, 1, 1, 1))


def test_a_binarized_picture_is_what_is_coded_and_what_is_reconstructed() -> None:
    step = step_of(likelihood="bernoulli", binarize=True)
    grey = torch.rand(ROWS, *PICTURE, generator=torch.Generator().manual_seed(0))
    step.update([Batch(grey)], draws(), STILL)
    found = gradients(step.network), step.report()
    binary = (draws().uniform("binarization", ROWS, 16).view(grey.shape) < grey).float()
    plain = step_of(likelihood="bernoulli")
    plain.update([Batch(binary)], draws(), STILL)
    torch.testing.assert_close(found[0], gradients(plain.network))
    assert found[1] == pytest.approx(plain.report())


def test_held_out_pictures_are_binarized_by_their_own_draws() -> None:
    step = step_of(likelihood="bernoulli", binarize=True)
    grey = torch.rand(ROWS, *PICTURE, generator=torch.Generator().manual_seed(0))
    noise = step.noise(Batch(grey), draws().named("diagnose"))
    assert set(noise) == {"code", "binarization"}
    binary = (noise["binarization"].view(grey.shape) < grey).float()
    found = step.diagnose(Batch(grey), Batch(grey), draws())["held_out_loss"]
    plain = step_of(likelihood="bernoulli").diagnose(Batch(grey), Batch(binary), draws())["held_out_loss"]
    assert found == pytest.approx(plain)
    assert set(step_of(likelihood="bernoulli").noise(Batch(grey), draws())) == {"code"}
