"""The first step: what exactly is to be done, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.recipe import Recipe, parse_recipe, resolve


def resolve_recipe(base_json: str, typed: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """The recipe of this run: base, typed pipeline parameters, overrides, by rising precedence.

    Raises:
        ConfigurationError: naming the field that is unknown, out of range or given twice.
    """
    return resolve(parse_recipe(base_json), typed, overrides)
