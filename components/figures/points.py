"""Points beside a curve that they are held against, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import SubElement, tostring

from components.figures.charts import compact, nice_ticks
from components.figures.svg import (
    LINE,
    WIDTH,
    coordinate,
    count_legend_rows,
    cut,
    draw_circle,
    draw_legend,
    draw_line,
    draw_text,
    new_drawing,
    stroke_class,
)

_HEIGHT = 200.0


def point_chart(
    title: str,
    points: Sequence[tuple[float, float, str]],
    curve: Sequence[tuple[float, float]],
    *,
    curve_name: str,
    x_label: str,
    y_label: str,
) -> str:
    """Points with names (shown on hovering) over a dashed curve; the curve is cut where the points' axes end.

    Args:
        title: what a screen reader says; not drawn.
        points: (x, y, name), x and y finite, at least one.
        curve: (x, y) in ascending order of x.
        curve_name: legend entry of the curve.
        x_label: name and unit of x; the axis starts at 0.
        y_label: name and unit of y; the axis starts at 0 or at the lowest point.

    Raises:
        ValueError: if there is no point.
    """
    if not points:
        raise ValueError("There is no point to draw.")
    top = 26.0 + 20.0 * count_legend_rows([curve_name])
    left, right, bottom = 46.0, WIDTH - 12.0, top + _HEIGHT
    x_ticks = nice_ticks(0.0, max(max(x for x, _, _ in points), 1e-3))
    y_ticks = nice_ticks(min(0.0, *(y for _, y, _ in points)), max(max(y for _, y, _ in points), 1e-3))
    root = new_drawing(title, bottom + 44.0)
    draw_legend(root, [(curve_name, 2, True)])
    draw_text(root, 2.0, top - 10.0, cut(y_label, LINE), kind="label")

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = x / x_ticks[-1], (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * (right - left), bottom - up * _HEIGHT

    for tick in y_ticks:
        _, y = place(0.0, tick)
        draw_line(root, left, y, right, y, kind="rule")
        draw_text(root, left - 6.0, y + 4.5, compact(tick), anchor="end", kind="label")
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        draw_line(root, x, bottom, x, bottom + 5.0, kind="axis")
        draw_text(root, x, bottom + 19.0, compact(tick), anchor="middle", kind="label")
    draw_line(root, left, bottom, right, bottom, kind="axis")
    draw_text(root, (left + right) / 2.0, bottom + 38.0, x_label, anchor="middle", kind="label")
    inside = [place(x, y) for x, y in curve if 0.0 <= x <= x_ticks[-1] and y_ticks[0] <= y <= y_ticks[-1]]
    if inside:
        drawn = "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in inside)
        SubElement(root, "path", {"class": stroke_class(2, True), "d": drawn})
    for x, y, name in points:
        SubElement(draw_circle(root, *place(x, y), 3.5, kind="fill-1"), "title").text = name
    return tostring(root, encoding="unicode")
