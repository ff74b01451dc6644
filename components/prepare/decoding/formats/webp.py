"""WebP: lossy, lossless, with alpha; of an animation the first frame."""

from __future__ import annotations

import io

from PIL.WebPImagePlugin import WebPImageFile

from components.prepare.decoding import exif
from components.prepare.decoding.opened import Opened, Stored, Wanted, part
from components.prepare.decoding.picture import FIRST_FRAME, PROFILE_IGNORED, TRUNCATED, UnusableError, unreadable


def open_webp(content: bytes) -> Opened:
    """Walk the RIFF chunks for the size of the canvas."""
    end = 8 + int.from_bytes(part(content, 4, 4), "little")
    if len(content) < end:
        raise UnusableError(TRUNCATED)
    size: tuple[int, int] | None = None
    orientation, frames = 1, 0
    notes: list[str] = []
    position = 12
    while position + 8 <= end:
        kind = content[position : position + 4]
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        body = part(content, position + 8, min(length, 30))
        if kind == b"VP8X" and len(body) >= 10:
            size = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind == b"VP8 " and len(body) >= 10 and size is None:
            size = (int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF)
        elif kind == b"VP8L" and len(body) >= 5 and size is None:
            packed = int.from_bytes(body[1:5], "little")
            size = ((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF":
            orientation = exif.orientation(part(content, position + 8, length))
        elif kind == b"ICCP":
            notes.append(PROFILE_IGNORED)
        position += 8 + length + (length & 1)
    if size is None:
        raise UnusableError(unreadable("WEBP"))
    if frames > 1:
        notes.append(FIRST_FRAME)

    def load(_: Wanted) -> Stored:
        picture = WebPImageFile(io.BytesIO(content))
        if picture.size != size:
            raise UnusableError(unreadable("WEBP"))
        picture.load()
        return Stored(picture)

    return Opened("WEBP", *size, load, orientation, tuple(dict.fromkeys(notes)))
