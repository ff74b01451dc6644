"""Settings of the training loop. Budgets are counted in images seen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from models.config.base import Settings


class RecoverySettings(Settings):
    """What happens on divergence: back to the last healthy checkpoint, with something changed, a few times."""

    attempts: int = Field(default=2, ge=0, le=100, description="roll-backs before training gives up")
    learning_rate_factor: float = Field(
        default=0.5, gt=0.0, le=1.0, description="factor on every learning rate at each roll-back"
    )
    penalty_factor: float = Field(
        default=2.0, ge=1.0, le=1000.0, description="factor on R1, R2 and the gradient penalty at each roll-back"
    )
    instance_noise: float = Field(
        default=0.0, ge=0.0, description="sigma added to D's inputs after a roll-back, falling to zero at the end"
    )


class TrainingSettings(Settings):
    """How long, how fast and how closely watched."""

    images_seen: PositiveInt = Field(default=100_000, description="real samples shown until the end")
    batch_size: PositiveInt = Field(
        default=64, ge=2, le=65536, description="samples of one update, summed over all processes"
    )
    accumulation: PositiveInt = Field(
        default=1, le=65536, description="parts that a batch is split into to save memory; their gradients are summed"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the networks' products; weights, losses and penalties stay float32"
    )
    compile: bool = Field(default=False, description="compile the networks (torch.compile; needs a C++ compiler)")
    warmup_images: int = Field(default=0, ge=0, description="the learning rate rises linearly over these")
    final_learning_rate_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="share of the learning rate that a cosine decay ends at"
    )
    decay_start_share: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of the budget after which the decay starts"
    )
    log_every_images: PositiveInt = 4_000
    sample_every_images: PositiveInt = 20_000
    checkpoint_every_images: PositiveInt = 20_000
    checkpoints_kept: PositiveInt = Field(default=2, le=1000, description="newest checkpoints kept for resuming")
    finish_with: Literal["last", "best"] = Field(
        default="last", description="weights that training ends with; best is by energy distance or held-out loss"
    )
    recovery: RecoverySettings = RecoverySettings()
    threads_per_process: int = Field(
        default=0, ge=0, le=1024, description="CPU threads of each process; 0 shares the cores evenly"
    )

    @model_validator(mode="after")
    def _divides(self) -> TrainingSettings:
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}")
        return self
