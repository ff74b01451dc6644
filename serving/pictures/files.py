"""Samples as files: a picture, a grid, an archive or a multipart body, each a pure function of its array."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from serving.errors import MalformedRequest
from serving.pictures.png import encode_png

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
Format = Literal["png", "webp", "jpeg", "npy"]
Layout = Literal["grid", "zip", "multipart"]
ReconstructionLayout = Literal["alone", "pair"]

FORMATS: tuple[Format, ...] = get_args(Format)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
RECONSTRUCTION_LAYOUTS: tuple[ReconstructionLayout, ...] = get_args(ReconstructionLayout)
_MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "npy": "application/octet-stream",
}
_BOUNDARY = "ganvas-sample-boundary"
_OPTIONS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True, "method": 2},
    "jpeg": {"quality": 92},
}


def check_format(kind: str, channels: int, format: Format) -> None:
    """Refuse a format that samples of such a kind do not have, before anything is computed.

    Raises:
        MalformedRequest: for a picture format of vectors, or of pictures that are neither grey nor RGB.
    """
    if format == "npy":
        return
    if kind != "image":
        raise MalformedRequest(f"this model gives vectors, which have no {format}.", "Ask for format=npy.")
    if channels not in (1, 3):
        raise MalformedRequest(f"pictures of {channels} channels have no {format}.", "Ask for format=npy.")


def encode_samples(samples: Array, format: Format, layout: Layout) -> tuple[bytes, str]:
    """Samples as one body and its media type.

    Args:
        samples: uint8 [N, H, W, C] pictures, or float32 [N, D] vectors.
        format: of each file.
        layout: ``grid`` puts all pictures in one file (an .npy keeps them apart: it is the array).
    """
    if layout == "grid":
        return (_npy(samples) if format == "npy" else _picture(grid(samples), format)), _MEDIA_TYPES[format]
    files = [_npy(sample) if format == "npy" else _picture(sample, format) for sample in samples]
    if layout == "zip":
        return _archive(files, format), "application/zip"
    return _multipart(files, format), f"multipart/mixed; boundary={_BOUNDARY}"


def grid(pixels: Pixels) -> Pixels:
    """Pictures uint8 [N, H, W, C] as one [rows*H, columns*W, C], near square, row by row, edge to edge.

    The cells after the last picture are black.
    """
    count, height, width, channels = pixels.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    cells[:count] = pixels
    lines = cells.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return lines.reshape(rows * height, columns * width, channels)


def _picture(pixels: Pixels, format: Format) -> bytes:
    """One picture uint8 [H, W, C] of 1 or 3 channels as a file."""
    if format == "png":
        return encode_png(pixels)
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    image.save(stream, format, **_OPTIONS[format])
    return stream.getvalue()


def _npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _archive(files: Sequence[bytes], format: Format) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for index, content in enumerate(files):
            # ZipInfo's own date is 1980: the same samples give the same bytes at any time.
            archive.writestr(zipfile.ZipInfo(f"{index:05}.{format}"), content)
    return stream.getvalue()


def _multipart(files: Sequence[bytes], format: Format) -> bytes:
    parts = []
    for index, content in enumerate(files):
        head = (
            f"--{_BOUNDARY}\r\nContent-Type: {_MEDIA_TYPES[format]}\r\n"
            f'Content-Disposition: attachment; filename="{index:05}.{format}"\r\n'
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
