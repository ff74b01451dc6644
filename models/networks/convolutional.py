"""Strided convolutions without normalization (after Radford et al. 2016, less its BatchNorm).

The spatial size is halved (rounding up) until it is at most 7; odd sizes are cropped on the way up, so that
every size from 8 to 256 pixels comes back exactly.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.config import ConvolutionalSettings
from models.errors import ConfigurationError
from models.networks.initialisation import activation, initialise

COARSEST_PIXELS = 7


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Spatial sizes from the finest to the coarsest."""
    if not (8 <= height <= 256 and 8 <= width <= 256):
        raise ConfigurationError(
            f"A convolutional network takes pictures of 8 to 256 pixels, not {height}x{width}.",
            "Set data.image_size within that range, or choose an mlp.",
        )
    sizes = [(height, width)]
    while max(sizes[-1]) > COARSEST_PIXELS:
        h, w = sizes[-1]
        sizes.append((-(-h // 2), -(-w // 2)))
    return sizes


def _channels(settings: ConvolutionalSettings, level: int) -> int:
    return int(min(settings.base_channels * 2**level, settings.max_channels))


class ConvolutionalToImage(nn.Module):
    """[N, Z] → [N, C, H, W]: a generator or decoder without a final squashing."""

    def __init__(self, latent_size: int, sample_shape: tuple[int, int, int], settings: ConvolutionalSettings) -> None:
        super().__init__()
        image_channels, height, width = sample_shape
        self.sizes = _sizes(height, width)
        levels = len(self.sizes) - 1
        coarse_height, coarse_width = self.sizes[-1]
        self.coarse_shape = (_channels(settings, levels), coarse_height, coarse_width)
        self.project = nn.Linear(latent_size, self.coarse_shape[0] * coarse_height * coarse_width)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(_channels(settings, level), _channels(settings, level - 1), 4, stride=2, padding=1)
            for level in range(levels, 0, -1)
        )
        self.to_image = nn.Conv2d(_channels(settings, 0), image_channels, 3, padding=1)
        self.activation = activation()
        initialise(self)

    def forward(self, latent: Tensor) -> Tensor:
        hidden = self.project(latent).view(-1, *self.coarse_shape)
        for layer, (height, width) in zip(self.upsample, reversed(self.sizes[:-1]), strict=True):
            hidden = layer(self.activation(hidden))[:, :, :height, :width]
        return self.to_image(self.activation(hidden))  # type: ignore[no-any-return]


class ConvolutionalFromImage(nn.Module):
    """[N, C, H, W] → [N, out_features]: a discriminator or encoder."""

    def __init__(self, sample_shape: tuple[int, int, int], out_features: int, settings: ConvolutionalSettings) -> None:
        super().__init__()
        image_channels, height, width = sample_shape
        sizes = _sizes(height, width)
        levels = len(sizes) - 1
        # The first halving already widens: at the finest size a discriminator has the pixels alone.
        channels = [image_channels] + [_channels(settings, level) for level in range(levels)]
        self.downsample = nn.ModuleList(
            nn.Conv2d(channels[level], channels[level + 1], 3 if (h % 2 or w % 2) else 4, stride=2, padding=1)
            for level, (h, w) in enumerate(sizes[:-1])
        )
        coarse_channels = _channels(settings, levels)
        self.mix = nn.Conv2d(channels[-1], coarse_channels, 3, padding=1)
        coarse_height, coarse_width = sizes[-1]
        self.out = nn.Linear(coarse_channels * coarse_height * coarse_width, out_features)
        self.activation = activation()
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        hidden = image
        for layer in self.downsample:
            hidden = self.activation(layer(hidden))
        return self.out(self.activation(self.mix(hidden)).flatten(1))  # type: ignore[no-any-return]
