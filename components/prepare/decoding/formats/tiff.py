"""TIFF: its first page, 1 to 16 bits, grey, palette, colour, alpha, CMYK, in strips or tiles.

What is handed to PIL is the file with a directory of its own at the end: only the tags that make pixels, each checked,
so that nothing is left to warn about, and no other page.
"""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from components.prepare.decoding.formats.libtiff import silence
from components.prepare.decoding.opened import Opened, Stored, Wanted, palette_table, part
from components.prepare.decoding.picture import (
    FIRST_PAGE,
    PROFILE_IGNORED,
    TRUNCATED,
    UnusableError,
    unknown_range,
    unreadable,
)

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
FAX3, FAX4, PREDICTOR, COLOUR_MAP = 292, 293, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, YCBCR_POSITION, BLACK_WHITE = (
    338,
    339,
    347,
    529,
    530,
    531,
    532,
)
PROFILE = 34_675

SINGLE = {
    WIDTH,
    HEIGHT,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    SAMPLES,
    ROWS_PER_STRIP,
    PLANAR,
    FAX3,
    FAX4,
    PREDICTOR,
    TILE_WIDTH,
    TILE_HEIGHT,
    YCBCR_POSITION,
}
SEVERAL = {
    BITS,
    STRIP_OFFSETS,
    STRIP_BYTES,
    COLOUR_MAP,
    TILE_OFFSETS,
    TILE_BYTES,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
    YCBCR_SUBSAMPLING,
}
OPAQUE = {JPEG_TABLES, YCBCR_COEFFICIENTS, BLACK_WHITE}  # handed on unread
BYTES_OF_TYPE = {1: 1, 3: 2, 4: 4, 5: 8, 7: 1}  # byte, short, long, rational, undefined
NUMPY_OF_TYPE = {1: "u1", 3: "u2", 4: "u4"}

# None, fax, LZW, JPEG, deflate (two numbers), PackBits, Zstandard. LZMA may ask for gigabytes of dictionary.
COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32_946, 32_773, 50_000}
WHITE_IS_ZERO, CMYK_INKS, SEPARATE_PLANES = 0, 5, 2
TILE_PIXELS = 2**24
SAMPLES_AT_MOST = 6


class _Page(TiffImageFile):
    """Without PIL's own limit on sizes: ours has been held against the header before."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self.size).im
        ImageFile.load_prepare(self)


@dataclass(frozen=True, slots=True)
class _Directory:
    """The tags of a page that matter: their numbers, and the directory written anew."""

    values: dict[int, npt.NDArray[np.int64]]
    written: bytes
    last: bool
    profile: bool

    def one(self, tag: int, otherwise: int) -> int:
        found = self.values.get(tag)
        return otherwise if found is None else int(found[0])


def open_tiff(content: bytes) -> Opened:
    """Read the first directory."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack(f"{order}I", part(content, 4, 4))
    directory = _directory(content, start, order)
    width, height = directory.one(WIDTH, 0), directory.one(HEIGHT, 0)
    _check(directory, width, height)
    bits = int(directory.values.get(BITS, np.array([1])).max())
    photometric = directory.one(PHOTOMETRIC, 0)
    padding = b"\0" * (len(content) & 1)
    place = struct.pack(f"{order}I", len(content) + len(padding))

    def load(_: Wanted) -> Stored:
        _check_places(directory, width, height, len(content))
        single = content[:4] + place + content[8:] + padding + directory.written
        picture = _page(single)
        if picture.size != (width, height):
            raise UnusableError(unreadable("TIFF"))
        if picture.mode in ("I", "F"):
            raise UnusableError(unknown_range(picture.mode))
        if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B", "I;16L"):
            raise UnusableError(unreadable("TIFF"))
        layout = _layout(picture)
        if ";16" in layout and picture.mode in ("RGB", "RGBA", "CMYK") and "RGBa" not in layout:
            return _deep(picture, layout, single, directory)
        picture.load()
        if picture.mode.startswith("I;16"):
            maximum = (1 << bits) - 1
            samples = np.asarray(picture).astype(np.uint16)[:, :, None]
            return Stored(maximum - samples if photometric == WHITE_IS_ZERO else samples, maximum)
        if picture.mode == "P":
            return Stored(picture, palette=palette_table(picture))
        return Stored(picture)

    turning = directory.one(ORIENTATION, 1)
    notes: tuple[str, ...] = () if directory.last else (FIRST_PAGE,)
    if directory.profile:
        notes += (PROFILE_IGNORED,)
    return Opened("TIFF", width, height, load, turning if 1 <= turning <= 8 else 1, notes)


