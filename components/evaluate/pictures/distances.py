"""Nearest neighbours in a feature space."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_BLOCK: Final = 1024  # rows whose distances to all others are held at once


def nearest(rows: Floats, among: Floats, *, not_itself: bool = False) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each row the nearest of others: its index and its Euclidean distance.

    Args:
        rows: [N, d].
        among: [M, d], M >= 1.
        not_itself: ``rows`` are ``among``, and the row itself does not count, M >= 2.

    Returns:
        int64 [N] and float64 [N].
    """
    others = among.astype(np.float64)
    squares = np.square(others).sum(axis=1)
    indices: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float64)
        ranks = squares - 2.0 * block @ others.T  # the squared distances, less a constant of each row
        if not_itself:
            ranks[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        indices.append(ranks.argmin(axis=1))
    found = np.concatenate(indices) if indices else np.zeros(0, dtype=np.int64)
    # Anew from the difference: next to zero the expanded square has no digits left.
    return found, np.linalg.norm(rows.astype(np.float64) - others[found], axis=1)
