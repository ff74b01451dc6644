"""Settings of the feature space that models are judged in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from models.config import Settings


class ExtractorSettings(Settings):
    """The feature space, and a small classifier of the data's own labels that tells modes apart.

    Of vectors it is the vectors themselves, whatever is asked for.
    """

    kind: Literal["classifier", "inception", "torchvision", "random-convolutions", "pixels"] = Field(
        default="classifier",
        description="whose features: those of the data's own classifier, of Inception-v3 (FID), of a network of "
        "torchvision, of untrained convolutions, or the pixels",
    )
    weights: str = Field(
        default="", description="of inception or torchvision: a file, https:// or s3:// address of a state dict"
    )
    weights_sha256: str = Field(default="", description="of that file, where it has to be this one")
    architecture: str = Field(default="resnet50", description="name of torchvision's network (kind torchvision)")
    feature_width: PositiveInt = Field(
        default=32,
        le=4096,
        description="features d of the classifier and of untrained convolutions; small, so that held-out data has N/d "
        "of at least 8",
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
