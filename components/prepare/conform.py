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
from components.prepare.units import Sample


def conform(entry: Entry, settings: DataSettings) -> Iterator[Sample | Rejection]:
    """One sample or rejection for everything that the entry holds."""
    match entry:
        case Rejection():
            yield entry
        case Encoded(name, content, class_name):
            picture = decode(content, settings)
            if isinstance(picture, str):
                yield Rejection(name, picture, hashlib.sha256(content).hexdigest())
            else:
                yield Sample(
                    name, picture.pixels, class_name, picture.width, picture.height, picture.format, picture.notes
                )
        case Rows():
            yield from _of_rows(entry, settings)


def _of_rows(rows: Rows, settings: DataSettings) -> Iterator[Sample | Rejection]:
    if rows.samples.ndim == 2:
        for name, vector, class_name in zip(rows.names, rows.samples, rows.class_names, strict=True):
            yield Sample(name, vector, class_name, 0, 0)
        return
    height, width = rows.samples.shape[2:]
    if min(height, width) < settings.minimum_side:
        for name, picture in zip(rows.names, rows.samples, strict=True):
            digest = hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest()
            yield Rejection(name, f"smaller than {settings.minimum_side} pixels", digest)
        return
    pictures = with_channels(rows.samples.astype(np.uint8, copy=False), settings.channels)
    for name, picture, class_name in zip(rows.names, pictures, rows.class_names, strict=True):
        pixels = picture if settings.image_size is None else resize_square(picture, settings.image_size, settings.fit)
        yield Sample(name, np.ascontiguousarray(pixels), class_name, width, height)
