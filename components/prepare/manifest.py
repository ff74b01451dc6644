"""``manifest.json``: the document that completes a Dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.artifacts import Document
from components.prepare.statistics import Statistics
from models.config import Settings

MANIFEST_NAME = "manifest.json"
PREVIEW_NAME = "preview.png"
REJECTED_NAME = "rejected.jsonl"

SplitName = Literal["train", "validation", "test"]


class Shard(Settings):
    """One pair of files: samples and their labels, row by row."""

    samples: str = Field(description="uint8 [rows, C, H, W] or float32 [rows, D], .npy")
    labels: str = Field(description="int64 [rows], .npy; index into class_names")
    rows: int = Field(ge=0)
    samples_sha256: str
    labels_sha256: str


class Split(Settings):
    """The shards of one split, in order."""

    rows: int
    rows_per_class: list[int]
    shards: list[Shard]


class MixtureParameters(Settings):
    """The true density of a toy data set: equally weighted isotropic Gaussians."""

    centers: list[list[float]]
    sigma: float


class Manifest(Document):
    """What a Dataset holds and where it came from."""

    name: str = Field(description="name of the data, the same for every preparation of the same source")
    source: str
    listing_digest: str = Field(description="of the listing that it was made from")
    settings_sha256: str = Field(description="of the settings that it was made with")
    fingerprint: str = Field(description="SHA-256 over the content: independent of listing order and of shards")
    kind: Literal["image", "vector"]
    sample_shape: list[int] = Field(description="[C, H, W] of uint8 pictures or [D] of float32 vectors")
    class_names: list[str] = Field(description="empty when the data has no labels")
    splits: dict[SplitName, Split]
    resized: str = Field(description="how pictures were brought to their size")
    fit: Literal["crop", "pad"] = Field(
        default="crop", description="how a picture that was no square became one, where any was resized"
    )
    listed: int = Field(description="items of the source")
    rejected: int
    rejected_reasons: dict[str, int]
    exact_duplicates: int
    statistics: Statistics
    warnings: list[str] = Field(description="what people would want to mend, a sentence each")
    mixture: MixtureParameters | None = None
