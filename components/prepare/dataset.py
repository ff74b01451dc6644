"""Reading a Dataset back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_document, sha256_of_file
from components.prepare.manifest import MANIFEST_NAME, Manifest, SplitName
from models.errors import ArtifactError


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a finished Dataset, or an ArtifactError."""
    return read_document(directory, MANIFEST_NAME, Manifest)


def read_split(directory: Path, manifest: Manifest, split: SplitName) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """All rows of a split.

    Returns:
        Samples, uint8 [N, C, H, W] or float32 [N, D], memory-mapped where they are one shard; labels int64 [N].

    Raises:
        ArtifactError: if a shard is missing or does not hold what the manifest says.
    """
    samples, labels = [], []
    for shard in manifest.splits[split].shards:
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
    if len(samples) == 1:
        return samples[0], labels[0]
    return np.concatenate(samples), np.concatenate(labels)
