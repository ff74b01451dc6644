"""Convolutional networks: every size comes back exactly, every pixel counts, no sample sees another."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.config import ConvolutionalSettings
from models.errors import ConfigurationError
from models.networks.convolutional import ConvolutionalFromImage, ConvolutionalToImage

SMALL = ConvolutionalSettings(base_channels=2, max_channels=4)
SIZES = [*range(8, 34), 47, 48, 63, 64, 65, 100, 127, 128, 129, 200, 255, 256]


@pytest.mark.parametrize("size", SIZES)
def test_every_square_size(size: int) -> None:
    image = ConvolutionalToImage(3, (1, size, size), SMALL)(torch.zeros(1, 3))
    assert image.shape == (1, 1, size, size)
    assert ConvolutionalFromImage((1, size, size), 5, SMALL)(image).shape == (1, 5)


@pytest.mark.parametrize(("height", "width"), [(8, 9), (9, 8), (8, 256), (256, 8), (28, 45), (31, 64), (17, 15)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rows", [1, 4])
def test_rectangles_colours_and_batches(height: int, width: int, channels: int, rows: int) -> None:
    shape = (channels, height, width)
    image = ConvolutionalToImage(3, shape, SMALL)(torch.zeros(rows, 3))
    assert image.shape == (rows, *shape)
    assert ConvolutionalFromImage(shape, 5, SMALL)(image).shape == (rows, 5)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (257, 257), (7, 32), (32, 7), (257, 32), (32, 257), (1, 1)])
def test_sizes_outside_are_refused(height: int, width: int) -> None:
    with pytest.raises(ConfigurationError, match=f"8 to 256 pixels, not {height}x{width}"):
        ConvolutionalToImage(3, (1, height, width), SMALL)
    with pytest.raises(ConfigurationError, match=f"8 to 256 pixels, not {height}x{width}"):
        ConvolutionalFromImage((1, height, width), 1, SMALL)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (1, 15, 32), (1, 33, 33)])
def test_the_discriminator_sees_every_pixel(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ConvolutionalFromImage(shape, 1, SMALL).double()(image).sum(), image)
    assert (gradient != 0).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (1, 15, 32), (1, 33, 33)])
def test_the_generator_sets_every_pixel(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    images = ConvolutionalToImage(3, shape, SMALL)(torch.randn(64, 3))
    assert (images.std(dim=0) > 1e-4).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 15, 20)])
def test_no_sample_influences_another(shape: tuple[int, int, int]) -> None:
    """The gradient penalties rest on it, and batch normalization would break it."""
    torch.manual_seed(0)
    discriminator, generator = ConvolutionalFromImage(shape, 2, SMALL), ConvolutionalToImage(3, shape, SMALL)
    latents, images = torch.randn(6, 3), torch.randn(6, *shape)
    for network, batch in ((discriminator, images), (generator, latents)):
        one_by_one = torch.cat([network(sample[None]) for sample in batch])
        torch.testing.assert_close(network(batch), one_by_one, rtol=1e-4, atol=1e-5)


def test_training_and_evaluation_are_the_same() -> None:
    torch.manual_seed(0)
    network, image = ConvolutionalFromImage((1, 16, 16), 2, SMALL), torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(network.train()(image), network.eval()(image))
    assert not list(network.buffers())


def test_channels_double_until_the_limit() -> None:
    settings = ConvolutionalSettings(base_channels=4, max_channels=10)
    network = ConvolutionalToImage(3, (1, 64, 64), settings)  # 64, 32, 16, 8, 4
    layers = [layer for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(10, 10), (10, 10), (10, 8), (8, 4)]
    assert network.coarse_shape == (10, 4, 4)


@pytest.mark.parametrize(("size", "coarsest"), [(8, 4), (13, 7), (14, 7), (15, 4), (28, 7), (29, 4), (32, 4), (256, 4)])
def test_the_coarsest_size_is_at_most_seven(size: int, coarsest: int) -> None:
    assert ConvolutionalToImage(3, (1, size, size), SMALL).coarse_shape[1:] == (coarsest, coarsest)


def test_weights_start_with_the_variance_that_leaky_rectifiers_keep() -> None:
    torch.manual_seed(0)
    settings = ConvolutionalSettings(base_channels=32, max_channels=64)
    network = ConvolutionalFromImage((3, 16, 16), 8, settings)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            fan_in = layer.weight[0].numel()
            expected = math.sqrt(2.0 / (1.0 + 0.2**2) / fan_in)
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert layer.bias is not None
            assert layer.bias.abs().max() == 0.0
