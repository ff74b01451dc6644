"""A picture that a client sent, as the pixels that a model's encoder takes.

The content decides what it is, never a name or a Content-Type. The size is read from the header and refused
before a pixel is decoded. Pixels are taken as preparation of the data takes them: profiles ignored, turned
upright as EXIF says, what is transparent over white, grey by ITU-R 601-2 luma (of a JPEG the one that lies in
the file), of an animation the first frame, then a square by :func:`serving.pictures.resize.resized_square`.
Equal to it bit for bit, but for 16-bit pictures and CMYK, which may differ by 1 in 255 before resizing.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from serving.errors import MalformedRequest, PictureTooLarge, UnsupportedPicture
from serving.pictures.exif import orientation, upright
from serving.pictures.resize import Fit, resized_square

Pixels = npt.NDArray[np.uint8]
_SCANS_AT_MOST = 100  # each scan of a progressive JPEG passes over the whole picture
_START_OF_SCAN = b"\xff\xda"
_ROWS_AT_ONCE = 64
_DEEP = ("I;16", "I;16B", "I;16L", "I")  # 16 bits of grey, as Pillow names them


def picture_format(content: bytes | bytearray) -> str | None:
    """PNG, JPEG or WEBP by the first bytes, else None."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return None


def read_picture(content: bytes | bytearray, shape: Sequence[int], max_pixels: int, fit: Fit = "crop") -> Pixels:
    """The picture as a model takes it.

    Args:
        content: the whole file.
        shape: channels (1 or 3), height and width of the model's pictures. A model of squares takes any picture;
            one whose data was not squares was never given anything resized, so it takes its own size alone.
        max_pixels: width times height that is decoded.
        fit: how a picture that is no square becomes one.

    Returns:
        uint8 [height, width, channels].

    Raises:
        UnsupportedPicture: if it is none, or of another format.
        PictureTooLarge: if it has more pixels, or a JPEG more scans, than allowed.
        MalformedRequest: if its format's decoder cannot read it, or the model cannot take it.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise MalformedRequest(f"this model's pictures have {channels} channels, which no file has.")
    kind = picture_format(content)
    if kind is None:
        raise UnsupportedPicture("the body is no PNG, JPEG or WebP.", "Send the file itself, or a form with it.")
    if kind == "JPEG" and content.count(_START_OF_SCAN) > _SCANS_AT_MOST:
        raise PictureTooLarge(f"the JPEG has more than {_SCANS_AT_MOST} scans.")
    pixels = _decoded(content, kind, max_pixels, grey=channels == 1)
    if height == width:
        return np.ascontiguousarray(resized_square(pixels, height, fit))
    if pixels.shape[:2] != (height, width):
        raise MalformedRequest(f"this model takes pictures of {width} x {height} pixels and no others.")
    return np.ascontiguousarray(pixels)


def _decoded(content: bytes | bytearray, kind: str, max_pixels: int, *, grey: bool) -> Pixels:
    """The upright picture, uint8 [H, W, 1 or 3]."""
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            if image.width * image.height > max_pixels:
                raise PictureTooLarge(f"the picture has {image.width} x {image.height} pixels; {max_pixels} at most.")
            if grey and isinstance(image, JpegImageFile):
                image.draft("L", None)
            image.load()
            turn = orientation(image.info.get("exif", b""))
            pixels = _plain(image, grey=grey)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureTooLarge(f"the picture has too many pixels; {max_pixels} at most.") from error
    except PictureTooLarge:
        raise
    # Decoders of foreign bytes fail in any way, SyntaxError and struct.error among them.
    except Exception as error:
        raise MalformedRequest(f"the {kind} cannot be read.", "Send a whole and sound file.") from error
    return upright(pixels, turn)


def _plain(image: Image.Image, *, grey: bool) -> Pixels:
    if image.mode in _DEEP:
        eight = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        image = Image.fromarray(eight.astype(np.uint8))
    if image.mode == "CMYK":
        light = 255 - np.asarray(image).astype(np.uint16)
        image = Image.fromarray(((light[:, :, :3] * light[:, :, 3:] + 127) // 255).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.fromarray(_over_white(np.asarray(image.convert("RGBA"))))
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[:, :, None] if grey else pixels


def _over_white(samples: Pixels) -> Pixels:
    """round(c a + 1 - a) of uint8 [H, W, 4], some rows at a time: the products are twice as wide as the pixels."""
    result = np.empty((*samples.shape[:2], 3), dtype=np.uint8)
    for start in range(0, len(samples), _ROWS_AT_ONCE):
        part = samples[start : start + _ROWS_AT_ONCE].astype(np.uint16)
        alpha = part[:, :, 3:]
        result[start : start + _ROWS_AT_ONCE] = (part[:, :, :3] * alpha + (255 - alpha) * 255 + 127) // 255
    return result
