"""The common form of what the page hangs up: a heading, pictures, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """One picture (PNG) or one drawing (SVG), never both."""

    alt: str
    caption: str
    png: bytes | None = None
    svg: Markup | None = None
    legend: Sequence[str] = ()
    """What the colours ``heat-0``, ``heat-1`` ... of the drawing stand for."""


@dataclass(frozen=True)
class Exhibit:
    """Figures under one heading."""

    title: str
    note: str
    """What to look for, in a sentence or two."""
    figures: Sequence[Figure]
    layout: Literal["wide", "pair", "strip"] = "wide"
    """One below the other, side by side where there is room, or many small ones in a row that wraps."""
