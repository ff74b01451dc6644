"""Whatever a source gives, as rows of the recipe's shape, or rejected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from components.prepare.decoding.channels import with_channels
from components.prepare.decoding.decode import decode
from components.prepare.decoding.resize import resize_square
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Encoded, Entry, Rejection, Rows
from components.prepare.units import Samples


def conform(entry: Entry, settings: DataSettings) -> Iterator[Samples | Rejection]:
    """Samples and rejections that together are everything that the entry holds."""
    match entry:
        case Rejection():
            yield entry
        case Encoded(name, content, class_name):
            picture = decode(content, settings)
            if isinstance(picture, str):
                yield Rejection(name, picture, hashlib.sha256(content).hexdigest())
            else:
                size = [picture.width], [picture.height]
                yield Samples([name], picture.pixels[None], [class_name], *size, [picture.format], picture.notes)
        case Rows():
            yield from _of_rows(entry, settings)


def _of_rows(rows: Rows, settings: DataSettings) -> Iterator[Samples | Rejection]:
    count = len(rows.samples)
    if rows.samples.ndim == 2:
        yield Samples(rows.names, rows.samples, rows.class_names, [0] * count, [0] * count)
        return
    height, width = rows.samples.shape[2:]
    if min(height, width) < settings.minimum_side:
        for name, picture in zip(rows.names, rows.samples, strict=True):
            digest = hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest()
            yield Rejection(name, f"smaller than {settings.minimum_side} pixels", digest)
        return
    pictures = with_channels(rows.samples.astype(np.uint8, copy=False), settings.channels)
    size = settings.image_size
    if size is not None and (height, width) != (size, size):
        pictures = np.stack([resize_square(picture, size, settings.fit) for picture in pictures])
    yield Samples(rows.names, pictures, rows.class_names, [width] * count, [height] * count)
