"""What the name of a file says: whether it is a picture, and of which class."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from components.prepare.sources.source import Item, Rejection
from models.errors import SourceError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
LARGEST_BYTES = 256 << 20
"""Bytes of one picture's file above which it is not read: it has to be held in memory."""
NO_PICTURE = "extension of no picture"
BESIDE_CLASSES = "beside class folders, in none of them"
TOO_LARGE = "file larger than 256 MiB"
NOT_REGULAR = "not a regular file"
CHANGED = "changed while it was read"
_HELD_BYTES = 2**20


def is_picture(name: str) -> bool:
    """Whether its suffix is a picture's; ``._x.png`` is a Mac's note about one."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def printable(text: str) -> str:
    """Text that every encoder of JSON takes: bytes that are not UTF-8 become ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def class_of(name: str) -> str | None:
    """The first folder of a name, None for a name in no folder."""
    first, slash, _ = name.partition("/")
    return printable(first) if slash else None


def unreadable(error: BaseException) -> str:
    """Why a file cannot be read, in few distinct words."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return "unreadable: path too long"
    return f"unreadable: {type(error).__name__}"


def in_classes(entries: Iterable[Item | Rejection]) -> Iterator[Item | Rejection]:
    """Pictures in class folders, and what lies beside them rejected; all of them where there are no such folders."""
    has_classes = False
    # What it is shows only at the end; of a flat folder it is everything, which need not fit into memory.
    with tempfile.SpooledTemporaryFile(_HELD_BYTES, "w+") as beside:
        for entry in entries:
            if isinstance(entry, Rejection) or "/" in entry.name:
                has_classes |= isinstance(entry, Item)
                yield entry
            else:
                beside.write(json.dumps([entry.name, entry.size_bytes, entry.tag, entry.count]) + "\n")
        beside.seek(0)
        for line in beside:
            item = Item(*json.loads(line))
            yield Rejection(item.name, BESIDE_CLASSES) if has_classes else item


def not_empty(entries: Iterable[Item | Rejection], place: str, wanted: str) -> Iterator[Item | Rejection]:
    """The same entries.

    Raises:
        SourceError: at the end, if no item was among them.
    """
    found, reason = False, ""
    for entry in entries:
        if isinstance(entry, Item):
            found = True
        elif entry.candidate:
            reason = reason or f" {entry.name}: {entry.reason}."
        yield entry
    if not found:
        raise SourceError(f"{place} holds no {wanted}.{printable(reason)}", "Name the place that does.")
