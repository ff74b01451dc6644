"""Residual networks: every size comes back exactly, blocks start as the identity, no sample sees another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.config import ResidualSettings
from models.errors import ConfigurationError
from models.networks.residual import ResidualBlock, ResidualFromImage, ResidualToImage

SMALL = ResidualSettings(base_channels=2, max_channels=4)
SIZES = [*range(8, 34), 47, 48, 63, 64, 65, 127, 128, 129, 255, 256]


@pytest.mark.parametrize("size", SIZES)
def test_every_square_size(size: int) -> None:
    image = ResidualToImage(3, (1, size, size), SMALL)(torch.zeros(1, 3))
    assert image.shape == (1, 1, size, size)
    assert ResidualFromImage((1, size, size), 5, SMALL)(image).shape == (1, 5)


@pytest.mark.parametrize(("height", "width"), [(8, 9), (9, 8), (8, 100), (101, 8), (28, 45), (31, 64), (17, 15)])
@pytest.mark.parametrize("channels", [1, 3])
def test_rectangles_colours_and_batches(height: int, width: int, channels: int) -> None:
    shape = (channels, height, width)
    for rows in (1, 4):
        image = ResidualToImage(3, shape, SMALL)(torch.zeros(rows, 3))
        assert image.shape == (rows, *shape)
        assert ResidualFromImage(shape, 5, SMALL)(image).shape == (rows, 5)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (257, 257), (7, 32), (32, 257)])
def test_sizes_outside_are_refused(height: int, width: int) -> None:
    with pytest.raises(ConfigurationError, match=f"8 to 256 pixels, not {height}x{width}"):
        ResidualToImage(3, (1, height, width), SMALL)
    with pytest.raises(ConfigurationError, match=f"8 to 256 pixels, not {height}x{width}"):
        ResidualFromImage((1, height, width), 1, SMALL)


@pytest.mark.parametrize("channels", [1, 3, 8, 15, 16, 31, 32, 100])
def test_a_block_of_any_width_narrows_to_half_of_it_but_not_below_eight(channels: int) -> None:
    block = ResidualBlock(channels, depth=3)
    assert block(torch.zeros(1, channels, 4, 4)).shape == (1, channels, 4, 4)
    inner = 8 if channels < 16 else channels // 2
    shapes = [tuple(layer.weight.shape[:2]) for layer in (block.narrow, block.mix, block.widen)]
    assert shapes == [(inner, channels), (inner, inner), (channels, inner)]


def test_a_block_starts_as_the_identity_and_does_not_stay_one() -> None:
    torch.manual_seed(0)
    block, hidden = ResidualBlock(6, depth=4), torch.randn(3, 6, 5, 5)
    assert torch.equal(block(hidden), hidden)
    block(hidden).square().sum().backward()
    assert block.widen.weight.grad is not None
    assert block.widen.weight.grad.abs().max() > 0.0
    nn.init.normal_(block.widen.weight)
    assert (block(hidden) - hidden).abs().max() > 0.1


def test_a_blocks_branch_is_scaled_by_the_networks_depth() -> None:
    """Fixup: of three layers the last starts at zero, the others by L^(-1/4) smaller."""
    torch.manual_seed(0)
    shallow, deep = ResidualBlock(64, depth=1), ResidualBlock(64, depth=16)
    for layer in ("narrow", "mix"):
        ratio = getattr(deep, layer).weight.std() / getattr(shallow, layer).weight.std()
        assert ratio.item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (1, 33, 33)])
def test_the_discriminator_sees_every_pixel(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ResidualFromImage(shape, 1, SMALL).double()(image).sum(), image)
    assert (gradient != 0).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (1, 33, 33)])
def test_the_generator_sets_every_pixel(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    images = ResidualToImage(3, shape, SMALL)(torch.randn(64, 3))
    assert (images.std(dim=0) > 1e-4).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 15, 20)])
def test_no_sample_influences_another(shape: tuple[int, int, int]) -> None:
    """Also after training has moved the branches, which start at zero."""
    torch.manual_seed(0)
    discriminator, generator = ResidualFromImage(shape, 2, SMALL), ResidualToImage(3, shape, SMALL)
    latents, images = torch.randn(6, 3), torch.randn(6, *shape)
    for network, batch in ((discriminator, images), (generator, latents)):
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                nn.init.normal_(block.widen.weight)
        one_by_one = torch.cat([network(sample[None]) for sample in batch])
        torch.testing.assert_close(network(batch), one_by_one, rtol=1e-4, atol=1e-5)
        assert (network(batch) - network(batch).mean(dim=0)).abs().max() > 1e-3
        assert not list(network.buffers())


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("size", [16, 64])
def test_the_signal_starts_at_a_sane_size_at_any_depth(size: int, blocks: int) -> None:
    torch.manual_seed(0)
    settings = ResidualSettings(base_channels=8, max_channels=32, blocks=blocks)
    images = ResidualToImage(16, (3, size, size), settings)(torch.randn(8, 16))
    assert 0.3 < images.std().item() < 3.0
    coarse = torch.randn(8, 3, 4, 4).repeat_interleave(size // 4, dim=2).repeat_interleave(size // 4, dim=3)
    logits = ResidualFromImage((3, size, size), 64, settings)(coarse)
    assert 0.3 < logits.std().item() < 3.0


@pytest.mark.parametrize("blocks", [1, 3])
def test_there_are_as_many_blocks_as_asked_for_at_each_resolution(blocks: int) -> None:
    settings = ResidualSettings(base_channels=2, max_channels=4, blocks=blocks)  # 28, 14, 7
    for network in (ResidualToImage(3, (1, 28, 28), settings), ResidualFromImage((1, 28, 28), 1, settings)):
        assert sum(isinstance(module, ResidualBlock) for module in network.modules()) == 3 * blocks


def test_channels_double_until_the_limit() -> None:
    settings = ResidualSettings(base_channels=4, max_channels=10)  # 64, 32, 16, 8, 4
    widths = {
        network: [block.widen.out_channels for block in network.modules() if isinstance(block, ResidualBlock)]
        for network in (ResidualToImage(3, (1, 64, 64), settings), ResidualFromImage((1, 64, 64), 1, settings))
    }
    assert list(widths.values()) == [[10, 10, 10, 8, 4], [4, 8, 10, 10, 10]]


def test_all_weights_learn_once_the_branches_are_open() -> None:
    torch.manual_seed(0)
    for network, batch in (
        (ResidualFromImage((1, 9, 9), 2, SMALL), torch.randn(4, 1, 9, 9)),
        (ResidualToImage(3, (1, 9, 9), SMALL), torch.randn(4, 3)),
    ):
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                nn.init.normal_(block.widen.weight)
        network(batch).square().sum().backward()
        for parameter in network.parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0.0
