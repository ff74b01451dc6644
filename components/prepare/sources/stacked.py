"""Stacked MNIST: three digits in three channels, a thousand modes that can be counted.

Metz, Poole, Pfau and Sohl-Dickstein 2017, "Unrolled generative adversarial networks", section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.artifacts import sha256_of_json
from components.prepare.manifest import MixtureParameters
from components.prepare.sources.blocks import blocks, row_name, rows_of
from components.prepare.sources.source import Entry, Item, Rejection, Rows, Source
from models.errors import ConfigurationError

SEED = 0
DIGITS = frozenset("0123456789")


class StackedSource:
    """Rows drawn from another source of grey pictures with a fixed seed; the class of (1, 2, 3) is ``"123"``."""

    kind: Literal["image", "vector"] = "image"
    sequential = True
    mixture: MixtureParameters | None = None

    def __init__(self, base: Source, rows: int) -> None:
        self._base, self._rows = base, rows
        self.name = f"stacked-{base.name}"

    def listing(self) -> Iterator[Item | Rejection]:
        known: list[Item] = []
        for entry in self._base.listing():
            if isinstance(entry, Rejection):
                yield entry
            else:
                known.append(entry)
        row_bytes = 3 * sum(item.size_bytes for item in known) // sum(item.count for item in known)
        tag = sha256_of_json([sorted([item.name, item.tag] for item in known), SEED, self._rows])
        yield from blocks(self.name, self._rows, row_bytes, tag)

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        """
        Raises:
            ConfigurationError: if the other source's pictures are not grey, of one size and of ten digits' classes.
        """
        pictures, labels, rejections = self._pool()
        # All rows are drawn, whichever are wanted: so they are the same however they are shared out.
        drawn = np.random.Generator(np.random.PCG64(SEED)).integers(len(pictures), size=(self._rows, 3))
        for item in items:
            table, start, stop = rows_of(item)
            chosen = drawn[start:stop]
            names = [row_name(table, row) for row in range(start, stop)]
            yield Rows(names, pictures[chosen], ["".join(labels[one] for one in three) for three in chosen])
            if start == 0:  # whoever reads the first rows tells what the other source left out
                yield from rejections

    def _pool(self) -> tuple[npt.NDArray[np.uint8], list[str], list[Rejection]]:
        """Every grey picture of the other source as uint8 [N, H, W], in the order of names."""
        items = [entry for entry in self._base.listing() if isinstance(entry, Item)]
        found: list[tuple[str, npt.NDArray[np.uint8], str]] = []
        rejections: list[Rejection] = []
        for entry in self._base.read(items):
            if isinstance(entry, Rejection):
                rejections.append(entry)
            elif isinstance(entry, Rows) and entry.samples.dtype == np.uint8 and entry.samples.shape[1:2] == (1,):
                for name, sample, label in zip(entry.names, entry.samples, entry.class_names, strict=True):
                    if label not in DIGITS:
                        raise self._unfit(f"the class {label!r}")
                    found.append((name, sample[0], label))
            else:
                raise self._unfit("pictures that are not grey arrays")
        found.sort(key=lambda one: one[0])
        if len({sample.shape for _, sample, _ in found}) != 1:
            raise self._unfit("pictures of several sizes, or none")
        return np.stack([sample for _, sample, _ in found]), [label for _, _, label in found], rejections

    def _unfit(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"stacked-mnist stacks grey pictures of the classes 0 to 9, and {self._base.name} has {what}.",
            "Give ?source= digits, torchvision:MNIST?root=DIR or arrays of such.",
        )
