"""The players and the coders built from settings."""

from __future__ import annotations

import pytest
import torch

from models.config import ConvolutionalSettings, MlpSettings, Network, ResidualSettings
from models.errors import ConfigurationError
from models.networks.build import (
    LABEL_FEATURES,
    Decoder,
    DeterministicEncoder,
    Discriminator,
    GaussianEncoder,
    Generator,
    build_from_sample,
    build_to_sample,
    parameter_count,
    with_label,
)
from models.networks.convolutional import ConvolutionalFromImage, ConvolutionalToImage
from models.networks.mlp import MlpFromSample, MlpToSample
from models.networks.residual import ResidualFromImage, ResidualToImage

MLP, CONVOLUTIONAL = MlpSettings(hidden_width=8), ConvolutionalSettings(base_channels=2, max_channels=4)
RESIDUAL = ResidualSettings(base_channels=2, max_channels=4)
CASES: list[tuple[Network, tuple[int, ...]]] = [
    (MLP, (2,)),
    (MLP, (1, 8, 8)),
    (CONVOLUTIONAL, (3, 9, 8)),
    (RESIDUAL, (3, 9, 8)),
]


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
    assert isinstance(build_to_sample(RESIDUAL, 3, (1, 8, 8)), ResidualToImage)
    assert isinstance(build_from_sample(RESIDUAL, (1, 8, 8), 1), ResidualFromImage)


@pytest.mark.parametrize("settings", [CONVOLUTIONAL, RESIDUAL])
@pytest.mark.parametrize("shape", [(2,), (8, 8)])
def test_convolutions_refuse_vectors(settings: Network, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="needs pictures"):
        build_to_sample(settings, 3, shape)
    with pytest.raises(ConfigurationError, match="needs pictures"):
        build_from_sample(settings, shape, 1)


@pytest.mark.parametrize("settings", [MLP, CONVOLUTIONAL, RESIDUAL])
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


@pytest.mark.parametrize(("settings", "shape"), CASES)
def test_the_label_changes_what_conditional_networks_say(settings: Network, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    latents, samples = torch.randn(1, 3).expand(4, 3), torch.randn(1, *shape).expand(4, *shape)
    label = torch.tensor([0, 1, 2, 0])
    generator = Generator(settings, 3, shape, normalize_latent=True, classes=3)
    decoder, discriminator = Decoder(settings, 3, shape, classes=3), Discriminator(settings, shape, classes=3)
    for out, expected in (
        (generator(latents, label), (4, *shape)),
        (decoder(latents, label), (4, *shape)),
        (discriminator(samples, label), (4,)),
    ):
        assert out.shape == expected
        torch.testing.assert_close(out[0], out[3], rtol=1e-4, atol=1e-5)  # the same class, the same answer
        for first, second in ((0, 1), (0, 2), (1, 2)):
            assert (out[first] - out[second]).abs().max() > 1e-4


def test_a_missing_label_is_one_clear_error() -> None:
    latents, samples = torch.zeros(2, 3), torch.zeros(2, 2)
    calls = (
        lambda: Generator(MLP, 3, (2,), normalize_latent=False, classes=3)(latents),
        lambda: Decoder(MLP, 3, (2,), classes=3)(latents),
        lambda: Discriminator(MLP, (2,), classes=3)(samples),
    )
    for call in calls:
        with pytest.raises(ConfigurationError, match="A conditional network was not told the class") as caught:
            call()
        assert "labels" in caught.value.remedy


@pytest.mark.parametrize(("settings", "shape"), CASES)
def test_without_classes_a_label_is_not_looked_at(settings: Network, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    latents, samples, label = torch.randn(2, 3), torch.randn(2, *shape), torch.tensor([0, 99])
    for network, batch in (
        (Generator(settings, 3, shape, normalize_latent=False), latents),
        (Decoder(settings, 3, shape), latents),
        (Discriminator(settings, shape), samples),
    ):
        assert torch.equal(network(batch, label), network(batch))


def test_the_projection_adds_how_well_a_sample_fits_its_class() -> None:
    """Miyato and Koyama 2018, eq. 3: one body, an unconditional logit and an inner product with the class."""
    torch.manual_seed(0)
    discriminator, samples = Discriminator(MLP, (2,), classes=3), torch.randn(5, 2)
    assert discriminator.label is not None
    label = torch.tensor([0, 1, 2, 1, 0])
    out = discriminator.body(samples)
    fit = torch.einsum("ne,ne->n", discriminator.label.weight[label], out[:, 1:]) / LABEL_FEATURES**0.5
    torch.testing.assert_close(discriminator(samples, label), out[:, 0] + fit)


def test_a_label_stands_beside_the_latent() -> None:
    torch.manual_seed(0)
    latents, embedding = torch.randn(3, 4), torch.nn.Embedding(5, 2)
    joined = with_label(latents, torch.tensor([4, 0, 4]), embedding)
    assert torch.equal(joined[:, :4], latents)
    assert torch.equal(joined[:, 4:], embedding.weight[[4, 0, 4]])
    assert with_label(latents, None, None) is latents
