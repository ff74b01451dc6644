"""From partitions to a Dataset whose bytes do not tell how many there were, nor in what order things were listed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import (
    prepare_output_directory,
    read_document,
    sha256_of_json,
    write_bytes_atomically,
    write_document,
)
from components.prepare.classes import in_natural_order
from components.prepare.manifest import MANIFEST_NAME, PREVIEW_NAME, REJECTED_NAME, Manifest, Split, SplitName
from components.prepare.partition import PARTITION_NAME, Partition, reading_sha256
from components.prepare.preview import preview, shown_rows
from components.prepare.settings import DataSettings
from components.prepare.shards import SplitWriter
from components.prepare.sources.source import Rejection
from components.prepare.splits import SPLIT_NAMES, bridges, split_of, split_of_look
from components.prepare.statistics import Moments, Range, Statistics, warnings_about
from components.prepare.units import INDEX, SAMPLES_NAME, Rejected, names_of, read_index, read_unit
from models.errors import ArtifactError, ConfigurationError, SourceError

BRIDGES = "near duplicate of a picture in another split"
_BLOCK_BYTES = 2 * 2**20
_OPEN_FILES = 128


@dataclass
class _Read:
    """Everything that the units say, and where their rows lie."""

    source: Partition
    """Of any share: what all of them say of the source and of its listing."""
    index: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=INDEX))
    unit: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    row: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    directories: list[Path] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    sample_shape: list[int] = field(default_factory=list)
    dtype: str = ""
    rejected: list[Rejected] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.index)

    def digest(self, row: int) -> bytes:
        """SHA-256 of a row's content."""
        return bytes(self.index["sha256"][row].tobytes())

    def keep(self, rows: npt.NDArray[Any]) -> None:
        """Only these rows, in this order."""
        self.index, self.unit, self.row = self.index[rows], self.unit[rows], self.row[rows]


class _Samples:
    """Rows of units, read from their files: mapping these into memory would count as memory."""

    def __init__(self, read: _Read) -> None:
        self._read = read
        self._shape, self._dtype = tuple(read.sample_shape), np.dtype(read.dtype or "u1")
        self._bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._files: OrderedDict[int, FileIO] = OrderedDict()
        self.block = max(1, _BLOCK_BYTES // max(1, self._bytes))

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = np.empty((len(rows), *self._shape), dtype=self._dtype)
        flat = values.reshape(len(rows), -1).view(np.uint8)
        # Unit after unit, so that files are opened as rarely as can be.
        for place in np.lexsort((self._read.row[rows], self._read.unit[rows])):
            row = rows[place]
            stream = self._file(int(self._read.unit[row]))
            stream.seek(int(self._read.row[row]) * self._bytes)
            if stream.readinto(flat[place].data) != self._bytes:
                raise ArtifactError(f"{stream.name} is shorter than its unit says.", "Prepare the data again.")
        return values

    def _file(self, unit: int) -> FileIO:
        if unit in self._files:
            self._files.move_to_end(unit)
            return self._files[unit]
        if len(self._files) == _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        self._files[unit] = FileIO(self._read.directories[unit] / SAMPLES_NAME)
        return self._files[unit]

    def close(self) -> None:
        for stream in self._files.values():
            stream.close()


def merge(settings: DataSettings, partitions: Sequence[Path], output: Path) -> Manifest:
    """Order, split and write what the partitions hold.

    Args:
        settings: those that the partitions were read with.
        partitions: all shares of one listing, in any order.
        output: a new or empty directory.

    Returns:
        The manifest, already written.

    Raises:
        ArtifactError: if a share is missing, incomplete, or of other settings or another listing.
        SourceError: if nothing usable was found or too much was rejected.
        ConfigurationError: if a setting does not fit what was read.
    """
    prepare_output_directory(output, MANIFEST_NAME)
    read = _read(settings, partitions)
    listed = len(read) + len(read.rejected)
    _require_enough(settings, read, output)
    excluded = _excluded(settings, read.class_names)
    if excluded:
        read.keep(np.flatnonzero(~np.isin(read.index["label"], excluded)))
    # In the order of their content, so that neither names nor shares leave a trace.
    content = read.index["sha256"]
    read.keep(np.lexsort((read.index["label"], *(content[:, part] for part in (3, 2, 1, 0)))))
    firsts = _first_of_content(read)
    splits = _splits(settings, read)
    samples = _Samples(read)
    try:
        near: dict[int, int] = {}
        if settings.near_duplicates and len(read.sample_shape) == 3:
            near = bridges(read.index["look"], firsts, splits, samples)
        _state_bridges(read, near)
        _write_rejections(output / REJECTED_NAME, read.rejected)
        staying = np.setdiff1d(np.arange(len(read)), np.fromiter(near, dtype=np.int64, count=len(near)))
        manifest = _write(settings, read, samples, splits, firsts, staying, listed, len(near), output)
    finally:
        samples.close()
    write_document(output / MANIFEST_NAME, manifest)
    return manifest


def _read(settings: DataSettings, partitions: Sequence[Path]) -> _Read:
    documents = [read_document(path, PARTITION_NAME, Partition) for path in partitions]
    first = documents[0]
    for path, document in zip(partitions, documents, strict=True):
        if (document.listing_digest, document.count) != (first.listing_digest, first.count):
            raise ArtifactError(f"{path} is a share of another listing.", "Prepare the data again.")
        if document.reading_sha256 != reading_sha256(settings):
            raise ArtifactError(f"{path} was read with other settings.", "Prepare the data again.")
    if sorted(document.index for document in documents) != list(range(first.count)):
        raise ArtifactError(
            f"Of {first.count} shares of the listing, {sorted(document.index for document in documents)} are there.",
            "Prepare the missing ones.",
        )
    read = _Read(first)
    units: list[tuple[int, list[str]]] = []
    classes: set[str] = set()
    for path, document in zip(partitions, documents, strict=True):
        read.rejected += document.rejected
        for name in document.units:
            unit = read_unit(path / name)
            read.rejected += unit.rejected
            read.formats.update(unit.formats)
            read.notes.update(unit.notes)
            classes.update(unit.classes)
            if unit.rows == 0:
                continue
            if read.dtype and (read.sample_shape, read.dtype) != (unit.sample_shape, unit.dtype):
                raise ConfigurationError(
                    f"{settings.source} holds pictures of different sizes ({read.sample_shape} and "
                    f"{unit.sample_shape}), and data.image_size is not set.",
                    "Set for instance data.image_size=32.",
                )
            read.sample_shape, read.dtype = unit.sample_shape, unit.dtype
            units.append((unit.rows, unit.classes))
            read.directories.append(path / name)
    read.class_names = in_natural_order(classes)
    _read_index(read, units)
    return read


def _read_index(read: _Read, units: Sequence[tuple[int, list[str]]]) -> None:
    """All indices in one array, which is filled unit by unit: it is what grows with the number of samples."""
    number = {name: position for position, name in enumerate(read.class_names)}
    total = sum(rows for rows, _ in units)
    read.index = np.empty(total, dtype=INDEX)
    read.unit, read.row = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.int32)
    start = 0
    for position, ((rows, class_names), directory) in enumerate(zip(units, read.directories, strict=True)):
        part = slice(start, start + rows)
        index = read_index(directory)
        of_unit = np.array([*(number[name] for name in class_names), -1], dtype=np.int32)
        index["label"] = of_unit[index["label"]]  # -1, no label, picks the last
        read.index[part], read.unit[part], read.row[part] = index, position, np.arange(rows)
        start += rows


