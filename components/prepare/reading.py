"""Some items of a source, read into one unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.prepare.conform import conform
from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Item, Rejection
from components.prepare.units import Samples, UnitWriter
from models.errors import ConfigurationError, SourceError

_ROWS_AT_ONCE = 32


def read_into_unit(settings: DataSettings, items: Sequence[Item], directory: Path) -> None:
    """Read some items into one unit.

    Raises:
        SourceError: if the source gave fewer entries than it listed: nothing may be lost silently.
    """
    with UnitWriter(directory) as unit:
        waiting: list[Samples] = []
        for entry in open_source(settings).read(items):
            for result in conform(entry, settings):
                if isinstance(result, Rejection):
                    unit.reject(result)
                    continue
                waiting.append(result)
                if sum(len(samples.names) for samples in waiting) >= _ROWS_AT_ONCE:
                    _add(unit, waiting, settings)
                    waiting.clear()
        if waiting:
            _add(unit, waiting, settings)
        if unit.rows + len(unit.rejected) < len(items):
            raise SourceError(
                f"{settings.source} listed {len(items)} items and gave {unit.rows + len(unit.rejected)}.",
                "Run again, when nothing is being written there.",
            )


def _add(unit: UnitWriter, samples: list[Samples], settings: DataSettings) -> None:
    try:
        unit.add(Samples.joined(samples))
    except ValueError as error:
        raise ConfigurationError(
            f"{settings.source} holds pictures of different sizes ({error}), and data.image_size is not set.",
            "Set for instance data.image_size=32.",
        ) from error
