"""PBM, PGM and PPM, plain and binary, up to 16 bits a band."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.prepare.decoding.opened import Opened, Stored, Wanted
from components.prepare.decoding.picture import TRUNCATED, UnusableError, unreadable

HEADER_BYTES = 4_096
SPACE = rb"(?:\s|#[^\n\r]*[\n\r])+"
BITMAP = re.compile(rb"P([14])" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})\s")
SHADES = re.compile(rb"P([2356])" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})\s")
COMMENT = re.compile(rb"#[^\n\r]*")
NOT_A_NUMBER = re.compile(rb"[^\d\s]")
NOT_A_DIGIT_OF_A_BITMAP = re.compile(rb"[^01]+")


def open_netpbm(content: bytes) -> Opened:
    """Read the three or four numbers of the header."""
    bitmap = content[1:2] in b"14"
    found = (BITMAP if bitmap else SHADES).match(content[:HEADER_BYTES])
    if found is None:
        raise UnusableError(unreadable("PNM"))
    kind, width, height = (int(found[group]) for group in (1, 2, 3))
    maximum = 1 if bitmap else int(found[4])
    if not 1 <= maximum <= 65_535:
        raise UnusableError(unreadable("PNM"))
    bands = 3 if kind in (3, 6) else 1
    start = found.end()

    def load(_: Wanted) -> Stored:
        shape = (height, width, bands)
        if kind == 4:
            row = -(-width // 8)
            packed = _numbers(content, start, row * height, "u1").reshape(height, row)
            return Stored(_picture(255 - 255 * np.unpackbits(packed, axis=1)[:, :width, None]))
        if kind in (5, 6):
            deep = maximum > 255
            values = _numbers(content, start, height * width * bands, ">u2" if deep else "u1").reshape(shape)
        else:
            values = _plain(content[start:], kind, height * width * bands).reshape(shape)
            if kind == 1:
                return Stored(_picture((255 - 255 * values).astype(np.uint8)))
        if values.size and values.max() > maximum:
            raise UnusableError(unreadable("PNM"))
        if maximum == 255:
            return Stored(_picture(values.astype(np.uint8)))
        return Stored(values.astype(np.uint16), maximum)

    return Opened("PNM", width, height, load)


def _numbers(content: bytes, start: int, count: int, kind: str) -> npt.NDArray[Any]:
    if (len(content) - start) // np.dtype(kind).itemsize < count:
        raise UnusableError(TRUNCATED)
    return np.frombuffer(content, kind, count, start)


def _plain(text: bytes, kind: int, count: int) -> npt.NDArray[Any]:
    """The first numbers of a text; digits of a bitmap need no space between them."""
    text = COMMENT.sub(b"", text)
    if kind == 1:
        digits = NOT_A_DIGIT_OF_A_BITMAP.sub(b"", text)
        return _numbers(digits, 0, count, "u1") - ord("0")
    if NOT_A_NUMBER.search(text):
        raise UnusableError(unreadable("PNM"))
    numbers = np.fromstring(text, np.float64, sep=" ")
    if len(numbers) < count:
        raise UnusableError(TRUNCATED)
    return numbers[:count]


def _picture(values: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
