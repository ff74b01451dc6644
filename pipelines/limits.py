"""The gate's limits as the graph's parameter takes them."""

from __future__ import annotations

from typing import Any

from components.evaluate.settings import MEASURING
from components.recipe import Recipe


def gate_limits_of(recipe: Recipe) -> dict[str, Any]:
    """The limits of a recipe by name; how they are measured is no limit and stays in the recipe."""
    return {
        name: value
        for name, value in recipe.gate.model_dump(mode="json", exclude_none=True).items()
        if name not in MEASURING
    }
