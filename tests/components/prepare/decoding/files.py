"""Files of every format, made here, with the picture that each of them shows."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 24

# Adam7, PNG standard, 8.2: first row, first column, step of rows, step of columns.
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def scene() -> np.ndarray:
    """A smooth picture that lossy formats keep, without any symmetry: uint8 [24, 40, 3]."""
    y, x = np.indices((HEIGHT, WIDTH), dtype=np.float64)
    red = 30 + 200 * x / WIDTH
    green = 60 + 150 * y / HEIGHT
    blue = 90 + 60 * np.sin(x / 9.0 + y / 13.0)
    return np.rint(np.stack([red, green, blue], axis=2)).astype(np.uint8)


def grey_scene() -> np.ndarray:
    """uint8 [24, 40]."""
    return scene()[:, :, 0] // 2 + scene()[:, :, 1] // 4


def saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """A file by PIL."""
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _rows(samples: np.ndarray, bits: int) -> bytes:
    """Rows of samples [H, W, bands], each after filter type 0."""
    height = len(samples)
    if not samples.size:
        return b""
    if bits == 16:
        packed = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    elif bits == 8:
        packed = samples.astype(np.uint8).reshape(height, -1)
    else:
        shifts = np.arange(bits)[::-1]
        packed = np.packbits((samples[:, :, :1] >> shifts & 1).astype(np.uint8).reshape(height, -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def png(
    samples: np.ndarray,
    bits: int,
    colour: int,
    interlaced: bool = False,
    before: Sequence[bytes] = (),
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of integers [H, W, bands], written from the standard; ``size`` states another size than it has."""
    height, width = samples.shape[:2]
    stated = size or (width, height)
    data = (
        b"".join(_rows(samples[top::down, left::right], bits) for top, left, down, right in ADAM7)
        if interlaced
        else _rows(samples, bits)
    )
    header = struct.pack(">IIBBBBB", *stated, bits, colour, 0, 0, int(interlaced))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *before,
            chunk(b"IDAT", zlib.compress(data)),
            chunk(b"IEND", b""),
        )
    )


def exif(orientation: int, order: str = "<") -> bytes:
    """An EXIF block of one entry."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera held so would have stored: the inverse of what viewers do, in PIL's words."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = Image.fromarray(upright)
    return np.asarray(picture.transpose(undo[orientation]) if orientation in undo else picture)


def tiff(samples: np.ndarray, photometric: int, order: str = "<", extra: tuple[int, ...] = (), bits: int = 16) -> bytes:
    """An uncompressed TIFF of one strip of integers [H, W, bands], 8 or 16 bits each."""
    height, width, bands = samples.shape
    data = samples.astype(f"{order}u{bits // 8}").tobytes()
    depths = struct.pack(f"{order}{bands}H", *[bits] * bands)
    entries: list[tuple[int, int, int, bytes]] = [
        (256, 3, 1, struct.pack(f"{order}HH", width, 0)),
        (257, 3, 1, struct.pack(f"{order}HH", height, 0)),
        (258, 3, bands, depths),
        (259, 3, 1, struct.pack(f"{order}HH", 1, 0)),
        (262, 3, 1, struct.pack(f"{order}HH", photometric, 0)),
        (273, 4, 1, struct.pack(f"{order}I", 8)),
        (277, 3, 1, struct.pack(f"{order}HH", bands, 0)),
        (278, 3, 1, struct.pack(f"{order}HH", height, 0)),
        (279, 4, 1, struct.pack(f"{order}I", len(data))),
    ]
    if extra:
        entries.append((338, 3, len(extra), struct.pack(f"{order}{len(extra)}H", *extra)))
    start = 8 + len(data)
    beyond = start + 2 + 12 * len(entries) + 4
    directory, tail = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            place = struct.pack(f"{order}I", beyond + len(tail))
            tail += value
            value = place
        directory += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", start) + data + directory + b"\0\0\0\0" + tail


def ycck(upright: np.ndarray) -> bytes:
    """A JPEG of YCCK, inverted as Adobe writes it, without black ink."""
    planes = np.asarray(Image.fromarray(255 - upright).convert("YCbCr"))
    four = np.concatenate([255 - planes, np.zeros_like(planes[:, :, :1])], axis=2)
    content = saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), four.tobytes()), "JPEG", quality=100)
    place = content.index(b"Adobe") + 11
    return content[:place] + b"\x02" + content[place + 1 :]


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose header states another size than it has."""
    content = saved(scene(), "JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]
