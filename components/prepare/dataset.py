"""Reading a Dataset back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.artifacts import Document, read_document, sha256_of_file
from components.prepare.manifest import MANIFEST_NAME, Manifest, Shard, SplitName
from models.errors import ArtifactError

SHARE_NAME = "share.json"


class Share(Document):
    """Which of the training shards stand in a directory that was fetched for one of several machines."""

    index: int = Field(default=0, ge=0)
    count: int = Field(default=1, ge=1)


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a finished Dataset, or an ArtifactError."""
    return read_document(directory, MANIFEST_NAME, Manifest)


def read_share(directory: Path) -> Share:
    """What of the training split stands here: all of it, where nothing else is said."""
    return read_document(directory, SHARE_NAME, Share) if (directory / SHARE_NAME).is_file() else Share()


def shards_of(manifest: Manifest, split: SplitName, share: Share) -> list[Shard]:
    """A split's shards that a share has: every ``count``-th of training, all of the others."""
    shards = manifest.splits[split].shards
    return shards[share.index :: share.count] if split == "train" else shards


class SplitRows:
    """A split's samples and labels, memory-mapped over however many shards.

    ``shape`` is that of one sample; ``nbytes`` what all of them take.
    """

    def __init__(self, samples: Sequence[npt.NDArray[Any]], labels: Sequence[npt.NDArray[np.int64]]) -> None:
        self._samples, self._labels = list(samples), list(labels)
        self._starts = np.cumsum([0, *map(len, labels)])
        self.nbytes = sum(part.nbytes for part in samples)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Samples [n, ...] and labels int64 [n] of some rows, copied into memory."""
        return self._gather(self._samples, rows), self.labels(rows)

    def labels(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Labels of some rows, int64 [n]."""
        return self._gather(self._labels, rows)

    def _gather(self, parts: list[npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if len(parts) == 1:
            return parts[0][rows]
        gathered = np.empty((len(rows), *parts[0].shape[1:]), dtype=parts[0].dtype)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for shard in np.unique(shards):
            here = shards == shard
            gathered[here] = parts[shard][rows[here] - self._starts[shard]]
        return gathered

    def first(self, count: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Samples and labels of the first rows, at most ``count``."""
        return self.take(np.arange(min(count, len(self))))

    def whole(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """All samples and labels: the mapping itself where there is one shard, else copied into memory."""
        if len(self._samples) == 1:
            return self._samples[0], self._labels[0]
        return np.concatenate(self._samples), np.concatenate(self._labels)


def open_split(directory: Path, manifest: Manifest, split: SplitName, share: Share | None = None) -> SplitRows:
    """A split without reading it into memory.

    Args:
        directory: a finished Dataset, or what was fetched of it.
        manifest: its manifest.
        split: which one.
        share: which shards of the training split; all where None.

    Raises:
        ArtifactError: if a shard is missing or does not hold what the manifest says.
    """
    samples, labels = [], []
    for shard in shards_of(manifest, split, share or Share()):
        for name, expected in ((shard.samples, shard.samples_sha256), (shard.labels, shard.labels_sha256)):
            if not (directory / name).is_file() or sha256_of_file(directory / name) != expected:
                raise ArtifactError(f"{directory / name} is missing or altered.", "Run prepare again.")
        try:
            samples.append(np.load(directory / shard.samples, mmap_mode="r", allow_pickle=False))
            labels.append(np.load(directory / shard.labels, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{directory} lost {shard.samples}: {error}.", "Run prepare again.") from error
        if samples[-1].shape != (shard.rows, *manifest.sample_shape) or labels[-1].shape != (shard.rows,):
            raise ArtifactError(f"{directory / shard.samples} does not hold {shard.rows} rows.", "Run prepare again.")
    return SplitRows(samples, labels)


def read_split(directory: Path, manifest: Manifest, split: SplitName) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """All rows of a split, in memory where they are more than one shard.

    Returns:
        Samples, uint8 [N, C, H, W] or float32 [N, D]; labels int64 [N].

    Raises:
        ArtifactError: if a shard is missing or does not hold what the manifest says.
    """
    return open_split(directory, manifest, split).whole()
