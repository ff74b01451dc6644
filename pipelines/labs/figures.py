"""Pictures of the demonstrations: a light page, labelled axes, small PNG files."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREEN, VIOLET, GREY = "#2266bb", "#d1570a", "#2a8a4a", "#8a4ab0", "#70757d"
COLORS = (BLUE, ORANGE, GREEN, VIOLET, GREY)


def figure(columns: int, rows: int = 1, *, width: float = 4.0, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A page of rows times columns axes, in reading order; sizes are one panel's, in inches."""
    page = Figure(figsize=(width * columns, height * rows), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(page)
    axes = page.subplots(rows, columns, squeeze=False)
    return page, [panel for line in axes for panel in line]


def label(panel: Axes, title: str, x: str, y: str, *, legend: bool = True) -> None:
    """Title, axes' names with their units, and the legend of what was drawn."""
    panel.set_title(title, fontsize=10)
    panel.set_xlabel(x, fontsize=9)
    panel.set_ylabel(y, fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e4e6ea", linewidth=0.7)
    panel.set_axisbelow(True)
    if legend:
        panel.legend(fontsize=8, framealpha=0.9)


def tiles(panel: Axes, title: str, images: npt.NDArray[np.floating], columns: int) -> None:
    """Pictures in [0, 1], [N, H, W], in reading order; the last row is filled up with white."""
    count, height, width = images.shape
    rows = -(-count // columns)
    canvas = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1))
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image
    panel.imshow(canvas, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    panel.set_title(title, fontsize=10)
    panel.axis("off")


def to_png(page: Figure) -> bytes:
    """The page in at most 64 colours, which its lines and letters do not miss."""
    stream = io.BytesIO()
    page.savefig(stream, format="png", metadata={"Software": None})
    stream.seek(0)
    small = Image.open(stream).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, format="PNG", optimize=True)
    return out.getvalue()
