"""``comparison.json``: who was compared, and what became of each claim."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.artifacts import Document
from components.evaluate.documents import Metric
from models.config import Settings

COMPARISON_NAME = "comparison.json"
PAGE_NAME = "comparison.html"

Role = Literal["gan", "vae", "ae", "vae-without-kl"]


class Contestant(Settings):
    """One trained and judged model."""

    role: Role
    recipe: str
    images_seen: int
    training_seconds: float | None = Field(
        description="wall time from the first update to the last report, with diagnostics, checkpoints and what was "
        "rolled back, and without what a killed process had not yet reported; none where it was not recorded"
    )
    parameters: int = Field(description="of the exported networks")
    code_size: int = Field(description="components of the latent or code")
    passed: bool
    metrics: dict[str, Metric]


class Figure(Settings):
    """A number that a claim rests on."""

    name: str
    value: float | None
    interval: tuple[float, float] | None = None


class Claim(Settings):
    """A sentence of the comparison, and what these models say of it."""

    name: str
    statement: str
    outcome: Literal["confirmed", "refuted", "undecided"]
    reason: str
    figures: list[Figure]


class Comparison(Document):
    """Models of the same data, judged by the same extractor."""

    dataset_name: str
    dataset_fingerprint: str
    extractor_sha256: str
    frechet_floor: float | None
    contestants: list[Contestant]
    claims: list[Claim]
