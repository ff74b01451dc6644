"""The negative ELBO term by term, and the two failures that its terms guard each other from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from models.config import ConvolutionalSettings, MlpSettings, VaeSettings
from models.errors import ConfigurationError, TrainingError
from models.steps.step import Draws
from models.steps.vae import VaeNetwork, VaeStep, negative_elbo_terms

CPU = torch.device("cpu")
MLP = MlpSettings(hidden_width=16, hidden_layers=1)
PICTURE = (1, 4, 4)


def settings(**changes: Any) -> VaeSettings:
    return VaeSettings(**({"latent_size": 3, "encoder": MLP, "decoder": MLP} | changes))


def step_of(configured: VaeSettings, shape: tuple[int, ...] = PICTURE, seed: int = 0) -> VaeStep:
    torch.manual_seed(seed)
    return VaeStep(configured, shape, CPU, lambda network: network)


def draws(update: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, update, 0, 1, CPU)


def pictures(rows: int = 16, seed: int = 0, shape: tuple[int, ...] = PICTURE) -> Tensor:
    return (torch.rand(rows, *shape, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def noise(rows: int = 16) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(5))


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_reconstruction_plus_beta_kl(beta: float, likelihood: str) -> None:
    step = step_of(settings(beta=beta, likelihood=likelihood))
    terms = step.losses(step.network, pictures(), noise())
    torch.testing.assert_close(terms["loss"], terms["reconstruction_nats"] + beta * terms["kl_nats"])
    torch.testing.assert_close(terms["kl_nats"], terms["kl_nats_from_mean"] + terms["kl_nats_from_variance"])
    assert terms["kl_nats"].item() > 0.0


def test_every_term_is_per_sample_and_summed_over_pixels_and_latents() -> None:
    step, batch = step_of(settings()), pictures()
    assert isinstance(step.network, VaeNetwork)
    location, mean, log_variance = step.network(batch, noise())
    sigma = torch.exp(0.5 * log_variance)
    terms = step.losses(step.network, batch, noise())
    torch.testing.assert_close(location, step.network.decoder(mean + sigma * noise()))
    torch.testing.assert_close(
        terms["reconstruction_nats"], -Bernoulli(logits=location).log_prob(batch).sum(dim=(1, 2, 3)).mean()
    )
    torch.testing.assert_close(
        terms["kl_nats"], kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum(dim=1).mean(), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(terms["kl_nats_from_mean"], 0.5 * mean.square().sum(dim=1).mean())
    torch.testing.assert_close(terms["posterior_sigma"], sigma.mean())


@pytest.mark.parametrize("shape", [PICTURE, (6,)])
def test_the_gaussian_likelihood_has_the_networks_own_sigma(shape: tuple[int, ...]) -> None:
    step, batch = step_of(settings(likelihood="gaussian"), shape), pictures(shape=shape)
    assert isinstance(step.network, VaeNetwork)
    with torch.no_grad():
        step.network.log_variance.fill_(-0.7)
    location, _, _ = step.network(batch, noise())
    expected = -Normal(location, math.exp(-0.35)).log_prob(batch).flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(step.losses(step.network, batch, noise())["reconstruction_nats"], expected)


def test_the_held_out_likelihood_has_the_averaged_sigma() -> None:
    step, batch = step_of(settings(likelihood="gaussian"), (6,)), pictures(shape=(6,))
    assert isinstance(step.network_ema, VaeNetwork)
    before = step.losses(step.network_ema, batch, noise())["reconstruction_nats"]
    with torch.no_grad():
        step.network_ema.log_variance.fill_(1.0)
    assert abs(step.losses(step.network_ema, batch, noise())["reconstruction_nats"] - before) > 0.1


def test_showing_the_batch_twice_changes_nothing() -> None:
    step, batch = step_of(settings()), pictures()
    once = step.losses(step.network, batch, noise())
    twice = step.losses(step.network, batch.repeat(2, 1, 1, 1), noise().repeat(2, 1))
    for name, value in once.items():
        torch.testing.assert_close(twice[name], value)


def test_gradients_reach_both_halves_of_the_posterior() -> None:
    """By reconstruction alone: through z = mu + sigma eps, and with noise zero not to sigma."""
    step, batch = step_of(settings(beta=0.0)), pictures()
    assert isinstance(step.network, VaeNetwork)
    last = [layer for layer in step.network.encoder.modules() if isinstance(layer, nn.Linear)][-1]
    for eps, reaches_sigma in ((noise(), True), (torch.zeros_like(noise()), False)):
        (gradient,) = torch.autograd.grad(step.losses(step.network, batch, eps)["loss"], last.bias)
        at_mean, at_log_variance = gradient.chunk(2)
        assert (at_mean != 0).all()
        assert bool((at_log_variance != 0).all()) is reaches_sigma


def test_a_bernoulli_likelihood_refuses_vectors() -> None:
    with pytest.raises(ConfigurationError, match="bernoulli"):
        step_of(settings(likelihood="bernoulli"), (2,))
    step_of(settings(likelihood="gaussian"), (2,))


def train(step: VaeStep, batch: Tensor, updates: int) -> dict[str, float]:
    for update in range(updates):
        step.update([batch], draws(update), 1.0, len(batch) * update)
    return step.report()


def test_without_the_kl_the_variance_vanishes() -> None:
    """beta = 0 turns a VAE into an autoencoder; beta = 1 keeps its noise; a huge beta silences the code."""
    # Four pictures: the code must carry log 4 nats, for which it needs no small variance.
    batch = pictures(4).repeat(8, 1, 1, 1)
    reports = {
        beta: train(step_of(settings(beta=beta, latent_size=2, learning_rate=1e-2)), batch, 400)
        for beta in (0.0, 1.0, 50.0)
    }
    assert reports[0.0]["posterior_sigma"] < 0.2
    assert reports[1.0]["posterior_sigma"] > 2.0 * reports[0.0]["posterior_sigma"]
    assert reports[50.0]["posterior_sigma"] == pytest.approx(1.0, abs=0.1)
    assert reports[0.0]["kl_nats"] > 2.0 * reports[1.0]["kl_nats"] > 10.0 * reports[50.0]["kl_nats"]
    assert reports[0.0]["reconstruction_nats"] < reports[1.0]["reconstruction_nats"]
    assert reports[1.0]["reconstruction_nats"] < 0.5 * reports[50.0]["reconstruction_nats"]


def test_the_learnt_sigma_is_the_root_mean_squared_error() -> None:
    step = step_of(settings(likelihood="gaussian", latent_size=1, learning_rate=2e-2), (4,))
    batch = 0.3 * torch.randn(256, 4, generator=torch.Generator().manual_seed(1))
    train(step, batch, 400)
    assert isinstance(step.network, VaeNetwork)
    with torch.no_grad():
        location, _, _ = step.network(batch, draws(1000).normal("code", 256, 1))
        error = (location - batch).square().mean()
    assert step.network.log_variance.exp().item() == pytest.approx(error.item(), rel=0.05)


def test_samples_are_the_averaged_decoders_means() -> None:
    step, latent = step_of(settings()), noise()
    assert isinstance(step.network_ema, VaeNetwork)
    images = step.sample(latent)
    torch.testing.assert_close(images, torch.sigmoid(step.network_ema.decoder(latent)))
    assert not images.requires_grad
    with torch.no_grad():
        for parameter in step.network.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(latent), images)


def test_pictures_are_sampled_between_zero_and_one() -> None:
    """A Bernoulli's mean is the sigmoid of its logits; a Gaussian's is the location, cut to the interval."""
    latent = 50.0 * noise()
    for likelihood, squash in (("bernoulli", torch.sigmoid), ("gaussian", lambda at: at.clamp(0.0, 1.0))):
        step = step_of(settings(likelihood=likelihood))
        assert isinstance(step.network_ema, VaeNetwork)
        location = step.network_ema.decoder(latent)
        assert location.abs().max() > 1.0
        torch.testing.assert_close(step.sample(latent), squash(location))


def test_vectors_are_sampled_as_they_are() -> None:
    step = step_of(settings(likelihood="gaussian"), (6,))
    assert isinstance(step.network_ema, VaeNetwork)
    torch.testing.assert_close(step.sample(noise()), step.network_ema.decoder(noise()))
    assert step.sample(100.0 * noise()).abs().max() > 1.0


def test_diagnosis_is_the_same_loss_on_held_out_samples_by_the_averaged_network() -> None:
    step, held_out = step_of(settings()), pictures(12, seed=7)
    train(step, pictures(), 5)
    found = step.diagnose(pictures(), held_out, draws())
    expected = step.losses(step.network_ema, held_out, draws().normal("diagnose", 12, 3))
    assert found == {f"held_out_{name}": pytest.approx(value.item()) for name, value in expected.items()}


def test_a_loss_that_is_not_finite_stops_before_anything_moves() -> None:
    step = step_of(settings())
    before = weights(step.network), weights(step.network_ema)
    with pytest.raises(TrainingError, match="training loss became nan"):
        step.update([torch.full((4, *PICTURE), math.nan)], draws(), 1.0, 0)
    assert torch.equal(weights(step.network), before[0])
    assert torch.equal(weights(step.network_ema), before[1])


def test_the_same_seed_gives_the_same_weights() -> None:
    def trained(seed: int) -> Tensor:
        step = step_of(settings(), seed=seed)
        train(step, pictures(), 3)
        return torch.cat([weights(network) for network in step.networks.values()])

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))


def test_every_update_draws_fresh_noise() -> None:
    step, seen = step_of(settings()), []
    step.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].clone()))
    train(step, pictures(), 3)
    assert len(seen) == 3
    assert not any(torch.any(a == b) for i, a in enumerate(seen) for b in seen[:i])
    assert torch.equal(seen[2], draws(2).normal("code", 16, 3))


def test_a_convolutional_vae_takes_an_update() -> None:
    small = ConvolutionalSettings(base_channels=2, max_channels=4)
    step = step_of(settings(encoder=small, decoder=small), (3, 9, 8))
    before = weights(step.network)
    step.update([pictures(4, shape=(3, 9, 8))], draws(), 1.0, 0)
    assert not torch.equal(weights(step.network), before)
    assert step.sample(noise(4)).shape == (4, 3, 9, 8)


def test_terms_of_a_gaussian_need_their_variance() -> None:
    network = VaeNetwork(settings(likelihood="gaussian"), (6,))
    with pytest.raises(AssertionError):
        negative_elbo_terms(network, settings(likelihood="gaussian"), None, pictures(shape=(6,)), noise())
