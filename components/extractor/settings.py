"""Settings of the feature space that models are judged in."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from models.config import Settings


class ExtractorSettings(Settings):
    """A small classifier of the data's own labels; for vectors, the vectors themselves."""

    feature_width: PositiveInt = Field(
        default=32, le=4096, description="features d; small, so that held-out data has N/d of at least 8"
    )
    base_channels: PositiveInt = Field(default=16, le=512, description="channels of the first convolution")
    epochs: PositiveInt = Field(default=8, description="passes over the rows that it is fitted on")
    rows: PositiveInt = Field(
        default=50_000, description="training rows that it is fitted on, at most: they are held in memory"
    )
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 2e-3
    clusters: PositiveInt = Field(
        default=10, le=1000, description="modes of data without labels: clusters of its pixels"
    )
