"""The players and the coders built from settings."""

from __future__ import annotations

import pytest
import torch

from models.config import ConvolutionalSettings, MlpSettings, Network
from models.errors import ConfigurationError
from models.networks.build import (
    Decoder,
    DeterministicEncoder,
    Discriminator,
    GaussianEncoder,
    Generator,
    build_from_sample,
    build_to_sample,
    parameter_count,
)
from models.networks.convolutional import ConvolutionalFromImage, ConvolutionalToImage
from models.networks.mlp import MlpFromSample, MlpToSample

MLP, CONVOLUTIONAL = MlpSettings(hidden_width=8), ConvolutionalSettings(base_channels=2, max_channels=4)
CASES: list[tuple[Network, tuple[int, ...]]] = [(MLP, (2,)), (MLP, (1, 8, 8)), (CONVOLUTIONAL, (3, 9, 8))]


@pytest.mark.parametrize(("settings", "shape"), CASES)
def test_shapes(settings: Network, shape: tuple[int, ...]) -> None:
    latents, samples = torch.zeros(5, 3), torch.zeros(5, *shape)
    assert Generator(settings, 3, shape, normalize_latent=False)(latents).shape == (5, *shape)
    assert Discriminator(settings, shape)(samples).shape == (5,)
    assert Discriminator(settings, shape)(samples[:1]).shape == (1,)
    assert [part.shape for part in GaussianEncoder(settings, 3, shape)(samples)] == [(5, 3), (5, 3)]
    assert DeterministicEncoder(settings, 3, shape)(samples).shape == (5, 3)
    assert Decoder(settings, 3, shape)(latents).shape == (5, *shape)


def test_kinds() -> None:
    assert isinstance(build_to_sample(MLP, 3, (1, 8, 8)), MlpToSample)
    assert isinstance(build_from_sample(MLP, (2,), 1), MlpFromSample)
    assert isinstance(build_to_sample(CONVOLUTIONAL, 3, (1, 8, 8)), ConvolutionalToImage)
    assert isinstance(build_from_sample(CONVOLUTIONAL, (1, 8, 8), 1), ConvolutionalFromImage)


@pytest.mark.parametrize("shape", [(2,), (8, 8)])
def test_convolutions_refuse_vectors(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="needs pictures"):
        build_to_sample(CONVOLUTIONAL, 3, shape)
    with pytest.raises(ConfigurationError, match="needs pictures"):
        build_from_sample(CONVOLUTIONAL, shape, 1)


@pytest.mark.parametrize("settings", [MLP, CONVOLUTIONAL])
def test_generated_pictures_stay_within_one(settings: Network) -> None:
    torch.manual_seed(0)
    images = Generator(settings, 3, (1, 8, 8), normalize_latent=False)(50.0 * torch.randn(32, 3))
    assert images.abs().max() <= 1.0
    assert images.min() < -0.9
    assert images.max() > 0.9


def test_generated_vectors_are_free() -> None:
    torch.manual_seed(0)
    assert Generator(MLP, 3, (2,), normalize_latent=False)(50.0 * torch.randn(32, 3)).abs().max() > 2.0


def test_a_normalized_latent_has_a_direction_only() -> None:
    torch.manual_seed(0)
    latents = torch.randn(6, 16)
    generator = Generator(MLP, 16, (2,), normalize_latent=True)
    torch.testing.assert_close(generator(7.0 * latents), generator(latents), rtol=1e-4, atol=1e-5)
    on_the_sphere = latents * 4.0 / latents.norm(dim=1, keepdim=True)  # radius sqrt(16)
    torch.testing.assert_close(generator(latents), generator.body(on_the_sphere), rtol=1e-4, atol=1e-5)
    plain = Generator(MLP, 16, (2,), normalize_latent=False)
    assert (plain(7.0 * latents) - plain(latents)).abs().max() > 0.1


def test_a_zero_latent_stays_finite_when_normalized() -> None:
    assert torch.isfinite(Generator(MLP, 4, (2,), normalize_latent=True)(torch.zeros(1, 4))).all()


def test_mean_and_log_variance_are_the_two_halves_of_the_body() -> None:
    torch.manual_seed(0)
    encoder, samples = GaussianEncoder(MLP, 3, (2,)), torch.randn(4, 2)
    torch.testing.assert_close(torch.cat(encoder(samples), dim=1), encoder.body(samples))


@pytest.mark.parametrize(("settings", "shape"), CASES)
def test_a_discriminator_judges_each_sample_alone(settings: Network, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    discriminator, samples = Discriminator(settings, shape), torch.randn(6, *shape)
    one_by_one = torch.cat([discriminator(sample[None]) for sample in samples])
    torch.testing.assert_close(discriminator(samples), one_by_one, rtol=1e-4, atol=1e-5)


def test_parameter_count() -> None:
    settings = MlpSettings(hidden_width=8, hidden_layers=1)
    assert parameter_count(Discriminator(settings, (2,))) == (2 + 1) * 8 + (8 + 1)
