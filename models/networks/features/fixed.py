"""Feature spaces that nobody trained: random convolutions and the pixels themselves."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class RandomConvolutions(nn.Module):
    """Pictures in [0, 255], [N, C, H, W] → [N, width]: three random convolutions and a random projection.

    Untrained convolutions keep enough of a picture's texture and shape to tell distributions apart, and know nothing of
    any data (Naeem et al. 2020, section 4.2, use an untrained network so).
    """

    def __init__(self, channels: int, width: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = (channels, 32, 64, 128)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(sizes)
        )
        self.projection = nn.Linear(2 * sizes[-1], width)
        for layer in (*self.convolutions, self.projection):
            fan_in = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * (2.0 / fan_in) ** 0.5)
                layer.bias.zero_()
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels / 127.5 - 1.0
        for layer in self.convolutions:
            x = torch.relu(layer(x))
        # Where something is and how much of it there is: mean and root mean square over the plane.
        pooled = torch.cat([x.mean(dim=(2, 3)), (x.square().mean(dim=(2, 3)) + 1e-12).sqrt()], dim=1)
        features: Tensor = self.projection(pooled)
        return features


class Pixels(nn.Module):
    """Pictures in [0, 255], [N, C, H, W] → [N, C * H * W] in [0, 1]."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1) / 255.0
