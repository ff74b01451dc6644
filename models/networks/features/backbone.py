"""Networks of torchvision without their last layer, pretrained on ImageNet or on anything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

SIDE = 224
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's channels, in [0, 1]: what its networks were trained with."""
_HEADS = ("fc", "classifier", "head", "heads")


class Backbone(nn.Module):
    """Pictures in [0, 255], [N, C, H, W] with C 1 or 3 → the input of the network's last layer, [N, d]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: str, weights: dict[str, Tensor]) -> None:
        """
        Args:
            architecture: a name of ``torchvision.models``, such as resnet50.
            weights: its state dict, heads included.

        Raises:
            ValueError: if there is no such network.
            RuntimeError: if the weights are another network's.
        """
        super().__init__()
        from torchvision.models import get_model

        self.network: Any = get_model(architecture, weights=None)
        self.network.load_state_dict(weights)
        head = next((name for name in _HEADS if hasattr(self.network, name)), None)
        if head is None:
            raise ValueError(f"{architecture} has no last layer that is known")
        last = getattr(self.network, head)
        # Of a sequence only the very last layer decides on classes.
        if isinstance(last, nn.Sequential):
            last[-1] = nn.Identity()
        else:
            setattr(self.network, head, nn.Identity())
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.expand(-1, 3, -1, -1) / 255.0
        # Pictures of up to 224 pixels are enlarged, for which antialiasing changes nothing; larger ones are averaged.
        x = interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.network((x - self.mean) / self.deviation)
        return features.flatten(1)
