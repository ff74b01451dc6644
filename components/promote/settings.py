"""Settings of promotion."""

from __future__ import annotations

from pydantic import Field

from models.config import Settings


class PromotionSettings(Settings):
    """Where a model goes that passed."""

    model_name: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]*$", max_length=200, description="registered name; empty: the recipe's"
    )
    automatic: bool = Field(default=True, description="move the alias champion without asking a person")
