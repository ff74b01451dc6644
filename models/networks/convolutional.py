"""Strided convolutions without normalization (after Radford et al. 2016, less its BatchNorm)."""

from __future__ import annotations

from torch import Tensor, nn

from models.config import ConvolutionalSettings
from models.networks.initialisation import activation, initialise
from models.networks.resolutions import channels_at, sizes_of


class ConvolutionalToImage(nn.Module):
    """[N, Z] → [N, C, H, W]: a generator or decoder without a final squashing."""

    def __init__(self, latent_size: int, sample_shape: tuple[int, int, int], settings: ConvolutionalSettings) -> None:
        super().__init__()
        image_channels, height, width = sample_shape
        self.sizes = sizes_of(height, width)
        levels = len(self.sizes) - 1
        coarse_height, coarse_width = self.sizes[-1]
        self.coarse_shape = (channels_at(settings, levels), coarse_height, coarse_width)
        self.project = nn.Linear(latent_size, self.coarse_shape[0] * coarse_height * coarse_width)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(channels_at(settings, level), channels_at(settings, level - 1), 4, stride=2, padding=1)
            for level in range(levels, 0, -1)
        )
        self.to_image = nn.Conv2d(channels_at(settings, 0), image_channels, 3, padding=1)
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
        sizes = sizes_of(height, width)
        levels = len(sizes) - 1
        # The first halving already widens: at the finest size a discriminator has the pixels alone.
        channels = [image_channels] + [channels_at(settings, level) for level in range(levels)]
        self.downsample = nn.ModuleList(
            nn.Conv2d(channels[level], channels[level + 1], 3 if (h % 2 or w % 2) else 4, stride=2, padding=1)
            for level, (h, w) in enumerate(sizes[:-1])
        )
        coarse_channels = channels_at(settings, levels)
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
