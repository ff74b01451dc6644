"""Pictures of samples as PNG bytes: grids of images, scatters of points."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from components.figures.charts import compact, nice_ticks

GAP_VALUE = 128  # between tiles: neither the black of a digit's background nor the white of a page

_LEGIBLE_TILE = 56  # pixels; smaller tiles are magnified until their longer side reaches it
_SCATTER_SIZE = 520
_SCATTER_MARGINS = (44, 52, 14, 30)  # left, top, right, bottom, in pixels
_REFERENCE_COLOR = (86, 156, 235)
_SAMPLE_COLOR = (196, 58, 0)
_NEGLECTED_COLOR = (30, 30, 30)
_CIRCLE_RADIUS = 14
_INK = (40, 44, 52)
_FRAME = (200, 204, 210)


def grid(images: NDArray[np.uint8], columns: int, *, scale: int | None = None, gap: int = 2) -> bytes:
    """Tiles in reading order as one PNG; grey stays grey.

    Args:
        images: uint8 [N, H, W, C], N >= 1, C 1 (grey) or 3 (RGB).
        columns: tiles in a row; the last row may be shorter.
        scale: whole-number magnification without smoothing; None makes small tiles legible.
        gap: pixels between tiles, after magnification; there is none around the outside.
    """
    _require_pictures(images)
    count, height, width, channels = images.shape
    if count == 0 or columns < 1 or gap < 0:
        raise ValueError(f"A grid needs at least one picture and one column, not {count} and {columns}.")
    factor = max(1, math.ceil(_LEGIBLE_TILE / max(height, width))) if scale is None else scale
    if factor < 1:
        raise ValueError(f"scale must be at least 1, not {factor}.")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    tiles = images.repeat(factor, axis=1).repeat(factor, axis=2)
    down, across = height * factor + gap, width * factor + gap
    canvas = np.full((rows * down - gap, columns * across - gap, channels), GAP_VALUE, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * down, index % columns * across
        canvas[top : top + height * factor, left : left + width * factor] = tile
    return _png(Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas))


def thumbnails(images: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Pictures whose longer side is at most ``longest`` pixels, by averaging; smaller ones as they are.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.
        longest: pixels, at least 1.
    """
    _require_pictures(images)
    _, height, width, channels = images.shape
    if max(height, width) <= longest:
        return images
    size = (max(1, round(width * longest / max(height, width))), max(1, round(height * longest / max(height, width))))
    shrunk = [
        np.asarray(
            Image.fromarray(image[:, :, 0] if channels == 1 else image).resize(size, Image.Resampling.BOX)
        ).reshape(size[1], size[0], channels)
        for image in images
    ]
    return np.stack(shrunk)


def scatter(
    points: NDArray[np.float32],
    reference: NDArray[np.float32],
    neglected: NDArray[np.float64] | None = None,
) -> bytes:
    """Samples over real data on the same axes, as a square PNG; darker where more points lie.

    The axes follow the real data; samples outside them, or not finite, are counted in the legend.

    Args:
        points: samples, [N, 2]; none of them draws the real data alone.
        reference: real data, finite, [M, 2], M >= 1.
        neglected: centers that the samples miss, [K, 2]: circled, and counted in the legend.
    """
    for name, rows in (("points", points), ("reference", reference)):
        if rows.ndim != 2 or rows.shape[1] != 2:
            raise ValueError(f"{name} must be [N, 2], not {list(rows.shape)}.")
    if len(reference) == 0 or not np.isfinite(reference).all():
        raise ValueError("The reference must hold at least one point, all finite.")
    left, top, right, bottom = _SCATTER_MARGINS
    side = _SCATTER_SIZE - left - right
    low, high = reference.min(axis=0).astype(np.float64), reference.max(axis=0).astype(np.float64)
    center, half = (low + high) / 2.0, 0.6 * max(float((high - low).max()), 1e-6)

    canvas = np.full((side, side, 3), 255.0)
    pixels, _ = _pixels_inside(reference, center, half, side)
    _blend(canvas, pixels, radius=3, opacity=0.12, color=_REFERENCE_COLOR)
    pixels, outside = _pixels_inside(points, center, half, side)
    _blend(canvas, pixels, radius=1, opacity=0.45, color=_SAMPLE_COLOR)

    picture = Image.new("RGB", (_SCATTER_SIZE, top + side + bottom), (255, 255, 255))
    picture.paste(Image.fromarray(np.rint(canvas).astype(np.uint8)), (left, top))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 1, top - 1, left + side, top + side), outline=_FRAME)
    _draw_axes(draw, center, half, side)
    legend = [(_REFERENCE_COLOR, f"real data: {len(reference):,}")]
    if len(points):
        note = f" ({outside:,} outside)" if outside else ""
        legend.append((_SAMPLE_COLOR, f"samples: {len(points):,}{note}"))
    if neglected is not None and len(neglected):
        circled, _ = _pixels_inside(neglected, center, half, side)
        for row, column in circled:
            x, y = left + int(column), top + int(row)
            box = (x - _CIRCLE_RADIUS, y - _CIRCLE_RADIUS, x + _CIRCLE_RADIUS, y + _CIRCLE_RADIUS)
            draw.ellipse(box, outline=_NEGLECTED_COLOR, width=2)
    _draw_legend(draw, legend)
    if neglected is not None and len(neglected):
        _draw_circled(draw, f"neglected: {len(neglected)}")
    return _png(picture)


