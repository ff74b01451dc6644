"""The orientation that EXIF states, and nothing else of it.

Parsed here because PIL's parser warns about broken blocks, and warnings are global to the process.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
SHORT = 3


def orientation(block: bytes) -> int:
    """Orientation (1 to 8) of an EXIF block, a small TIFF file with or without ``Exif\\0\\0`` before it.

    1, upright, where it is missing or makes no sense: a broken block is no reason to lose a picture.
    """
    if block[:6] == b"Exif\0\0":
        block = block[6:]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", block, entry)
        if tag == ORIENTATION and kind == SHORT:
            (value,) = struct.unpack_from(f"{order}H", block, entry + 8)
            return int(value) if 1 <= value <= 8 else 1
    return 1
