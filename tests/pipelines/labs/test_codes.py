"""The autoencoders' demonstrations in small: the direction of what they measure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from models.steps.batch import Batch
from pipelines.labs import code_noise, collapse_to_ae, digits, hand_made_penalties, latent_holes
from pipelines.labs.result import Finding
from pipelines.labs.training import draws_of

Measured = Callable[[Finding], dict[str, float]]
TINY = {"images_seen": 3_000, "batch_size": 30, "hidden_width": 32, "held_out": 300}


@pytest.fixture(autouse=True)
def _few_digits(monkeypatch: pytest.MonkeyPatch, blobs: digits.Digits) -> None:
    monkeypatch.setattr(digits, "digits", lambda held_out: blobs)


@pytest.fixture(scope="module")
def blobs() -> digits.Digits:
    """Squares of random place and size instead of digits: nothing to read, and something to learn."""
    random = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 9, (900, 2), generator=random)
    side = torch.randint(3, 8, (900, 1), generator=random)
    at = torch.arange(digits.PIXELS)
    inside = [(at >= corner[:, [axis]]) & (at < corner[:, [axis]] + side) for axis in (0, 1)]
    pictures = (inside[0][:, :, None] & inside[1][:, None, :]).float()[:, None]
    return digits.Digits(pictures[300:], pictures[:300])


def test_pictures_are_at_no_distance_from_themselves(blobs: digits.Digits) -> None:
    features = digits.PrincipalComponents(blobs.train)
    assert features.distance(blobs.train, blobs.train) == pytest.approx(0.0, abs=1e-8)
    assert features.distance(blobs.train, 1.0 - blobs.train) > 1.0


def test_draws_of_the_codes_own_gaussian_have_the_codes_moments() -> None:
    random = torch.Generator().manual_seed(0)
    codes = torch.randn(500, 3, generator=random) @ torch.randn(3, 3, generator=random) + 2.0
    noise = torch.randn(100_000, 3, generator=random)
    drawn = latent_holes.own_gaussian(codes, noise)
    torch.testing.assert_close(drawn.mean(dim=0), codes.mean(dim=0), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(codes.T), atol=0.1, rtol=0.05)


def test_the_prior_finds_the_autoencoders_holes_and_not_the_vaes(measured: Measured) -> None:
    numbers = measured(latent_holes.run(0, digits.Size(**TINY)))
    assert sum(name.startswith("Fréchet distance:") for name in numbers) == 7
    assert min(numbers.values()) >= 0.0
    # Hardly trained, both are far from the data; what the prior adds to that is the autoencoder's holes.
    holes = {
        family: numbers[f"Fréchet distance: {family}, N(0, I)"]
        / numbers[f"Fréchet distance: {family}, codes of held-out digits"]
        for family in ("AE", "VAE")
    }
    assert holes["AE"] > 1.1 * holes["VAE"]
    assert numbers["AE from N(0, I), against the VAE's from there"] > 1.0
    own = numbers["Fréchet distance: AE, its codes' own Gaussian"]
    assert own < 0.9 * numbers["Fréchet distance: AE, N(0, I)"]  # what it lacks is to know where its codes lie
    assert numbers["Fréchet distance: held-out digits, as they are"] < 0.1 * own


def test_noise_on_the_code_costs_the_autoencoder_more_than_the_vae(measured: Measured) -> None:
    numbers = measured(code_noise.run(0, digits.Size(**TINY)))
    assert numbers["AE: growth of the error by noise 0.5"] > 1.0
    assert numbers["VAE: growth of the error by noise 0.5"] > 1.0
    excess = {family: numbers[f"{family}: growth of the error by noise 0.5"] - 1.0 for family in ("AE", "VAE")}
    assert excess["AE"] > 1.5 * excess["VAE"]
    assert numbers["growth of the AE's error over growth of the VAE's"] > 1.005
    assert numbers["rank correlation of posterior variance and bits of a dimension"] < -0.3


def test_ranks_correlate_as_they_should() -> None:
    values = torch.tensor([3.0, 1.0, 2.0, 10.0])
    assert code_noise.rank_correlation(values, values.exp()) == pytest.approx(1.0)
    assert code_noise.rank_correlation(values, -values) == pytest.approx(-1.0)


def test_less_kl_is_less_noise(measured: Measured) -> None:
    numbers = measured(collapse_to_ae.run(0, collapse_to_ae.Size(**TINY, betas=(1.0, 0.0))))
    assert numbers["sigma at beta 0, share of that at 1"] < 1.0
    assert numbers["beta 0: squared error of held-out digits"] < numbers["beta 1: squared error of held-out digits"]


def test_the_hand_made_pair_is_descended_and_the_bound_is_not(blobs: digits.Digits) -> None:
    size = hand_made_penalties.Size(**TINY)
    step = hand_made_penalties.HandMadeStep(digits.vae_settings(size), (1, digits.PIXELS, digits.PIXELS), 2.0)
    batch = Batch(blobs.held_out[:8])
    with torch.no_grad():
        report = step.diagnose(batch, batch, draws_of(0))
        mean, log_variance = step.network_ema.encoder(batch.samples)
    penalty = (0.5 * mean.square() + log_variance.square()).sum(dim=1).mean()
    assert report["held_out_loss"] == pytest.approx(report["held_out_reconstruction_nats"] + float(penalty), rel=1e-5)


def test_each_ratio_is_judged_by_the_closed_forms_bound(measured: Measured) -> None:
    size = hand_made_penalties.Size(**TINY, ratios=(10.0,))
    numbers = measured(hand_made_penalties.run(0, size))
    assert "ratio 10: -ELBO above the closed form's, nats" in numbers
    assert numbers["ratio of the closed form at sigma near 1"] == pytest.approx(0.5, abs=1e-3)
