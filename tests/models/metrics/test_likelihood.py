"""The importance-sampled likelihood against an integral over the latent line, and its own parts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.config import MlpSettings, VaeSettings
from models.metrics.likelihood import bernoulli_nats, log_likelihood
from models.objectives.variational import bernoulli_negative_log_likelihood
from models.steps.vae import Coded, VaeNetwork, negative_log_likelihood

SMALL = MlpSettings(hidden_width=8, hidden_layers=1, activation="tanh")


def network_of(likelihood: str) -> tuple[VaeNetwork, VaeSettings]:
    torch.manual_seed(0)
    settings = VaeSettings(latent_size=1, encoder=SMALL, decoder=SMALL, likelihood=likelihood)
    return VaeNetwork(settings, (1, 4, 4)).eval(), settings


def pictures(rows: int = 5) -> Tensor:
    return (torch.rand(rows, 1, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@torch.no_grad()
def by_quadrature(network: VaeNetwork, settings: VaeSettings, samples: Tensor) -> Tensor:
    """log of the integral of p(x|z) N(z; 0, 1) over the line."""
    z = torch.linspace(-8.0, 8.0, 4_001).view(-1, 1)
    scale = network.log_scale if likelihood_has_scale(settings) else torch.zeros(())
    values = []
    for sample in samples:
        repeated = sample.expand(len(z), *sample.shape)
        coded = Coded(network.decoder(z), scale, z, z, z[None])
        log_joint = -negative_log_likelihood(coded, settings, repeated)[0].double()
        log_joint += -0.5 * (z[:, 0].double().square() + math.log(2.0 * math.pi))
        values.append(torch.logsumexp(log_joint, 0) + math.log(16.0 / 4_000))
    return torch.stack(values)


def likelihood_has_scale(settings: VaeSettings) -> bool:
    return settings.likelihood != "bernoulli"


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized-logistic"])
def test_it_is_the_integral_over_the_latent(likelihood: str) -> None:
    network, settings = network_of(likelihood)
    samples = pictures()
    estimate = log_likelihood(network, samples, importance_samples=20_000, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(estimate, by_quadrature(network, settings, samples), atol=0.03, rtol=0)


def test_more_samples_tighten_the_bound() -> None:
    network, settings = network_of("bernoulli")
    samples = pictures(64)
    generator = torch.Generator().manual_seed(3)
    loose, tight = (
        float(log_likelihood(network, samples, importance_samples=k, generator=generator).mean()) for k in (1, 500)
    )
    exact = float(by_quadrature(network, settings, samples).mean())
    assert loose < tight < exact + 0.02


@pytest.mark.parametrize("importance_samples", [1, 7, 200])
def test_the_size_of_its_batches_does_not_matter(importance_samples: int) -> None:
    """To within its own noise; one sample at a time or all at once."""
    network, _ = network_of("bernoulli")
    samples = pictures()
    few, many = (
        log_likelihood(
            network,
            samples,
            importance_samples=importance_samples,
            generator=torch.Generator().manual_seed(4),
            decoded_at_once=size,
        )
        for size in (5, 10_000)
    )
    assert few.shape == many.shape == (5,)
    assert few.dtype == torch.float64
    if importance_samples == 1:
        torch.testing.assert_close(few, many)
    else:
        assert float((few - many).abs().max()) < 4.0


@pytest.mark.parametrize("pixels", [1, 95, 96, 97, 784])
def test_grouped_products_give_the_bernoullis_likelihood(pixels: int) -> None:
    generator = torch.Generator().manual_seed(pixels)
    logits = 20.0 * torch.randn(3, 4, pixels, generator=generator)
    target = torch.rand(4, pixels, generator=generator)
    expected = bernoulli_negative_log_likelihood(logits.double().flatten(0, 1), target.double().repeat(3, 1)).view(3, 4)
    torch.testing.assert_close(bernoulli_nats(logits.clone(), target).double(), expected, rtol=1e-5, atol=1e-4)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.full((1, 1, 784), 1e4)
    assert float(bernoulli_nats(logits, torch.ones(1, 784))) == pytest.approx(0.0, abs=1e-3)
    assert float(bernoulli_nats(-logits, torch.ones(1, 784))) == pytest.approx(7.84e6)
    assert float(bernoulli_nats(torch.zeros(1, 1, 784), torch.ones(1, 784))) == pytest.approx(784 * math.log(2.0))
