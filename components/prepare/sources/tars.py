"""Members of tar archives, compressed or not, in constant memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from components.prepare.sources.members import DAMAGED, NO_END, TRUNCATED, Contents, Member, judged
from components.prepare.sources.names import unreadable

LABEL_SUFFIXES = (".cls", ".json", ".txt")
LARGEST_LABEL_BYTES = 1 << 16


# Not in typeshed. TarFile tells its readers less than these do.
_EndOfArchive: type[tarfile.TarError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_NoHeader: type[tarfile.TarError] = tarfile.EmptyHeaderError  # type: ignore[attr-defined]
_HalfHeader: type[tarfile.TarError] = tarfile.TruncatedHeaderError  # type: ignore[attr-defined]


class _Broken(Exception):
    """The archive cannot be read on; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def tar_contents(path: Path) -> Contents:
    """Its headers, read from the first to the last; small files that may state a class are read as well."""
    contents, seen = Contents(), set[str]()
    try:
        for info, archive in _members(path):
            if info.isdir():
                continue
            member = Member(info.name, info.size, str(info.offset_data))
            contents.members.append(judged(member, seen, regular=info.isreg()))
            suffix = PurePosixPath(info.name).suffix.lower()
            if info.isreg() and suffix in LABEL_SUFFIXES and info.size <= LARGEST_LABEL_BYTES:
                member.label = _content(archive, info)
    except _Broken as broken:
        contents.faults.append(broken.reason)
    return contents


def tar_bodies(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes | str]]:
    """Place and content, or the reason why there is none, of the members at the places wanted."""
    missing = set(wanted)
    try:
        for info, archive in _members(path):
            place = str(info.offset_data)
            if place in missing:
                content = _content(archive, info)
                missing.discard(place)
                yield place, content
            if not missing:
                return
    except _Broken as broken:
        for place in sorted(missing):
            yield place, broken.reason


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    with _told():
        stream = archive.extractfile(info)
        content = stream.read() if stream else b""
        if len(content) != info.size:
            raise EOFError
    return content


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Every header.

    ``TarFile`` itself takes a broken header in the middle for the end; here it is told apart.

    Raises:
        _Broken: where the archive ends too early, or goes on in no header.
    """
    with _told(), ExitStack() as stack:
        stream, streamed = _opened(path)
        stack.callback(stream.close)
        mode: Literal["r|", "r:"] = "r|" if streamed else "r:"
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode=mode, errors="surrogateescape"))
        info = archive.next()
        while info is not None:
            yield info, archive
            archive.members = []  # type: ignore[attr-defined] # TarFile keeps all of them
            info = _next(archive)
        while streamed and stream.read(1 << 20):  # to the checksum at its end
            pass


@contextmanager
def _told() -> Iterator[None]:
    """Whatever goes wrong with an archive as one of a few reasons."""
    try:
        yield
    except (EOFError, _HalfHeader) as error:
        raise _Broken(TRUNCATED) from error
    except _NoHeader as error:
        raise _Broken(NO_END) from error
    except tarfile.ReadError as error:
        early = any(word in str(error) for word in ("unexpected end", "truncated", "empty"))
        raise _Broken(TRUNCATED if early else DAMAGED) from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise _Broken(DAMAGED) from error
    except OSError as error:
        raise _Broken(DAMAGED if error.errno is None else unreadable(error)) from error


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    stream: Any = archive.fileobj
    if stream.tell() != archive.offset:
        stream.seek(archive.offset - 1)
        if not stream.read(1):
            raise EOFError
    try:
        return tarfile.TarInfo.fromtarfile(archive)
    except _EndOfArchive:
        return None


def _opened(path: Path) -> tuple[IO[bytes], bool]:
    """The bytes of the archive, and whether they can only be read forwards. The content decides, not the suffix."""
    with path.open("rb") as stream:
        magic = stream.read(6)
    opened: Any
    if magic[:2] == b"\x1f\x8b":
        opened = gzip.GzipFile(path)
    elif magic[:3] == b"BZh":
        opened = bz2.BZ2File(path)
    elif magic == b"\xfd7zXZ\x00":
        opened = lzma.LZMAFile(path)  # noqa: SIM115 - closed by whoever asked
    else:
        return path.open("rb"), False
    return opened, True
