"""Members of ZIP archives."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.prepare.sources.members import BOMB, TRUNCATED, Contents, Member, judged
from components.prepare.sources.names import LARGEST_BYTES, unreadable

CHECKSUM = "checksum differs"


def zip_contents(path: Path) -> Contents:
    """Its table of contents.

    That table lies at the end, so of a truncated one nothing is listed.
    """
    contents, seen = Contents(), set[str]()
    try:
        with zipfile.ZipFile(path) as archive:
            for index, info in enumerate(archive.infolist()):
                if info.filename.endswith("/"):
                    continue
                mode = info.external_attr >> 16
                member = Member(info.filename.replace("\\", "/"), info.file_size, _place(info, index))
                regular = stat.S_IFMT(mode) in (0, stat.S_IFREG)
                contents.members.append(judged(member, seen, regular=regular, encrypted=bool(info.flag_bits & 1)))
    except zipfile.BadZipFile:
        contents.faults.append(TRUNCATED)
    except (OSError, ValueError, NotImplementedError, EOFError) as error:
        contents.faults.append(unreadable(error))
    return contents


def zip_bodies(path: Path, wanted: Mapping[str, object]) -> Iterator[tuple[str, bytes | str]]:
    """Place and content, or the reason why there is none, of the members at the places wanted."""
    with zipfile.ZipFile(path) as archive:
        for index, info in enumerate(archive.infolist()):
            place = _place(info, index)
            if place in wanted:
                yield place, _body(archive, info)


def _place(info: zipfile.ZipInfo, index: int) -> str:
    return f"{info.CRC:08x}-{index}"


def _body(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | str:
    try:
        with archive.open(info) as stream:
            content = stream.read(LARGEST_BYTES + 1)  # never more than is declared: zipfile stops there
    except zipfile.BadZipFile as error:
        return CHECKSUM if "CRC" in str(error) else unreadable(error)
    except EOFError:
        return TRUNCATED
    except NotImplementedError:
        return f"compression method {info.compress_type} is unknown"
    except (zlib.error, lzma.LZMAError, OSError, RuntimeError, ValueError) as error:
        return unreadable(error)
    if len(content) > LARGEST_BYTES:
        return BOMB
    return content if len(content) == info.file_size else TRUNCATED
