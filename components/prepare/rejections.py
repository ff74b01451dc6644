"""What was left out, on its way into ``rejected.jsonl``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from components.artifacts import written_atomically
from components.prepare.sorted_lines import SortedLines
from components.prepare.units import Rejected


class Rejections:
    """Counts them, and keeps them on disk where they are many."""

    def __init__(self, directory: Path) -> None:
        self._lines = SortedLines(directory)
        self.reasons: Counter[str] = Counter()
        self.candidates: Counter[str] = Counter()
        """Reasons of those that count towards the limit."""

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, rejected: Rejected) -> None:
        """State one more."""
        entry = {"name": rejected.name, "reason": rejected.reason, "sha256": rejected.sha256}
        self._lines.add(json.dumps(entry) + "\n")
        self.reasons[rejected.reason] += 1
        if rejected.candidate:
            self.candidates[rejected.reason] += 1

    def write(self, path: Path) -> None:
        """One JSON object a line, in the order of names."""
        with written_atomically(path) as stream:
            stream.writelines(line.encode() for line in self._lines)

    def close(self) -> None:
        """Let go of what is on the disk."""
        self._lines.close()
