"""Multilayer perceptrons, from and to vectors or pictures taken as vectors."""

from __future__ import annotations

import math
from typing import assert_never

from torch import Tensor, nn

from models.config import MlpSettings
from models.networks.initialisation import activation, initialise, initialise_for_tanh


def _layers(in_features: int, settings: MlpSettings, out_features: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = in_features
    for _ in range(settings.hidden_layers):
        layers += [nn.Linear(width, settings.hidden_width), _activation(settings)]
        width = settings.hidden_width
    network = nn.Sequential(*layers, nn.Linear(width, out_features))
    match settings.activation:
        case "leaky-relu":
            initialise(network)
        case "tanh":
            initialise_for_tanh(network)
        case _:
            assert_never(settings.activation)
    return network


def _activation(settings: MlpSettings) -> nn.Module:
    match settings.activation:
        case "leaky-relu":
            return activation()
        case "tanh":
            return nn.Tanh()
        case _:
            assert_never(settings.activation)


class MlpToSample(nn.Module):
    """[N, Z] → [N, *sample_shape]: a generator or decoder without a final squashing."""

    def __init__(self, latent_size: int, sample_shape: tuple[int, ...], settings: MlpSettings) -> None:
        super().__init__()
        self.sample_shape = sample_shape
        self.layers = _layers(latent_size, settings, math.prod(sample_shape))

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent).view(-1, *self.sample_shape)  # type: ignore[no-any-return]


class MlpFromSample(nn.Module):
    """[N, *sample_shape] → [N, out_features]: a discriminator or encoder."""

    def __init__(self, sample_shape: tuple[int, ...], out_features: int, settings: MlpSettings) -> None:
        super().__init__()
        self.layers = _layers(math.prod(sample_shape), settings, out_features)

    def forward(self, sample: Tensor) -> Tensor:
        return self.layers(sample.flatten(1))  # type: ignore[no-any-return]
