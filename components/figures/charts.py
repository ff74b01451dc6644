"""Line and bar charts of ``svg``'s strokes. Same input, same characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from components.figures.svg import (
    COLORS,
    LINE,
    WIDE_CHARACTER,
    WIDTH,
    coordinate,
    count_legend_rows,
    cut,
    draw_circle,
    draw_legend,
    draw_line,
    draw_rectangle,
    draw_text,
    new_drawing,
    stroke_class,
)

_LARGEST = 1e100  # beyond it a number has no place on an axis
_MOST_POINTS = 480


@dataclass(frozen=True)
class Series:
    """One line. A point whose y is not finite interrupts it."""

    name: str
    """In the legend; one without a name is drawn all the same."""
    points: Sequence[tuple[float, float]]
    color: int = 1
    """1 to 4: which ``--series`` variable."""
    dashed: bool = False


@dataclass(frozen=True)
class Ceiling:
    """A horizontal line that no value can exceed, with what it means."""

    value: float
    label: str


def is_drawable(value: float | None) -> bool:
    """Whether a number has a place on an axis."""
    return value is not None and math.isfinite(value) and abs(value) < _LARGEST


def nice_ticks(low: float, high: float, *, intervals: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, from at most ``low`` to at least ``high``."""
    low, high = min(low, high), max(low, high)
    if high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < 1e-100:
        pad = 0.1 * abs(high) if abs(high) > 1e-90 else 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / intervals
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def compact(value: float) -> str:
    """A tick's label: 20000 → 20k, 1500000 → 1.5M."""
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit <= abs(value) < 1e12 and abs(value) >= 1e4:
            return f"{value / unit:g}{suffix}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def percent(share: float) -> str:
    """A share as a percentage with one decimal; what is not zero is never shown as zero."""
    return "<0.1 %" if 0.0 < share < 0.0005 else f"{100.0 * share:.1f} %"


def line_chart(
    title: str, series: Sequence[Series], *, x_label: str, y_label: str, ceiling: Ceiling | None = None
) -> str:
    """Lines over a common x axis, with a legend above. Without a drawable point it says so.

    Args:
        title: what a screen reader says; not drawn.
        series: lines; each point is (x, y) in the units of the labels.
        x_label: name and unit of x.
        y_label: name and unit of y.
        ceiling: drawn across the chart; the y axis then runs from zero to it at least.
    """
    drawable = [(x, y) for one in series for x, y in one.points if is_drawable(x) and is_drawable(y)]
    if not drawable:
        return _empty(title, "nothing was recorded")
    names = [one.name for one in series]
    legend_rows = count_legend_rows(names)
    top, left, plot_height = 26.0 + 20.0 * legend_rows, 58.0, 200.0
    height = top + plot_height + 44.0
    right, bottom = WIDTH - 14.0, top + plot_height
    root = new_drawing(title, height)

    x_low, x_high = min(x for x, _ in drawable), max(x for x, _ in drawable)
    if 0.0 < x_low <= 0.1 * x_high:
        x_low = 0.0
    x_ticks = nice_ticks(x_low, x_high)
    if x_low == x_high:
        x_low, x_high, x_ticks = x_low - 1.0, x_high + 1.0, [x_low]
    y_values = [y for _, y in drawable] + ([0.0, ceiling.value] if ceiling else [])
    y_ticks = nice_ticks(min(y_values), max(y_values))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        return left + across * (right - left), bottom - (y - y_low) / (y_high - y_low) * plot_height

    draw_legend(root, [(one.name, one.color, one.dashed) for one in series])
    draw_text(root, 2.0, top - 10.0, cut(y_label, LINE), kind="label")
    for tick in y_ticks:
        _, y = place(x_low, tick)
        draw_line(root, left, y, right, y, kind="rule")
        draw_text(root, left - 6.0, y + 4.5, compact(tick), anchor="end", kind="label")
    for tick in x_ticks:
        if x_low <= tick <= x_high:
            x, _ = place(tick, y_low)
            draw_line(root, x, bottom, x, bottom + 5.0, kind="axis")
            draw_text(root, min(x, right - 6.0), bottom + 19.0, compact(tick), anchor="middle", kind="label")
    draw_line(root, left, bottom, right, bottom, kind="axis")
    draw_text(root, (left + right) / 2.0, bottom + 38.0, x_label, anchor="middle", kind="label")
    if ceiling:
        _, y = place(x_low, ceiling.value)
        draw_line(root, left, y, right, y, kind="ceiling")
        draw_text(root, right, y + 15.0, ceiling.label, anchor="end", kind="label")
    for one in series:
        _draw_series(root, one, [place(x, y) if is_drawable(y) else None for x, y in _thinned(one.points)])
    return tostring(root, encoding="unicode")


