"""The first step: what exactly is to be done, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.prepare.listing import digest_of, list_source
from components.prepare.settings import DataSettings
from components.recipe import Recipe, parse_recipe, resolve


def listing_digest(settings: DataSettings) -> str:
    """SHA-256 over the listing: changes when the source does.

    It is a parameter of the steps that are cached, because the cache of the pipeline's engine does not look
    behind a URI.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    return digest_of(*list_source(settings))


def resolve_recipe(base_json: str, typed: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """The recipe of this run: base, typed pipeline parameters, overrides, by rising precedence.

    Raises:
        ConfigurationError: naming the field that is unknown, out of range or given twice.
    """
    return resolve(parse_recipe(base_json), typed, overrides)
