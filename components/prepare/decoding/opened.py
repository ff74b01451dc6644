"""What a format's reader finds before any pixel is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.prepare.decoding.picture import TRUNCATED, UnusableError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller needs of the pixels, so that a decoder can do less.

    ``grey``: luma alone suffices. ``least``: both sides may shrink as long as they keep this many pixels; None forbids.
    """

    grey: bool
    least: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Decoded pixels as the file has them, not yet turned.

    ``samples`` is a PIL picture of 8 bits, or integers [H, W, bands] of 1 (grey), 2 (grey, alpha), 3 (colour) or 4
    (colour, alpha) bands from 0 to ``maximum``. ``palette`` is uint8 [256, 4] of colour and alpha for a picture of
    mode P, and ``key`` the colour that stands for transparent. Each pixel
    stands for ``scale`` x ``scale`` of the file's.
    """

    samples: Image.Image | npt.NDArray[np.uint16]
    maximum: int = 255
    palette: npt.NDArray[np.uint8] | None = None
    key: tuple[int, ...] | None = None
    scale: int = 1
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the samples."""
        if isinstance(self.samples, Image.Image):
            return self.samples.size
        return self.samples.shape[1], self.samples.shape[0]


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose header has been read: stored size in pixels, EXIF orientation (1 to 8), and a way to its pixels."""

    format: str
    width: int
    height: int
    load: Callable[[Wanted], Stored]
    orientation: int = 1
    notes: tuple[str, ...] = ()


def palette_table(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Colour and alpha [256, 4] of a loaded picture of mode P; what its palette lacks is black."""
    table = np.zeros((256, 4), dtype=np.uint8)
    table[:, 3] = 255
    palette = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    table[: len(palette), :3] = palette
    return table


def part(content: bytes, start: int, count: int) -> bytes:
    """``count`` bytes from ``start``.

    Raises:
        UnusableError: truncated, if the file ends before them.
    """
    piece = content[start : start + count]
    if start < 0 or len(piece) < count:
        raise UnusableError(TRUNCATED)
    return piece
