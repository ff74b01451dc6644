"""What a durable place for directories offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class Storage(ABC):
    """A durable place that holds directories of files by name. A directory is pushed last file last."""

    @abstractmethod
    def directories(self) -> list[str]:
        """Names of the directories there."""

    @abstractmethod
    def push(self, source: Path, name: str) -> None:
        """Copy a directory's files there; its JSON documents go last, since they say that the rest is whole."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a directory's files here."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a directory, if it is there."""


def in_order(source: Path) -> list[Path]:
    """A directory's files, JSON documents last."""
    return sorted((path for path in source.iterdir() if path.is_file()), key=lambda path: path.suffix == ".json")
