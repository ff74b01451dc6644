"""AVIF: eight bits a band, as libavif brings deeper ones down; of an animation the first frame.

Opening one reads its boxes and decodes nothing. The file's own ``irot`` and ``imir`` turn it; EXIF does not, as the
standard says. What the boxes state and what the pixels turn out to be may differ: libavif then scales the pixels, and
refuses more than 268 million of them, which is the limit on memory that holds against such a file.
"""

from __future__ import annotations

import io

from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile

from components.prepare.decoding import exif
from components.prepare.decoding.opened import Opened, Stored, Wanted, part
from components.prepare.decoding.picture import FIRST_FRAME, PROFILE_IGNORED, TRUNCATED, UnusableError, unreadable


def open_avif(content: bytes) -> Opened:
    """Read the boxes."""
    if not SUPPORTED:
        raise UnusableError(unreadable("AVIF"))
    picture = AvifImageFile(io.BytesIO(_without_exif(content)))

    def load(_: Wanted) -> Stored:
        picture.load()
        return Stored(picture)

    notes = []
    if getattr(picture, "n_frames", 1) > 1:
        notes.append(FIRST_FRAME)
    if picture.info.get("icc_profile"):
        notes.append(PROFILE_IGNORED)
    return Opened("AVIF", *picture.size, load, exif.orientation(picture.info.get("exif", b"")), tuple(notes))


def _without_exif(content: bytes) -> bytes:
    """The same file with its EXIF item renamed, since PIL's parser warns about broken ones."""
    position = start = 0
    renamed: bytes | None = None
    while position + 8 <= len(content):
        length, kind = int.from_bytes(content[position : position + 4]), content[position + 4 : position + 8]
        if length == 1:
            length = int.from_bytes(part(content, position + 8, 8))
        elif length == 0:  # to the end of the file
            length = len(content) - position
        if length < 8:
            raise UnusableError(unreadable("AVIF"))
        if position + length > len(content):
            raise UnusableError(TRUNCATED)
        if kind == b"meta" and renamed is None:
            renamed = content[position : position + length].replace(b"Exif", b"Skip")
            start = position
        position += length
    if renamed is None:
        raise UnusableError(unreadable("AVIF"))
    return content[:start] + renamed + content[start + len(renamed) :]
