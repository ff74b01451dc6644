"""One share of a listing, read into units: in processes, and only what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from components.artifacts import Document, read_document, sha256_of_json, write_document
from components.cores import available_cores
from components.prepare.listing import Listing, read_rejections, write_listing
from components.prepare.manifest import MixtureParameters
from components.prepare.reading import read_into_unit
from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.units import Rejected, is_complete
from components.prepare.workers import PlannedUnit, read_in_processes
from models.config import Settings
from models.errors import SourceError

PARTITION_NAME = "partition.json"
UNIT_SAMPLES = 1_024
"""Samples of one unit: what an interruption costs at most, for each process."""
ALONE_SAMPLES = {True: 200_000, False: 2_048}
"""Samples up to which processes cost more than they save: of rows that lie there as they are, and of pictures."""
_READING = (*("source", "image_size", "channels", "fit", "scaled_decode", "minimum_side", "maximum_pixels", "rows"),)
"""Settings that decide what a unit holds; the others decide what is made of it."""


class SourceShare(Settings):
    """One share of a listing, as it is handed to whoever reads it."""

    data: DataSettings
    listing_digest: str
    index: int
    count: int


class Partition(Document):
    """Which share of which listing stands here, in which units, and of what source, which is not opened again."""

    name: str
    kind: Literal["image", "vector"]
    mixture: MixtureParameters | None

    listing_digest: str
    reading_sha256: str
    index: int
    count: int
    units: list[str]


def reading_sha256(settings: DataSettings) -> str:
    """What the units of these settings are known by."""
    return sha256_of_json({name: getattr(settings, name) for name in _READING})


def shares_of(settings: DataSettings, listing_digest: str) -> list[SourceShare]:
    """All shares of a listing. Settings that only the merge needs are left out: changing them reads nothing again."""
    reading = DataSettings.model_validate({name: getattr(settings, name) for name in _READING})
    count = settings.partitions
    return [
        SourceShare(data=reading, listing_digest=listing_digest, index=index, count=count) for index in range(count)
    ]


def read_partition(
    settings: DataSettings, output: Path, *, index: int = 0, count: int = 1, listing_digest: str = ""
) -> Partition:
    """Read one share of the listing into units under ``output``; units that are there already stay.

    Args:
        settings: what to read and how.
        output: a directory; what another listing or other settings left there is removed.
        index, count: which share, of how many; shares are stretches of the listing in the order of names.
        listing_digest: the listing that this is a share of; the present one where empty.

    Raises:
        SourceError: if the source cannot be read, or is not what was listed.
        ConfigurationError: if pictures of different sizes are to stay as they are.
    """
    output.mkdir(parents=True, exist_ok=True)
    listing = write_listing(settings, output / _LISTING_NAME)
    if listing_digest and listing_digest != listing.digest:
        raise SourceError(
            f"{settings.source} has changed since it was listed.", "Run again, when nothing is being written there."
        )
    source = open_source(settings)
    alone = ALONE_SAMPLES[source.sequential]
    units = list(_cut(listing, index, count, alone, source.sequential))
    partition = Partition(
        name=source.name,
        kind=source.kind,
        mixture=source.mixture,
        listing_digest=listing.digest,
        reading_sha256=reading_sha256(settings),
        index=index,
        count=count,
        units=[unit.name for unit in units],
    )
    _clear_other_work(output, partition)
    missing = [unit for unit in units if not is_complete(output / unit.name)]
    processes = min(available_cores(), len(missing))
    if processes < 2 or sum(unit.samples for unit in missing) <= alone:
        for unit in missing:
            read_into_unit(settings, listing.read(unit.first_byte, unit.end_byte), output / unit.name)
    else:
        read_in_processes(settings, output, listing, missing, processes)
    if index == 0:  # each of them once, however many shares there are
        listing.rejections_path.replace(output / _REJECTIONS_NAME)
    shutil.rmtree(output / _LISTING_NAME)
    write_document(output / PARTITION_NAME, partition)
    return partition


def listed_rejections(directory: Path, partition: Partition) -> Iterator[Rejected]:
    """What names alone rule out, of a listing of which this is a share: stated by the first one."""
    if partition.index == 0:
        yield from map(Rejected.of, read_rejections(directory / _REJECTIONS_NAME))


def _cut(listing: Listing, index: int, count: int, alone: int, sequential: bool) -> Iterator[PlannedUnit]:
    """Stretches of about ``UNIT_SAMPLES`` samples; as few as there are cores where each costs as much as all."""
    start, end = (listing.items * share // count for share in (index, index + 1))
    size = UNIT_SAMPLES
    if sequential:
        total = sum(samples for _, _, samples in listing.spans(start, end))
        size = max(UNIT_SAMPLES, total if total <= alone else -(-total // available_cores()))
    number, first, last, held = 0, 0, 0, 0
    for first_byte, last, samples in listing.spans(start, end):  # the last one ends the last unit
        if not held:
            first = first_byte
        held += samples
        if held >= size:
            yield PlannedUnit(f"unit-{number:06d}", first, last, held)
            number, held = number + 1, 0
    if held:
        yield PlannedUnit(f"unit-{number:06d}", first, last, held)


_WORK_NAME = "work.json"
_LISTING_NAME = "listing"
_REJECTIONS_NAME = "rejections.jsonl"


def _clear_other_work(output: Path, partition: Partition) -> None:
    """Keep what an interrupted reading of the same left, and nothing else."""
    same = (output / _WORK_NAME).is_file() and read_document(output, _WORK_NAME, Partition) == partition
    for path in output.iterdir():
        if path.name.startswith(".unit-") or (path.name.startswith("unit-") and not same):
            shutil.rmtree(path)
    if not same:
        (output / PARTITION_NAME).unlink(missing_ok=True)
        write_document(output / _WORK_NAME, partition)
