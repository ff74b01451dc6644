"""Samples and real rows on their way to numbers: chunk by chunk, in memory that does not grow with their number.

Sums, counts and histograms are taken of every row; features, logits and the rows themselves of the first ones only.
Chunks have one size, graphs run in padded batches of one size, and sums are added in the order of the chunks: what
comes out is the same bits whatever the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.cores import available_cores
from components.extractor.document import EXTRACTOR_GRAPH_NAME
from components.onnx_graphs.sessions import open_session, run_in_batches
from models.metrics.gaussian import GaussianStatistics
from models.metrics.modes import mode_counts
from models.metrics.sharpness import Sharpness

CHUNK_ROWS = 2_048
"""A multiple of the batch size of ``components.onnx_graphs.sessions``."""
HELD_BYTES = 256 * 2**20
"""What rows that are held take at most, however large one of them is."""

Rows = npt.NDArray[Any]
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Judged:
    """Rows with what the extractor says of them.

    ``features`` [N, d] and ``logits`` [N, K] float32; ``rows`` uint8 [M, H, W, C] or float32 [M, D] are the first
    M <= N of them: as many as are to be held.
    """

    rows: Rows
    features: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]

    def modes(self) -> npt.NDArray[np.int64]:
        """The mode of each row, int64 [N]."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)

    def first(self, count: int, held: int | None = None) -> Judged:
        """At most so many of them, and of the rows themselves at most ``held``."""
        return Judged(self.rows[: count if held is None else held], self.features[:count], self.logits[:count])

    def shown(self) -> Judged:
        """Those whose rows are held."""
        return self.first(len(self.rows))

    @classmethod
    def joined(cls, parts: list[Judged]) -> Judged:
        """All rows of some, at least one."""
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.logits for part in parts]),
        )


@dataclass(frozen=True)
class Sums:
    """What is known of all rows; two of them add up to that of both."""

    features: GaussianStatistics
    modes: npt.NDArray[np.int64]
    """Rows of each mode, [K]."""
    unsound: int
    """Rows with a value that is not finite or out of range."""
    sharpness: Sharpness | None
    """None for vectors."""

    def __add__(self, other: Sums) -> Sums:
        sharpness = None
        if self.sharpness is not None and other.sharpness is not None:
            sharpness = self.sharpness + other.sharpness
        return Sums(self.features + other.features, self.modes + other.modes, self.unsound + other.unsound, sharpness)

    @property
    def count(self) -> int:
        """Rows."""
        return self.features.count

    def mode_shares(self) -> npt.NDArray[np.float64]:
        """[K], summing to 1."""
        shares: npt.NDArray[np.float64] = self.modes / self.modes.sum()
        return shares


@dataclass(frozen=True)
class Scored:
    """Sums over all rows, and the first ones in full."""

    sums: Sums
    detail: Judged
    rows_sha256: str
    """Of all rows' bytes, in order."""


@dataclass(frozen=True)
class Chunk:
    """Rows as a graph made them or a Dataset holds them; ``sound`` bool [N]."""

    rows: Rows
    sound: npt.NDArray[np.bool_]


def score(
    extractor_directory: Path,
    chunks: Iterable[Callable[[], Chunk]],
    *,
    detailed_rows: int,
    held_bytes: int = HELD_BYTES,
) -> Scored:
    """Look at rows, chunk by chunk.

    Args:
        extractor_directory: a finished Extractor.
        chunks: each makes its rows when it is called, in whatever thread; at least one.
        detailed_rows: of how many of the first rows features and logits are kept.
        held_bytes: how much of the rows themselves is kept of those.
    """
    session = open_session(extractor_directory / EXTRACTOR_GRAPH_NAME, threads=1)

    def judged(make: Callable[[], Chunk]) -> tuple[Judged, Sums]:
        chunk = make()
        finite = chunk.rows
        if finite.dtype.kind == "f":
            finite = np.where(np.isfinite(finite), finite, np.float32(0.0))
        features, logits = run_in_batches(session, finite, ["features", "logits"])
        of_chunk = Sums(
            GaussianStatistics.of(features),
            mode_counts(logits),
            int((~chunk.sound).sum()),
            Sharpness.of(chunk.rows) if chunk.rows.ndim == 4 else None,
        )
        return Judged(chunk.rows, features, logits), of_chunk

    kept: list[Judged] = []
    left = detailed_rows
    digest = hashlib.sha256()
    sums: Sums | None = None
    for rows, of_chunk in in_threads(judged, chunks):
        digest.update(np.ascontiguousarray(rows.rows).data)
        sums = of_chunk if sums is None else sums + of_chunk
        if left > 0:
            kept.append(rows.first(left, min(left, held_bytes // rows.rows[0].nbytes)))
            left -= len(kept[-1].features)
            held_bytes -= kept[-1].rows.nbytes
    if sums is None:
        raise ValueError("there is nothing to score")
    return Scored(sums, Judged.joined(kept), digest.hexdigest())


def in_threads(work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Results in the order of the tasks, a few of them ahead; graphs run without holding the interpreter."""
    workers = available_cores()
    waiting = iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        while wave := list(islice(waiting, 2 * workers)):
            yield from pool.map(work, wave)


def extract(extractor_directory: Path, rows: Rows) -> Judged:
    """Features and logits of uint8 [N, H, W, C] or float32 [N, D], all of them held."""
    session = open_session(extractor_directory / EXTRACTOR_GRAPH_NAME)
    features, logits = run_in_batches(session, rows, ["features", "logits"])
    return Judged(rows, features, logits)
