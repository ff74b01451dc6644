"""Settings of data preparation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from models.config import Settings


class DataSettings(Settings):
    """Where the data comes from and what it becomes."""

    source: str = Field(
        default="digits",
        description="digits | mixture:ring8 | folder:/pictures | s3://bucket/prefix | archive:/x.zip | parquet:/x | "
        "arrays:/x.npz | torchvision:MNIST?root=/data | stacked-mnist",
    )
    image_size: int | None = Field(
        default=None, ge=8, le=256, description="pixels of the square that pictures are resized to; none keeps them"
    )
    channels: int = Field(default=1, description="1 (grey) or 3 (colour)", ge=1, le=3)
    fit: Literal["crop", "pad"] = Field(
        default="crop", description="how a picture becomes a square: its centre, or whole with the border repeated"
    )
    scaled_decode: bool = Field(
        default=False, description="decode JPEG at a fraction of its size where that suffices: faster, slightly inexact"
    )
    minimum_side: PositiveInt = Field(default=8, description="pixels of the shorter side below which one is rejected")
    maximum_pixels: PositiveInt = Field(
        default=100_000_000, description="pixels of a picture above which it is rejected as a decompression bomb"
    )
    rows: PositiveInt = Field(
        default=100_000, le=100_000_000, description="rows drawn from a mixture or stacked at random"
    )
    excluded_classes: tuple[str, ...] = Field(
        default=(), description="class names to leave out, for controls that must fail the gate"
    )
    validation_share: float = Field(default=0.15, gt=0.0, lt=0.5)
    test_share: float = Field(default=0.15, gt=0.0, lt=0.5)
    near_duplicates: bool = Field(
        default=True, description="whether pictures that look the same are kept on one side of the splits"
    )
    partitions: PositiveInt = Field(
        default=1, le=1_000, description="shares of the listing that are read in parallel, on a cluster one pod each"
    )
    shard_rows: PositiveInt = Field(default=50_000, description="rows of one shard file")
    rejected_share_limit: float = Field(
        default=0.1, ge=0.0, le=1.0, description="share of unusable pictures above which preparation fails"
    )

    @model_validator(mode="after")
    def _channels_are_grey_or_colour(self) -> DataSettings:
        if self.channels == 2:
            raise ValueError("channels must be 1 (grey) or 3 (colour), not 2")
        return self
