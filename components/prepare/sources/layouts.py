"""Arrays of numbers become pictures of bytes, or vectors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.prepare.decoding.colours import over_white
from models.errors import ConfigurationError, SourceError

Layout = Literal["vector", "nhw", "nhwc", "nchw"]
CHANNELS = (1, 3, 4)
NOT_FINITE = "not a finite array"
UNKNOWN_RANGE = "values of unknown range"


def layout_of(shape: tuple[int, ...], dtype: np.dtype[Any], asked: str | None, place: str) -> Layout:
    """What the axes of an array are.

    Args:
        shape: [N, D] of floats, [N, H, W], [N, H, W, C] or [N, C, H, W]; C is 1, 3 or 4.
        dtype: of its values.
        asked: ``nhwc``, ``nchw`` or None, which looks for the axis of 1, 3 or 4.
        place: for messages.

    Raises:
        ConfigurationError: if both axes could be the channels', or another layout was asked for.
        SourceError: if it is an array of neither pictures nor vectors.
    """
    if asked not in (None, "nhwc", "nchw"):
        raise ConfigurationError(f"Unknown layout {asked!r} of arrays.", "Known are: nhwc, nchw.")
    known = dtype == np.bool_ or dtype in (np.dtype("u1"), np.dtype("u2"), np.dtype(">u2")) or dtype.kind == "f"
    if not known:
        raise SourceError(
            f"{place} holds {dtype}.",
            "Save pictures as uint8, as uint16, or as floats from 0 to 1; vectors as float32.",
        )
    if len(shape) == 2 and dtype.kind == "f":
        return "vector"
    if len(shape) == 3:
        return "nhw"
    if len(shape) != 4:
        raise SourceError(
            f"{place} has the shape {list(shape)}.", "Give [N, H, W], [N, H, W, C], [N, C, H, W], or vectors [N, D]."
        )
    last, first = shape[3] in CHANNELS, shape[1] in CHANNELS
    if asked is None and last and first:
        raise ConfigurationError(
            f"{place} has the shape {list(shape)}: either axis may be the channels'.",
            "Give ?layout=nhwc or ?layout=nchw.",
        )
    if asked == "nhwc" or (asked is None and last):
        chosen: Layout = "nhwc"
    else:
        chosen = "nchw"
    if not (last if chosen == "nhwc" else first):
        raise SourceError(f"{place} has the shape {list(shape)}.", "Pictures have 1, 3 or 4 channels.")
    return chosen


def as_vectors(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], list[str]]:
    """float32 [N, D], and for each row the reason to leave it out, or an empty string."""
    with np.errstate(over="ignore"):
        vectors = np.asarray(rows, dtype=np.float32)
    finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    return vectors, ["" if row else NOT_FINITE for row in finite]


def as_pictures(rows: npt.NDArray[Any], layout: Layout) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """uint8 [N, C, H, W] with C of 1 or 3, and for each row the reason to leave it out, or an empty string.

    uint16 is divided by 257 and floats in [0, 1] are multiplied by 255, each rounded once; a fourth channel is
    alpha, and is composited over white.
    """
    values = np.asarray(rows)
    reasons = [""] * len(values)
    if layout == "nhw":
        values = values[:, None]
    elif layout == "nhwc":
        values = values.transpose(0, 3, 1, 2)
    if values.dtype == np.bool_:
        pixels = values.astype(np.uint8) * np.uint8(255)
    elif values.dtype == np.uint8:
        pixels = np.ascontiguousarray(values)
    elif values.dtype.kind == "u":
        pixels = np.rint(values.astype(np.float64) / 257.0).astype(np.uint8)
    else:
        axes = (1, 2, 3)
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=axes))
        with np.errstate(invalid="ignore"):
            inside: npt.NDArray[np.bool_] = np.asarray(((values >= 0) & (values <= 1)).all(axis=axes))
        reasons = ["" if i else UNKNOWN_RANGE if f else NOT_FINITE for f, i in zip(finite, inside, strict=True)]
        kept = np.where(inside[:, None, None, None], values, 0)
        pixels = np.rint(kept.astype(np.float64) * 255.0).astype(np.uint8)
    return over_white(pixels[:, :3], pixels[:, 3:]) if pixels.shape[1] == 4 else pixels, reasons
