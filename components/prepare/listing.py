"""What a source lists, in an order and with a digest that do not depend on how it was listed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Item, Rejection


def list_source(settings: DataSettings) -> tuple[list[Item], list[Rejection]]:
    """The source's items in the order of their names, and what their names alone rule out.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    items: list[Item] = []
    rejections: list[Rejection] = []
    for entry in open_source(settings).listing():
        if isinstance(entry, Rejection):
            rejections.append(entry)
        else:
            items.append(entry)
    items.sort(key=lambda item: item.name)
    rejections.sort(key=lambda rejection: rejection.name)
    return items, rejections


def listing_digest(settings: DataSettings) -> str:
    """SHA-256 over the listing: changes when the source does.

    It is a parameter of the steps that are cached, because the cache of the pipeline's engine does not look
    behind a URI.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    return digest_of(*list_source(settings))


def digest_of(items: Sequence[Item], rejections: Sequence[Rejection]) -> str:
    """SHA-256 over a listing (names, sizes, tags): changes when the source does, whatever the order it is listed in."""
    lines = [f"{item.name}\0{item.size_bytes}\0{item.tag}\0{item.count}\n" for item in items]
    lines += [f"{rejection.name}\0{rejection.reason}\n" for rejection in rejections]
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
