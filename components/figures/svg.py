"""The strokes that every drawing is made of: inline SVG, coloured by the page's classes.

Elements carry classes (``rule``, ``line-1``, ``fill-1`` ...) that the page colours by CSS variables, so
that one drawing is legible on light and dark pages. Text is escaped by the XML writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

WIDTH = 380  # of the view box; text stays legible when a phone shrinks it to 300
COLORS = 4
CHARACTER = 6.8  # estimated width of a character of the 13 px labels
WIDE_CHARACTER = 8.0  # of short names in a wide font, which are cut off where they find no room
LINE = 46
"""Characters that find room beside a legend's stroke, or in a line of their own."""


def cut(name: str, length: int = 18) -> str:
    """The name, or as much of it as ``length`` characters hold."""
    return name if len(name) <= length else name[: length - 1] + "…"


def new_drawing(title: str, height: float) -> Element:
    """An empty drawing of the common width; a screen reader says ``title``."""
    root = Element("svg", {"class": "chart", "viewBox": f"0 0 {WIDTH} {coordinate(height)}", "role": "img"})
    root.set("aria-label", title)
    return root


def coordinate(number: float) -> str:
    """To a tenth of the view box's unit, so that the same drawing has the same characters everywhere."""
    return f"{number:.1f}"


def draw_line(root: Element, x1: float, y1: float, x2: float, y2: float, *, kind: str) -> None:
    """A straight line of the class ``kind``."""
    SubElement(
        root,
        "line",
        {"class": kind, "x1": coordinate(x1), "y1": coordinate(y1), "x2": coordinate(x2), "y2": coordinate(y2)},
    )


def draw_text(root: Element, x: float, y: float, text: str, *, kind: str, anchor: str = "start") -> Element:
    """One line of text on the baseline y; ``anchor`` is start, middle or end."""
    element = SubElement(root, "text", {"class": kind, "x": coordinate(x), "y": coordinate(y), "text-anchor": anchor})
    element.text = text
    return element


def draw_rectangle(root: Element, x: float, y: float, width: float, height: float, *, kind: str) -> Element:
    """A filled rectangle with its upper left corner at (x, y)."""
    places = {"x": coordinate(x), "y": coordinate(y), "width": coordinate(width), "height": coordinate(height)}
    return SubElement(root, "rect", {"class": kind, **places})


def draw_circle(root: Element, x: float, y: float, radius: float, *, kind: str) -> Element:
    """A circle around (x, y)."""
    places = {"r": coordinate(radius), "cx": coordinate(x), "cy": coordinate(y)}
    return SubElement(root, "circle", {"class": kind, **places})


def _legend_places(names: Sequence[str]) -> list[tuple[float, int]]:
    """(x, row) of each entry, wrapped to the chart's width."""
    places, x, row = [], 2.0, 0
    for name in names:
        width = 44.0 + CHARACTER * len(cut(name, LINE))
        if not name:
            places.append((x, row))
            continue
        if x > 2.0 and x + width > WIDTH:
            x, row = 2.0, row + 1
        places.append((x, row))
        x += width
    return places


def count_legend_rows(names: Sequence[str]) -> int:
    """Rows of 20 units that the legend of these names takes."""
    return _legend_places(names)[-1][1] + 1


def draw_legend(root: Element, entries: Sequence[tuple[str, int, bool]]) -> None:
    """(name, colour 1 to 4, dashed) in reading order at the drawing's top; what has no name is left out."""
    places = _legend_places([name for name, _, _ in entries])
    for (name, color, dashed), (x, row) in zip(entries, places, strict=True):
        if not name:
            continue
        y = 12.0 + 20.0 * row
        draw_line(root, x, y, x + 22.0, y, kind=stroke_class(color, dashed) + " key")
        draw_text(root, x + 28.0, y + 4.5, cut(name, LINE), kind="name")


def stroke_class(color: int, dashed: bool) -> str:
    """The classes that colour a line."""
    return f"line-{(color - 1) % COLORS + 1}" + (" dashed" if dashed else "")
