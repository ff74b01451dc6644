"""GIF: its first frame on its canvas.

What is handed to PIL is a file of one frame made from the original: no comments, no later frames, and a canvas that
covers the frame, so that its size is known before any of it is decoded.
"""

from __future__ import annotations

import io

import numpy as np
from PIL.GifImagePlugin import GifImageFile

from components.prepare.decoding.opened import Opened, Stored, Wanted, palette_table, part
from components.prepare.decoding.picture import END_MARK_MISSING, FIRST_FRAME, TRUNCATED, UnusableError, unreadable

EXTENSION, FRAME, TRAILER = 0x21, 0x2C, 0x3B
GRAPHIC_CONTROL = 0xF9


def open_gif(content: bytes) -> Opened:
    """Find the first frame and what follows it."""
    screen = part(content, 0, 13)
    position = 13 + _table_bytes(screen[10])
    colours = part(content, 13, position - 13)
    control = b""
    while True:
        mark = part(content, position, 1)[0]
        if mark == FRAME:
            break
        if mark != EXTENSION:
            raise UnusableError(unreadable("GIF"))
        end = _after_blocks(content, position + 2)
        if content[position + 1] == GRAPHIC_CONTROL and end - position == 8:
            control = content[position:end]
        position = end
    descriptor = part(content, position, 10)
    end = _after_blocks(content, position + 11 + _table_bytes(descriptor[9]))
    left, top, width, height = (int.from_bytes(descriptor[at : at + 2], "little") for at in (1, 3, 5, 7))
    canvas_width = max(int.from_bytes(screen[6:8], "little"), left + width)
    canvas_height = max(int.from_bytes(screen[8:10], "little"), top + height)
    if not 0 < canvas_width < 65_536 or not 0 < canvas_height < 65_536 or not width or not height:
        raise UnusableError(unreadable("GIF"))
    if control:  # its transparent colour counts, how the frame is taken away does not
        control = control[:3] + bytes([control[3] & 1]) + control[4:]
    single = b"".join(
        (
            b"GIF89a",
            canvas_width.to_bytes(2, "little"),
            canvas_height.to_bytes(2, "little"),
            screen[10:],
            colours,
            control,
            content[position:end],
            bytes([TRAILER]),
        )
    )

    def load(_: Wanted) -> Stored:
        picture = GifImageFile(io.BytesIO(single))
        picture.load()
        if picture.mode not in ("P", "L"):
            return Stored(picture)
        if picture.mode == "L":
            table = np.full((256, 4), 255, dtype=np.uint8)
            table[:, :3] = np.arange(256)[:, None]
        else:
            table = palette_table(picture)
        transparent = picture.info.get("transparency")
        if isinstance(transparent, int):
            table[transparent, 3] = 0
        return Stored(picture, palette=table)

    return Opened("GIF", canvas_width, canvas_height, load, notes=_after_the_frame(content, end))


def _table_bytes(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(content: bytes, position: int) -> int:
    """Where a chain of counted blocks ends, behind its empty block."""
    while position < len(content):
        length = content[position]
        position += length + 1
        if not length:
            return position
    raise UnusableError(TRUNCATED)


def _after_the_frame(content: bytes, position: int) -> tuple[str, ...]:
    """What to say about the rest of the file; however broken it is, the first frame is whole."""
    try:
        while (mark := part(content, position, 1)[0]) == EXTENSION:
            position = _after_blocks(content, position + 2)
    except UnusableError:
        return (END_MARK_MISSING,)
    return (FIRST_FRAME,) if mark == FRAME else ()
