"""Residual networks without normalization (after Huang et al. 2024, section 4).

Spatial sizes and channels follow :mod:`models.networks.resolutions`; the resampling between them has no weights
but a 1x1 projection where the channels change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from models.config import ResidualSettings
from models.networks.initialisation import activation, initialise
from models.networks.resolutions import channels_at, inner_channels, sizes_of


class ResidualBlock(nn.Module):
    """x + f(x), f being 1x1 narrowing, 3x3, 1x1 widening that starts at zero. [N, C, H, W] → the same."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        inner = inner_channels(channels)
        self.narrow = nn.Conv2d(channels, inner, 1)
        # Not in groups, as the paper has it: those are slow on CPUs, and their second derivative more so.
        self.mix = nn.Conv2d(inner, inner, 3, padding=1)
        self.widen = nn.Conv2d(inner, channels, 1, bias=False)
        self.activation = activation()
        initialise(self)
        with torch.no_grad():
            # Zhang et al. 2019 ("Fixup"), section 3: L^(-1 / (2m - 2)) for branches of m = 3 layers, the last at zero.
            for layer in (self.narrow, self.mix):
                layer.weight.mul_(depth**-0.25)
            self.widen.weight.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        branch = self.activation(self.narrow(self.activation(hidden)))
        return hidden + self.widen(self.activation(self.mix(branch)))  # type: ignore[no-any-return]


class _Stage(nn.Module):
    """The blocks of one resolution, and the projection to its channels."""

    def __init__(self, in_channels: int, channels: int, blocks: int, depth: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, 1, bias=False) if in_channels != channels else nn.Identity()
        if isinstance(self.project, nn.Conv2d):
            nn.init.kaiming_normal_(self.project.weight, nonlinearity="linear")
        self.blocks = nn.Sequential(*(ResidualBlock(channels, depth) for _ in range(blocks)))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.blocks(self.project(hidden))  # type: ignore[no-any-return]


class ResidualToImage(nn.Module):
    """[N, Z] → [N, C, H, W]: a generator or decoder without a final squashing."""

    def __init__(self, latent_size: int, sample_shape: tuple[int, int, int], settings: ResidualSettings) -> None:
        super().__init__()
        image_channels, height, width = sample_shape
        self.sizes = sizes_of(height, width)
        levels = len(self.sizes) - 1
        channels = [channels_at(settings, level) for level in range(levels, -1, -1)]
        self.coarse_shape = (channels[0], *self.sizes[-1])
        self.project = nn.Linear(latent_size, channels[0] * self.sizes[-1][0] * self.sizes[-1][1])
        self.to_image = nn.Conv2d(channels[-1], image_channels, 3, padding=1)
        self.activation = activation()
        initialise(self)
        depth = settings.blocks * (levels + 1)
        before = [channels[0], *channels[:-1]]
        self.stages = nn.ModuleList(
            _Stage(narrow, wide, settings.blocks, depth) for narrow, wide in zip(before, channels, strict=True)
        )

    def forward(self, latent: Tensor) -> Tensor:
        hidden = self.project(latent).view(-1, *self.coarse_shape)
        for stage, size in zip(self.stages, reversed(self.sizes), strict=True):
            if tuple(hidden.shape[2:]) != size:
                height, width = size
                hidden = interpolate(hidden, scale_factor=2, mode="nearest")[:, :, :height, :width]
            hidden = stage(hidden)
        return self.to_image(self.activation(hidden))  # type: ignore[no-any-return]


class ResidualFromImage(nn.Module):
    """[N, C, H, W] → [N, out_features]: a discriminator or encoder."""

    def __init__(self, sample_shape: tuple[int, int, int], out_features: int, settings: ResidualSettings) -> None:
        super().__init__()
        image_channels, height, width = sample_shape
        sizes = sizes_of(height, width)
        channels = [channels_at(settings, level) for level in range(len(sizes))]
        self.from_image = nn.Conv2d(image_channels, channels[0], 3, padding=1)
        self.out = nn.Linear(channels[-1] * sizes[-1][0] * sizes[-1][1], out_features)
        self.activation = activation()
        initialise(self)
        depth = settings.blocks * len(sizes)
        before = [channels[0], *channels[:-1]]
        self.stages = nn.ModuleList(
            _Stage(narrow, wide, settings.blocks, depth) for narrow, wide in zip(before, channels, strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.from_image(image)
        for level, stage in enumerate(self.stages):
            if level:
                hidden = avg_pool2d(hidden, 2, ceil_mode=True)
            hidden = stage(hidden)
        return self.out(self.activation(hidden).flatten(1))  # type: ignore[no-any-return]
