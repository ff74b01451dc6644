"""What has been read and not yet merged: units of some thousand samples, each whole or absent.

A unit is a directory of rows one after the other (``samples.bin``), what the merge needs to know of each
(``index.bin``), their names (``names.jsonl``) and, written last, ``unit.json``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.artifacts import Document, read_document, write_document
from components.prepare.perceptual import perceptual_hashes
from components.prepare.sources.source import Rejection
from components.prepare.splits import content_hash
from models.config import Settings
from models.errors import ArtifactError

UNIT_NAME = "unit.json"
SAMPLES_NAME, INDEX_NAME, NAMES_NAME = "samples.bin", "index.bin", "names.jsonl"
INDEX = np.dtype([("sha256", ">u8", (4,)), ("look", "<u8"), ("label", "<i4"), ("width", "<u4"), ("height", "<u4")])
"""Of one row: hash of its bytes, perceptual hash, index into the unit's classes or -1, and size before resizing."""
_INDEX_ROWS = 8_192


class Rejected(Settings):
    """A line of ``rejected.jsonl``, and whether it counts towards the limit."""

    name: str
    reason: str
    sha256: str
    candidate: bool = True

    @classmethod
    def of(cls, rejection: Rejection) -> Rejected:
        return cls(
            # A name that is no UTF-8 keeps its bytes, as escapes that JSON can carry.
            name=rejection.name.encode("utf-8", "backslashreplace").decode(),
            reason=rejection.reason,
            sha256=rejection.sha256,
            candidate=rejection.candidate,
        )


class Unit(Document):
    """What a unit holds."""

    rows: int = Field(ge=0)
    sample_shape: list[int]
    dtype: str
    classes: list[str]
    rejected: list[Rejected]
    formats: dict[str, int]
    notes: dict[str, int]


@dataclass(frozen=True)
class Samples:
    """Finished rows on their way into a unit.

    ``values`` is uint8 [N, C, H, W] or float32 [N, D]; ``widths`` and ``heights`` are those before resizing;
    ``formats`` and ``notes`` speak of all rows together.
    """

    names: Sequence[str]
    values: npt.NDArray[Any]
    class_names: Sequence[str | None]
    widths: Sequence[int]
    heights: Sequence[int]
    formats: Sequence[str] = ()
    notes: Sequence[str] = ()

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """All rows of some.

        Raises:
            ValueError: if they are not of one shape.
        """
        shapes = {part.values.shape[1:]: None for part in parts}
        if len(shapes) > 1:
            raise ValueError(" and ".join(str(list(shape)) for shape in [*shapes][:2]))
        return cls(
            [name for part in parts for name in part.names],
            np.concatenate([part.values for part in parts]),
            [name for part in parts for name in part.class_names],
            [width for part in parts for width in part.widths],
            [height for part in parts for height in part.heights],
            [kind for part in parts for kind in part.formats],
            [note for part in parts for note in part.notes],
        )


class UnitWriter:
    """Writes one unit, row by row, under another name, and gives it its own once it is whole.

    So two processes that read the same, one of them forgotten by whoever started it, do not mix their rows.
    """

    def __init__(self, directory: Path) -> None:
        self._whole = directory
        self._directory = directory = directory.with_name(f".{directory.name}.{os.getpid()}")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._index = (directory / INDEX_NAME).open("wb")
        self._samples = (directory / SAMPLES_NAME).open("wb")
        self._names = (directory / NAMES_NAME).open("w")
        self._shape: tuple[int, ...] = ()
        self._dtype = ""
        self._classes: dict[str, int] = {}
        self.rows = 0
        self.rejected: list[Rejected] = []
        self._formats: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()

    @property
    def _streams(self) -> tuple[IO[Any], ...]:
        return self._samples, self._names, self._index

    def __enter__(self) -> UnitWriter:
        return self

    def add(self, samples: Samples) -> None:
        """Append rows, all of one shape and type.

        Raises:
            ValueError: if rows have another shape than those before them.
        """
        values = np.ascontiguousarray(samples.values)
        if self.rows and (values.shape[1:], values.dtype.str) != (self._shape, self._dtype):
            raise ValueError(f"{list(self._shape)} and {list(values.shape[1:])}")
        self._shape, self._dtype = values.shape[1:], values.dtype.str
        part = np.zeros(len(values), dtype=INDEX)
        if values.ndim == 4:
            part["look"] = perceptual_hashes(values)
        digests = b"".join(content_hash(row) for row in values)
        part["sha256"] = np.frombuffer(digests, dtype=">u8").reshape(-1, 4)
        part["width"], part["height"] = samples.widths, samples.heights
        part["label"] = [
            -1 if name is None else self._classes.setdefault(name, len(self._classes)) for name in samples.class_names
        ]
        self._formats.update(samples.formats)
        self._notes.update(samples.notes)
        self._names.writelines(json.dumps(name) + "\n" for name in samples.names)
        self._samples.write(values.data)
        self._index.write(part.data)
        self.rows += len(values)

    def reject(self, rejection: Rejection) -> None:
        """State what was left out."""
        self.rejected.append(Rejected.of(rejection))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for stream in self._streams:
                with suppress(OSError):  # on a full disk what is left in memory cannot be written either
                    stream.close()
            shutil.rmtree(self._directory)
            return
        for stream in self._streams:
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        write_document(
            self._directory / UNIT_NAME,
            Unit(
                rows=self.rows,
                sample_shape=list(self._shape),
                dtype=self._dtype,
                classes=list(self._classes),
                rejected=self.rejected,
                formats=dict(sorted(self._formats.items())),
                notes=dict(sorted(self._notes.items())),
            ),
        )
        if is_complete(self._whole):
            shutil.rmtree(self._directory)
        else:
            shutil.rmtree(self._whole, ignore_errors=True)
            self._directory.rename(self._whole)


def is_complete(directory: Path) -> bool:
    """Whether a unit was written to its end."""
    return (directory / UNIT_NAME).is_file()


def read_unit(directory: Path) -> Unit:
    """A unit's document.

    Raises:
        ArtifactError: if it is incomplete.
    """
    return read_document(directory, UNIT_NAME, Unit)


def read_index(directory: Path) -> Iterator[npt.NDArray[Any]]:
    """A unit's index, ``INDEX`` [n] for a few thousand rows at a time, in order.

    Raises:
        ArtifactError: if it is cut off.
    """
    rows = read_unit(directory).rows
    path = directory / INDEX_NAME
    if path.stat().st_size != rows * INDEX.itemsize:
        raise ArtifactError(f"{path} is shorter than its unit says.", "Prepare the data again.")
    for start in range(0, rows, _INDEX_ROWS):
        yield np.fromfile(path, INDEX, min(_INDEX_ROWS, rows - start), offset=start * INDEX.itemsize)


def names_of(directory: Path, rows: Sequence[int]) -> Iterator[str]:
    """Names of some rows, in rising order."""
    wanted = set(rows)
    with (directory / NAMES_NAME).open() as stream:
        for row, line in enumerate(stream):
            if row in wanted:
                yield json.loads(line)