def _directory(content: bytes, start: int, order: str) -> _Directory:
    """The entries worth keeping; broken ones end the reading."""
    (count,) = struct.unpack(f"{order}H", part(content, start, 2))
    entries = part(content, start + 2, 12 * count)
    following = content[start + 2 + 12 * count : start + 6 + 12 * count]
    values: dict[int, npt.NDArray[np.int64]] = {}
    kept: dict[int, bytes] = {}
    profile = False
    total = 0
    for at in range(0, 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", entries, at)
        profile |= tag == PROFILE
        if tag in kept or tag not in SINGLE | SEVERAL | OPAQUE | {ORIENTATION}:
            continue
        if kind not in BYTES_OF_TYPE or not number or (tag in SINGLE and number != 1):
            raise UnusableError(unreadable("TIFF"))
        size = number * BYTES_OF_TYPE[kind]
        inside = size <= 4
        place = 0 if inside else struct.unpack_from(f"{order}I", entries, at + 8)[0]
        total += size
        if total > len(content):
            raise UnusableError(TRUNCATED)
        data = entries[at + 8 : at + 8 + size] if inside else part(content, place, size)
        if tag not in OPAQUE:
            if kind not in NUMPY_OF_TYPE:
                raise UnusableError(unreadable("TIFF"))
            values[tag] = np.frombuffer(data, f"{order}{NUMPY_OF_TYPE[kind]}").astype(np.int64)
        if tag != ORIENTATION:  # turned here, not there
            kept[tag] = entries[at : at + 12]
    written = struct.pack(f"{order}H", len(kept)) + b"".join(kept[tag] for tag in sorted(kept)) + b"\0\0\0\0"
    return _Directory(values, written, following in (b"", b"\0\0\0\0"), profile)


def _check(directory: _Directory, width: int, height: int) -> None:
    """What would cost memory or end in a confusing message is refused here.

    Raises:
        UnusableError: unreadable.
    """
    samples = directory.one(SAMPLES, 1)
    tile = directory.one(TILE_WIDTH, 0) * directory.one(TILE_HEIGHT, 0)
    if (
        directory.one(COMPRESSION, 1) not in COMPRESSIONS
        or not 1 <= samples <= SAMPLES_AT_MOST
        or tile > max(TILE_PIXELS, 4 * width * height)
        or (directory.one(PLANAR, 1) == SEPARATE_PLANES and int(directory.values.get(BITS, np.array([1])).max()) > 8)
    ):
        raise UnusableError(unreadable("TIFF"))


def _check_places(directory: _Directory, width: int, height: int, length: int) -> None:
    """The strips or tiles must all be there: PIL leaves missing ones black.

    Raises:
        UnusableError: truncated, or unreadable.
    """
    samples = directory.one(SAMPLES, 1)
    rows = max(min(directory.one(ROWS_PER_STRIP, height), height), 1)
    strips = -(-height // rows)
    tiles = -(-width // max(directory.one(TILE_WIDTH, 1), 1)) * -(-height // max(directory.one(TILE_HEIGHT, 1), 1))
    planes = samples if directory.one(PLANAR, 1) == SEPARATE_PLANES else 1
    for places, sizes, needed in ((STRIP_OFFSETS, STRIP_BYTES, strips), (TILE_OFFSETS, TILE_BYTES, tiles)):
        starts = directory.values.get(places)
        if starts is None:
            continue
        counts = directory.values.get(sizes, np.zeros(1, dtype=np.int64))
        shared = min(len(starts), len(counts))
        beyond = (starts >= length).any() or (starts[:shared] + counts[:shared] > length).any()
        if beyond or len(starts) < needed * planes:  # rows without data would be black
            raise UnusableError(TRUNCATED)
        if len(starts) > needed * samples:
            raise UnusableError(unreadable("TIFF"))


def _page(content: bytes) -> _Page:
    silence()
    return _Page(io.BytesIO(content))


def _layout(picture: _Page) -> str:
    """PIL's name of the samples' layout in the file, such as RGB;16B."""
    arguments = picture.tile[0].args if picture.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _deep(picture: _Page, layout: str, content: bytes, directory: _Directory) -> Stored:
    """Several bands of 16 bits, of which PIL gives one byte: the high one, or, told the other order, the low one."""
    picture.load()
    deep = np.asarray(picture).astype(np.uint16)
    deep <<= 8
    native = "L" if sys.byteorder == "little" else "B"
    order = layout[-1] if layout[-1] in "LB" else native
    other = layout[:-1] + ("B" if order == "L" else "L")
    second = _page(content)
    second.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other) for tile in second.tile
    ]
    second.load()
    deep |= np.asarray(second)
    if directory.one(PHOTOMETRIC, 0) == CMYK_INKS:
        inks = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return Stored(Image.frombytes("CMYK", picture.size, inks.tobytes()))
    return Stored(deep, 65_535)
