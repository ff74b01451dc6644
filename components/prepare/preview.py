"""A picture of what was prepared: a few samples of every class, or a scatter of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.figures.pictures import grid, scatter

COLUMNS = 10
CLASSES = 20
PICTURES = 100
POINTS = 5_000


def shown_rows(labels: npt.NDArray[np.int64], is_picture: bool) -> npt.NDArray[np.int64]:
    """The rows that a preview needs, in rising order, so that not all have to be read.

    Args:
        labels: of all rows, int64 [N].
        is_picture: pictures, and not vectors.
    """
    if not is_picture:
        return np.arange(min(len(labels), POINTS))
    classes = np.unique(labels)[:CLASSES]
    if len(classes) < 2:
        return np.flatnonzero(labels == classes[0])[:PICTURES]
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:COLUMNS] for label in classes]))


def preview(samples: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> bytes:
    """PNG bytes: one row of pictures a class (the first 20 classes), or the plane's first 5,000 points."""
    if samples.ndim == 2:
        return scatter(samples[:0], samples[:POINTS])
    chosen = [np.flatnonzero(labels == label)[:COLUMNS] for label in np.unique(labels)[:CLASSES]]
    rows = [np.resize(row, COLUMNS) for row in chosen] if len(chosen) > 1 else [np.arange(len(samples))[:PICTURES]]
    return grid(samples[np.concatenate(rows)].transpose(0, 2, 3, 1), columns=COLUMNS)
