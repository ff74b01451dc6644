"""What decoding gives: a picture with what was done to it, or a reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# Reasons are counted in the manifest, so each is one of few fixed phrases.
ZERO_BYTES = "zero bytes"
NOT_A_PICTURE = "not a picture"
TRUNCATED = "truncated"
BOMB = "decompression bomb"
NO_MEMORY = "too large for the memory"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PNM")

# Notes are counted too. The order is that of the work.
END_MARK_MISSING = "end mark missing"
FIRST_FRAME = "first frame of an animation"
FIRST_PAGE = "first page of several"
PROFILE_IGNORED = "colour profile ignored"
SCALED_DECODE = "scaled JPEG decode"
PALETTE = "palette"
CMYK = "CMYK converted"
DEEP = "16-bit scaled to 8"
RESCALED = "range scaled to 8 bits"
ALPHA = "alpha over white"
TURNED = "turned by EXIF"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    ``pixels`` is uint8 [C, S, S], or [C, height, width] where no size is asked for. ``width`` and ``height`` are of the
    whole picture in pixels, upright, before cropping and resizing. ``format`` is one of ``FORMATS``. ``notes`` says
    what was done that people should know.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    notes: tuple[str, ...]


class UnusableError(Exception):
    """There is no picture, for a fixed reason. Never leaves this package."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def smaller_than(pixels: int) -> str:
    """The reason for a picture whose shorter side is below the limit."""
    return f"smaller than {pixels} pixels"


def unreadable(kind: str) -> str:
    """The reason for a file of a known format that its decoder refuses, or that breaks the format's rules."""
    return f"unreadable: {kind}"


def unknown_range(mode: str) -> str:
    """The reason for pixels of which nobody can tell what is white: 32-bit integers, floating point."""
    return f"values of unknown range (mode {mode})"