def _require_enough(settings: DataSettings, read: _Read, output: Path) -> None:
    candidates = [entry for entry in read.rejected if entry.candidate]
    listed = len(read) + len(candidates)
    if len(read) and len(candidates) <= settings.rejected_share_limit * listed:
        return
    _write_rejections(output / REJECTED_NAME, read.rejected)
    commonest = Counter(entry.reason for entry in candidates).most_common(1)
    raise SourceError(
        f"{len(candidates):,} of {listed:,} items of {settings.source} were rejected"
        + (f", most of them as {commonest[0][0]!r}." if commonest else "."),
        f"See {output / REJECTED_NAME}, mend the source, or raise data.rejected_share_limit.",
    )


def _excluded(settings: DataSettings, class_names: list[str]) -> list[int]:
    for name in settings.excluded_classes:
        if name not in class_names:
            raise ConfigurationError(
                f"data.excluded_classes names {name!r}, which {settings.source} does not have.",
                f"Its classes are: {', '.join(class_names) or 'none'}.",
            )
    return [class_names.index(name) for name in settings.excluded_classes]


def _first_of_content(read: _Read) -> npt.NDArray[np.int64]:
    """The first row of each row's content; rows stand in the order of their content."""
    content = read.index["sha256"]
    new = np.ones(len(read), dtype=bool)
    new[1:] = (content[1:] != content[:-1]).any(axis=1)
    firsts: npt.NDArray[np.int64] = np.maximum.accumulate(np.where(new, np.arange(len(read)), 0))
    return firsts


def _splits(settings: DataSettings, read: _Read) -> npt.NDArray[np.int8]:
    number = {name: position for position, name in enumerate(SPLIT_NAMES)}
    if len(read.sample_shape) == 3 and settings.near_duplicates:
        drawn = (number[split_of_look(int(look), settings)] for look in read.index["look"])
    else:
        drawn = (number[split_of(read.digest(row), settings)] for row in range(len(read)))
    return np.fromiter(drawn, dtype=np.int8, count=len(read))


def _state_bridges(read: _Read, near: dict[int, int]) -> None:
    by_unit: dict[int, list[int]] = {}
    for row in near:
        by_unit.setdefault(int(read.unit[row]), []).append(row)
    for unit, rows in by_unit.items():
        rows.sort(key=lambda row: int(read.row[row]))
        names = names_of(read.directories[unit], [int(read.row[row]) for row in rows])
        for row, name in zip(rows, names, strict=True):
            read.rejected.append(Rejected.of(Rejection(name, BRIDGES, read.digest(row).hex(), candidate=False)))


