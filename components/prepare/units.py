"""What has been read and not yet merged: units of some thousand samples, each whole or absent.

A unit is a directory of rows one after the other (``samples.bin``), what the merge needs to know of each
(``index.npy``), their names (``names.jsonl``) and, written last, ``unit.json``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.artifacts import Document, read_document, write_document
from components.prepare.perceptual import perceptual_hashes
from components.prepare.sources.source import Rejection
from components.prepare.splits import content_hash
from models.config import Settings

UNIT_NAME = "unit.json"
SAMPLES_NAME, INDEX_NAME, NAMES_NAME = "samples.bin", "index.npy", "names.jsonl"
INDEX = np.dtype([("sha256", ">u8", (4,)), ("look", "<u8"), ("label", "<i4"), ("width", "<u4"), ("height", "<u4")])
"""Of one row: hash of its bytes, perceptual hash, index into the unit's classes or -1, and size before resizing."""


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
class Sample:
    """One finished row on its way into a unit."""

    name: str
    values: npt.NDArray[Any]
    class_name: str | None
    width: int
    height: int
    format: str = ""
    notes: Sequence[str] = ()


class UnitWriter:
    """Writes one unit, row by row, and completes it on leaving the ``with`` block without an error."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._samples = (directory / SAMPLES_NAME).open("wb")
        self._names = (directory / NAMES_NAME).open("w")
        self._index: list[npt.NDArray[Any]] = []
        self._shape: tuple[int, ...] = ()
        self._dtype = ""
        self._classes: dict[str, int] = {}
        self.rows = 0
        self.rejected: list[Rejected] = []
        self._formats: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()

    def __enter__(self) -> UnitWriter:
        return self

    def add(self, samples: Sequence[Sample]) -> None:
        """Append rows, all of one shape and type.

        Raises:
            ValueError: if a row has another shape than those before it.
        """
        if not samples:
            return
        values = np.stack([sample.values for sample in samples])
        if self.rows and (values.shape[1:], values.dtype.str) != (self._shape, self._dtype):
            raise ValueError(f"{values.shape[1:]} after {self._shape}")
        self._shape, self._dtype = values.shape[1:], values.dtype.str
        part = np.zeros(len(samples), dtype=INDEX)
        if values.ndim == 4:
            part["look"] = perceptual_hashes(values)
        for row, sample in zip(part, samples, strict=True):
            row["sha256"] = np.frombuffer(content_hash(sample.values), dtype=">u8")
            row["width"], row["height"] = sample.width, sample.height
            row["label"] = -1
            if sample.class_name is not None:
                row["label"] = self._classes.setdefault(sample.class_name, len(self._classes))
            self._formats[sample.format] += 1
            self._notes.update(sample.notes)
            self._names.write(json.dumps(sample.name) + "\n")
        self._samples.write(values.data)
        self._index.append(part)
        self.rows += len(samples)

    def reject(self, rejection: Rejection) -> None:
        """State what was left out."""
        self.rejected.append(Rejected.of(rejection))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._samples, self._names):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        if kind is not None:
            return
        index = np.concatenate(self._index) if self._index else np.zeros(0, dtype=INDEX)
        np.save(self._directory / INDEX_NAME, index, allow_pickle=False)
        self._formats.pop("", None)
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


def is_complete(directory: Path) -> bool:
    """Whether a unit was written to its end."""
    return (directory / UNIT_NAME).is_file()


def read_unit(directory: Path) -> tuple[Unit, npt.NDArray[Any]]:
    """A unit's document and its index.

    Raises:
        ArtifactError: if it is incomplete.
    """
    return read_document(directory, UNIT_NAME, Unit), np.load(directory / INDEX_NAME, allow_pickle=False)


def names_of(directory: Path, rows: Sequence[int]) -> Iterator[str]:
    """Names of some rows, in rising order."""
    wanted = set(rows)
    with (directory / NAMES_NAME).open() as stream:
        for row, line in enumerate(stream):
            if row in wanted:
                yield json.loads(line)
