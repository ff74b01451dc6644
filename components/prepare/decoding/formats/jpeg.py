"""JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK (both inverted, as Adobe writes them).

The file goes to libjpeg as it is: PIL's own parser of the segments, with its warnings and its EXIF, is left out.
"""

from __future__ import annotations

import re

from PIL import Image

from components.prepare.decoding import exif
from components.prepare.decoding.opened import Opened, Stored, Wanted, part
from components.prepare.decoding.picture import (
    BOMB,
    PROFILE_IGNORED,
    SCALED_DECODE,
    TRUNCATED,
    UnusableError,
    unreadable,
)

MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}
MARKER = re.compile(rb"\xff([\x01-\xfe])")
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = 0xC2
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
END, START_OF_SCAN, APP1, APP2 = 0xD9, 0xDA, 0xE1, 0xE2
SCANS_AT_MOST = 100  # each scan of a progressive file passes over the whole picture


def open_jpeg(content: bytes) -> Opened:
    """Read the segments before the first scan."""
    frame: tuple[int, int, int] | None = None
    progressive = False
    orientation = 1
    notes: tuple[str, ...] = ()
    position = 2
    while True:
        found = MARKER.search(content, position)
        if found is None:
            raise UnusableError(TRUNCATED)
        position, marker = found.end(), found[1][0]
        if marker in WITHOUT_LENGTH:
            continue
        if marker in (END, START_OF_SCAN):
            break
        length = int.from_bytes(part(content, position, 2))
        body = part(content, position + 2, length - 2) if length >= 2 else b""
        if marker in START_OF_FRAME:
            if len(body) < 6 or body[0] != 8 or body[5] not in MODES:
                raise UnusableError(unreadable("JPEG"))
            frame = (int.from_bytes(body[3:5]), int.from_bytes(body[1:3]), body[5])
            progressive = marker == PROGRESSIVE
        elif marker == APP1 and body.startswith(b"Exif\0\0"):
            orientation = exif.orientation(body)
        elif marker == APP2 and body.startswith(b"ICC_PROFILE\0"):
            notes = (PROFILE_IGNORED,)
        position += max(length, 2)
    if frame is None:
        raise UnusableError(unreadable("JPEG"))
    width, height, components = frame
    if progressive and content.count(b"\xff\xda", position) > SCANS_AT_MOST:
        raise UnusableError(BOMB)

    def load(wanted: Wanted) -> Stored:
        mode, rawmode = MODES[components]
        scale = 1
        if wanted.least is not None:
            possible = (8, 4, 2)
            scale = next((s for s in possible if min(width, height) // s >= wanted.least), 1)
        if mode == "RGB" and wanted.grey:
            mode = rawmode = "L"  # the luma lies there as it is; colour need not be made
        size = (-(-width // scale), -(-height // scale))
        picture = Image.frombytes(mode, size, content, "jpeg", rawmode, "", scale, 0)
        return Stored(picture, scale=scale, notes=(SCALED_DECODE,) if scale > 1 else ())

    return Opened("JPEG", width, height, load, orientation, notes)
