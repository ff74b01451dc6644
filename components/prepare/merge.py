"""From partitions to a Dataset whose bytes do not tell how many there were, nor in what order things were listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
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
from components.prepare.content_order import ContentOrder
from components.prepare.manifest import MANIFEST_NAME, PREVIEW_NAME, REJECTED_NAME, Manifest, Split, SplitName
from components.prepare.partition import PARTITION_NAME, Partition, listed_rejections, reading_sha256
from components.prepare.preview import Preview
from components.prepare.rejections import Rejections
from components.prepare.settings import DataSettings
from components.prepare.shards import SplitWriter
from components.prepare.sources.source import Rejection
from components.prepare.splits import SPLIT_NAMES, bridges, split_of, split_of_look
from components.prepare.statistics import Moments, Range, Statistics, warnings_about
from components.prepare.tally import Tally
from components.prepare.unit_rows import UnitRows
from components.prepare.units import Rejected, names_of, read_unit
from models.errors import ArtifactError, ConfigurationError, SourceError

BRIDGES = "near duplicate of a picture in another split"
LEFT_OUT = -1
"""In place of a split's number."""
_BLOCK_BYTES = 2 * 2**20


@dataclass
class _Units:
    """What the units' documents say together."""

    source: Partition
    """Of any share: what all of them say of the source and of its listing."""
    rejections: Rejections
    directories: list[Path] = field(default_factory=list)
    classes: list[list[str]] = field(default_factory=list)
    rows: int = 0
    sample_shape: list[int] = field(default_factory=list)
    dtype: str = "|u1"
    formats: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def listed(self) -> int:
        return self.rows + len(self.rejections)

    def class_names(self) -> list[str]:
        return in_natural_order({name for names in self.classes for name in names})

    def class_numbers(self, class_names: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """Of each unit, the number of each of its labels; label -1 picks the last, none."""
        number = {name: position for position, name in enumerate(class_names, start=1)}
        return [np.array([*(number[name] for name in names), 0], dtype=np.uint32) for names in self.classes]


def merge(settings: DataSettings, partitions: Sequence[Path], output: Path) -> Manifest:
    """Order, split and write what the partitions hold, in memory that hardly grows with it: some ten bytes a row, a
    few dozen for a moment.

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
    with ExitStack() as stack:
        rejections = stack.enter_context(closing(Rejections(output)))
        units = _read(settings, partitions, rejections)
        listed = units.listed
        _require_enough(settings, units, output)
        class_names = units.class_names()
        excluded = _excluded(settings, class_names)
        order = ContentOrder.of(units.directories, units.class_numbers(class_names), excluded, output)
        stack.enter_context(closing(order))
        rows = stack.enter_context(closing(UnitRows(units.directories, units.sample_shape, units.dtype)))
        splits = _splits(settings, units, order, rows)
        near = _state_bridges(units, order, splits)
        rejections.write(output / REJECTED_NAME)
        tally = Tally(class_names, settings.image_size or 0)
        for first, records in order.blocks():
            of_block = splits[first : first + len(records)]
            tally.add(records[of_block != LEFT_OUT], of_block[of_block != LEFT_OUT])
        for number, name in enumerate(SPLIT_NAMES):
            if not tally.rows_of(number):
                raise SourceError(
                    f"The {name} split of {settings.source} is empty: {tally.total:,} samples are too few.",
                    "Add pictures or raise the split's share.",
                )
        written, moments = _write(settings, units, order, rows, splits, tally, output)
        manifest = _manifest(settings, units, class_names, tally, moments, written, listed, near)
    write_document(output / MANIFEST_NAME, manifest)
    return manifest


def _read(settings: DataSettings, partitions: Sequence[Path], rejections: Rejections) -> _Units:
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
    units = _Units(first, rejections)
    for path, document in zip(partitions, documents, strict=True):
        for entry in listed_rejections(path, document):
            rejections.add(entry)
        for name in document.units:
            _add_unit(units, path / name, settings)
    return units


def _add_unit(units: _Units, directory: Path, settings: DataSettings) -> None:
    unit = read_unit(directory)
    for entry in unit.rejected:
        units.rejections.add(entry)
    units.formats.update(unit.formats)
    units.notes.update(unit.notes)
    if unit.rows == 0:
        return
    if units.rows and (units.sample_shape, units.dtype) != (unit.sample_shape, unit.dtype):
        raise ConfigurationError(
            f"{settings.source} holds pictures of different sizes ({units.sample_shape} and "
            f"{unit.sample_shape}), and data.image_size is not set.",
            "Set for instance data.image_size=32.",
        )
    units.sample_shape, units.dtype = unit.sample_shape, unit.dtype
    units.directories.append(directory)
    units.classes.append(unit.classes)
    units.rows += unit.rows


def _require_enough(settings: DataSettings, units: _Units, output: Path) -> None:
    candidates = units.rejections.candidates
    listed = units.rows + candidates.total()
    if units.rows and candidates.total() <= settings.rejected_share_limit * listed:
        return
    units.rejections.write(output / REJECTED_NAME)
    commonest = candidates.most_common(1)
    raise SourceError(
        f"{candidates.total():,} of {listed:,} items of {settings.source} were rejected"
        + (f", most of them as {commonest[0][0]!r}." if commonest else "."),
        f"See {output / REJECTED_NAME}, mend the source, or raise data.rejected_share_limit.",
    )


def _excluded(settings: DataSettings, class_names: list[str]) -> list[int]:
    """Class numbers that the settings leave out."""
    for name in settings.excluded_classes:
        if name not in class_names:
            raise ConfigurationError(
                f"data.excluded_classes names {name!r}, which {settings.source} does not have.",
                f"Its classes are: {', '.join(class_names) or 'none'}.",
            )
    return [class_names.index(name) + 1 for name in settings.excluded_classes]


def _splits(settings: DataSettings, units: _Units, order: ContentOrder, rows: UnitRows) -> npt.NDArray[np.int8]:
    """The number of every row's split, or ``LEFT_OUT``, int8 [N]."""
    number = {name: position for position, name in enumerate(SPLIT_NAMES)}
    by_look = len(units.sample_shape) == 3 and settings.near_duplicates
    splits = np.empty(len(order), dtype=np.int8)
    looks = np.empty(len(order) if by_look else 0, dtype=np.uint64)
    for first, records in order.blocks():
        part = slice(first, first + len(records))
        if by_look:
            looks[part] = records["look"]
            splits[part] = [number[split_of_look(look, settings)] for look in records["look"].tolist()]
        else:
            splits[part] = [number[split_of(content.tobytes(), settings)] for content in records["sha256"]]
    if by_look:
        near = bridges(
            looks, splits, lambda wanted: order.at(wanted)["sha256"], lambda wanted: rows.read(order.at(wanted))
        )
        splits[list(near)] = LEFT_OUT
    return splits


def _state_bridges(units: _Units, order: ContentOrder, splits: npt.NDArray[np.int8]) -> int:
    """Every row that was left out among the rejections; how many there are."""
    records = order.at(np.flatnonzero(splits == LEFT_OUT))
    records = records[np.lexsort((records["row"], records["unit"]))]
    for unit in np.unique(records["unit"]).tolist():
        of_unit = records[records["unit"] == unit]
        names = names_of(units.directories[unit], of_unit["row"].tolist())
        for record, name in zip(of_unit, names, strict=True):
            content = record["sha256"].tobytes().hex()
            units.rejections.add(Rejected.of(Rejection(name, BRIDGES, content, candidate=False)))
    return len(records)


def _write(
    settings: DataSettings,
    units: _Units,
    order: ContentOrder,
    rows: UnitRows,
    splits: npt.NDArray[np.int8],
    tally: Tally,
    output: Path,
) -> tuple[dict[SplitName, Split], Moments]:
    """Shards of every split, and the preview; sums over the training rows."""
    written: dict[SplitName, Split] = {}
    moments = Moments()
    for number, name in enumerate(SPLIT_NAMES):
        count = tally.rows_of(number)
        writer = SplitWriter(output / "shards", name, count, settings.shard_rows)
        preview = Preview(units.source.kind == "image", tally.rows_per_class(number))
        for records in _of_split(order, splits, number, max(1, _BLOCK_BYTES // rows.row_bytes)):
            values = rows.read(records)
            labels = records["class_number"].astype(np.int64) - 1
            writer.add(values, labels)
            if name == "train":
                moments.add(values)
                preview.add(values, labels)
        written[name] = Split(rows=count, rows_per_class=tally.rows_per_class(number), shards=writer.shards)
        if name == "train":
            write_bytes_atomically(output / PREVIEW_NAME, preview.png())
    return written, moments


def _of_split(
    order: ContentOrder, splits: npt.NDArray[np.int8], number: int, at_once: int
) -> Iterator[npt.NDArray[Any]]:
    """Records of one split, some at a time, in order."""
    for first, records in order.blocks():
        wanted = records[splits[first : first + len(records)] == number]
        for start in range(0, len(wanted), at_once):
            yield wanted[start : start + at_once]


def _manifest(
    settings: DataSettings,
    units: _Units,
    class_names: list[str],
    tally: Tally,
    moments: Moments,
    written: dict[SplitName, Split],
    listed: int,
    near_duplicates: int,
) -> Manifest:
    is_picture = units.source.kind == "image"
    statistics = Statistics(
        mean=moments.mean(),
        deviation=moments.deviation(),
        constant=moments.constant,
        width=Range.of(tally.widths) if is_picture else None,
        height=Range.of(tally.heights) if is_picture else None,
        formats=dict(sorted(units.formats.items())),
        notes=dict(sorted(units.notes.items())),
    )
    return Manifest(
        name=units.source.name,
        source=settings.source,
        listing_digest=units.source.listing_digest,
        settings_sha256=settings_sha256(settings),
        fingerprint=tally.fingerprint(),
        kind=units.source.kind,
        sample_shape=units.sample_shape,
        class_names=class_names,
        splits=written,
        resized=how_resized(settings, is_picture),
        fit=settings.fit,
        listed=listed,
        rejected=len(units.rejections),
        rejected_reasons=dict(sorted(units.rejections.reasons.items())),
        exact_duplicates=tally.exact_duplicates,
        statistics=statistics,
        warnings=warnings_about(
            rows=tally.total,
            class_rows=tally.class_rows(),
            statistics=statistics,
            exact_duplicates=tally.exact_duplicates,
            contradicting=tally.contradicting,
            near_duplicates=near_duplicates,
            upscaled=tally.upscaled if is_picture else 0,
        ),
        mixture=units.source.mixture,
    )


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
