"""What every source offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import MixtureParameters


@dataclass(frozen=True)
class Item:
    """One entry of a listing: enough to notice that its content changed."""

    name: str
    size_bytes: int
    tag: str


@dataclass(frozen=True)
class Rows:
    """A batch of decoded samples.

    ``samples`` is uint8 [N, C, H, W] or float32 [N, D]; ``labels`` int64 [N], -1 for none.
    """

    samples: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rejection:
    """An item that was left out, and why."""

    name: str
    reason: str
    sha256: str


class Source(Protocol):
    """A listing, and the samples behind it."""

    name: str
    kind: Literal["image", "vector"]
    class_names: list[str]
    mixture: MixtureParameters | None
    resized: str

    def listing(self) -> Iterator[Item]:
        """The items, in any order. Raises SourceError when there is nothing to list."""
        ...

    def read(self) -> Iterator[Rows | Rejection]:
        """Every listed item once, decoded or rejected."""
        ...
