"""Settings of the gate: fixed before training, different per family."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from models.config import Settings

MEASURING = frozenset({"samples", "seed", "detailed_samples", "training_rows", "importance_samples", "likelihood_rows"})
"""Fields that say how it is measured; the others are limits."""

_RETIRED = frozenset({"bootstrap_replicates"})
_RENAMED = {
    "mode_kl_nats": "mode_kl_samples_to_data_nats",
    "mode_kl_reverse_nats": "mode_kl_data_to_samples_nats",
}


class GateSettings(Settings):
    """Limits that a model must keep. A limit that is none is not asked of this recipe."""

    @model_validator(mode="before")
    @classmethod
    def _without_retired_fields(cls, fields: Any) -> Any:
        """Recipes of older versions stay readable: these can be judged again."""
        if isinstance(fields, dict):
            return {_RENAMED.get(name, name): value for name, value in fields.items() if name not in _RETIRED}
        return fields

    samples: PositiveInt = Field(default=10_000, ge=100, le=1_000_000, description="samples drawn from the prior")
    seed: int = Field(default=0, ge=0, lt=2**53, description="seed of those samples; the champion gets the same")
    detailed_samples: PositiveInt = Field(
        default=10_000, ge=100, le=100_000, description="of how many samples and held-out rows features are held"
    )
    training_rows: PositiveInt = Field(
        default=50_000, le=1_000_000, description="training rows among which copies are looked for, at most"
    )
    importance_samples: PositiveInt = Field(
        default=64, le=10_000, description="draws of the code for each row whose likelihood is estimated (VAE)"
    )
    likelihood_rows: int = Field(default=200, ge=0, le=2_048, description="held-out rows of that estimate")
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
    relative_mode_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="share of the weakest mode, as a part of its share of the data"
    )
    mode_kl_samples_to_data_nats: NonNegativeFloat | None = Field(
        default=None, description="limit of KL(modes of samples ‖ modes of data), less its sampling floor"
    )
    mode_kl_data_to_samples_nats: NonNegativeFloat | None = Field(
        default=None, description="limit of KL(modes of data ‖ modes of samples), less its sampling floor"
    )
    kernel_distance: NonNegativeFloat | None = Field(
        default=None, description="limit of the kernel distance (KID), upper end of its interval"
    )
    precision: float | None = Field(default=None, ge=0.0, le=1.0, description="least precision")
    recall: float | None = Field(default=None, ge=0.0, le=1.0, description="least recall")
    density: NonNegativeFloat | None = Field(default=None, description="least density")
    coverage: float | None = Field(default=None, ge=0.0, le=1.0, description="least coverage")
    memorized_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="largest share of samples that are next to a training row"
    )
    duplicate_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="largest share of samples that have a twin among the samples"
    )
    sharpness_ratio: NonNegativeFloat | None = Field(
        default=None, description="least sharpness, as a part of the data's"
    )
    high_quality_share: float | None = Field(
        default=None, ge=0.0, le=1.0, description="share of samples within 3 sigma of a mode (mixtures)"
    )
    reconstruction_mean_squared_error: PositiveFloat | None = Field(
        default=None, description="limit of the held-out reconstruction error per pixel in [0, 1]"
    )
    negative_log_likelihood: float | None = Field(
        default=None, description="limit in nats of the held-out estimate, upper end of its interval (VAE)"
    )
    aggregate_posterior_kl: NonNegativeFloat | None = Field(
        default=None, description="limit in nats of how far encoded data lies from the prior (VAE)"
    )
    active_units: int | None = Field(default=None, ge=0, description="latent dimensions that must be in use")
    non_inferiority_margin: NonNegativeFloat = Field(
        default=0.1, description="share by which the Fréchet distance may exceed the champion's"
    )
