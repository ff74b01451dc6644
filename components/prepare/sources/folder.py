"""A folder of pictures: one subfolder a class, or flat and without classes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.names import (
    CHANGED,
    LARGEST_BYTES,
    NO_PICTURE,
    NOT_REGULAR,
    TOO_LARGE,
    class_of,
    in_classes,
    is_picture,
    not_empty,
    unreadable,
)
from components.prepare.sources.source import Encoded, Entry, Item, Rejection
from models.errors import SourceError

OUTSIDE = "symlink out of the tree"
BROKEN = "broken symlink"
FOLLOWED = "symlink to a folder that was followed already"

Identity = tuple[int, int]


class FolderSource:
    """Picture files under a directory.

    Symlinks are followed while they stay in the tree; a folder is followed through symlinks once, so loops end.
    """

    kind: Literal["image", "vector"] = "image"
    sequential = False
    mixture: MixtureParameters | None = None

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            SourceError: if it is not a directory.
        """
        directory = directory.expanduser()
        if not directory.is_dir():
            raise SourceError(f"{directory} is not a directory.", "Give data.source as folder:/path/to/pictures.")
        self._root = directory.resolve()
        self.name = self._root.name or "folder"

    def contains(self, path: Path) -> bool:
        """Whether a path is this folder or lies somewhere below it."""
        return path.resolve().is_relative_to(self._root)

    def listing(self) -> Iterator[Item | Rejection]:
        yield from not_empty(in_classes(self._walk()), str(self._root), "pictures")

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        for item in items:
            try:
                content = self._content(item)
            except OSError as error:
                yield Rejection(item.name, unreadable(error))
                continue
            if isinstance(content, str):
                yield Rejection(item.name, content)
            else:
                yield Encoded(item.name, content, class_of(item.name))

    def _content(self, item: Item) -> bytes | str:
        # Without O_NONBLOCK, opening what became a pipe since it was listed would wait for ever.
        descriptor = os.open(f"{self._root}/{item.name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            if not stat.S_ISREG((before := os.fstat(descriptor)).st_mode):
                return NOT_REGULAR
            content = stream.read() if _tag(before) == item.tag else b""
            return content if _tag(os.fstat(descriptor)) == item.tag and len(content) == item.size_bytes else CHANGED

    def _walk(self) -> Iterator[Item | Rejection]:
        """Every file, folder by folder; folders in the order of names, which decides what is followed through which
        symlink. No recursion, so depth is bounded by paths alone."""
        followed: set[Identity] = set()
        root = _identity(self._root.stat())
        pending: list[tuple[str, frozenset[Identity]]] = [("", frozenset([root]))]
        while pending:
            folder, above = pending.pop()
            folders: list[os.DirEntry[str]] = []
            try:
                with os.scandir(f"{self._root}/{folder}") as scan:
                    for entry in scan:  # files as they come: a folder may hold a million
                        found = self._entry(f"{folder}/{entry.name}" if folder else entry.name, entry)
                        if found is None:
                            folders.append(entry)
                        else:
                            yield found
            except OSError as error:
                yield Rejection(folder or ".", unreadable(error))
                continue
            below = []
            for entry in sorted(folders, key=lambda entry: entry.name):
                name = f"{folder}/{entry.name}" if folder else entry.name
                way = self._folder(name, entry, above, followed)
                if isinstance(way, Rejection):
                    yield way
                else:
                    below.append((name, way))
            pending.extend(reversed(below))

    def _entry(self, name: str, entry: os.DirEntry[str]) -> Item | Rejection | None:
        """A file; None for a folder."""
        candidate = is_picture(name)
        try:
            if entry.is_dir(follow_symlinks=False):
                return None
            if entry.is_symlink() and not self._inside(entry.path):
                return Rejection(name, OUTSIDE, candidate=candidate or entry.is_dir())
            if entry.is_dir():
                return None
            status = entry.stat()
        except FileNotFoundError as error:
            return Rejection(name, BROKEN if entry.is_symlink() else unreadable(error), candidate=candidate)
        except OSError as error:  # a symlink to itself, among others
            return Rejection(name, unreadable(error), candidate=candidate)
        if not candidate:
            return Rejection(name, NO_PICTURE, candidate=False)
        if not stat.S_ISREG(status.st_mode):
            return Rejection(name, NOT_REGULAR)
        if status.st_size > LARGEST_BYTES:
            return Rejection(name, TOO_LARGE)
        return Item(name, status.st_size, _tag(status))

    def _folder(
        self, name: str, entry: os.DirEntry[str], above: frozenset[Identity], followed: set[Identity]
    ) -> frozenset[Identity] | Rejection:
        """The folders on the way to and including this one, if it is to be walked."""
        try:
            identity = _identity(entry.stat())
        except OSError as error:
            return Rejection(name, unreadable(error))
        if not entry.is_symlink():
            return above | {identity}
        if identity in above or identity in followed:
            return Rejection(name, FOLLOWED, candidate=False)
        followed.add(identity)
        return above | {identity}

    def _inside(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _tag(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}"
