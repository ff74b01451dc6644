"""Neighbours in code against neighbours in pixels: what codes do that an enumeration of pictures could not."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import Metric
from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.words import number
from components.figures.pictures import grid, thumbnails
from models.metrics.neighbours import squared_distances

QUERIES: Final = 4
NEIGHBOURS: Final = 7
COMPARED: Final = 1_000
"""Rows that neighbours are looked for among."""
_LONGEST = 48


def code_neighbours(
    codes: npt.NDArray[np.float64], rows: npt.NDArray[Any], overlap: Metric | None = None
) -> Exhibit | None:
    """A few held-out pictures, each before those nearest to it by its pixels and by its code.

    Args:
        codes: of held-out pictures, finite, in no order, [N, Z].
        rows: these pictures, uint8 [N, H, W, C]; the first ones are asked about.
        overlap: how many neighbours are shared over all of the data.

    Returns:
        None where there are too few rows.
    """
    codes, rows = codes[:COMPARED], rows[:COMPARED]
    if len(rows) <= NEIGHBOURS:
        return None
    figures = []
    for name, values in (("pixels", rows.reshape(len(rows), -1).astype(np.float32)), ("code", codes)):
        found = nearest_to_the_first(values)
        shown = np.concatenate([np.arange(len(found))[:, None], found], axis=1)
        figures.append(
            Figure(
                f"{len(found)} pictures, each before the {NEIGHBOURS} nearest to it by {name}",
                f"Nearest by {name}",
                png=grid(thumbnails(rows[shown.ravel()], _LONGEST), columns=1 + NEIGHBOURS),
            )
        )
    said = ""
    if overlap is not None and overlap.value is not None:
        said = f" Shared by both: {number(round(overlap.value, 3))} ({overlap.unit})."
    return Exhibit(
        title="Neighbours in code and in pixels",
        note=(
            f"Left in each row a held-out picture, then the {NEIGHBOURS} of {len(rows):,} that are nearest to it. "
            "A code that has understood the data keeps what is alike together where pixels see only what covers what; "
            f"one that merely enumerates pictures has any neighbours.{said}"
        ),
        figures=figures,
        layout="pair",
    )


def nearest_to_the_first(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Of the first rows of [N, d] the indices of the nearest others, the nearest first, [QUERIES, NEIGHBOURS]."""
    queries = values[:QUERIES]
    distances = np.concatenate([tile for _, _, tile in squared_distances(queries, values)], axis=1)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.argsort(axis=1, kind="stable")[:, :NEIGHBOURS], dtype=np.int64)
