"""Toy densities in the plane, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from components.artifacts import sha256_of_json
from components.prepare.manifest import MixtureParameters
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Item, Rejection, Rows
from models.errors import ConfigurationError
from models.mixtures import MIXTURES

SEED = 0


class MixtureSource:
    """Vectors of two dimensions; labels are the modes."""

    kind: Literal["image", "vector"] = "vector"
    resized = "not pictures"

    def __init__(self, name: str, settings: DataSettings) -> None:
        if name not in MIXTURES:
            raise ConfigurationError(
                f"Unknown mixture {name!r} in data.source.", f"Known are: {', '.join(sorted(MIXTURES))}."
            )
        self._mixture = MIXTURES[name]
        self._rows = settings.rows
        self.name = name
        self.class_names = [f"mode {index}" for index in range(len(self._mixture.centers))]
        self.mixture: MixtureParameters | None = MixtureParameters(
            centers=self._mixture.centers.tolist(), sigma=self._mixture.sigma
        )

    def listing(self) -> Iterator[Item]:
        yield Item(self.name, self._rows, sha256_of_json([self._mixture.centers.tolist(), self._mixture.sigma, SEED]))

    def read(self) -> Iterator[Rows | Rejection]:
        yield Rows(*self._mixture.sample(self._rows, SEED))
