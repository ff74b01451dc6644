"""How weights start."""

from __future__ import annotations

from torch import nn

LEAKY_SLOPE = 0.2


def initialise(network: nn.Module) -> None:
    """Normal weights that keep the variance through leaky rectifiers, zero biases (He et al. 2015, eq. 14)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, a=LEAKY_SLOPE, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def activation() -> nn.Module:
    """The non-linearity of all hidden layers of networks for pictures."""
    return nn.LeakyReLU(LEAKY_SLOPE)


def initialise_for_tanh(network: nn.Module) -> None:
    """Uniform weights that keep the variance through a tanh's linear part, zero biases (Glorot and Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
