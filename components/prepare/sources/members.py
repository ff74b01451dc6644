"""Members of an archive, before it is known which are samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from components.prepare.sources.names import LARGEST_BYTES, NO_PICTURE, NOT_REGULAR, is_picture

BOMB = "decompression bomb"
TRAVERSAL = "path traversal"
ENCRYPTED = "encrypted"
DUPLICATE = "duplicate name"
TRUNCATED = "truncated archive"
DAMAGED = "damaged archive"
NO_END = "archive without its end mark"


@dataclass(slots=True)
class Member:
    """One member as its archive states it.

    ``place`` finds it again within the archive. ``reason`` is why it is left out, empty for a sample.
    """

    name: str
    size_bytes: int
    place: str
    reason: str = ""
    candidate: bool = True
    label: bytes | None = None
    """Content of a small file beside pictures that may state their class."""


@dataclass(slots=True)
class Contents:
    """Everything that was found, and what was wrong with the archive as a whole."""

    members: list[Member] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def normal(name: str) -> str | None:
    """A member's name without ``./`` and doubled slashes; None for one that would leave the tree."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    leaves = name.startswith("/") or ".." in parts or not parts or (len(parts[0]) == 2 and parts[0][1] == ":")
    return None if leaves else "/".join(parts)


def judged(member: Member, seen: set[str], *, regular: bool, encrypted: bool = False) -> Member:
    """The member with its name in order and the reason why it is none, if there is one."""
    name = normal(member.name)
    member.candidate = is_picture(member.name)
    if name is None:
        member.reason = TRAVERSAL
        return member
    member.name = name
    if not regular:
        member.reason = NOT_REGULAR
    elif not member.candidate or PurePosixPath(name).parts[0] == "__MACOSX":
        member.reason, member.candidate = NO_PICTURE, False
    elif name in seen:
        member.reason = DUPLICATE
    elif encrypted:
        member.reason = ENCRYPTED
    elif member.size_bytes > LARGEST_BYTES:
        member.reason = BOMB
    seen.add(name)
    return member


def common_top(members: Iterator[Member]) -> str:
    """The one folder that every sample lies in, with its slash; empty where there is none."""
    top = ""
    for member in members:
        first, slash, _ = member.name.partition("/")
        if not slash or (top and top != f"{first}/"):
            return ""
        top = f"{first}/"
    return top