def bar_chart(title: str, names: Sequence[str], groups: Mapping[str, Sequence[float | None]]) -> str:
    """Horizontal bars of shares: a row for each name, in it a bar for each group. None is a gap marked –.

    Args:
        title: what a screen reader says; not drawn.
        names: label of each row, K of them.
        groups: legend entry → K shares in [0, 1]; at most four groups.
    """
    if not names:
        return _empty(title, "there are no modes")
    legend = [(group, index + 1, False) for index, group in enumerate(groups)]
    shares = [share for group in groups.values() for share in group if share is not None and is_drawable(share)]
    top = 20.0 + 20.0 * count_legend_rows(list(groups))
    bar, row = 12.0, 12.0 * len(groups) + 9.0
    height = top + row * len(names) + 28.0
    left = 16.0 + WIDE_CHARACTER * max(len(cut(name)) for name in names)
    right = WIDTH - 60.0
    ticks = nice_ticks(0.0, max([*shares, 1e-3]), intervals=4)
    root = new_drawing(title, height)
    draw_legend(root, legend)
    for tick in ticks:
        x = left + tick / ticks[-1] * (right - left)
        draw_line(root, x, top - 4.0, x, height - 26.0, kind="rule")
        draw_text(root, x, height - 10.0, f"{100 * tick:g} %", anchor="middle", kind="label")
    for index, name in enumerate(names):
        y = top + row * index
        label = draw_text(root, left - 8.0, y + (row - 9.0) / 2.0 + 4.5, cut(name), anchor="end", kind="name")
        SubElement(label, "title").text = name
        for position, (group, values) in enumerate(groups.items()):
            share = values[index]
            known = share if share is not None and is_drawable(share) else None
            length = 0.0 if known is None else max(known, 0.0) / ticks[-1] * (right - left)
            rectangle = draw_rectangle(root, left, y + bar * position, length, bar - 1.0, kind=f"fill-{position + 1}")
            shown = "–" if known is None else percent(known)
            SubElement(rectangle, "title").text = f"{name}, {group}: {shown}"
            draw_text(root, left + length + 5.0, y + bar * position + 10.0, shown, kind="value")
    return tostring(root, encoding="unicode")


def _empty(title: str, reason: str) -> str:
    root = new_drawing(title, 48.0)
    draw_text(root, 2.0, 28.0, f"– ({reason})", kind="label")
    return tostring(root, encoding="unicode")


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about ``_MOST_POINTS`` of them: the lowest and the highest of each run, so that spikes stay."""
    ordered = sorted((point for point in points if is_drawable(point[0])), key=lambda point: point[0])
    if len(ordered) <= _MOST_POINTS:
        return ordered
    kept: list[tuple[float, float]] = []
    length = math.ceil(2 * len(ordered) / _MOST_POINTS)
    for start in range(0, len(ordered), length):
        run = ordered[start : start + length]
        known = [point for point in run if is_drawable(point[1])]
        if known:
            extremes = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
            kept.extend(sorted(extremes))
        if len(known) < len(run):
            kept.append((run[-1][0], math.nan))
    return kept


def _draw_series(root: Element, series: Series, places: Sequence[tuple[float, float] | None]) -> None:
    parts: list[str] = []
    pen_down = False
    for index, place in enumerate(places):
        if place is None:
            pen_down = False
            continue
        x, y = place
        following = places[index + 1] if index + 1 < len(places) else None
        if not pen_down and following is None:
            draw_circle(root, x, y, 3.0, kind=f"fill-{(series.color - 1) % COLORS + 1}")
        else:
            parts.append(f"{'L' if pen_down else 'M'}{coordinate(x)} {coordinate(y)}")
        pen_down = True
    if parts:
        path = SubElement(root, "path", {"class": stroke_class(series.color, series.dashed), "d": "".join(parts)})
        if series.name:
            SubElement(path, "title").text = series.name
