"""The orientation that EXIF states, and nothing else of it; Pillow's parser warns about broken blocks."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

_ORIENTATION, _SHORT, _ENTRY_BYTES = 0x0112, 3, 12

# EXIF 2.32, section 4.6.4: rows and columns swapped, then rows flipped, then columns flipped.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orientation(block: bytes) -> int:
    """Orientation (1 to 8) of an EXIF block, with or without ``Exif\\0\\0`` before it; 1 where it makes no sense."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", block, start)
    end = min(start + 2 + _ENTRY_BYTES * entries, len(block) - _ENTRY_BYTES + 1)
    for entry in range(start + 2, end, _ENTRY_BYTES):
        tag, kind = struct.unpack_from(f"{order}HH", block, entry)
        if (tag, kind) == (_ORIENTATION, _SHORT):
            (value,) = struct.unpack_from(f"{order}H", block, entry + 8)
            return int(value) if value in _TURNS else 1
    return 1


def upright(picture: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """A view of [H, W, C] the right way up."""
    swap, flip_rows, flip_columns = _TURNS[turn]
    if swap:
        picture = np.swapaxes(picture, 0, 1)
    return picture[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
