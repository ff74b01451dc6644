"""PNG: 1 to 16 bits, grey, colour, palette, alpha, interlaced; of an animation, the picture that still viewers show.

Only the chunks that make pixels are used. Compressed text and profiles are never unpacked.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.prepare.decoding import exif
from components.prepare.decoding.opened import Opened, Stored, Wanted, part
from components.prepare.decoding.picture import (
    END_MARK_MISSING,
    FIRST_FRAME,
    PROFILE_IGNORED,
    TRUNCATED,
    UnusableError,
    unreadable,
)

CHUNK_BYTES = 12  # without a body
GREY, COLOUR, INDEXED, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6

# (bits, colour type): PIL's mode and the layout in the file. Sixteen bits of several bands are read byte by byte below.
LAYOUTS = {
    (1, GREY): ("1", "1"),
    (2, GREY): ("L", "L;2"),
    (4, GREY): ("L", "L;4"),
    (8, GREY): ("L", "L"),
    (16, GREY): ("I;16", "I;16B"),
    (8, COLOUR): ("RGB", "RGB"),
    (16, COLOUR): ("RGB", "RGB;16B"),
    (1, INDEXED): ("P", "P;1"),
    (2, INDEXED): ("P", "P;2"),
    (4, INDEXED): ("P", "P;4"),
    (8, INDEXED): ("P", "P"),
    (8, GREY_ALPHA): ("LA", "LA"),
    (16, GREY_ALPHA): ("RGBA", "RGBA"),  # high and low byte of grey, high and low byte of alpha
    (8, COLOUR_ALPHA): ("RGBA", "RGBA"),
    (16, COLOUR_ALPHA): ("RGBA", "RGBA;16B"),
}


def open_png(content: bytes) -> Opened:
    """Read the chunks, checking each one's sum."""
    chunks: dict[bytes, bytes] = {}
    data: list[bytes] = []
    notes: list[str] = []
    position = 8
    while True:
        if data and len(content) - position < CHUNK_BYTES:
            notes.append(END_MARK_MISSING)
            break
        head = part(content, position, 8)
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"IEND":
            break
        body = part(content, position + 8, length)
        stated = int.from_bytes(part(content, position + 8 + length, 4))
        position += length + 12
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf"):
            if zlib.crc32(body, zlib.crc32(kind)) != stated:
                if kind == b"eXIf":
                    continue
                raise UnusableError(unreadable("PNG"))
            if kind == b"IDAT":
                data.append(body)
            else:
                chunks.setdefault(kind, body)
        elif kind == b"acTL" and int.from_bytes(body[:4]) > 1:
            notes.append(FIRST_FRAME)
        elif kind == b"iCCP":
            notes.append(PROFILE_IGNORED)
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise UnusableError(unreadable("PNG"))
    if not data:
        raise UnusableError(TRUNCATED)
    bits, colour, compression, filtering, interlaced = header[8:]
    if (bits, colour) not in LAYOUTS or compression or filtering or interlaced > 1:
        raise UnusableError(unreadable("PNG"))
    size = (int.from_bytes(header[:4]), int.from_bytes(header[4:8]))

    def load(_: Wanted) -> Stored:
        stream = b"".join(data)
        mode, layout = LAYOUTS[bits, colour]

        def read(layout: str) -> Image.Image:
            return Image.frombytes(mode, size, stream, "zip", layout, interlaced)

        transparency = chunks.get(b"tRNS", b"")
        if colour == INDEXED:
            return Stored(read(layout), palette=_palette(chunks.get(b"PLTE", b""), transparency))
        key = _key(transparency, bits) if colour in (GREY, COLOUR) else None
        if bits < 16:
            return Stored(read(layout), key=key)
        if colour == GREY:
            deep: npt.NDArray[Any] = np.asarray(read(layout)).astype(np.uint16)[:, :, None]
        elif colour == GREY_ALPHA:
            deep = np.asarray(read(layout)).view(">u2").astype("u2")
        else:  # PIL gives one byte of the two: the high one, or, told the other order, the low one
            deep = np.asarray(read(layout)).astype(np.uint16)
            deep <<= 8
            deep |= np.asarray(read(layout[:-1] + "L"))
        return Stored(deep, 65_535, key=key)

    return Opened("PNG", *size, load, exif.orientation(chunks.get(b"eXIf", b"")), tuple(dict.fromkeys(notes)))


def _palette(colours: bytes, transparency: bytes) -> npt.NDArray[np.uint8]:
    table = np.zeros((256, 4), dtype=np.uint8)
    table[:, 3] = 255
    entries = min(len(colours) // 3, 256)
    table[:entries, :3] = np.frombuffer(colours, np.uint8, 3 * entries).reshape(-1, 3)
    alphas = min(len(transparency), 256)
    table[:alphas, 3] = np.frombuffer(transparency, np.uint8, alphas)
    return table


def _key(transparency: bytes, bits: int) -> tuple[int, ...] | None:
    """The transparent colour, on the scale of the decoded samples: PIL widens 1, 2 and 4 bits to 8."""
    if len(transparency) not in (2, 6):
        return None
    widening = 255 // ((1 << bits) - 1) if bits < 8 else 1
    mask = (1 << bits) - 1
    return tuple(
        (int.from_bytes(transparency[start : start + 2]) & mask) * widening for start in range(0, len(transparency), 2)
    )
