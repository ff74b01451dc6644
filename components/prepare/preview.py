"""A picture of what was prepared: a few samples of every class, or a scatter of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.figures.pictures import grid, scatter

COLUMNS = 10


def preview(samples: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> bytes:
    """PNG bytes: one row of pictures a class (the first 20 classes), or the plane's first 5,000 points."""
    if samples.ndim == 2:
        return scatter(samples[:0], samples[:5000])
    chosen = [np.flatnonzero(labels == label)[:COLUMNS] for label in np.unique(labels)[:20]]
    rows = [np.resize(row, COLUMNS) for row in chosen] if len(chosen) > 1 else [np.arange(len(samples))[:100]]
    return grid(samples[np.concatenate(rows)].transpose(0, 2, 3, 1), columns=COLUMNS)
