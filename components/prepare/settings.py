"""Settings of data preparation."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from models.config import Settings


class DataSettings(Settings):
    """Where the data comes from and what it becomes."""

    source: str = Field(
        default="digits", description="digits | mixture:ring8 | mixture:grid25 | folder:/path/to/pictures"
    )
    image_size: int | None = Field(
        default=None, ge=8, le=256, description="pixels of the square that pictures are resized to; none keeps them"
    )
    channels: int = Field(default=1, description="1 (grey) or 3 (colour)", ge=1, le=3)
    rows: PositiveInt = Field(default=100_000, le=100_000_000, description="rows drawn from a mixture")
    excluded_classes: tuple[str, ...] = Field(
        default=(), description="class names to leave out, for controls that must fail the gate"
    )
    validation_share: float = Field(default=0.15, gt=0.0, lt=0.5)
    test_share: float = Field(default=0.15, gt=0.0, lt=0.5)
    shard_rows: PositiveInt = Field(default=50_000, description="rows of one shard file")
    rejected_share_limit: float = Field(
        default=0.1, ge=0.0, le=1.0, description="share of unreadable pictures above which preparation fails"
    )

    @model_validator(mode="after")
    def _channels_are_grey_or_colour(self) -> DataSettings:
        if self.channels == 2:
            raise ValueError("channels must be 1 (grey) or 3 (colour), not 2")
        return self
