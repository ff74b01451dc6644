"""All rows of all units in the order of their content, so that neither names nor shares leave a trace.

They stand on disk: what the merge knows of each is 60 bytes, and there may be many millions. Units are sorted part by
part, and the parts merged, as bytes: a record begins with what decides.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.prepare.units import read_index

RECORD = np.dtype(
    [
        *(("sha256", ">u8", (4,)), ("class_number", ">u4"), ("unit", ">u4"), ("row", ">u4")),
        *(("look", "<u8"), ("width", "<u4"), ("height", "<u4")),
    ]
)
"""Of one row: hash of its bytes; index into the class names, plus 1, or 0; which unit, and which row of it; perceptual
hash; size before resizing."""
_BLOCK_ROWS = 4_096
_MERGED_ROWS = 32_768
"""Rows held by all parts together while they are merged."""


class ContentOrder:
    """Records in their order, in a file without a name: nothing of it is left behind, whatever ends the process."""

    def __init__(self, records: IO[bytes], rows: int) -> None:
        self._records, self._rows = records, rows

    @classmethod
    def of(
        cls,
        units: Sequence[Path],
        class_numbers: Sequence[npt.NDArray[np.uint32]],
        excluded: Sequence[int],
        directory: Path,
    ) -> ContentOrder:
        """Sort what the units hold.

        Args:
            units: their directories.
            class_numbers: of each unit, the class number of each of its labels; the last entry is for label -1.
            excluded: class numbers that are left out.
            directory: where there is room for all records.
        """
        spans: list[tuple[int, int]] = []
        with tempfile.TemporaryFile(dir=directory) as parts:
            for number, (unit, numbers) in enumerate(zip(units, class_numbers, strict=True)):
                first = 0
                for index in read_index(unit):
                    records = _records(index, number, first, numbers)
                    first += len(index)
                    ordered = sorted(_split(records[~np.isin(records["class_number"], excluded)].tobytes()))
                    spans.append((parts.tell(), len(ordered)))
                    parts.writelines(ordered)
            parts.flush()
            merged = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - lives as long as the object
            at_once = max(1, _MERGED_ROWS // max(1, len(spans)))
            merged.writelines(heapq.merge(*(_read(parts.fileno(), *span, at_once) for span in spans)))
            merged.flush()
        return cls(merged, sum(rows for _, rows in spans))

    def __len__(self) -> int:
        return self._rows

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """All records in order: the number of the first, and ``RECORD`` [n]."""
        for first in range(0, self._rows, _BLOCK_ROWS):
            yield first, self._part(first, min(_BLOCK_ROWS, self._rows - first))

    def at(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """The records of some rows, ``RECORD`` [n]."""
        records = np.empty(len(rows), RECORD)  # np.concatenate would turn the bytes of the hashes round
        for place, row in enumerate(rows.tolist()):
            records[place : place + 1] = self._part(row, 1)
        return records

    def _part(self, first: int, rows: int) -> npt.NDArray[Any]:
        size = RECORD.itemsize
        return np.frombuffer(os.pread(self._records.fileno(), rows * size, first * size), RECORD)

    def close(self) -> None:
        """Let go of the file."""
        self._records.close()


def _records(index: npt.NDArray[Any], unit: int, first: int, class_numbers: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
    records = np.empty(len(index), RECORD)
    for name in ("sha256", "look", "width", "height"):
        records[name] = index[name]
    records["class_number"] = class_numbers[index["label"]]
    records["unit"], records["row"] = unit, np.arange(first, first + len(index))
    return records


def _read(descriptor: int, start: int, rows: int, at_once: int) -> Iterator[bytes]:
    """Records of a sorted part, one by one."""
    size = RECORD.itemsize
    for first in range(0, rows, at_once):
        yield from _split(os.pread(descriptor, min(at_once, rows - first) * size, start + first * size))


def _split(records: bytes) -> Iterator[bytes]:
    size = RECORD.itemsize
    return (records[offset : offset + size] for offset in range(0, len(records), size))
