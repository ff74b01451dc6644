"""The first step: what exactly is to be done, and on what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.recipe import Recipe, parse_recipe, resolve


def listing_digest(settings: DataSettings) -> str:
    """SHA-256 over the sorted listing (names, sizes, tags): changes when the source does.

    It is a parameter of the steps that are cached, because the cache of the pipeline's engine does not look
    behind a URI.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    digest = hashlib.sha256()
    for line in sorted(f"{item.name}\0{item.size_bytes}\0{item.tag}\n" for item in open_source(settings).listing()):
        digest.update(line.encode())
    return digest.hexdigest()


def resolve_recipe(base_json: str, typed: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """The recipe of this run: base, typed pipeline parameters, overrides, by rising precedence.

    Raises:
        ConfigurationError: naming the field that is unknown, out of range or given twice.
    """
    return resolve(parse_recipe(base_json), typed, overrides)
