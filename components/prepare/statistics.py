"""What people should know of their data: numbers over the training split, and warnings to act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.config import Settings

IMBALANCED = 10.0
TINY_CLASS = 50
DUPLICATED_SHARE = 0.05
UPSCALED_SHARE = 0.1
_VALUES_AT_ONCE = 2**18


class Range(Settings):
    """Smallest, median and largest."""

    smallest: int
    median: int
    largest: int

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Range:
        """
        Args:
            counts: how often each value stands, at least one of them.
        """
        values = sorted(counts)
        ends = np.cumsum([counts[value] for value in values])
        middle = values[int(np.searchsorted(ends, ends[-1] // 2, side="right"))]
        return cls(smallest=values[0], median=middle, largest=values[-1])


class Statistics(Settings):
    """Numbers that stand in the manifest."""

    mean: list[float] = Field(description="of each channel or dimension of the training rows, in their own units")
    deviation: list[float] = Field(description="standard deviation, as above")
    constant: int = Field(description="pictures of one single value in every channel")
    width: Range | None = Field(description="pixels before resizing")
    height: Range | None
    formats: dict[str, int] = Field(description="picture files by format")
    notes: dict[str, int] = Field(description="what was done to how many pictures")


class Moments:
    """Sums over rows, in constant memory; exact for pictures."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: npt.NDArray[Any] = np.zeros(1)
        self._square: npt.NDArray[Any] = np.zeros(1)
        self.constant = 0

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Add rows, uint8 [n, C, H, W] or float32 [n, D]."""
        at_once = max(1, _VALUES_AT_ONCE // max(1, rows[:1].size))
        for start in range(0, len(rows), at_once):
            # Whole numbers below 2^53 add exactly, in any order.
            part = rows[start : start + at_once]
            values = part.astype(np.float64).reshape(*part.shape[:2], -1)
            self._count += values.shape[0] * values.shape[2]
            self._sum = self._sum + values.sum(axis=(0, 2))
            self._square = self._square + np.square(values, out=values).sum(axis=(0, 2))
        if rows.ndim == 4:
            self.constant += int((np.ptp(rows, axis=(2, 3)) == 0).all(axis=1).sum())

    def mean(self) -> list[float]:
        """Of each channel or dimension."""
        return list((self._sum / max(1, self._count)).tolist())

    def deviation(self) -> list[float]:
        """Standard deviation of each channel or dimension."""
        count = max(1, self._count)
        variance = self._square / count - (self._sum / count) ** 2
        return list(np.sqrt(np.maximum(variance, 0.0)).tolist())


def warnings_about(
    *,
    rows: int,
    class_rows: dict[str, int],
    statistics: Statistics,
    exact_duplicates: int,
    contradicting: int,
    near_duplicates: int,
    upscaled: int,
) -> list[str]:
    """One sentence for each thing that people would want to mend.

    Args:
        rows: accepted samples.
        class_rows: samples of each class.
        statistics: of the training rows.
        exact_duplicates: samples whose content is another's.
        contradicting: contents that stand in more than one class.
        near_duplicates: samples left out because they look like one of another split.
        upscaled: pictures that were smaller than they are now.
    """
    found = []
    if class_rows:
        smallest, largest = (pick(class_rows, key=lambda name: class_rows[name]) for pick in (min, max))
        if class_rows[largest] > IMBALANCED * class_rows[smallest]:
            found.append(
                f"Classes are unequal: {largest!r} has {class_rows[largest]:,} samples, {smallest!r} has "
                f"{class_rows[smallest]:,}. Rare classes are learned last; add samples or weigh them."
            )
        tiny = [name for name, count in class_rows.items() if count < TINY_CLASS]
        if tiny:
            shown = ", ".join(map(repr, tiny[:5])) + (f" and {len(tiny) - 5} more" if len(tiny) > 5 else "")
            found.append(f"Fewer than {TINY_CLASS} samples: {shown}. Too few to learn from and to judge by.")
        if len(class_rows) == 1:
            found.append("There is one single class. Name the folder above, or take the pictures as a flat folder.")
    if statistics.constant:
        found.append(f"Pictures of one single colour in the training split: {statistics.constant:,}.")
    if exact_duplicates > DUPLICATED_SHARE * rows:
        found.append(f"Exact duplicates: {exact_duplicates:,} of {rows:,} samples. Models memorize what is repeated.")
    if contradicting:
        found.append(f"The same picture stands in several classes {contradicting:,} times.")
    if near_duplicates > DUPLICATED_SHARE * (rows + near_duplicates):
        found.append(
            f"Near duplicates: {near_duplicates:,} pictures look like one of another split and were left out. "
            "Frames of one film, or copies in other sizes?"
        )
    if upscaled > UPSCALED_SHARE * rows:
        found.append(f"Smaller than data.image_size and enlarged: {upscaled:,} of {rows:,}. Choose a smaller size.")
    return found
