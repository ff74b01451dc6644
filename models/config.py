"""Settings of networks, objectives and training: frozen, validated, serialisable.

Every choice between alternatives is a closed union told apart by its ``kind``, so that an explicit
``match`` builds what it names and the type checker proves that no case is forgotten.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt


class Settings(BaseModel):
    """Base of every group of settings: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# -- networks -----------------------------------------------------------------------------------------


class MlpSettings(Settings):
    """A multilayer perceptron: for vectors, or for small pictures taken as vectors."""

    kind: Literal["mlp"] = "mlp"
    hidden_width: PositiveInt = Field(default=128, le=16384, description="units of each hidden layer")
    hidden_layers: PositiveInt = Field(default=3, le=64, description="number of hidden layers")


class ConvolutionalSettings(Settings):
    """Strided (transposed) convolutions without normalization, for pictures of 8 to 256 pixels."""

    kind: Literal["convolutional"] = "convolutional"
    base_channels: PositiveInt = Field(
        default=32, le=1024, description="channels at the finest resolution; doubled at each halving of it"
    )
    max_channels: PositiveInt = Field(default=512, le=4096, description="the doubling stops here")


Network = Annotated[MlpSettings | ConvolutionalSettings, Field(discriminator="kind")]


# -- objectives of a GAN ------------------------------------------------------------------------------


class MinimaxSettings(Settings):
    """Goodfellow et al. 2014, eq. 1: the generator descends log(1 - D(G(z))), which saturates."""

    kind: Literal["minimax"] = "minimax"


class NonSaturatingSettings(Settings):
    """Goodfellow et al. 2014, section 3: the generator descends -log D(G(z))."""

    kind: Literal["non-saturating"] = "non-saturating"


class RelativisticSettings(Settings):
    """The relativistic pairing loss (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2)."""

    kind: Literal["relativistic"] = "relativistic"


Objective = Annotated[MinimaxSettings | NonSaturatingSettings | RelativisticSettings, Field(discriminator="kind")]


# -- families -----------------------------------------------------------------------------------------


class GanSettings(Settings):
    """A generator and a discriminator that play against each other."""

    family: Literal["gan"] = "gan"
    latent_size: PositiveInt = Field(default=64, le=65536, description="components of z")
    normalize_latent: bool = Field(default=False, description="scale every z to length sqrt(Z) before the first layer")
    generator: Network = ConvolutionalSettings()
    discriminator: Network = ConvolutionalSettings()
    objective: Objective = RelativisticSettings()
    discriminator_steps: PositiveInt = Field(
        default=1, le=100, description="k of Goodfellow's Algorithm 1: D updates before each G update"
    )
    r1_weight: NonNegativeFloat = Field(default=1.0, description="gamma of the penalty on D's gradient at real samples")
    r2_weight: NonNegativeFloat = Field(
        default=1.0, description="gamma of the penalty on D's gradient at generated samples"
    )
    generator_learning_rate: PositiveFloat = 1e-3
    discriminator_learning_rate: PositiveFloat = 1e-3
    ema_half_life_images: PositiveInt = Field(
        default=5_000, description="half-life of the averaged generator's memory, in images"
    )


class VaeSettings(Settings):
    """An encoder to a diagonal Gaussian and a decoder; the loss is the negative ELBO."""

    family: Literal["vae"] = "vae"
    latent_size: PositiveInt = Field(default=16, le=65536, description="components of z")
    encoder: Network = ConvolutionalSettings()
    decoder: Network = ConvolutionalSettings()
    likelihood: Literal["bernoulli", "gaussian"] = Field(
        default="bernoulli",
        description="p(x|z), summed over pixels; gaussian learns one shared sigma",
    )
    beta: NonNegativeFloat = Field(default=1.0, description="weight of the KL; 1 is the ELBO")
    learning_rate: PositiveFloat = 1e-3
    ema_half_life_images: PositiveInt = 5_000


class AutoencoderSettings(Settings):
    """Encoder, code, decoder, trained on reconstruction error alone."""

    family: Literal["ae"] = "ae"
    latent_size: PositiveInt = Field(default=16, le=65536, description="components of the code")
    encoder: Network = ConvolutionalSettings()
    decoder: Network = ConvolutionalSettings()
    learning_rate: PositiveFloat = 1e-3
    ema_half_life_images: PositiveInt = 5_000


Model = Annotated[GanSettings | VaeSettings | AutoencoderSettings, Field(discriminator="family")]


# -- training -----------------------------------------------------------------------------------------


class TrainingSettings(Settings):
    """How long, how fast and how closely watched. Budgets are counted in images seen."""

    images_seen: PositiveInt = Field(default=100_000, description="real samples shown until the end")
    batch_size: PositiveInt = Field(
        default=64, ge=2, le=65536, description="samples of one update, summed over all processes"
    )
    warmup_images: int = Field(default=0, ge=0, description="the learning rate rises linearly over these")
    final_learning_rate_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="share of the learning rate that a cosine decay ends at"
    )
    decay_start_share: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of the budget after which the decay starts"
    )
    log_every_images: PositiveInt = 2_000
    sample_every_images: PositiveInt = 20_000
    checkpoint_every_images: PositiveInt = 20_000
    checkpoints_kept: PositiveInt = Field(default=2, le=1000, description="newest checkpoints kept for resuming")
    threads_per_process: int = Field(
        default=0, ge=0, le=1024, description="CPU threads of each process; 0 shares the cores evenly"
    )
