"""A plane of coloured cells with dots and circles on it, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import SubElement, tostring

import numpy as np
import numpy.typing as npt

from components.figures.svg import WIDTH, draw_circle, draw_rectangle, draw_text, new_drawing

LEVELS: Final = 5
"""Colours ``heat-0`` (as it should be) to ``heat-4`` that the page knows."""


def heat_map(
    title: str,
    values: npt.NDArray[np.float64],
    bounds: Sequence[float],
    dots: npt.NDArray[np.float64],
    circles: Sequence[tuple[float, float, float]],
) -> str:
    """A square picture of the unit square; y upwards.

    Args:
        title: what a screen reader says; not drawn.
        values: of the cells, [G, G], the upper row first, as the tiles of a picture.
        bounds: four ascending ones between the five colours; a value that equals a bound has the colour below it,
            one that is not finite the last.
        dots: [N, 2] in the unit square, x to the right, y upwards; those outside are left out.
        circles: (x, y, radius) in units of the square's side; what lies outside is cut off.

    Raises:
        ValueError: if the cells are no square or the bounds are not four.
    """
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(bounds) != LEVELS - 1:
        raise ValueError(f"A square of cells and {LEVELS - 1} bounds are needed, not {values.shape} and {len(bounds)}.")
    side = float(WIDTH)
    pitch = side / len(values)
    root = new_drawing(title, side)
    levels = np.searchsorted(np.asarray(bounds), np.where(np.isfinite(values), values, np.inf), side="left")
    for row, column in np.ndindex(values.shape):
        # A hair wider than the pitch: no light shows between neighbours.
        kind = f"heat-{levels[row, column]}"
        cell = draw_rectangle(root, column * pitch, row * pitch, pitch + 0.2, pitch + 0.2, kind=kind)
        SubElement(cell, "title").text = f"{values[row, column]:.2f}" if np.isfinite(values[row, column]) else "–"
    for x, y in dots[((dots >= 0.0) & (dots <= 1.0)).all(axis=1)]:
        draw_circle(root, x * side, (1.0 - y) * side, 1.6, kind="dot")
    for index, (x, y, radius) in enumerate(circles):
        # Twice, so that one of both strokes stands out from any colour beneath.
        for kind in ("ring back", "ring"):
            draw_circle(root, x * side, (1.0 - y) * side, radius * side, kind=kind)
        draw_text(root, x * side, (1.0 - y - radius) * side - 4.0, f"{index + 1}σ", kind="ring-name", anchor="middle")
    return tostring(root, encoding="unicode")
