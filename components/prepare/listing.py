"""What a source lists, in an order and with a digest that do not depend on how it was listed.

It stands on disk: of a million pictures the names alone would fill the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from components.prepare.settings import DataSettings
from components.prepare.sorted_lines import SortedLines
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Item, Rejection

_ITEMS, _REJECTIONS = "items.jsonl", "rejections.jsonl"


@dataclass(frozen=True)
class Listing:
    """A listing in a directory: items and rejections, each in the order of their names."""

    directory: Path
    digest: str
    items: int

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Byte range and number of samples of each of the items ``start`` to ``end`` (without it)."""
        with (self.directory / _ITEMS).open("rb") as stream:
            offset = 0
            for number, line in enumerate(stream):
                if number >= end:
                    return
                if number >= start:
                    yield offset, offset + len(line), json.loads(line)[3]
                offset += len(line)

    def read(self, first_byte: int, end_byte: int) -> list[Item]:
        """The items of a byte range."""
        with (self.directory / _ITEMS).open("rb") as stream:
            stream.seek(first_byte)
            return [Item(*json.loads(line)) for line in stream.read(end_byte - first_byte).splitlines()]

    @property
    def rejections_path(self) -> Path:
        """What names alone rule out."""
        return self.directory / _REJECTIONS


def read_rejections(path: Path) -> Iterator[Rejection]:
    """Those of a file that a listing wrote."""
    with path.open() as stream:
        for line in stream:
            yield Rejection(*json.loads(line))


def write_listing(settings: DataSettings, directory: Path) -> Listing:
    """List a source into a directory, in constant memory.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=directory) as work, ExitStack() as stack:
        items, rejections = (stack.enter_context(closing(SortedLines(Path(work), _name))) for _ in range(2))
        for entry in open_source(settings).listing():
            if isinstance(entry, Rejection):
                rejections.add(_line(entry.name, entry.reason, entry.sha256, entry.candidate))
            else:
                items.add(_line(entry.name, entry.size_bytes, entry.tag, entry.count))
        for lines, name in ((items, _ITEMS), (rejections, _REJECTIONS)):
            partial = Path(work) / name
            with partial.open("w") as stream:
                for line in lines:
                    stream.write(line)
                    digest.update(line.encode())
                stream.flush()
                os.fsync(stream.fileno())
            digest.update(b"\n")
            partial.replace(directory / name)
    return Listing(directory, digest.hexdigest(), len(items))


def listing_digest(settings: DataSettings) -> str:
    """SHA-256 over the listing: changes when the source does.

    It is a parameter of the steps that are cached, because the cache of the pipeline's engine does not look
    behind a URI.

    Raises:
        SourceError: if there is nothing to list.
        ConfigurationError: if the URI is of no known kind.
    """
    with tempfile.TemporaryDirectory() as directory:
        return write_listing(settings, Path(directory)).digest


def _line(name: str, *values: object) -> str:
    # ASCII: names that are no UTF-8 go through as escapes.
    return json.dumps([name, *values]) + "\n"


def _name(line: str) -> str:
    name: str = json.loads(line)[0]
    return name
