"""Pixels as graphs take and give them, and pictures as networks do: a pair of inverses."""

from __future__ import annotations

import torch
from torch import Tensor


def to_pixels(image: Tensor) -> Tensor:
    """float [N, C, H, W] in [0, 1] → uint8 [N, H, W, C], rounded."""
    return torch.round(image * 255.0).to(torch.uint8).permute(0, 2, 3, 1)


def from_pixels(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W, C] → float32 [N, C, H, W] in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
