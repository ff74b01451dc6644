"""Real data as the extractor sees it: what models are held against. It follows from two hashes, and is kept by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.cache import Arrays, cached_arrays
from components.evaluate.scored import CHUNK_ROWS, HELD_BYTES, Chunk, Judged, Rows, Scored, Sums, score
from components.evaluate.settings import GateSettings
from components.extractor.document import Extractor
from components.prepare.dataset import SplitRows, open_split
from components.prepare.manifest import Manifest, SplitName
from models.metrics.gaussian import GaussianStatistics
from models.metrics.sharpness import Sharpness

HELD_OUT: tuple[SplitName, ...] = ("validation", "test")
_FORMAT = 1
"""To be raised when the same rows would give other numbers."""


@dataclass(frozen=True)
class Reference:
    """Held-out rows, which models are held against, and training rows, which they must not copy."""

    held_out: Scored
    labels: npt.NDArray[np.int64]
    """Of all held-out rows."""
    training: Judged
    """Features of the first rows of the training split, without these rows."""
    training_split: SplitRows

    def training_pictures(self, rows: npt.NDArray[np.int64]) -> Rows:
        """Some training rows, uint8 [n, H, W, C] or float32 [n, D]."""
        return _as_samples(self.training_split.take(rows)[0])


def read_reference(
    dataset: Path, manifest: Manifest, extractor_directory: Path, extractor: Extractor, *, held_out: int, training: int
) -> Reference:
    """Look at a Dataset's rows, or read what was seen of them before.

    Args:
        dataset: a finished Dataset, with its ``manifest``.
        extractor_directory: a finished Extractor, with its document ``extractor``.
        held_out: how many validation and test rows are kept in full, at most.
        training: how many training rows are looked at, at most.
    """
    parts = [open_split(dataset, manifest, name) for name in HELD_OUT]
    train = open_split(dataset, manifest, "train")

    def seen(name: str, splits: list[SplitRows], rows: int, detailed: int, held_bytes: int) -> Scored:
        key = {
            "format": _FORMAT,
            "dataset": manifest.fingerprint,
            "extractor": extractor.sha256,
            "rows_of": name,
            "rows": rows,
            "detailed_rows": detailed,
        }
        arrays = cached_arrays(
            "reference",
            key,
            lambda: _to_arrays(score(extractor_directory, _chunks(splits, rows), detailed_rows=detailed, held_bytes=0)),
        )
        row_bytes = max(1, splits[0].nbytes // max(1, len(splits[0])))
        return _from_arrays(arrays, _rows(splits, 0, min(detailed, rows, max(1, held_bytes // row_bytes))))

    everything = sum(map(len, parts))
    looked_at = min(training, len(train))
    return Reference(
        held_out=seen("held-out", parts, everything, held_out, HELD_BYTES),
        labels=np.concatenate([part.labels(np.arange(len(part))) for part in parts]),
        training=seen("train", [train], looked_at, looked_at, 0).detail,
        training_split=train,
    )


def reference_of(
    dataset: Path, manifest: Manifest, extractor_directory: Path, extractor: Extractor, settings: GateSettings
) -> Reference:
    """:func:`read_reference` with as many rows as the gate's settings say."""
    return read_reference(
        dataset,
        manifest,
        extractor_directory,
        extractor,
        held_out=settings.detailed_samples,
        training=settings.training_rows,
    )


def _chunks(splits: list[SplitRows], rows: int) -> Iterator[Callable[[], Chunk]]:
    for first in range(0, rows, CHUNK_ROWS):
        yield partial(_chunk, splits, first, min(CHUNK_ROWS, rows - first))


def _chunk(splits: list[SplitRows], first: int, count: int) -> Chunk:
    return Chunk(_rows(splits, first, count), np.ones(count, dtype=np.bool_))


def _rows(splits: list[SplitRows], first: int, count: int) -> Rows:
    """Rows of splits one after the other, uint8 [n, H, W, C] or float32 [n, D]."""
    found = []
    for split in splits:
        here = np.arange(max(0, first), min(len(split), first + count))
        if len(here):
            found.append(split.take(here)[0])
        first -= len(split)
    return _as_samples(np.concatenate(found))


def _as_samples(rows: Rows) -> Rows:
    return rows if rows.ndim == 2 else np.ascontiguousarray(rows.transpose(0, 2, 3, 1))


def _to_arrays(scored: Scored) -> Arrays:
    sums = scored.sums
    arrays: Arrays = {
        "features": scored.detail.features,
        "logits": scored.detail.logits,
        "modes": sums.modes,
        "rows_sha256": np.array(scored.rows_sha256),
    }
    arrays |= {f"gaussian_{name}": np.asarray(value) for name, value in vars(sums.features).items()}
    if sums.sharpness is not None:
        arrays |= {f"sharpness_{name}": np.asarray(value) for name, value in vars(sums.sharpness).items()}
    return arrays


def _from_arrays(arrays: Arrays, rows: Rows) -> Scored:
    def fields(prefix: str) -> dict[str, Any]:
        found = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        return {name: value.item() if value.ndim == 0 else value for name, value in found.items()}

    sharpness = fields("sharpness_")
    return Scored(
        sums=Sums(
            features=GaussianStatistics(**fields("gaussian_")),
            modes=arrays["modes"],
            unsound=0,
            sharpness=Sharpness(**sharpness) if sharpness else None,
        ),
        detail=Judged(rows, arrays["features"], arrays["logits"]),
        rows_sha256=str(arrays["rows_sha256"]),
    )
