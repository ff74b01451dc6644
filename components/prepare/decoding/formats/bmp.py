"""BMP of Windows and OS/2: 1 to 32 bits, masks, run lengths."""

from __future__ import annotations

import io

from PIL.BmpImagePlugin import BmpImageFile

from components.prepare.decoding.opened import Opened, Stored, Wanted, palette_table, part
from components.prepare.decoding.picture import UnusableError, unreadable

OS2_HEADER_BYTES = 12
RUN_LENGTHS = (1, 2)
WIDTH_OF_RUN_LENGTHS = 65_535  # PIL's decoder makes up to 255 rows at once


def open_bmp(content: bytes) -> Opened:
    """Read the size from the header."""
    header_bytes = int.from_bytes(part(content, 14, 4), "little")
    header = part(content, 18, 8 if header_bytes == OS2_HEADER_BYTES else 36)
    if header_bytes == OS2_HEADER_BYTES:
        width, height = (int.from_bytes(header[at : at + 2], "little") for at in (0, 2))
    else:
        width = int.from_bytes(header[:4], "little", signed=True)
        height = abs(int.from_bytes(header[4:8], "little", signed=True))
        if int.from_bytes(header[12:16], "little") in RUN_LENGTHS and width > WIDTH_OF_RUN_LENGTHS:
            raise UnusableError(unreadable("BMP"))

    def load(_: Wanted) -> Stored:
        picture = BmpImageFile(io.BytesIO(content))
        if picture.size != (width, height):
            raise UnusableError(unreadable("BMP"))
        picture.load()
        if picture.mode != "P":
            return Stored(picture)
        return Stored(picture, palette=palette_table(picture))

    return Opened("BMP", width, height, load)
