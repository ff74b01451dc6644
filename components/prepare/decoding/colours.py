"""From samples as a file has them to 8 bits of grey or colour, nothing of them transparent.

Colour profiles are ignored: samples are taken for sRGB, as by PIL, torchvision and every common data set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.prepare.decoding.framing import Box
from components.prepare.decoding.opened import Stored
from components.prepare.decoding.picture import (
    ALPHA,
    CMYK,
    DEEP,
    PALETTE,
    RESCALED,
    Pixels,
    UnusableError,
    unknown_range,
    unreadable,
)

PIXELS_AT_ONCE = 2**20  # of a large picture, so that temporaries stay small beside it
DEEP_MAXIMUM = 65_535


def luma(colour: Pixels) -> Pixels:
    """Grey [H, W, 1] of colour [H, W, 3] by ITU-R BT.601-2: .299 R + .587 G + .114 B, as PIL rounds it."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L"))[:, :, None]


def over_white(samples: Pixels, alpha: Pixels) -> Pixels:
    """round(c a + 1 - a) of uint8 samples and of one alpha for all their bands, whichever axis these are."""
    weight = alpha.astype(np.uint16)
    return ((samples * weight + (255 - weight) * 255 + 127) // 255).astype(np.uint8)


def plain(stored: Stored, box: Box, grey: bool, kind: str) -> tuple[Pixels, tuple[str, ...]]:
    """A part of a picture as uint8 [H, W, 1 or 3], and what was done to it.

    Args:
        stored: what the decoder gave.
        box: the part, in the stored picture's own coordinates.
        grey: one band instead of three.
        kind: the format, for the reason, should there be no way.

    Raises:
        UnusableError: if the samples have no known meaning.
    """
    notes: dict[str, None] = {}
    strips = list(_strips(stored, box))
    if len(strips) == 1:
        return _plain(stored, strips[0], grey, kind, notes), tuple(notes)
    left, top, right, bottom = box
    result = np.empty((bottom - top, right - left, 1 if grey else 3), dtype=np.uint8)
    for strip in strips:
        result[strip[1] - top : strip[3] - top] = _plain(stored, strip, grey, kind, notes)
    return result, tuple(notes)


def _strips(stored: Stored, box: Box) -> Iterator[Box]:
    left, top, right, bottom = box
    rows = max(PIXELS_AT_ONCE // (right - left), 1)
    for start in range(top, bottom, rows):
        yield left, start, right, min(start + rows, bottom)


def _plain(stored: Stored, box: Box, grey: bool, kind: str, notes: dict[str, None]) -> Pixels:
    if isinstance(stored.samples, Image.Image):
        samples = _of_picture(stored, stored.samples, box, grey, kind, notes)
    else:
        left, top, right, bottom = box
        samples = _of_numbers(stored.samples[top:bottom, left:right], stored.maximum, stored.key, notes)
    if samples.shape[2] == 3 and grey:
        return luma(samples)
    return samples if grey or samples.shape[2] == 3 else np.repeat(samples, 3, axis=2)


def _of_numbers(
    samples: npt.NDArray[np.uint16], maximum: int, key: tuple[int, ...] | None, notes: dict[str, None]
) -> Pixels:
    """Integers [H, W, 1 to 4] from 0 to ``maximum``, over white, scaled and rounded once."""
    notes[DEEP if maximum == DEEP_MAXIMUM else RESCALED] = None
    bands = 3 if samples.shape[2] >= 3 else 1
    colour = samples[:, :, :bands].astype(np.uint64)
    alpha: npt.NDArray[np.uint64] | None = None
    if samples.shape[2] in (2, 4):
        alpha = samples[:, :, bands:].astype(np.uint64)
    elif key is not None and len(key) == bands:
        alpha = (~(samples == np.array(key)).all(axis=2, keepdims=True)).astype(np.uint64) * np.uint64(maximum)
    if alpha is None or (alpha == maximum).all():
        return ((colour * 510 + maximum) // (2 * maximum)).astype(np.uint8)
    notes[ALPHA] = None
    shown = colour * alpha + (maximum - alpha) * maximum
    return ((shown * 510 + maximum * maximum) // (2 * maximum * maximum)).astype(np.uint8)


def _of_picture(
    stored: Stored, picture: Image.Image, box: Box, grey: bool, kind: str, notes: dict[str, None]
) -> Pixels:
    if box != (0, 0, *picture.size):
        picture = picture.crop(box)
    if stored.palette is not None:
        return _of_palette(np.asarray(picture), stored.palette, grey, notes)
    match picture.mode:
        case "1":
            picture = picture.convert("L")
        case "PA" | "RGBa" | "La":
            picture = picture.convert("RGBA")
        case "YCbCr" | "RGBX":
            picture = picture.convert("RGB")
        case "RGB" if grey and stored.key is None:
            picture = picture.convert("L")
        case "I" | "F":
            raise UnusableError(unknown_range(picture.mode))
    samples: Pixels = np.asarray(picture)
    match picture.mode:
        case "L":
            return _keyed(samples[:, :, None], stored.key, notes)
        case "RGB":
            return _keyed(samples, stored.key, notes)
        case "LA" | "RGBA":
            return _over(samples[:, :, :-1], samples[:, :, -1:], notes)
        case "CMYK":
            notes[CMYK] = None
            light = 255 - samples.astype(np.uint16)
            return ((light[:, :, :3] * light[:, :, 3:] + 127) // 255).astype(np.uint8)
    raise UnusableError(unreadable(kind))


def _keyed(samples: Pixels, key: tuple[int, ...] | None, notes: dict[str, None]) -> Pixels:
    if key is None or len(key) != samples.shape[2]:
        return samples
    transparent = (samples == np.array(key)).all(axis=2)
    if not transparent.any():
        return samples
    notes[ALPHA] = None
    return np.where(transparent[:, :, None], np.uint8(255), samples)


def _over(samples: Pixels, alpha: Pixels, notes: dict[str, None]) -> Pixels:
    if alpha.min() == 255:
        return samples
    notes[ALPHA] = None
    return over_white(samples, alpha)


def _of_palette(indices: Pixels, palette: Pixels, grey: bool, notes: dict[str, None]) -> Pixels:
    shown = over_white(palette[:, :3], palette[:, 3:])
    if (palette[:, 3] < 255).any() and (palette[indices, 3] < 255).any():
        notes[ALPHA] = None
    if (palette[:, :3] != np.arange(256)[:, None]).any():
        notes[PALETTE] = None
    return (luma(shown[None])[0] if grey else shown)[indices]
