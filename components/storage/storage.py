"""What a durable place for directories offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Stored:
    """A directory with all that is below it; ``modified`` is when its newest file was written, in UTC."""

    name: str
    size_bytes: int
    modified: datetime


class Storage(ABC):
    """A durable place that holds directories of files by name. A directory is pushed last file last."""

    @abstractmethod
    def directories(self) -> list[str]:
        """Names of the directories there."""

    @abstractmethod
    def contents(self) -> list[Stored]:
        """The directories there that hold a file, by name."""

    @abstractmethod
    def push(self, source: Path, name: str) -> None:
        """Copy a directory's files there; its JSON documents go last, since they say that the rest is whole."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a directory's files here.

        Raises:
            StorageError: if they cannot be read.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a directory, if it is there."""


def in_order(source: Path) -> list[Path]:
    """A directory's files, JSON documents last."""
    return sorted((path for path in source.iterdir() if path.is_file()), key=lambda path: path.suffix == ".json")
