"""Tables of rows as items: blocks that several partitions share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from components.prepare.sources.source import Item, Rejection, Rows

BLOCK_ROWS = 1_024

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


def blocks(table: str, rows: int, row_bytes: int, tag: str) -> Iterator[Item]:
    """The items of a table; ``table`` names it within its source."""
    for start in range(0, rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, rows)
        yield block(table, start, stop, (stop - start) * row_bytes, tag)


def block(table: str, start: int, stop: int, size_bytes: int, tag: str) -> Item:
    """Rows ``start`` to ``stop`` (without it) of a table."""
    return Item(f"{table}#{start:08d}-{stop:08d}", size_bytes, f"{tag}:{start}-{stop}", stop - start)


def rows_of(item: Item) -> tuple[str, int, int]:
    """The table, first row and end of an item that ``block`` made."""
    table, _, span = item.name.rpartition("#")
    start, _, stop = span.partition("-")
    return table, int(start), int(stop)


def row_name(table: str, row: int) -> str:
    """The name of one row; sorted by name, rows are in order."""
    return f"{table}#{row:08d}"


def cut(item: Item, samples: Samples, class_names: Sequence[str | None]) -> Rows:
    """The rows of an item out of the whole table."""
    table, start, stop = rows_of(item)
    names = [row_name(table, row) for row in range(start, stop)]
    return Rows(names, samples[start:stop], class_names[start:stop])


def rejected(item: Item, reason: str) -> Iterator[Rejection]:
    """Every row of an item, rejected."""
    table, start, stop = rows_of(item)
    for row in range(start, stop):
        yield Rejection(row_name(table, row), reason)
