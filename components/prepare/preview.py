"""A picture of what was prepared: a few samples of every class, or a scatter of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.figures.pictures import grid, scatter

COLUMNS = 10
CLASSES = 20
PICTURES = 100
POINTS = 5_000


class Preview:
    """Takes the first rows of each class as they pass: of vectors the first rows of all."""

    def __init__(self, is_picture: bool, rows_per_class: Sequence[int]) -> None:
        """
        Args:
            is_picture: pictures, and not vectors.
            rows_per_class: how many will pass of each class; empty for data without labels.
        """
        self._is_picture = is_picture
        labels = [label for label, rows in enumerate(rows_per_class) if rows and is_picture][:CLASSES] or [-1]
        self._each = COLUMNS if len(labels) > 1 else (PICTURES if is_picture else POINTS)
        self._chosen: dict[int, list[npt.NDArray[Any]]] = {label: [] for label in labels}

    def add(self, samples: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> None:
        """See the next rows, uint8 [n, C, H, W] or float32 [n, D], and their labels int64 [n]."""
        for label, chosen in self._chosen.items():
            wanted = self._each - len(chosen)
            if wanted:
                rows = np.flatnonzero(labels == label) if self._is_picture else np.arange(len(samples))
                chosen.extend(samples[rows[:wanted]])

    def png(self) -> bytes:
        """PNG bytes: one row of pictures a class (the first 20 classes), or the plane's first 5,000 points."""
        samples = np.array([row for chosen in self._chosen.values() for row in self._row(chosen)])
        if not self._is_picture:
            return scatter(samples[:0], samples)
        return grid(samples.transpose(0, 2, 3, 1), columns=COLUMNS)

    def _row(self, chosen: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        # Rows of a grid are of one length: those of a small class begin anew.
        if len(self._chosen) == 1 or not chosen:
            return chosen
        return [chosen[place % len(chosen)] for place in range(COLUMNS)]
