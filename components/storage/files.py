"""Directories on a file system."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from components.artifacts import full_disk
from components.storage.storage import Storage, Stored, in_order
from models.errors import StorageError


class FileStorage(Storage):
    """A directory of the file system: a mounted volume."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directories(self) -> list[str]:
        return sorted(path.name for path in self._root.glob("*") if path.is_dir())

    def contents(self) -> list[Stored]:
        found = []
        for name in self.directories():
            try:
                files = [path.stat() for path in (self._root / name).rglob("*") if path.is_file()]
            except FileNotFoundError:  # a training at work there removed one meanwhile
                continue
            except OSError as error:
                raise StorageError(
                    f"{self._root / name} cannot be read: {error}.", "Check that the volume is mounted and may be read."
                ) from error
            if files:
                newest = datetime.fromtimestamp(max(file.st_mtime for file in files), UTC)
                found.append(Stored(name, sum(file.st_size for file in files), newest))
        return found

    def push(self, source: Path, name: str) -> None:
        target = self._root / name
        try:
            target.mkdir(parents=True, exist_ok=True)
            for path in in_order(source):
                partial = target / f".{path.name}.partial"
                shutil.copyfile(path, partial)
                partial.replace(target / path.name)
        except OSError as error:
            raise StorageError(f"{target} cannot be written: {error}.", "Name another checkpoint_uri.") from error

    def fetch(self, name: str, target: Path) -> None:
        source = self._root / name
        target.mkdir(parents=True, exist_ok=True)
        try:
            for path in in_order(source):
                shutil.copyfile(path, target / path.name)
        except OSError as error:
            if full_disk(error) is not None:  # of this machine: the place is all right, and the remedy is another
                raise
            raise StorageError(
                f"{source} cannot be copied to {target}: {error}.", "Check that the volume is mounted and may be read."
            ) from error

    def remove(self, name: str) -> None:
        shutil.rmtree(self._root / name, ignore_errors=True)
