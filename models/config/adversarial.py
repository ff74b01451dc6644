"""Settings of a GAN: objective, regularization, noise, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from models.config.base import Settings
from models.config.networks import ConvolutionalSettings, Network

# -- objectives ---------------------------------------------------------------------------------------


class MinimaxSettings(Settings):
    """Goodfellow et al. 2014, eq. 1: the generator descends log(1 - D(G(z))), which saturates."""

    kind: Literal["minimax"] = "minimax"


class NonSaturatingSettings(Settings):
    """Goodfellow et al. 2014, section 3: the generator descends -log D(G(z))."""

    kind: Literal["non-saturating"] = "non-saturating"


class LeastSquaresSettings(Settings):
    """Mao et al. 2017, eq. 9: targets 1 for real and 0 for generated, G aims at 1."""

    kind: Literal["least-squares"] = "least-squares"


class HingeSettings(Settings):
    """Lim and Ye 2017, Miyato et al. 2018, eqs. 16 and 17: D stops caring beyond its margin."""

    kind: Literal["hinge"] = "hinge"


class WassersteinSettings(Settings):
    """Arjovsky et al. 2017, eq. 2: a critic's mean difference; it needs gradient_penalty_weight or spectral_norm."""

    kind: Literal["wasserstein"] = "wasserstein"


class RelativisticSettings(Settings):
    """The relativistic pairing loss (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2)."""

    kind: Literal["relativistic"] = "relativistic"


class ForwardKlSettings(Settings):
    """G descends KL(p_data ‖ p_G) by the density ratio that D's logit estimates (Nowozin et al. 2016, table 1)."""

    kind: Literal["forward-kl"] = "forward-kl"


class ReverseKlSettings(Settings):
    """G descends KL(p_G ‖ p_data) by the density ratio that D's logit estimates (Nowozin et al. 2016, table 1)."""

    kind: Literal["reverse-kl"] = "reverse-kl"


Objective = Annotated[
    MinimaxSettings
    | NonSaturatingSettings
    | LeastSquaresSettings
    | HingeSettings
    | WassersteinSettings
    | RelativisticSettings
    | ForwardKlSettings
    | ReverseKlSettings,
    Field(discriminator="kind"),
]


# -- instance noise -----------------------------------------------------------------------------------


class NoNoise(Settings):
    """D sees samples as they are."""

    kind: Literal["none"] = "none"


class _AnnealedNoise(Settings):
    sigma: PositiveFloat = Field(
        default=0.5, description="standard deviation at the start, in the samples' own units (pictures: -1 to 1)"
    )
    until_share: float = Field(default=0.5, gt=0.0, le=1.0, description="share of the budget after which it is zero")


class LinearNoise(_AnnealedNoise):
    """Sigma falls in a straight line."""

    kind: Literal["linear"] = "linear"


class CosineNoise(_AnnealedNoise):
    """Sigma falls along half a cosine: late at first, slowly at the end."""

    kind: Literal["cosine"] = "cosine"


class AdaptiveNoise(_AnnealedNoise):
    """As much as it takes to keep D from telling every pair; never above the straight line to zero."""

    kind: Literal["adaptive"] = "adaptive"
    target: float = Field(
        default=0.8, gt=0.0, lt=1.0, description="E[sign(D(x) - D(G(z)))] that the noise is steered to"
    )
    images_to_full: PositiveInt = Field(
        default=50_000, description="images in which the noise could go from none to the whole line"
    )


InstanceNoise = Annotated[NoNoise | LinearNoise | CosineNoise | AdaptiveNoise, Field(discriminator="kind")]


class AugmentationSettings(Settings):
    """Adaptive discriminator augmentation (Karras et al. 2020), for pictures.

    The probability of each transformation follows the separation of pairs, E[sign(D(x) - D(G(z)))] on training data,
    towards ``target``: a relativistic critic's offset is free, so that the paper's E[sign D(x)] would say nothing.
    """

    maximal_probability: float = Field(
        default=0.0, ge=0.0, le=1.0, description="0 switches augmentation off; below 0.8 nothing leaks into samples"
    )
    target: float = Field(
        default=0.6, gt=0.0, lt=1.0, description="E[sign(D(x) - D(G(z)))] that the probability is steered to"
    )
    images_to_full: PositiveInt = Field(
        default=500_000, description="images in which the probability could rise from 0 to 1"
    )
    mirror: bool = Field(default=False, description="mirror left and right: not for digits and letters")
    colour: bool = Field(default=True, description="vary brightness and contrast")


# -- the family ---------------------------------------------------------------------------------------


class GanSettings(Settings):
    """A generator and a discriminator that play against each other."""

    family: Literal["gan"] = "gan"
    latent_size: PositiveInt = Field(default=64, le=65536, description="components of z")
    normalize_latent: bool = Field(default=False, description="scale every z to length sqrt(Z) before the first layer")
    conditional: bool = Field(default=False, description="G and D are told the class")
    generator: Network = ConvolutionalSettings()
    discriminator: Network = ConvolutionalSettings()
    objective: Objective = RelativisticSettings()
    discriminator_steps: PositiveInt = Field(
        default=1, le=100, description="k of Goodfellow's Algorithm 1: D updates before each G update"
    )
    shared_latents: bool = Field(
        default=False,
        description="G is moved by the samples that D's last update saw, which spares a pass; else by fresh ones",
    )
    packing: PositiveInt = Field(
        default=1, le=16, description="samples that D judges together (Lin et al. 2018, PacGAN); 1: each alone"
    )
    spectral_norm: bool = Field(default=False, description="D's layers have spectral norm 1 (Miyato et al. 2018)")
    r1_weight: NonNegativeFloat = Field(default=1.0, description="gamma of the penalty on D's gradient at real samples")
    r2_weight: NonNegativeFloat = Field(
        default=1.0, description="gamma of the penalty on D's gradient at generated samples"
    )
    penalty_final_share: float = Field(
        default=1.0, gt=0.0, le=1.0, description="share of the R1 and R2 weights that they fall to, geometrically"
    )
    penalty_decay_share: float = Field(
        default=0.5, gt=0.0, le=1.0, description="share of the budget after which they have fallen"
    )
    gradient_penalty_weight: NonNegativeFloat = Field(
        default=0.0, description="lambda of the penalty on ‖∇D‖ - 1 between real and generated (Gulrajani et al. 2017)"
    )
    instance_noise: InstanceNoise = NoNoise()
    augmentation: AugmentationSettings = AugmentationSettings()
    generator_learning_rate: PositiveFloat = 1e-3
    discriminator_learning_rate: PositiveFloat = 1e-3
    second_moment_decay: float = Field(default=0.99, ge=0.5, lt=1.0, description="beta2 of both players' Adam")
    ema_half_life_images: PositiveInt = Field(
        default=5_000, description="half-life of the averaged generator's memory, in images"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> GanSettings:
        if (
            self.objective.kind == "wasserstein"
            and not self.spectral_norm
            and not self.gradient_penalty_weight
            and not (self.r1_weight and self.r2_weight)
        ):
            raise ValueError(
                "a wasserstein critic needs gradient_penalty_weight (10 is customary), spectral_norm, or R1 and R2"
            )
        if self.conditional and self.packing > 1:
            raise ValueError("packing and conditional exclude each other: a pack has no one class")
        return self
