"""A folder of pictures: one subfolder a class, or flat and without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from components.prepare.manifest import MixtureParameters
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Encoded, Entry, Item, Rejection
from models.errors import ConfigurationError, SourceError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class FolderSource:
    """Pictures of any size under a directory, centre-cropped and resized to one square."""

    kind: Literal["image", "vector"] = "image"
    mixture: MixtureParameters | None = None
    sequential = False

    def __init__(self, directory: Path, settings: DataSettings) -> None:
        if not directory.is_dir():
            raise SourceError(f"{directory} is not a directory.", "Give data.source as folder:/path/to/pictures.")
        if settings.image_size is None:
            raise ConfigurationError(
                "Pictures of a folder are brought to one size, and none is set.", "Set for instance data.image_size=32."
            )
        self._root = directory.resolve()
        self.name = directory.name or "folder"
        self.class_names = sorted(
            {path.relative_to(self._root).parts[0] for path in self._paths() if path.parent != self._root}
        )

    def _paths(self) -> Iterator[Path]:
        for path in self._root.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix.lower() in SUFFIXES:
                yield path

    def listing(self) -> Iterator[Item | Rejection]:
        found = False
        for path in self._paths():
            found = True
            status = path.stat()
            yield Item(path.relative_to(self._root).as_posix(), status.st_size, str(status.st_mtime_ns))
        if not found:
            raise SourceError(
                f"{self._root} holds no pictures ({', '.join(sorted(SUFFIXES))}).", "Name the folder that does."
            )

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        for item in items:
            path = self._root / item.name
            name = item.name
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if self.class_names and path.parent == self._root:
                yield Rejection(name, "beside class folders, in none of them", digest)
                continue
            yield Encoded(name, content, Path(name).parts[0] if self.class_names else None)
