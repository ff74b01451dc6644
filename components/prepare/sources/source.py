"""What every source offers: a listing, and what stands behind its items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import MixtureParameters


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a listing: what one process reads as a whole, and enough to notice that it changed.

    ``name`` is unique within the source, parts joined by ``/``, without the source's root. ``tag`` changes when the
    content does: a modification time, an ETag, a CRC. ``count`` is how many samples it stands for, at most: 1 for a
    picture's file, the rows of a block of an array.
    """

    name: str
    size_bytes: int
    tag: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """A sample that was left out, and why.

    ``sha256`` is of its bytes, empty where they were never read. ``candidate`` is false for what nobody takes for a
    sample, such as a README among pictures: it is stated, and does not count towards the limit on rejections.
    """

    name: str
    reason: str
    sha256: str = ""
    candidate: bool = True


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture's file as it lies there, to be decoded; ``class_name`` is None for data without labels."""

    name: str
    content: bytes
    class_name: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples that need no decoding: uint8 [N, C, H, W] of any size, or float32 [N, D].

    ``names`` and ``class_names`` have N entries.
    """

    names: Sequence[str]
    samples: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    class_names: Sequence[str | None]


Entry = Encoded | Rows | Rejection


class Source(Protocol):
    """A listing, and the samples behind it.

    ``name`` stays the same for every preparation of the same data. A source is opened anew in every process that
    reads a share of its items, so it is cheap to open and holds nothing that cannot be pickled.
    """

    name: str
    kind: Literal["image", "vector"]
    mixture: MixtureParameters | None
    sequential: bool
    """Whether reading some items costs about as much as reading all: a compressed tar, rows that are drawn at once."""

    def listing(self) -> Iterator[Item | Rejection]:
        """Every item once, in any order; rejections for what its name alone rules out.

        Raises:
            SourceError: if there is nothing to list, or the place does not answer.
        """
        ...

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        """Every sample of these items once, as it is or rejected.

        One broken item never ends the reading; a place that stops answering does.

        Raises:
            SourceError: if the place does not answer.
        """
        ...
