"""What is said of all rows that stay, counted as they pass in the order of their content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.prepare.splits import SPLIT_NAMES


class Tally:
    """Sums over ``RECORD`` blocks (content_order.py)."""

    def __init__(self, class_names: Sequence[str], smallest_side: int) -> None:
        """
        Args:
            class_names: of all classes; empty for data without labels.
            smallest_side: pixels below which a picture has to be enlarged.
        """
        self._names = ["", *class_names]
        self._smallest_side = smallest_side
        self._fingerprint = hashlib.sha256()
        self._last: npt.NDArray[Any] | None = None
        self.rows = np.zeros((len(SPLIT_NAMES), len(self._names)), dtype=np.int64)
        """Of each split and class number."""
        self.widths: Counter[int] = Counter()
        self.heights: Counter[int] = Counter()
        self.contents = 0
        self.pairs = 0
        """Different pairs of content and class."""
        self.upscaled = 0

    def add(self, records: npt.NDArray[Any], splits: npt.NDArray[np.int8]) -> None:
        """The next rows that stay: ``RECORD`` [n], and the number of each one's split, int8 [n]."""
        if not len(records):
            return
        np.add.at(self.rows, (splits, records["class_number"]), 1)
        for name, counter in (("width", self.widths), ("height", self.heights)):
            values, counts = np.unique(records[name], return_counts=True)
            counter.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.upscaled += int((np.minimum(records["width"], records["height"]) < self._smallest_side).sum())
        before = records[:1] if self._last is None else self._last
        earlier = np.concatenate([before, records[:-1]])
        new_content = (records["sha256"] != earlier["sha256"]).any(axis=1)
        new_pair = new_content | (records["class_number"] != earlier["class_number"])
        first = self._last is None
        self.contents += int(new_content.sum()) + first
        self.pairs += int(new_pair.sum()) + first
        self._last = records[-1:].copy()
        for split, number, content in zip(splits, records["class_number"], records["sha256"], strict=True):
            self._fingerprint.update(f"{SPLIT_NAMES[split]}\0{self._names[number]}\0".encode())
            self._fingerprint.update(content.tobytes())

    def rows_of(self, split: int) -> int:
        """Rows of a split."""
        return int(self.rows[split].sum())

    def rows_per_class(self, split: int) -> list[int]:
        """Rows of a split by class; empty for data without labels."""
        return [int(rows) for rows in self.rows[split, 1:]]

    def class_rows(self) -> dict[str, int]:
        """Rows of each class by its name."""
        return dict(zip(self._names[1:], self.rows[:, 1:].sum(axis=0).tolist(), strict=True))

    @property
    def total(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    @property
    def exact_duplicates(self) -> int:
        """Rows whose content is another's."""
        return self.total - self.contents

    @property
    def contradicting(self) -> int:
        """Contents that stand in one class more, each time."""
        return self.pairs - self.contents

    def fingerprint(self) -> str:
        """Hex SHA-256 over split, class and content of every row."""
        return self._fingerprint.hexdigest()
