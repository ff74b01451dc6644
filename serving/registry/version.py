"""One version of a model, as its source tells of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RegisteredVersion:
    """A version that an alias points at, that was asked for by its number, or that lies in a place by itself."""

    name: str
    version: str
    created: int
    """When it was made, in ms since 1970: a deleted model's versions start again at 1. 0 outside a registry."""
    verdict: str
    """``passed``, ``failed`` or ``missing``."""

    @property
    def identity(self) -> tuple[str, int]:
        """What tells two versions apart."""
        return self.version, self.created