def _write_rejections(path: Path, rejected: Sequence[Rejected]) -> None:
    lines = [json.dumps({"name": r.name, "reason": r.reason, "sha256": r.sha256}) for r in rejected]
    write_bytes_atomically(path, "".join(f"{line}\n" for line in sorted(lines)).encode())


def _write(
    settings: DataSettings,
    read: _Read,
    samples: _Samples,
    splits: npt.NDArray[np.int8],
    firsts: npt.NDArray[np.int64],
    staying: npt.NDArray[np.int64],
    listed: int,
    near_duplicates: int,
    output: Path,
) -> Manifest:
    is_picture = read.source.kind == "image"
    class_count = len(read.class_names)
    labels = read.index["label"].astype(np.int64)
    written: dict[SplitName, Split] = {}
    moments = Moments()
    for number, name in enumerate(SPLIT_NAMES):
        rows = staying[splits[staying] == number]
        if not len(rows):
            raise SourceError(
                f"The {name} split of {settings.source} is empty: {len(staying):,} samples are too few.",
                "Add pictures or raise the split's share.",
            )
        writer = SplitWriter(output / "shards", name, len(rows), settings.shard_rows)
        for start in range(0, len(rows), samples.block):
            part = rows[start : start + samples.block]
            values = samples(part)
            writer.add(values, labels[part])
            if name == "train":
                moments.add(values)
        counts = np.bincount(labels[rows].clip(0), minlength=max(class_count, 1)).tolist()[:class_count]
        written[name] = Split(rows=len(rows), rows_per_class=counts, shards=writer.shards)
        if name == "train":
            shown = shown_rows(labels[rows], is_picture)
            write_bytes_atomically(output / PREVIEW_NAME, preview(samples(rows[shown]), labels[rows[shown]]))
    kept = read.index[staying]
    statistics = Statistics(
        mean=moments.mean(),
        deviation=moments.deviation(),
        constant=moments.constant,
        width=Range.of(kept["width"]) if is_picture else None,
        height=Range.of(kept["height"]) if is_picture else None,
        formats=dict(sorted(read.formats.items())),
        notes=dict(sorted(read.notes.items())),
    )
    firsts = firsts[staying]
    distinct = len(np.unique(firsts))
    class_pairs = len(np.unique(firsts * (class_count + 1) + labels[staying]))
    smaller = np.minimum(kept["width"], kept["height"]) < (settings.image_size or 0)
    return Manifest(
        name=read.source.name,
        source=settings.source,
        listing_digest=read.source.listing_digest,
        settings_sha256=settings_sha256(settings),
        fingerprint=_fingerprint(read, splits, staying),
        kind=read.source.kind,
        sample_shape=read.sample_shape,
        class_names=read.class_names,
        splits=written,
        resized=how_resized(settings, is_picture),
        listed=listed,
        rejected=len(read.rejected),
        rejected_reasons=dict(sorted(Counter(entry.reason for entry in read.rejected).items())),
        exact_duplicates=len(staying) - distinct,
        statistics=statistics,
        warnings=warnings_about(
            rows=len(staying),
            class_rows=dict(
                zip(
                    read.class_names, np.sum([s.rows_per_class for s in written.values()], axis=0).tolist(), strict=True
                )
            ),
            statistics=statistics,
            exact_duplicates=len(staying) - distinct,
            contradicting=class_pairs - distinct,
            near_duplicates=near_duplicates,
            upscaled=int(smaller.sum()) if is_picture else 0,
        ),
        mixture=read.source.mixture,
    )


def _fingerprint(read: _Read, splits: npt.NDArray[np.int8], staying: npt.NDArray[np.int64]) -> str:
    """Hex SHA-256 over split, class and content of every row that stays."""
    digest = hashlib.sha256()
    for row in staying:
        label = read.index["label"][row]
        class_name = read.class_names[label] if label >= 0 else ""
        digest.update(f"{SPLIT_NAMES[splits[row]]}\0{class_name}\0".encode())
        digest.update(read.digest(row))
    return digest.hexdigest()


def settings_sha256(settings: DataSettings) -> str:
    """What a Dataset of these settings is known by; into how many shares it was cut is not part of it."""
    return sha256_of_json(settings.model_dump(mode="json", exclude={"partitions"}))


def how_resized(settings: DataSettings, is_picture: bool) -> str:
    """What a person should know of how pictures were brought to their size."""
    if not is_picture:
        return "not pictures"
    if settings.image_size is None:
        return "as they are"
    mode = "grey" if settings.channels == 1 else "colour"
    square = "centre crop" if settings.fit == "crop" else "border repeated to a square"
    return f"{square}, antialiased bicubic to {settings.image_size} pixels, {mode}"
