"""Settings of the two families with an encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from models.config.base import Settings
from models.config.networks import ConvolutionalSettings, Network

LikelihoodKind = Literal["bernoulli", "gaussian", "discretized-logistic"]


class VaeSettings(Settings):
    """An encoder to a diagonal Gaussian and a decoder; the loss is the negative ELBO, or a tighter bound."""

    family: Literal["vae"] = "vae"
    latent_size: PositiveInt = Field(default=16, le=65536, description="components of z")
    conditional: bool = Field(default=False, description="the decoder is told the class; the encoder, q(z|x), is not")
    encoder: Network = ConvolutionalSettings()
    decoder: Network = ConvolutionalSettings()
    likelihood: LikelihoodKind = Field(
        default="bernoulli",
        description="p(x|z), summed over pixels; gaussian and discretized-logistic learn one shared scale",
    )
    binarize: bool = Field(
        default=False,
        description="pixels drawn black or white anew at every view, grey being the probability (bernoulli only)",
    )
    beta: NonNegativeFloat = Field(default=1.0, description="weight of the KL; 1 is the ELBO")
    importance_samples: PositiveInt = Field(
        default=1, le=10_000, description="k of the bound of Burda et al. 2016, eq. 8; 1 is the ELBO"
    )
    kl_warmup_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="share of the budget over which beta rises from 0"
    )
    free_bits_nats: NonNegativeFloat = Field(
        default=0.0, description="KL of each latent dimension that costs nothing (Kingma et al. 2016, eq. 15)"
    )
    capacity_nats: NonNegativeFloat = Field(
        default=0.0, description="KL that the code is steered to (Burgess et al. 2018, eq. 8); 0: no target"
    )
    capacity_share: float = Field(
        default=0.5, gt=0.0, le=1.0, description="share of the budget over which the capacity rises from 0"
    )
    learning_rate: PositiveFloat = 1e-3
    adam_epsilon: PositiveFloat = Field(default=1e-8, le=1.0, description="added to the root of Adam's second moment")
    ema_half_life_images: PositiveInt = 5_000

    @model_validator(mode="after")
    def _makes_sense(self) -> VaeSettings:
        shaped = self.free_bits_nats or self.capacity_nats or self.kl_warmup_share or self.beta != 1.0
        if self.importance_samples > 1 and shaped:
            raise ValueError(
                "importance_samples > 1 bounds the likelihood itself: beta, free_bits_nats, capacity_nats and "
                "kl_warmup_share have no meaning there"
            )
        if self.binarize and self.likelihood != "bernoulli":
            raise ValueError("binarize needs the bernoulli likelihood")
        if self.free_bits_nats and self.capacity_nats:
            raise ValueError("free_bits_nats and capacity_nats both set the KL: keep one of them")
        return self


class AutoencoderSettings(Settings):
    """Encoder, code, decoder, trained on reconstruction error alone."""

    family: Literal["ae"] = "ae"
    latent_size: PositiveInt = Field(default=16, le=65536, description="components of the code")
    encoder: Network = ConvolutionalSettings()
    decoder: Network = ConvolutionalSettings()
    learning_rate: PositiveFloat = 1e-3
    adam_epsilon: PositiveFloat = Field(default=1e-8, le=1.0, description="added to the root of Adam's second moment")
    ema_half_life_images: PositiveInt = 5_000
