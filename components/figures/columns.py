"""Stacked columns as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.etree.ElementTree import SubElement, tostring

from components.figures.charts import compact, nice_ticks
from components.figures.svg import (
    LINE,
    WIDTH,
    count_legend_rows,
    cut,
    draw_legend,
    draw_line,
    draw_rectangle,
    draw_text,
    new_drawing,
)

_HEIGHT = 200.0
_LABEL_WIDTH = 18.0  # of two digits, with room on both sides


def column_chart(
    title: str, names: Sequence[str], parts: Mapping[str, Sequence[float]], *, x_label: str, y_label: str
) -> str:
    """A column for each name, its parts on top of each other.

    Args:
        title: what a screen reader says; not drawn.
        names: K short labels, K >= 1; every n-th is drawn where not all have room.
        parts: legend entry → K finite heights >= 0, the lowest part first; at most four.
        x_label: what the names are.
        y_label: name and unit of the heights.

    Raises:
        ValueError: if there is no column, or a height is negative or not finite.
    """
    heights = [height for values in parts.values() for height in values]
    if not names or not all(0.0 <= height < float("inf") for height in heights):
        raise ValueError("A column chart needs at least one column, all heights finite and not negative.")
    sums = [sum(column) for column in zip(*parts.values(), strict=True)]
    top = 26.0 + 20.0 * count_legend_rows(list(parts))
    left, right, bottom = 46.0, WIDTH - 8.0, top + _HEIGHT
    ticks = nice_ticks(0.0, max([*sums, 1e-3]))
    root = new_drawing(title, bottom + 44.0)
    draw_legend(root, [(name, index + 1, False) for index, name in enumerate(parts)])
    draw_text(root, 2.0, top - 10.0, cut(y_label, LINE), kind="label")

    def level(value: float) -> float:
        return bottom - value / ticks[-1] * _HEIGHT

    for tick in ticks:
        draw_line(root, left, level(tick), right, level(tick), kind="rule")
        draw_text(root, left - 6.0, level(tick) + 4.5, compact(tick), anchor="end", kind="label")
    pitch = (right - left) / len(names)
    every = -(-_LABEL_WIDTH // pitch)
    for index, name in enumerate(names):
        x = left + pitch * index
        bounds = [0.0]
        for values in parts.values():
            bounds.append(bounds[-1] + values[index])
        for position, (low, high) in enumerate(pairwise(bounds)):
            bar = draw_rectangle(
                root, x + 0.1 * pitch, level(high), 0.8 * pitch, level(low) - level(high), kind=f"fill-{position + 1}"
            )
            SubElement(bar, "title").text = f"{name}, {list(parts)[position]}: {high - low:.3g}"
        if index % every == 0:
            draw_text(root, x + pitch / 2.0, bottom + 17.0, name, anchor="middle", kind="label")
    draw_line(root, left, bottom, right, bottom, kind="axis")
    draw_text(root, (left + right) / 2.0, bottom + 36.0, x_label, anchor="middle", kind="label")
    return tostring(root, encoding="unicode")
