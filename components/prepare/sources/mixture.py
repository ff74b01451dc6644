"""Toy densities in the plane, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from components.artifacts import sha256_of_json
from components.prepare.manifest import MixtureParameters
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Entry, Item, Rejection, Rows
from models.errors import ConfigurationError
from models.mixtures import MIXTURES

SEED = 0


class MixtureSource:
    """Vectors of two dimensions; labels are the modes."""

    kind: Literal["image", "vector"] = "vector"
    sequential = False

    def __init__(self, name: str, settings: DataSettings) -> None:
        if name not in MIXTURES:
            raise ConfigurationError(
                f"Unknown mixture {name!r} in data.source.", f"Known are: {', '.join(sorted(MIXTURES))}."
            )
        self._mixture = MIXTURES[name]
        self._rows = settings.rows
        self.name = name
        self.mixture: MixtureParameters | None = MixtureParameters(
            centers=self._mixture.centers.tolist(), sigma=self._mixture.sigma
        )

    def listing(self) -> Iterator[Item | Rejection]:
        yield Item(
            self.name,
            self._rows,
            sha256_of_json([self._mixture.centers.tolist(), self._mixture.sigma, SEED]),
            self._rows,
        )

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        samples, modes = self._mixture.sample(self._rows, SEED)
        yield Rows([f"row {row}" for row in range(self._rows)], samples, [f"mode {mode}" for mode in modes])
