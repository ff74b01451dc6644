"""From the bytes of a picture's file to one square of uint8, or to a fixed reason why not.

The content decides which of eight formats it is, never a name. A file's header is read first, and what is too small or
too large is refused before a pixel is decoded. Nothing global is touched: any number of threads and processes may
decode at once, and no setting of PIL counts, its limit on sizes included (but WebP and GIF above 178 million pixels
stay refused by it).

What a reader should know of the result: colour profiles are ignored and pixels taken for sRGB; what is transparent is
shown over white, before resizing; 16 bits become 8 by division by 257 and rounding; grey is ITU-R 601-2 luma, for
JPEG the one that lies in the file; a file that ends before its pixels do is no picture, one that lacks only its end
mark is (JPEG excepted, where nobody can tell the two apart). Damage inside the data that a decoder passes over, as that
of JPEG does, stays unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from components.prepare.decoding.colours import plain
from components.prepare.decoding.formats.avif import open_avif
from components.prepare.decoding.formats.bmp import open_bmp
from components.prepare.decoding.formats.gif import open_gif
from components.prepare.decoding.formats.jpeg import open_jpeg
from components.prepare.decoding.formats.netpbm import open_netpbm
from components.prepare.decoding.formats.png import open_png
from components.prepare.decoding.formats.tiff import open_tiff
from components.prepare.decoding.formats.webp import open_webp
from components.prepare.decoding.framing import (
    Window,
    covered,
    relative,
    stored_window,
    turned,
    upright_size,
    upright_window,
)
from components.prepare.decoding.opened import Opened, Wanted
from components.prepare.decoding.picture import (
    BOMB,
    NO_MEMORY,
    NOT_A_PICTURE,
    TRUNCATED,
    TURNED,
    ZERO_BYTES,
    Picture,
    UnusableError,
    smaller_than,
    unreadable,
)
from components.prepare.decoding.resize import square_window, to_square
from components.prepare.settings import DataSettings

Opener = Callable[[bytes], Opened]

SIGNATURES: tuple[tuple[re.Pattern[bytes], str, Opener], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", open_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", open_png),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP", open_webp),
    (re.compile(rb"GIF8[79]a"), "GIF", open_gif),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF", open_tiff),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "AVIF", open_avif),
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP", open_bmp),
    (re.compile(rb"P[1-6][\s#]"), "PNM", open_netpbm),
)

# What PIL says where the data ends too early; it has no type of error of its own for it.
SAYS_TRUNCATED = re.compile(r"truncated|not enough image data|unexpected end", re.IGNORECASE)
SCALED_DECODE_OVERSIZE = 2


def decode(content: bytes, settings: DataSettings) -> Picture | str:
    """The picture, or why there is none.

    Args:
        content: the whole file.
        settings: ``image_size`` (None leaves the picture as large as it is and not square), ``channels``, ``fit``,
            ``scaled_decode``, ``minimum_side`` and ``maximum_pixels`` count.

    Returns:
        a picture with uint8 [C, S, S], or one of a few fixed phrases. Never raises on any content.
    """
    if not content:
        return ZERO_BYTES
    found = next(((kind, opener) for signature, kind, opener in SIGNATURES if signature.match(content)), None)
    if found is None:
        return NOT_A_PICTURE
    kind, opener = found
    try:
        return _decode(opener(content), settings)
    except UnusableError as error:
        return error.reason
    except MemoryError:
        return NO_MEMORY
    except EOFError:
        return TRUNCATED
    except Exception as error:  # decoders of foreign bytes fail in any way: whatever it is, it is told
        return TRUNCATED if SAYS_TRUNCATED.search(str(error)) else unreadable(kind)


def _decode(opened: Opened, settings: DataSettings) -> Picture:
    if min(opened.width, opened.height) < 1:
        raise UnusableError(unreadable(opened.format))
    if opened.width * opened.height > settings.maximum_pixels:
        raise UnusableError(BOMB)
    if min(opened.width, opened.height) < settings.minimum_side:
        raise UnusableError(smaller_than(settings.minimum_side))
    pixels, grey = settings.image_size, settings.channels == 1
    scalable = settings.scaled_decode and pixels is not None
    stored = opened.load(Wanted(grey, SCALED_DECODE_OVERSIZE * pixels if scalable and pixels else None))
    stored_width, stored_height = stored.size
    width, height = upright_size(opened.width, opened.height, opened.orientation)
    shown: Window = (0, 0, width, height) if pixels is None else square_window(width, height, settings.fit)
    left, top, right, bottom = stored_window(shown, width, height, opened.orientation)
    window = left / stored.scale, top / stored.scale, right / stored.scale, bottom / stored.scale
    box = covered(window, stored_width, stored_height)
    colours, done = plain(stored, box, grey, opened.format)
    upright = turned(colours, opened.orientation)
    if pixels is None:
        result = np.ascontiguousarray(upright.transpose(2, 0, 1))
    else:
        window = relative(window, box[0], box[1])
        result = to_square(
            upright, pixels, upright_window(window, box[2] - box[0], box[3] - box[1], opened.orientation)
        )
    notes = (*opened.notes, *stored.notes, *done, *((TURNED,) if opened.orientation > 1 else ()))
    return Picture(result, width, height, opened.format, notes)
