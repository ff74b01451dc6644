"""From a source to a Dataset."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from components.artifacts import prepare_output_directory, sha256_of_file, write_bytes_atomically, write_document
from components.prepare.manifest import (
    MANIFEST_NAME,
    PREVIEW_NAME,
    REJECTED_NAME,
    Manifest,
    Shard,
    Split,
    SplitName,
)
from components.prepare.preview import preview
from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Rejection, Source
from components.prepare.splits import content_hash, split_of
from models.errors import ConfigurationError, SourceError


def prepare(settings: DataSettings, output: Path) -> Manifest:
    """Read every item of the source once, split, and write shards and their manifest.

    Args:
        settings: what to read and how.
        output: an empty or new directory.

    Returns:
        The manifest, already written.

    Raises:
        SourceError: if nothing usable was found or too much was rejected.
        ConfigurationError: if a setting does not fit the source.
        ArtifactError: if the directory cannot be written or is already finished.
    """
    source = open_source(settings)
    excluded = _excluded_labels(source, settings)
    prepare_output_directory(output, MANIFEST_NAME)
    samples: list[npt.NDArray[Any]] = []
    labels: list[npt.NDArray[np.int64]] = []
    rejections: list[Rejection] = []
    for entry in source.read():
        if isinstance(entry, Rejection):
            rejections.append(entry)
        else:
            samples.append(entry.samples)
            labels.append(entry.labels)
    accepted = sum(map(len, labels))
    listed = accepted + len(rejections)
    _write_rejections(output / REJECTED_NAME, rejections)
    if accepted == 0 or len(rejections) > settings.rejected_share_limit * listed:
        commonest = Counter(entry.reason for entry in rejections).most_common(1)
        raise SourceError(
            f"{len(rejections)} of {listed} items of {settings.source} were rejected"
            + (f", most of them as {commonest[0][0]!r}." if commonest else "."),
            f"See {output / REJECTED_NAME}, mend the source, or raise data.rejected_share_limit.",
        )
    all_samples, all_labels = np.concatenate(samples), np.concatenate(labels)
    kept = ~np.isin(all_labels, excluded)
    return _write(output, settings, source, all_samples[kept], all_labels[kept], rejections, listed)


def _excluded_labels(source: Source, settings: DataSettings) -> list[int]:
    for name in settings.excluded_classes:
        if name not in source.class_names:
            raise ConfigurationError(
                f"data.excluded_classes names {name!r}, which {settings.source} does not have.",
                f"Its classes are: {', '.join(source.class_names) or 'none'}.",
            )
    return [source.class_names.index(name) for name in settings.excluded_classes]


def _write_rejections(path: Path, rejections: list[Rejection]) -> None:
    lines = [json.dumps({"name": r.name, "reason": r.reason, "sha256": r.sha256}) for r in rejections]
    write_bytes_atomically(path, "".join(f"{line}\n" for line in sorted(lines)).encode())


def _write(
    output: Path,
    settings: DataSettings,
    source: Source,
    samples: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    rejections: list[Rejection],
    listed: int,
) -> Manifest:
    hashes = [content_hash(sample) for sample in samples]
    # In the order of their content, so that the order of the listing leaves no trace.
    order = sorted(range(len(samples)), key=lambda row: (hashes[row], int(labels[row])))
    class_count = len(source.class_names)
    fingerprint = hashlib.sha256()
    rows_of: dict[SplitName, list[int]] = {name: [] for name in get_args(SplitName)}
    for row in order:
        split = split_of(hashes[row], settings)
        rows_of[split].append(row)
        name = source.class_names[labels[row]] if labels[row] >= 0 else ""
        fingerprint.update(f"{split}\0{name}\0".encode() + hashes[row])
    for name, rows in rows_of.items():
        if not rows:
            raise SourceError(
                f"The {name} split of {settings.source} is empty: {len(samples)} samples are too few.",
                "Add pictures or raise the split's share.",
            )
    splits = {
        name: Split(
            rows=len(rows),
            rows_per_class=np.bincount(labels[rows].clip(0), minlength=max(class_count, 1)).tolist()[:class_count],
            shards=_write_shards(output / "shards", name, samples, labels, rows, settings.shard_rows),
        )
        for name, rows in rows_of.items()
    }
    train = samples[rows_of["train"]]
    write_bytes_atomically(output / PREVIEW_NAME, preview(train, labels[rows_of["train"]]))
    manifest = Manifest(
        name=source.name,
        source=settings.source,
        fingerprint=fingerprint.hexdigest(),
        kind=source.kind,
        sample_shape=list(samples.shape[1:]),
        class_names=source.class_names,
        splits=splits,
        resized=source.resized,
        listed=listed,
        rejected=len(rejections),
        rejected_reasons=dict(sorted(Counter(entry.reason for entry in rejections).items())),
        exact_duplicates=len(hashes) - len(set(hashes)),
        mixture=source.mixture,
    )
    write_document(output / MANIFEST_NAME, manifest)
    return manifest


def _write_shards(
    directory: Path,
    split: str,
    samples: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    rows: list[int],
    shard_rows: int,
) -> list[Shard]:
    directory.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, start in enumerate(range(0, len(rows), shard_rows)):
        chosen = rows[start : start + shard_rows]
        samples_path = directory / f"{split}-{number:05d}.npy"
        labels_path = directory / f"{split}-{number:05d}.labels.npy"
        np.save(samples_path, samples[chosen], allow_pickle=False)
        np.save(labels_path, labels[chosen], allow_pickle=False)
        shards.append(
            Shard(
                samples=f"{directory.name}/{samples_path.name}",
                labels=f"{directory.name}/{labels_path.name}",
                rows=len(chosen),
                samples_sha256=sha256_of_file(samples_path),
                labels_sha256=sha256_of_file(labels_path),
            )
        )
    return shards
