"""Lines in order, whatever their number: sorted in runs on disk, which are merged as they are read."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

SORTED_AT_ONCE = 5_000
_OPEN_RUNS = 64


class SortedLines:
    """Collects lines, and gives them in the order of a key and, where that is the same, of themselves.

    The runs have no names: nothing of them is left behind, whatever ends the process.
    """

    def __init__(self, directory: Path, key: Callable[[str], str] = str) -> None:
        """
        Args:
            directory: where there is room for all lines.
            key: of a line, which ends with a line break.
        """
        self._directory, self._key = directory, key
        self._held: list[str] = []
        self._runs: list[IO[str]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, line: str) -> None:
        """Take one more line."""
        self._held.append(line)
        self._count += 1
        if len(self._held) == SORTED_AT_ONCE:
            self._to_disk()

    def __iter__(self) -> Iterator[str]:
        if not self._runs:
            yield from sorted(self._held, key=self._order)
            return
        if self._held:
            self._to_disk()
        yield from self._merged()

    def _order(self, line: str) -> tuple[str, str]:
        return self._key(line), line

    def _to_disk(self) -> None:
        if len(self._runs) == _OPEN_RUNS:
            longer = self._written(self._merged())
            for run in self._runs:
                run.close()
            self._runs = [longer]
        self._runs.append(self._written(sorted(self._held, key=self._order)))
        self._held = []

    def _written(self, lines: Iterator[str] | list[str]) -> IO[str]:
        run = tempfile.TemporaryFile("w+", dir=self._directory)  # noqa: SIM115 - lives as long as this object
        run.writelines(lines)
        return run

    def _merged(self) -> Iterator[str]:
        for run in self._runs:
            run.seek(0)
        return heapq.merge(*self._runs, key=self._order)

    def close(self) -> None:
        """Let go of what is on the disk."""
        for run in self._runs:
            run.close()
