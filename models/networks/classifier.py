"""A small classifier whose last hidden layer is the feature space that generators are judged in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.initialisation import initialise


class Classifier(nn.Module):
    """[N, C, H, W] in [0, 1] → features [N, d] and class logits [N, K]."""

    def __init__(
        self, sample_shape: tuple[int, int, int], base_channels: int, feature_width: int, classes: int
    ) -> None:
        super().__init__()
        channels, height, width = sample_shape
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, base_channels, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(base_channels, 2 * base_channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * base_channels, 4 * base_channels, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d((min(4, height // 4), min(4, width // 4))),
            nn.Flatten(),
            nn.Dropout(0.25),
        )
        with torch.no_grad():
            self.convolutions.eval()
            flat = self.convolutions(torch.zeros(1, *sample_shape)).shape[1]
            self.convolutions.train()
        self.features = nn.Linear(flat, feature_width)
        self.head = nn.Linear(feature_width, classes)
        initialise(self)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.convolutions(2.0 * image - 1.0))
        return features, self.head(torch.relu(features))


class NearestCenter(nn.Module):
    """[N, D] → the vectors themselves and, as logits, minus half the squared distance to each class's mean."""

    def __init__(self, centers: Tensor) -> None:
        super().__init__()
        self.register_buffer("centers", centers)

    centers: Tensor

    def forward(self, sample: Tensor) -> tuple[Tensor, Tensor]:
        # |x|^2 is the same for every class: leaving it out keeps the argmax and the softmax.
        logits = sample @ self.centers.T - 0.5 * self.centers.square().sum(dim=1)
        return sample, logits