def data_uri(png: bytes) -> str:
    """The picture as an address that carries its content."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _require_pictures(images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"Pictures must be uint8 [N, H, W, 1 or 3], not {images.dtype} {list(images.shape)}.")


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _pixels_inside(
    points: NDArray[np.floating], center: NDArray[np.float64], half: float, side: int
) -> tuple[NDArray[np.int64], int]:
    """Points [N, 2] → (row, column) [K, 2] of those on the canvas, and how many are not."""
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    unit = (finite - center) / (2.0 * half) + 0.5
    inside = unit[((unit >= 0.0) & (unit < 1.0)).all(axis=1)]
    columns, rows = np.floor(inside[:, 0] * side), np.floor((1.0 - inside[:, 1]) * side)
    pixels = np.stack([rows, columns], axis=1).astype(np.int64).clip(0, side - 1)
    return pixels, len(points) - len(inside)


def _blend(
    canvas: NDArray[np.float64],
    pixels: NDArray[np.int64],
    *,
    radius: int,
    opacity: float,
    color: tuple[int, int, int],
) -> None:
    """Discs of one colour over ``canvas`` [S, S, 3], in place; n of them cover 1 - (1 - opacity)^n."""
    side = len(canvas)
    counts = np.zeros((side + 2 * radius, side + 2 * radius))
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if down * down + across * across <= radius * radius + 1:
                np.add.at(counts, (pixels[:, 0] + radius + down, pixels[:, 1] + radius + across), 1.0)
    covered = 1.0 - (1.0 - opacity) ** counts[radius : radius + side, radius : radius + side, None]
    canvas += covered * (np.asarray(color, dtype=np.float64) - canvas)


def _draw_axes(draw: ImageDraw.ImageDraw, center: NDArray[np.float64], half: float, side: int) -> None:
    left, top = float(_SCATTER_MARGINS[0]), float(_SCATTER_MARGINS[1])
    font = ImageFont.load_default(14)
    for axis in (0, 1):
        start = float(center[axis]) - half
        for tick in nice_ticks(start, start + 2.0 * half):
            share = (tick - start) / (2.0 * half)
            if not 0.0 <= share <= 1.0:
                continue
            if axis == 0:
                x, y = left + share * side, top + side
                draw.line((x, y, x, y + 4), fill=_FRAME)
                draw.text((x, y + 7), _plain(tick), fill=_INK, font=font, anchor="mt")
            else:
                x, y = left, top + (1.0 - share) * side
                draw.line((x - 5, y, x - 1, y), fill=_FRAME)
                draw.text((x - 8, y), _plain(tick), fill=_INK, font=font, anchor="rm")


def _plain(tick: float) -> str:
    """The label in characters that Pillow's own font has."""
    return compact(tick).replace("−", "-")


def _draw_legend(draw: ImageDraw.ImageDraw, entries: list[tuple[tuple[int, int, int], str]]) -> None:
    left, _, _, _ = _SCATTER_MARGINS
    font = ImageFont.load_default(15)
    for line, (color, text) in enumerate(entries):
        y = 14 + 22 * line
        draw.ellipse((left, y - 6, left + 12, y + 6), fill=color)
        draw.text((left + 20, y), text, fill=_INK, font=font, anchor="lm")


def _draw_circled(draw: ImageDraw.ImageDraw, text: str) -> None:
    """The legend's entry for circles, at the right of the first line."""
    font = ImageFont.load_default(15)
    x = _SCATTER_SIZE - _SCATTER_MARGINS[2] - 20 - draw.textlength(text, font=font)
    draw.ellipse((x, 7, x + 14, 21), outline=_NEGLECTED_COLOR, width=2)
    draw.text((x + 20, 14), text, fill=_INK, font=font, anchor="lm")
