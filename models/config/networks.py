"""Settings of networks: size by a few plain fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from models.config.base import Settings


class MlpSettings(Settings):
    """A multilayer perceptron: for vectors, or for small pictures taken as vectors."""

    kind: Literal["mlp"] = "mlp"
    hidden_width: PositiveInt = Field(default=128, le=16384, description="units of each hidden layer")
    hidden_layers: PositiveInt = Field(default=3, le=64, description="number of hidden layers")
    activation: Literal["leaky-relu", "tanh"] = "leaky-relu"


class ConvolutionalSettings(Settings):
    """Strided (transposed) convolutions without normalization, for pictures of 8 to 256 pixels."""

    kind: Literal["convolutional"] = "convolutional"
    base_channels: PositiveInt = Field(
        default=32, le=1024, description="channels at the finest resolution; doubled at each halving of it"
    )
    max_channels: PositiveInt = Field(default=512, le=4096, description="the doubling stops here")


class ResidualSettings(Settings):
    """Residual blocks without normalization between resamplings, for pictures of 8 to 256 pixels.

    After Huang et al. 2024 ("R3GAN", section 4): bottleneck blocks whose last layer starts at zero.
    """

    kind: Literal["residual"] = "residual"
    base_channels: PositiveInt = Field(
        default=32, le=1024, description="channels at the finest resolution; doubled at each halving of it"
    )
    max_channels: PositiveInt = Field(default=512, le=4096, description="the doubling stops here")
    blocks: PositiveInt = Field(default=1, le=16, description="residual blocks at each resolution")


Network = Annotated[MlpSettings | ConvolutionalSettings | ResidualSettings, Field(discriminator="kind")]
