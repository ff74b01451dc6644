"""Settings of the gate: fixed before training, different per family."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from models.config import Settings


class GateSettings(Settings):
    """Limits that a model must keep. A limit that is none is not asked of this recipe."""

    samples: PositiveInt = Field(default=10_000, ge=100, le=1_000_000, description="samples drawn from the prior")
    seed: int = Field(default=0, ge=0, lt=2**53, description="seed of those samples; the champion gets the same")
    bootstrap_replicates: PositiveInt = Field(default=100, ge=20, le=10_000)
    minimum_rows_per_feature: PositiveFloat = Field(
        default=8.0, description="held-out rows per feature below which a Fréchet distance says nothing"
    )
    minimum_extractor_accuracy: float | None = Field(
        default=None, ge=0.0, le=1.0, description="held-out accuracy that the extractor itself must have"
    )
    frechet_floor_multiple: PositiveFloat | None = Field(
        default=None, description="limit of the Fréchet distance, as a multiple of the real-vs-real floor"
    )
    smallest_mode_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="share of the samples that the weakest mode must have"
    )
    mode_kl_nats: NonNegativeFloat | None = Field(
        default=None, description="limit of KL(modes of samples ‖ modes of data), less its sampling floor"
    )
    high_quality_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="share of samples within 3 sigma of a mode (mixtures)"
    )
    reconstruction_mean_squared_error: PositiveFloat | None = Field(
        default=None, description="limit of the held-out reconstruction error per pixel in [0, 1]"
    )
    active_units: int | None = Field(default=None, ge=0, description="latent dimensions that must be in use")
    non_inferiority_margin: NonNegativeFloat = Field(
        default=0.1, description="share by which the Fréchet distance may exceed the champion's"
    )
