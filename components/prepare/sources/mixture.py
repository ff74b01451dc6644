"""Toy densities in the plane, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from components.artifacts import sha256_of_json
from components.prepare.manifest import MixtureParameters
from components.prepare.sources.blocks import blocks, cut
from components.prepare.sources.source import Entry, Item, Rejection
from models.errors import ConfigurationError
from models.mixtures import MIXTURES

SEED = 0
ROW_BYTES = 8


class MixtureSource:
    """Vectors of two dimensions; classes are the modes."""

    kind: Literal["image", "vector"] = "vector"
    sequential = True

    def __init__(self, name: str, rows: int) -> None:
        """
        Raises:
            ConfigurationError: for an unknown mixture.
        """
        if name not in MIXTURES:
            raise ConfigurationError(
                f"Unknown mixture {name!r} in data.source.", f"Known are: {', '.join(sorted(MIXTURES))}."
            )
        self._mixture = MIXTURES[name]
        self._rows = rows
        self.name = name
        self.mixture: MixtureParameters | None = MixtureParameters(
            centers=self._mixture.centers.tolist(), sigma=self._mixture.sigma
        )

    def listing(self) -> Iterator[Item | Rejection]:
        tag = sha256_of_json([self._mixture.centers.tolist(), self._mixture.sigma, SEED, self._rows])
        yield from blocks(self.name, self._rows, ROW_BYTES, tag)

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        # All rows are drawn, whichever are wanted: so they are the same however they are shared out.
        samples, modes = self._mixture.sample(self._rows, SEED)
        class_names = [f"mode {mode}" for mode in modes]
        for item in items:
            yield cut(item, samples, class_names)
