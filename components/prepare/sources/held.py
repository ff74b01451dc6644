"""Files that hold many samples each, and which of them a path names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import SourceError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
PARQUET_SUFFIXES = (".parquet", ".pq")
ARRAY_SUFFIXES = (".npy", ".npz", "-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, slots=True)
class Held:
    """One file; ``name`` stands for it within its source, ``stamp`` changes when its content does."""

    path: Path
    name: str
    stamp: str


def scheme_of(name: str) -> str | None:
    """The kind of source that reads files of this name, None for one that holds no samples by its suffix."""
    lower = name.lower()
    if lower.endswith(ARCHIVE_SUFFIXES):
        return "archive"
    if lower.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return "arrays" if lower.endswith(ARRAY_SUFFIXES) else None


def braces(text: str) -> list[str]:
    """Ranges written out: ``{000..009}.tar`` is ten names, with the zeros of the first bound."""
    match = RANGE.search(text)
    if match is None:
        return [text]
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    before, after = text[: match.start()], braces(text[match.end() :])
    return [f"{before}{number:0{len(first)}d}{rest}" for number in numbers for rest in after]


def held(path: Path, name: str | None = None) -> Held:
    """A local file; its stamp is of modification time and size.

    Raises:
        SourceError: if it is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Name a file that is there.") from error
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file.", "Name one that is.")
    return Held(path, name or path.name, f"{status.st_size}:{status.st_mtime_ns}")


def held_files(place: str, suffixes: Sequence[str]) -> list[Held]:
    """The file that a path names, those of a range in braces, or those with such a suffix under a directory.

    Raises:
        SourceError: if one that was named is not there, or a directory has none.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        ends = tuple(suffixes)
        found = sorted(file for file in path.rglob("*") if file.name.lower().endswith(ends) and file.is_file())
        if not found:
            raise SourceError(f"{path} holds no {', '.join(suffixes)}.", "Name the directory that does.")
        return [held(file, file.relative_to(path).as_posix()) for file in found]
    paths = [path] if path.exists() else [Path(name).expanduser() for name in braces(place)]
    return [held(path) for path in paths]


def source_name(files: Sequence[Held], place: str) -> str:
    """The name of what these files hold: the file's, or the directory's."""
    path = Path(place).expanduser()
    if len(files) == 1 or path.is_dir():
        return path.name
    return path.parent.name or "archives"
