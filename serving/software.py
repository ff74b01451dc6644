"""Which version of the software this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def software_version() -> str:
    """The installed distribution's version; ``0`` if it runs from a directory that was never installed."""
    try:
        return version("ganvas")
    except PackageNotFoundError:
        return "0"
