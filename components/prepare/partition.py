"""One share of a listing, read into units: in processes, and only what is missing."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from components.artifacts import Document, read_document, sha256_of_json, write_document
from components.cores import available_cores
from components.prepare.conform import conform
from components.prepare.listing import digest_of, list_source
from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Item, Rejection
from components.prepare.units import Rejected, Sample, UnitWriter, is_complete
from models.config import Settings
from models.errors import ConfigurationError, SourceError

PARTITION_NAME = "partition.json"
UNIT_SAMPLES = 1_024
"""Samples of one unit: what an interruption costs at most, for each process."""
ALONE_SAMPLES = 4_096
"""Samples up to which processes cost more than they save."""
_ROWS_AT_ONCE = 32
_READING = (*("source", "image_size", "channels", "fit", "scaled_decode", "minimum_side", "maximum_pixels", "rows"),)
"""Settings that decide what a unit holds; the others decide what is made of it."""


class SourceShare(Settings):
    """One share of a listing, as it is handed to whoever reads it."""

    data: DataSettings
    listing_digest: str
    index: int
    count: int


class Partition(Document):
    """Which share of which listing stands here, and in which units."""

    listing_digest: str
    reading_sha256: str
    index: int
    count: int
    units: list[str]
    rejected: list[Rejected]


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
    items, rejections = list_source(settings)
    digest = digest_of(items, rejections)
    if listing_digest and listing_digest != digest:
        raise SourceError(
            f"{settings.source} has changed since it was listed.", "Run again, when nothing is being written there."
        )
    start, end = (len(items) * share // count for share in (index, index + 1))
    sequential = open_source(settings).sequential
    units = dict(_cut(items[start:end], sequential))
    partition = Partition(
        listing_digest=digest,
        reading_sha256=reading_sha256(settings),
        index=index,
        count=count,
        units=list(units),
        # Each of them once, however many shares there are.
        rejected=[Rejected.of(rejection) for rejection in rejections] if index == 0 else [],
    )
    _clear_other_work(output, partition)
    missing = {name: share for name, share in units.items() if not is_complete(output / name)}
    _read_units(settings, output, missing)
    write_document(output / PARTITION_NAME, partition)
    return partition


def _cut(items: Sequence[Item], sequential: bool) -> Iterator[tuple[str, list[Item]]]:
    """Stretches of about ``UNIT_SAMPLES`` samples; one a core of what can only be read from its beginning."""
    if sequential:
        share = max(UNIT_SAMPLES, -(-len(items) // available_cores()))
        for number, start in enumerate(range(0, len(items), share)):
            yield f"unit-{number:06d}-of-{len(items)}", list(items[start : start + share])
        return
    number, samples = 0, 0
    part: list[Item] = []
    for item in items:
        part.append(item)
        samples += item.count
        if samples >= UNIT_SAMPLES:
            yield f"unit-{number:06d}", part
            number, part, samples = number + 1, [], 0
    if part:
        yield f"unit-{number:06d}", part


_WORK_NAME = "work.json"


def _clear_other_work(output: Path, partition: Partition) -> None:
    """Keep what an interrupted reading of the same left, and nothing else."""
    output.mkdir(parents=True, exist_ok=True)
    same = False
    if (output / _WORK_NAME).is_file():
        same = read_document(output, _WORK_NAME, Partition) == partition
    if not same:
        for path in output.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        write_document(output / _WORK_NAME, partition)


def _read_units(settings: DataSettings, output: Path, units: dict[str, list[Item]]) -> None:
    processes = min(available_cores(), len(units))
    if processes < 2 or sum(item.count for items in units.values() for item in items) <= ALONE_SAMPLES:
        for name, items in units.items():
            _read_unit(settings, items, output / name)
        return
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(_read_unit, settings, items, output / name) for name, items in units.items()]
        for future in as_completed(futures):
            future.result()
    except BrokenProcessPool as error:
        raise SourceError(
            f"A process that read {settings.source} died, perhaps for want of memory.",
            "Run the same command again: it goes on with what is missing.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_unit(settings: DataSettings, items: Sequence[Item], directory: Path) -> None:
    """Read some items into one unit.

    Raises:
        SourceError: if the source gave fewer entries than it listed: nothing may be lost silently.
    """
    with UnitWriter(directory) as unit:
        waiting: list[Sample] = []
        for entry in open_source(settings).read(items):
            for result in conform(entry, settings):
                if isinstance(result, Rejection):
                    unit.reject(result)
                    continue
                waiting.append(result)
                if len(waiting) == _ROWS_AT_ONCE:
                    _add(unit, waiting, settings)
                    waiting.clear()
        _add(unit, waiting, settings)
        if unit.rows + len(unit.rejected) < len(items):
            raise SourceError(
                f"{settings.source} listed {len(items)} items and gave {unit.rows + len(unit.rejected)}.",
                "Run again, when nothing is being written there.",
            )


def _add(unit: UnitWriter, samples: list[Sample], settings: DataSettings) -> None:
    try:
        unit.add(samples)
    except ValueError as error:
        raise ConfigurationError(
            f"{settings.source} holds pictures of different sizes ({error}), and data.image_size is not set.",
            "Set for instance data.image_size=32.",
        ) from error
