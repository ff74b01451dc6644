"""Inception-v3 as the Fréchet inception distance was defined on it (Heusel et al. 2017; Szegedy et al. 2016).

The network of 2015 differs from torchvision's in its pooling: averages leave the padding out, and the last block takes
a maximum. Its weights go by the same names, in the file that torch-fidelity publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

SIDE = 299
CLASSES = 1008

Chain = Sequence[str | tuple[str, str]]
_A: Sequence[Chain] = (
    ("branch1x1",),
    ("branch5x5_1", "branch5x5_2"),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
)
_C: Sequence[Chain] = (
    ("branch1x1",),
    ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
    ("branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
)
_E: Sequence[Chain] = (
    ("branch1x1",),
    ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
    ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
_BLOCKS: dict[str, Sequence[Chain]] = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}
_ORDER = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)


class InceptionFeatures(nn.Module):
    """Pictures in [0, 255], [N, C, H, W] with C 1 or 3 → [N, 2048], the last pooling's output."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.inception import Inception3

        self.network: Any = Inception3(CLASSES, aux_logits=False, transform_input=False, init_weights=False)
        self.eval()

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take published weights.

        Raises:
            RuntimeError: if they are another network's.
        """
        self.network.load_state_dict(weights)

    def forward(self, pixels: Tensor) -> Tensor:
        x = resized_like_tensorflow_1(pixels.expand(-1, 3, -1, -1), SIDE)
        x = (x - 128.0) / 128.0
        for name in _ORDER:
            block = getattr(self.network, name)
            x = _mixed(block, _BLOCKS[name], x, last=name == "Mixed_7c") if name in _BLOCKS else block(x)
        return x.mean(dim=(2, 3))


def _mixed(block: Any, chains: Sequence[Chain], x: Tensor, *, last: bool) -> Tensor:
    """The branches of a block side by side, the pooled one at the end."""
    branches = []
    for chain in chains:
        value = x
        for link in chain:
            if isinstance(link, tuple):
                value = torch.cat([getattr(block, name)(value) for name in link], dim=1)
            else:
                value = getattr(block, link)(value)
        branches.append(value)
    if last:
        pooled = max_pool2d(x, 3, stride=1, padding=1)
    else:
        pooled = avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return torch.cat([*branches, block.branch_pool(pooled)], dim=1)


def resized_like_tensorflow_1(pixels: Tensor, side: int) -> Tensor:
    """Bilinear with source coordinate = target coordinate * scale, from the corner: no half-pixel centres, no
    antialiasing. What the published distances were computed with. [N, C, H, W] → [N, C, side, side]."""
    height, width = pixels.shape[-2:]
    return _weights(height, side).to(pixels) @ pixels @ _weights(width, side).to(pixels).T


def _weights(size: int, side: int) -> Tensor:
    """[side, size]: what each target takes from each source."""
    place = torch.arange(side, dtype=torch.float64) * (size / side)
    lower = place.floor().long()
    upper = torch.clamp(lower + 1, max=size - 1)
    share = place - lower
    weights = torch.zeros(side, size, dtype=torch.float64)
    rows = torch.arange(side)
    weights[rows, lower] += 1.0 - share
    weights[rows, upper] += share
    return weights
